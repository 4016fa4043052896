/**
 * Breakpoints of the engine: a core stops before exactly the instructions with a breakpoint, and a run that was stopped
 * and continued equals an uninterrupted one. Stepping is the reference: the sequence of RIPs of runs of one
 * instruction.
 */
import { expect, it } from "vitest";
import type { Core, Place, RunResult } from "../../emulator/cpu/engine.ts";
import { busyGuest } from "./busy.ts";
import { CODE, describeEngines, fingerprint, Guest, seeded, USER, USER_DATA_PAGE } from "./guest.ts";

const everywhere = (address: number | bigint): Place => ({ virtual: BigInt(address), space: null });
const outcome = ({ reason, retired, id }: RunResult, core: Core): string =>
  `${reason} ${retired} ${id ?? ""} ${core.rip.toString(16)}`;

/** Runs in pieces until a stop other than the end of the budget; returns the retired count of all pieces. */
function toStop(core: Core, piece: () => number = () => 1_000_000): RunResult {
  let retired = 0;
  for (;;) {
    const result = core.run(piece());
    retired += result.retired;
    if (result.reason !== "budget") return { ...result, retired };
    if (retired > 1_000_000) throw new Error("no stop");
  }
}

/**
 * RIP before each instruction, in order, by stepping; iterations of a repeated instruction count once. A step of an
 * instruction that faults also executes the first one of its handler. Ends at `hlt`.
 */
function steppedRips(guest: Guest, core: Core): string[] {
  const rips: string[] = [];
  for (;;) {
    const rip = core.rip;
    const code = guest.engine.ram[core.translate(rip) as number] as number;
    const repeated = (code === 0xf2 || code === 0xf3) && rips.at(-1) === rip.toString(16);
    const { reason, retired } = core.run(1);
    if (!repeated && retired > 0) rips.push(rip.toString(16));
    if (reason === "halt") return rips;
  }
}

describeEngines("breakpoints", () => {
  it("stop before the instruction, pass it on the next run, and stop again when it comes round", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: mov ecx, 3; loop: inc eax; dec ecx; jnz loop; self: jmp self`);
    const inLoop = guest.engine.addBreakpoint(everywhere(at("loop")));
    const atSelf = guest.engine.addBreakpoint(everywhere(at("self")));
    guest.start(guest.core, at("start"));
    const seen = Array.from({ length: 6 }, () => outcome(guest.core.run(100), guest.core));
    const loop = at("loop").toString(16);
    const self = at("self").toString(16);
    expect(seen).toEqual([
      `breakpoint 1 ${inLoop} ${loop}`,
      `breakpoint 3 ${inLoop} ${loop}`,
      `breakpoint 3 ${inLoop} ${loop}`,
      `breakpoint 3 ${atSelf} ${self}`,
      `breakpoint 1 ${atSelf} ${self}`,
      `breakpoint 1 ${atSelf} ${self}`,
    ]);
    guest.engine.removeBreakpoint(atSelf);
    expect(guest.core.run(100)).toEqual({ reason: "budget", retired: 100 });
    guest.engine.addBreakpoint(everywhere(at("self")));
    expect(guest.core.run(100)).toMatchObject({ reason: "breakpoint", retired: 0 });
    guest.core.passBreakpoint();
    expect(guest.core.run(1)).toEqual({ reason: "budget", retired: 1 });
    guest.close();
  });

  it("a budget that ends at the breakpoint is a budget, and the next run stops at once", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: nop; nop; stop: nop; hlt`);
    guest.engine.addBreakpoint(everywhere(at("stop")));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(2)).toEqual({ reason: "budget", retired: 2 });
    expect(guest.core.run(2)).toMatchObject({ reason: "breakpoint", retired: 0 });
    expect(guest.core.run(10)).toEqual({ reason: "halt", retired: 2 });
    guest.close();
  });

  for (const seed of [1, 7, 90]) {
    it(`on every instruction of a busy program, in runs of random length: the run is the one without; seed ${seed}`, () => {
      const plain = busyGuest();
      const rips = steppedRips(plain.guest, plain.guest.core);
      const wanted = `${plain.guest.core.time} ${fingerprint(plain.guest.engine)} ${plain.bus.log.join("\n")}`;
      plain.guest.close();

      const { guest, bus } = busyGuest();
      const places = [...new Set(rips)];
      for (const rip of places) guest.engine.addBreakpoint(everywhere(BigInt(`0x${rip}`)));
      const random = seeded(seed);
      const stops: string[] = [];
      for (let result = guest.core.run(1); result.reason !== "halt"; result = guest.core.run(random(50) + 1)) {
        if (result.reason === "breakpoint") stops.push(guest.core.rip.toString(16));
        if (random(100) === 0) guest.engine.flushCaches();
      }
      expect(`${guest.core.time} ${fingerprint(guest.engine)} ${bus.log.join("\n")}`).toBe(wanted);
      expect(stops).toEqual(rips);
      guest.close();
    });
  }

  it("in one address space only; in each; and by the physical address in both", () => {
    const guest = new Guest();
    const other = 0x2_0000;
    // A second space: the same low 2 MB pages, and the user page on another frame.
    const first = Number(guest.core.save().cr3);
    guest.start(guest.core, CODE);
    const space = Number(guest.core.register("cr3"));
    expect(first).toBe(0);
    guest.engine.ram.copyWithin(other, space, space + 0x1000);
    const at = guest.code(
      CODE,
      `start: call func; mov eax, ${other}; mov cr3, rax; call func; mov eax, ${space}; mov cr3, rax; call func; hlt; func: inc ebx; ret`,
    );
    const stops = (place: Place): string[] => {
      const id = guest.engine.addBreakpoint(place);
      guest.start(guest.core, at("start"));
      const found: string[] = [];
      for (;;) {
        const { reason } = toStop(guest.core);
        if (reason === "halt") break;
        found.push(`${guest.core.register("cr3").toString(16)} ${guest.core.register("rbx")}`);
      }
      guest.engine.removeBreakpoint(id);
      return found;
    };
    const func = BigInt(at("func"));
    const a = space.toString(16);
    const b = other.toString(16);
    const base = guest.core.register("rbx");
    expect(base).toBe(0n);
    expect(stops({ virtual: func, space })).toEqual([`${a} 0`, `${a} 2`]);
    guest.core.setRegister("rbx", 0n);
    expect(stops({ virtual: func, space: other }).map((s) => s.split(" ")[0])).toEqual([b]);
    expect(stops({ virtual: func, space: null }).map((s) => s.split(" ")[0])).toEqual([a, b, a]);
    expect(stops({ physical: Number(func) }).map((s) => s.split(" ")[0])).toEqual([a, b, a]);
    expect(stops({ virtual: func, space: 0x5_5000 })).toEqual([]);
    guest.close();
  });

  it("by physical address: through every alias, at a page's first byte reached from the page before, and moved by the page table", () => {
    const guest = new Guest();
    const frame = 0x12_0000;
    guest.map(0x70_0000n, BigInt(frame) | 3n);
    guest.map(0x70_1000n, BigInt(frame + 0x1000) | 3n);
    guest.map(0x80_0000n, BigInt(frame + 0x1000) | 3n);
    const entry = guest.map(0x90_0000n, BigInt(frame + 0x3000) | 3n);
    guest.code(frame + 0xffe, `nop; nop; inc eax; jmp r15`); // the inc is the second page's first instruction
    guest.code(frame + 0x3000, `dec eax; jmp r15`);
    const at = guest.code(
      CODE,
      `start: mov edi, 0x700ffe; lea r15, [rip + 1f]; jmp rdi; 1: mov edi, 0x800000; lea r15, [rip + 2f]; jmp rdi
       2: mov edi, 0x900000; lea r15, [rip + 3f]; jmp rdi
       3: mov dword ptr [${entry}], ${frame + 0x1003}; invlpg [0x900000]; lea r15, [rip + 4f]; jmp rdi; 4: hlt`,
    );
    const id = guest.engine.addBreakpoint({ physical: frame + 0x1000 });
    guest.start(guest.core, at("start"));
    const found: string[] = [];
    for (let result = toStop(guest.core); result.reason !== "halt"; result = toStop(guest.core))
      found.push(outcome(result, guest.core));
    expect(found).toEqual([`breakpoint 5 ${id} 701000`, `breakpoint 5 ${id} 800000`, `breakpoint 11 ${id} 900000`]);
    guest.engine.removeBreakpoint(id);
    guest.start(guest.core, at("start"));
    expect(toStop(guest.core).reason).toBe("halt");
    guest.close();
  });

  it("in a repeated instruction: once, before its first iteration, however the run is cut", () => {
    for (const piece of [1, 2, 3, 1000]) {
      const guest = new Guest();
      const at = guest.code(
        CODE,
        `start: mov ebx, 2; again: mov edi, 0x80000; mov ecx, 10; movs: rep stosb; mov edi, 0x80000; mov ecx, 10; scas: repe scasb; dec ebx; jnz again; hlt`,
      );
      guest.engine.addBreakpoint(everywhere(at("movs")));
      guest.engine.addBreakpoint(everywhere(at("scas")));
      guest.start(guest.core, at("start"));
      const counts: string[] = [];
      for (let reason = ""; reason !== "halt"; ) {
        const result = toStop(guest.core, () => piece);
        reason = result.reason;
        counts.push(`${result.retired} ${guest.core.register("rcx")}`);
      }
      // 10 iterations and the test that ends stosb; scasb ends with its count, without one.
      expect(counts).toEqual([
        "3 10",
        "13 10",
        expect.stringMatching(/^1[45] 10$/),
        "13 10",
        expect.stringMatching(/^1[34] 0$/),
      ]);
      guest.close();
    }
  });

  it("in an interrupt shadow, at hlt, and where an interrupt window opens: the window comes first", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: cli; nop; sti; shadow: nop; open: nop; wait: hlt; irq: iretq`);
    guest.gate(0x40, at("irq"));
    for (const label of ["shadow", "open", "wait"]) guest.engine.addBreakpoint(everywhere(at(label)));
    guest.start(guest.core, at("start"));
    const where = (result: RunResult): string =>
      `${result.reason} ${result.retired} ${guest.core.rip - BigInt(at("start"))} ${guest.core.interruptible}`;
    const offset = (label: string): number => at(label) - at("start");
    expect(where(guest.core.run(100))).toBe(`breakpoint 3 ${offset("shadow")} false`);
    expect(where(guest.core.run(100))).toBe(`breakpoint 1 ${offset("open")} true`);
    expect(where(guest.core.run(100))).toBe(`breakpoint 1 ${offset("wait")} true`);
    expect(where(guest.core.run(100))).toBe(`halt 1 ${offset("irq")} true`);
    guest.start(guest.core, at("start"));
    expect(where(guest.core.runToWindow(100))).toBe(`breakpoint 3 ${offset("shadow")} false`);
    expect(where(guest.core.runToWindow(100))).toBe(`window 1 ${offset("open")} true`);
    guest.core.injectInterrupt(0x40);
    expect(where(guest.core.run(100))).toBe(`breakpoint 1 ${offset("open")} true`);
    guest.close();
  });

  it("on an instruction that makes a shadow: passing it keeps the shadow", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: cli; open: sti; nop; nop; hlt`);
    guest.engine.addBreakpoint(everywhere(at("open")));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(100).reason).toBe("breakpoint");
    expect(guest.core.runToWindow(100)).toEqual({ reason: "window", retired: 2 });
    guest.close();
  });

  it("on an instruction that faults: stops before it, then the fault is delivered, and it stops again when it is tried again", () => {
    const guest = new Guest();
    const page = guest.map(0x60_0000n, 0x60_0002n);
    const at = guest.code(
      CODE,
      `start: nop; load: mov eax, [0x600000]; hlt; pf: or dword ptr [${page}], 1; add rsp, 8; iretq; syscall: nop`,
    );
    guest.gate(14, at("pf"));
    guest.engine.addBreakpoint(everywhere(at("load")));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(100)).toMatchObject({ reason: "breakpoint", retired: 1 });
    expect(guest.core.register("cr2")).toBe(0n);
    expect(guest.core.run(100)).toMatchObject({ reason: "breakpoint", retired: 3 });
    expect(guest.core.register("cr2")).toBe(0x60_0000n);
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 2 });
    guest.close();
  });

  it("on an instruction that straddles two pages, of which the second is missing at first", () => {
    const guest = new Guest();
    const frame = 0x12_0000;
    guest.map(0x70_0000n, BigInt(frame) | 3n);
    const second = guest.map(0x70_1000n, BigInt(frame + 0x1000) | 2n);
    guest.code(frame + 0xff8, `nop; nop; nop; mov ebx, 0x12345678; hlt`); // the mov begins at ffb
    const at = guest.code(
      CODE,
      `start: mov edi, 0x700ff8; jmp rdi; pf: or dword ptr [${second}], 1; add rsp, 8; iretq`,
    );
    guest.gate(14, at("pf"));
    guest.engine.addBreakpoint(everywhere(0x70_0ffc));
    const stop = guest.engine.addBreakpoint(everywhere(0x70_0ffb));
    guest.start(guest.core, at("start"));
    expect(outcome(guest.core.run(100), guest.core)).toBe(`breakpoint 5 ${stop} 700ffb`);
    guest.setQuad(second, guest.quad(second) & ~1n);
    expect(guest.core.register("rbx")).toBe(0n);
    let last = guest.core.run(100);
    if (last.reason === "breakpoint") last = guest.core.run(100);
    expect(last.reason).toBe("halt");
    expect(guest.core.register("rbx")).toBe(0x1234_5678n);
    guest.close();
  });

  it("system calls and interrupts passed from a breakpoint leave the handler's breakpoints in place", () => {
    const guest = new Guest();
    const at = guest.code(
      CODE,
      `start: mov ecx, 0xc0000081; xor eax, eax; mov edx, 0x00180008; wrmsr; mov ecx, 0xc0000082; lea eax, [rip + handler]; xor edx, edx; wrmsr
       mov ecx, 0xc0000084; mov eax, 0x200; wrmsr; mov ecx, ${USER}; mov r11d, 2; sysretq; handler: inc ebx; sysretq; int80: inc esi; iretq; fin: hlt`,
    );
    guest.code(USER, `mov ebp, 3; 1: syscall; int 0x80; dec ebp; jnz 1b; int 0x81`);
    guest.gate(0x80, at("int80"), { dpl: 3 });
    guest.gate(0x81, at("fin"), { dpl: 3 });
    const rips = (): string[] => {
      guest.start(guest.core, at("start"), { rsp: 0x8_f000 });
      const found: string[] = [];
      for (let result = toStop(guest.core); result.reason !== "halt"; result = toStop(guest.core))
        found.push(guest.core.rip.toString(16));
      return found;
    };
    const handler = at("handler").toString(16);
    const int80 = at("int80").toString(16);
    const call = (USER + 5).toString(16);
    const interrupt = (USER + 7).toString(16);
    guest.engine.addBreakpoint(everywhere(USER + 5));
    guest.engine.addBreakpoint(everywhere(USER + 7));
    guest.engine.addBreakpoint(everywhere(at("handler")));
    guest.engine.addBreakpoint(everywhere(at("int80")));
    const once = [call, handler, interrupt, int80];
    expect(rips()).toEqual([...once, ...once, ...once]);
    guest.close();
  });

  it("on code that rewrites itself, and that another core rewrites", () => {
    const guest = new Guest({ cores: 2 });
    const at = guest.code(
      CODE,
      `start: mov ebp, 4; again: patched: mov eax, 0x11; add ebx, eax; inc dword ptr [rip + patched + 1]; dec ebp; jnz again; hlt
       writer: mov dword ptr [rip + patched + 1], 0x100; hlt`,
    );
    const id = guest.engine.addBreakpoint(everywhere(at("patched")));
    const [first, second] = guest.engine.cores as [Core, Core];
    guest.start(first, at("start"));
    guest.start(second, at("writer"));
    let stops = 0;
    for (let result = toStop(first); result.reason !== "halt"; result = toStop(first)) {
      expect(result.id).toBe(id);
      stops++;
      if (stops === 3) expect(toStop(second).reason).toBe("halt");
    }
    expect(stops).toBe(4);
    expect(first.register("rbx")).toBe(0x11n + 0x12n + 0x100n + 0x101n);
    guest.close();
  });

  it("on both cores of a node, each at its own time; memory stays as it is", () => {
    const guest = new Guest({ cores: 2 });
    const at = guest.code(CODE, `start: inc eax; jmp start`);
    const before = guest.engine.ram.slice();
    const id = guest.engine.addBreakpoint(everywhere(at("start")));
    for (const core of guest.engine.cores) guest.start(core, at("start"));
    for (let round = 0; round < 3; round++) {
      for (const core of guest.engine.cores)
        expect(core.run(100)).toEqual({ reason: "breakpoint", retired: round === 0 ? 0 : 2, id });
    }
    expect(Buffer.compare(before.subarray(CODE, CODE + 64), guest.engine.ram.subarray(CODE, CODE + 64))).toBe(0);
    guest.close();
  });

  it("leave nothing behind when they are removed, nor in the next node that gets the instances", () => {
    const code = `start: inc eax; inc eax; hlt`;
    const guest = new Guest();
    const at = guest.code(CODE, code);
    const ids = [0, 2, 4].map((offset) => guest.engine.addBreakpoint(everywhere(at("start") + offset)));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(10).reason).toBe("breakpoint");
    guest.engine.removeBreakpoint(ids[1] as number);
    guest.engine.removeBreakpoint(12345);
    expect(guest.core.run(10)).toMatchObject({ reason: "breakpoint", retired: 2, id: ids[2] });
    guest.close();
    const next = new Guest();
    next.code(CODE, code);
    next.start(next.core, CODE);
    expect(next.core.run(10)).toEqual({ reason: "halt", retired: 3 });
    next.close();
  });

  it("many of them: a thousand that are never reached cost no stop", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: mov ecx, 1000; 1: dec ecx; jnz 1b; hlt`);
    for (let index = 0; index < 1000; index++) guest.engine.addBreakpoint(everywhere(USER_DATA_PAGE + index * 3));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(10_000)).toEqual({ reason: "halt", retired: 2002 });
    guest.close();
  });
});
