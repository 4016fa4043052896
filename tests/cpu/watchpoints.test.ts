/**
 * Watchpoints of the engine against an oracle: random programs of instructions whose every access is known. A core
 * stops after exactly those instructions that access the bytes in the requested way, reports the byte and the kind of
 * access, and otherwise equals a core without watchpoints.
 */
import { expect, it } from "vitest";
import type { Core, Place, WatchKind } from "../../emulator/cpu/engine.ts";
import { busyGuest } from "./busy.ts";
import { RecordingBus } from "./bus.ts";
import { CODE, describeEngines, fingerprint, Guest, seeded, USER_DATA_PAGE } from "./guest.ts";

/** Accesses of one retired instruction, in order. */
interface Access {
  readonly write: boolean;
  readonly address: number;
  readonly bytes: number;
}
interface Program {
  readonly source: string;
  /** One entry per retired instruction. */
  readonly accesses: readonly (readonly Access[])[];
}

/** Three pages with a page boundary on each side of the middle one. */
const DATA = 0x8_0000;
const DATA_BYTES = 0x3000;
/** The second alias of the data's frames. */
const ALIAS = 0x70_0000;

const read = (address: number, bytes: number): Access => ({ write: false, address, bytes });
const write = (address: number, bytes: number): Access => ({ write: true, address, bytes });
const sizes = { byte: 1, word: 2, dword: 4, qword: 8 } as const;
const registers = { byte: "al", word: "ax", dword: "eax", qword: "rax" } as const;

function randomProgram(random: (below: number) => number, instructions: number, base = DATA): Program {
  const lines: string[] = [];
  const accesses: Access[][] = [];
  let sp = base + 0x2008;
  const step = (text: string, ...made: Access[]): void => {
    lines.push(text);
    accesses.push(made);
  };
  /** Often near a page's end, so that accesses cross it and touch bytes around the watched ones. */
  const place = (): number => {
    const near = base + 0x1000 * (1 + random(2)) - 40 + random(80);
    return random(4) === 0 ? base + random(DATA_BYTES - 64) : near;
  };
  step(`mov rsp, ${sp}`);
  for (let count = 0; count < instructions; count++) {
    const at = place();
    const size = (["byte", "word", "dword", "qword"] as const)[random(4)] as keyof typeof sizes;
    const bytes = sizes[size];
    const register = registers[size];
    const memory = `${size} ptr [rbx]`;
    switch (random(18)) {
      case 0:
        step(`mov ebx, ${at}`);
        step(`mov [rbx], ${register}`, write(at, bytes));
        break;
      case 1:
        step(`mov ebx, ${at}`);
        step(`mov ${register}, [rbx]`, read(at, bytes));
        break;
      case 2:
        step(`mov ebx, ${at - 24}`);
        step("mov ecx, 3");
        step(`mov ${register}, [rbx + rcx*8]`, read(at, bytes));
        break;
      case 3:
        step(`mov ebx, ${at}`);
        step(`add ${memory}, 1`, read(at, bytes), write(at, bytes));
        break;
      case 4:
        step(`mov ebx, ${at}`);
        step(`lock add ${memory}, 1`, read(at, bytes), write(at, bytes));
        break;
      case 5:
        step(`mov ebx, ${at}`);
        step(`xchg [rbx], ${register}`, read(at, bytes), write(at, bytes));
        break;
      case 6:
        step(`mov ebx, ${at}`);
        step(`cmp ${memory}, 1`, read(at, bytes));
        break;
      case 7:
        sp -= 8;
        step("push rax", write(sp, 8));
        break;
      case 8:
        step("pop rax", read(sp, 8));
        sp += 8;
        break;
      case 9:
        sp -= 8;
        step(`mov ebx, ${at}`);
        step("push qword ptr [rbx]", read(at, 8), write(sp, 8));
        break;
      case 10:
        step(`mov ebx, ${at}`);
        step("movups xmm0, [rbx]", read(at, 8), read(at + 8, 8));
        break;
      case 11:
        step(`mov ebx, ${at}`);
        step("movups [rbx], xmm0", write(at, 8), write(at + 8, 8));
        break;
      case 12:
        step(`mov ebx, ${at}`);
        step("movq xmm1, qword ptr [rbx]", read(at, 8));
        break;
      case 13: {
        const times = random(6);
        step(`mov edi, ${at}`);
        step(`mov ecx, ${times}`);
        lines.push(`rep stos${size[0]}`);
        for (let i = 0; i < times; i++) accesses.push([write(at + i * bytes, bytes)]);
        accesses.push([]);
        break;
      }
      case 14: {
        const times = random(6);
        const from = place();
        step(`mov edi, ${at}`);
        step(`mov esi, ${from}`);
        step(`mov ecx, ${times}`);
        lines.push(`rep movs${size[0]}`);
        for (let i = 0; i < times; i++) accesses.push([read(from + i * bytes, bytes), write(at + i * bytes, bytes)]);
        accesses.push([]);
        break;
      }
      case 15:
        sp -= 8;
        step(`call 1f; 1:`, write(sp, 8));
        break;
      case 16:
        step(`movzx eax, byte ptr [${at}]`, read(at, 1));
        break;
      case 17:
        step(`mov ebx, ${at & ~3}`);
        step(`cmpxchg [rbx], ecx`, read(at & ~3, 4), write(at & ~3, 4));
        break;
    }
    if (sp < base + 0x1f80 || sp > base + 0x2080) {
      sp = base + 0x2008;
      step(`mov rsp, ${sp}`);
    }
  }
  step("hlt");
  return { source: lines.join("; "), accesses };
}

/** Retired count, first byte and kind of each stop. */
function expected({ accesses }: Program, first: number, bytes: number, kind: WatchKind): string[] {
  return accesses.flatMap((made, index) => {
    const hit = made.find(
      (access) =>
        (kind === "access" || (kind === "write") === access.write) &&
        access.address < first + bytes &&
        access.address + access.bytes > first,
    );
    return hit ? [`${index + 1} ${Math.max(hit.address, first).toString(16)} ${hit.write ? "write" : "read"}`] : [];
  });
}

function observed(core: Core, piece: () => number): { stops: string[]; retired: number } {
  const stops: string[] = [];
  let retired = 0;
  for (;;) {
    const result = core.run(piece());
    retired += result.retired;
    if (result.reason === "halt") return { stops, retired };
    if (result.reason === "watchpoint")
      stops.push(`${retired} ${result.accessed?.virtual.toString(16)} ${result.accessed?.write ? "write" : "read"}`);
  }
}

const everywhere = (address: number): Place => ({ virtual: BigInt(address), space: null });

describeEngines("watchpoints", () => {
  const kinds = ["write", "read", "access"] as const;

  for (const seed of [1, 2, 3, 4]) {
    it(`stop behind the accesses of a random program, and no other: seed ${seed}`, () => {
      const random = seeded(seed * 7919);
      const program = randomProgram(random, 120);
      const plain = new Guest();
      plain.code(CODE, program.source);
      plain.start(plain.core, CODE);
      const whole = observed(plain.core, () => 1_000_000);
      expect(whole.retired).toBe(program.accesses.length);
      const wanted = fingerprint(plain.engine);
      plain.close();
      let total = 0;
      for (let round = 0; round < 24; round++) {
        const guest = new Guest();
        guest.code(CODE, program.source);
        guest.start(guest.core, CODE);
        const kind = kinds[round % 3] as WatchKind;
        const first = DATA + 0x1000 * (1 + random(2)) - 32 + random(56);
        const bytes = [1, 2, 4, 8, 16, 100][random(6)] as number;
        const id = guest.engine.addWatchpoint(round % 2 ? { physical: first } : everywhere(first), bytes, kind);
        const { stops } = observed(guest.core, round % 5 ? () => random(30) + 1 : () => 1_000_000);
        const oracle = expected(program, first, bytes, kind);
        expect(`${first.toString(16)}+${bytes} ${kind}\n${stops.join("\n")}`).toBe(
          `${first.toString(16)}+${bytes} ${kind}\n${oracle.join("\n")}`,
        );
        expect(fingerprint(guest.engine)).toBe(wanted);
        guest.engine.removeWatchpoint(id);
        total += stops.length;
        guest.close();
      }
      expect(total).toBeGreaterThan(100);
    });
  }

  it("by physical address through every alias; by virtual address through one only, in its space only", () => {
    const random = seeded(4711);
    const program = randomProgram(random, 60, ALIAS);
    const run = (place: Place, bytes: number): string[] => {
      const guest = new Guest();
      for (let page = 0; page < 3; page++) guest.map(BigInt(ALIAS + page * 0x1000), BigInt(DATA + page * 0x1000) | 3n);
      guest.code(CODE, program.source);
      guest.start(guest.core, CODE);
      guest.engine.addWatchpoint(place, bytes, "access");
      const { stops } = observed(guest.core, () => 1_000_000);
      guest.close();
      return stops;
    };
    const space = 0x1_0000;
    const oracle = expected(program, ALIAS + 0xff8, 16, "access");
    expect(oracle.length).toBeGreaterThan(3);
    expect(run({ physical: DATA + 0xff8 }, 16)).toEqual(oracle);
    expect(run(everywhere(ALIAS + 0xff8), 16)).toEqual(oracle);
    expect(run({ virtual: BigInt(ALIAS + 0xff8), space }, 16)).toEqual(oracle);
    expect(run({ virtual: BigInt(ALIAS + 0xff8), space: 0x2_0000 }, 16)).toEqual([]);
    expect(run(everywhere(DATA + 0xff8), 16)).toEqual([]);
  });

  for (const seed of [3, 11]) {
    it(`a busy program with faults, system calls, devices and several watched pages is the one without: seed ${seed}`, () => {
      const plain = busyGuest();
      while (plain.guest.core.run(1_000_000).reason !== "halt");
      const wanted = `${plain.guest.core.time} ${fingerprint(plain.guest.engine)} ${plain.bus.log.join("\n")}`;
      plain.guest.close();
      const { guest, bus } = busyGuest();
      const random = seeded(seed);
      for (const [address, bytes, kind] of [
        [0x60_0ff8, 16, "access"],
        [USER_DATA_PAGE + 16, 8, "write"],
        [0x8_0008, 8, "access"],
        [0xfee0_0300, 4, "write"],
        [0x8_efd8, 8, "write"],
      ] as const)
        guest.engine.addWatchpoint(everywhere(address), bytes, kind);
      let stops = 0;
      for (;;) {
        const { reason } = guest.core.run(random(50) + 1);
        if (reason === "halt") break;
        if (reason === "watchpoint") stops++;
        if (random(50) === 0) guest.engine.flushCaches();
      }
      expect(`${guest.core.time} ${fingerprint(guest.engine)} ${bus.log.join("\n")}`).toBe(wanted);
      expect(stops).toBeGreaterThan(200);
      guest.close();
    });
  }

  it("device registers, at the exact count", () => {
    const guest = new Guest({ bus: new RecordingBus() });
    guest.map(0xfee0_0000n, 0xfee0_001bn);
    guest.code(
      CODE,
      `mov edi, 0xfee00000; mov [rdi + 0x300], eax; mov [rdi + 0x310], eax; mov eax, [rdi + 0x310]; hlt`,
    );
    const id = guest.engine.addWatchpoint({ physical: 0xfee0_0310 }, 4, "write");
    guest.start(guest.core, CODE);
    expect(guest.core.run(100)).toEqual({
      reason: "watchpoint",
      retired: 3,
      id,
      accessed: { virtual: 0xfee0_0310n, write: true },
    });
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 2 });
    guest.close();
  });

  it("an access whose instruction faults is none; the instruction tried again makes it", () => {
    const guest = new Guest();
    const page = guest.map(0x60_0000n, 0x60_0002n);
    const at = guest.code(
      CODE,
      `start: mov esi, 0x80000; mov edi, 0x600000; movsq; hlt; pf: or dword ptr [${page}], 1; add rsp, 8; iretq`,
    );
    guest.gate(14, at("pf"));
    const id = guest.engine.addWatchpoint(everywhere(0x8_0000), 8, "read");
    guest.start(guest.core, at("start"));
    // Two, the handler's three, and the instruction itself.
    expect(guest.core.run(100)).toEqual({
      reason: "watchpoint",
      retired: 6,
      id,
      accessed: { virtual: 0x8_0000n, write: false },
    });
    guest.close();
  });

  it("the stop comes before the fault of what follows", () => {
    const guest = new Guest();
    guest.map(0x70_0000n, 0x12_0003n);
    const at = guest.code(CODE, `start: mov eax, 0x700ffc; jmp rax; pf: hlt`);
    guest.code(0x12_0ffc, `mov [rsp - 128], eax`); // four bytes, the last of the page; the next page is not mapped
    guest.gate(14, at("pf"));
    const id = guest.engine.addWatchpoint(everywhere(0x8_f000 - 128), 8, "write");
    guest.start(guest.core, at("start"), { rsp: 0x8_f000 });
    expect(guest.core.run(100)).toMatchObject({ reason: "watchpoint", retired: 3, id });
    expect(guest.core.rip).toBe(0x70_1000n);
    expect(guest.core.register("cr2")).toBe(0n);
    expect(guest.core.run(100).reason).toBe("halt");
    expect(guest.core.register("cr2")).toBe(0x70_1000n);
    guest.close();
  });

  it("the frame that an event pushes is the core's write; page walks, fetches and DMA are none", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: nop; int 0x80; nop; hlt; int80: iretq; irq: iretq`);
    guest.gate(0x80, at("int80"));
    guest.gate(0x40, at("irq"));
    const entry = guest.map(0x60_0000n, 0x60_0003n);
    const ids = [
      guest.engine.addWatchpoint(everywhere(0x8_efd8), 8, "write"), // the pushed RIP
      guest.engine.addWatchpoint(everywhere(entry), 8, "access"),
      guest.engine.addWatchpoint(everywhere(at("start")), 16, "access"),
    ];
    guest.start(guest.core, at("start"), { rsp: 0x8_f000 });
    expect(guest.core.run(100)).toEqual({
      reason: "watchpoint",
      retired: 2,
      id: ids[0],
      accessed: { virtual: 0x8_efd8n, write: true },
    });
    expect(guest.core.rip).toBe(BigInt(at("int80")));
    guest.core.setRegister("rsp", 0x8_f000n);
    guest.core.injectInterrupt(0x40);
    expect(guest.core.run(100)).toMatchObject({ reason: "watchpoint", retired: 0, id: ids[0] });
    expect(guest.core.rip).toBe(BigInt(at("irq")));
    guest.close();
  });

  it("both cores; a write watched while the other core executes the page", () => {
    const guest = new Guest({ cores: 2 });
    const at = guest.code(
      CODE,
      `start: mov ebp, 3; again: call patched; dec ebp; jnz again; hlt; patched: mov eax, 1; add ebx, eax; ret
       writer: inc dword ptr [rip + patched + 1]; hlt`,
    );
    const id = guest.engine.addWatchpoint(everywhere(at("patched") + 1), 4, "write");
    const [first, second] = guest.engine.cores as [Core, Core];
    guest.start(first, at("start"));
    guest.start(second, at("writer"), { rsp: 0x8_d000 });
    first.run(7);
    expect(second.run(100)).toMatchObject({ reason: "watchpoint", retired: 1, id });
    expect(second.run(100).reason).toBe("halt");
    expect(first.run(100).reason).toBe("halt");
    expect(first.register("rbx")).toBe(5n);
    guest.close();
  });

  it("together with a breakpoint at the next instruction: first one, then the other", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: mov [0x80000], eax; next: nop; hlt`);
    const watch = guest.engine.addWatchpoint(everywhere(0x8_0002), 1, "write");
    const stop = guest.engine.addBreakpoint(everywhere(at("next")));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(100)).toMatchObject({ reason: "watchpoint", retired: 1, id: watch });
    expect(guest.core.run(100)).toMatchObject({ reason: "breakpoint", retired: 0, id: stop });
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 2 });
    guest.close();
  });

  it("refuses what cannot be watched", () => {
    const guest = new Guest();
    expect(() => guest.engine.addWatchpoint(everywhere(0), 0, "write")).toThrow("a watchpoint of 0 bytes");
    expect(() => guest.engine.addBreakpoint({ physical: -1 })).toThrow("no physical address: -1");
    guest.close();
  });
});
