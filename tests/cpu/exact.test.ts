/**
 * Exactness of the engine: retired counts and state do not depend on how a run is divided, nor on what the engine
 * forgets in between. Time in callbacks, RDTSC, soft stops and the interrupt window are exact to the instruction.
 */
import { expect, it } from "vitest";
import type { Core } from "../../emulator/cpu/engine.ts";
import { RecordingBus } from "./bus.ts";
import { busyGuest } from "./busy.ts";
import { CODE, describeEngines, fingerprint, Guest, seeded, USER } from "./guest.ts";

/** All results of the run: state, memory, and the devices' view with times. */
function outcome(piece: () => number, disturb: (guest: Guest) => void = () => {}): string {
  const { guest, bus } = busyGuest();
  for (;;) {
    const { reason } = guest.core.run(piece());
    disturb(guest);
    if (reason === "halt") break;
    if (guest.core.time > 100_000) throw new Error("never halts");
  }
  const result = `${guest.core.time} ${fingerprint(guest.engine)} ${bus.log.join("\n")}`;
  guest.close();
  return result;
}

describeEngines("exactness", () => {
  const reference = outcome(() => 1_000_000);

  it("a busy program does what it should", () => {
    const { guest, bus } = busyGuest();
    for (let reason = "stop"; reason !== "halt"; ) reason = guest.core.run(1_000_000).reason;
    expect(guest.quad(0x8_0008)).toBe(40n);
    expect(bus.log.length).toBe(80);
    // 17 to user mode, 4 before the loop; 40 rounds of 105: 96 in the program (rep: iterations + 1), 3 of #DE, 6 of the
    // system call; two pages faulted in 41 times (10 and 9 instructions of the handler); int 0x81 and hlt.
    expect(guest.core.time).toBe(17 + 4 + 40 * 105 + 41 * (10 + 9) + 2);
    guest.close();
  });

  for (const piece of [1, 2, 3, 7, 10, 100, 1000]) {
    it(`in runs of ${piece}`, () => expect(outcome(() => piece)).toBe(reference));
  }
  for (const seed of [1, 42, 77]) {
    it(`in runs of random length, with engine flushes: seed ${seed}`, () => {
      const random = seeded(seed);
      const flush = (guest: Guest): void => {
        if (random(4) === 0) guest.engine.flushCaches();
      };
      expect(outcome(() => random(40) + 1, flush)).toBe(reference);
    });
  }
  it("saved and restored into another node midway", () => {
    const random = seeded(5);
    let { guest, bus } = busyGuest();
    const log: string[] = [];
    let reason = "budget";
    while (reason !== "halt") {
      reason = guest.core.run(random(2000) + 1).reason;
      const next = busyGuest();
      next.guest.engine.ram.set(guest.engine.ram);
      next.guest.core.restore(guest.core.save());
      log.push(...bus.log);
      guest.close();
      ({ guest, bus } = next);
    }
    expect(`${guest.core.time} ${fingerprint(guest.engine)} ${log.join("\n")}`).toBe(reference);
    guest.close();
  });

  it("RDTSC and RDTSCP give tscBase + the time at the start of the instruction", () => {
    const guest = new Guest({ tscBase: 1_000_000n });
    guest.code(
      CODE,
      `mov ecx, 0xc0000103; mov eax, 7; xor edx, edx; wrmsr; rdtsc; mov ebx, eax; nop; nop; rdtscp; mov ebp, ecx; mov ecx, 0x10; mov esi, eax; rdmsr; hlt`,
    );
    for (const piece of [1000, 1]) {
      guest.start(guest.core, CODE);
      guest.core.time = 500;
      guest.finish(guest.core, piece);
      expect(["rbx", "rsi", "rax", "rbp"].map((name) => guest.core.register(name))).toEqual([
        1_000_504n,
        1_000_508n,
        1_000_512n,
        7n,
      ]);
    }
    guest.code(CODE, `mov ecx, 0x10; mov eax, 5; xor edx, edx; wrmsr; rdtsc; hlt`);
    guest.start(guest.core, CODE);
    guest.finish();
    expect(guest.core.register("rax")).toBe(6n); // 5 at the start of WRMSR, and one instruction
    guest.close();
  });

  it("callbacks see the exact time and sizes; 8 bytes come as two of 4", () => {
    class Ports extends RecordingBus {
      override writePort(core: Core, port: number, size: number, value: number): void {
        this.log.push(`${core.time} out ${port.toString(16)} ${size} ${value.toString(16)}`);
      }
    }
    const bus = new Ports();
    const guest = new Guest({ bus });
    guest.map(0xfee0_0000n, 0xfee0_001bn);
    guest.code(
      CODE,
      `mov edi, 0xfee00000; mov eax, 0x12345678; mov [rdi + 0x300], eax; mov [rdi + 0x310], ax; mov [rdi + 0x320], al
       mov rbx, [rdi + 8]; mov rcx, 0x1122334455667788; mov [rdi + 16], rcx; movzx ecx, byte ptr [rdi + 0x20]
       out 0x80, al; out 0x81, ax; mov edx, 0x3f8; out dx, eax; in al, dx; in eax, 0x60; hlt`,
    );
    guest.start(guest.core, CODE);
    guest.core.time = 1000;
    expect(guest.finish().retired).toBe(16);
    expect(bus.log).toEqual([
      "1002 write fee00300 4 12345678",
      "1003 write fee00310 2 5678",
      "1004 write fee00320 1 78",
      "1005 read fee00008 4",
      "1005 read fee0000c 4",
      "1007 write fee00010 4 55667788",
      "1007 write fee00014 4 11223344",
      "1008 read fee00020 1",
      "1009 out 80 1 78",
      "1010 out 81 2 5678",
      "1012 out 3f8 4 12345678",
      "1013 in 3f8 1",
      "1014 in 60 4",
    ]);
    expect(guest.core.register("rbx")).toBe(0xffff_ffff_ffff_ffffn);
    guest.close();
  });

  it("requestStop in a callback completes the instruction, also within rep", () => {
    class Stopping extends RecordingBus {
      override writeMemory(core: Core): void {
        core.requestStop();
      }
      override writePort(core: Core): void {
        core.requestStop();
      }
      override cpuid(core: Core): readonly [number, number, number, number] {
        core.requestStop();
        return [1, 2, 3, 4];
      }
    }
    const guest = new Guest({ bus: new Stopping() });
    guest.map(0xfee0_0000n, 0xfee0_001bn);
    guest.code(
      CODE,
      `mov edi, 0xfee00300; mov [rdi], eax; inc edx; out 0x80, al; jmp 1f; 1: mov ecx, 3; rep stosd; cpuid; inc edx; hlt`,
    );
    guest.start(guest.core, CODE);
    const results: string[] = [];
    for (let reason = ""; reason !== "halt"; ) {
      const result = guest.core.run(1000);
      reason = result.reason;
      results.push(`${reason} ${result.retired}`);
    }
    // rep stosd: three iterations, then one more instruction count for the test that ends it
    expect(results).toEqual(["stop 2", "stop 2", "stop 3", "stop 1", "stop 1", "stop 2", "halt 2"]);
    guest.start(guest.core, CODE);
    guest.core.requestStop();
    expect(guest.core.run(1000)).toEqual({ reason: "stop", retired: 0 });
    expect(guest.core.run(1)).toEqual({ reason: "budget", retired: 1 });
    guest.close();
  });

  it("the budget is kept to the instruction, hlt and int n count 1, a fault and its delivery 0", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: nop; int 0x80; ud2; nop; hlt; int80: iretq; ud: add qword ptr [rsp], 2; iretq`);
    guest.gate(0x80, at("int80"));
    guest.gate(6, at("ud"));
    guest.start(guest.core, at("start"));
    expect(guest.core.run(2)).toEqual({ reason: "budget", retired: 2 });
    expect(guest.core.rip).toBe(BigInt(at("int80")));
    expect(guest.core.run(1)).toEqual({ reason: "budget", retired: 1 });
    expect(guest.core.rip).toBe(BigInt(at("start")) + 3n);
    expect(guest.core.run(1)).toEqual({ reason: "budget", retired: 1 });
    expect(guest.core.rip).toBe(BigInt(at("ud")) + 5n);
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 3 });
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 0 });
    guest.close();
  });

  it("STI, MOV SS: the shadow lasts one instruction, and INT taken after it", () => {
    const guest = new Guest();
    const at = guest.code(CODE, `start: sti; nop; nop; mov eax, 0x10; mov ss, ax; nop; nop; hlt; irq: hlt`);
    guest.gate(0x40, at("irq"));
    guest.start(guest.core, at("start"));
    const open: boolean[] = [];
    for (let step = 0; step < 6; step++) {
      guest.core.run(1);
      open.push(guest.core.interruptible);
    }
    expect(open).toEqual([false, true, true, true, false, true]);
    guest.core.injectInterrupt(0x40);
    expect([guest.core.rip, guest.core.interruptible]).toEqual([BigInt(at("irq")), false]);
    guest.close();
  });

  it("runToWindow stops where stepping would: sti, popf, iret, sysret, at any start and budget", () => {
    const guest = new Guest();
    const setup = `mov ecx, 0xc0000081; xor eax, eax; mov edx, 0x00180008; wrmsr; mov r11d, 0x202; mov ecx, ${USER};`;
    const at = guest.code(
      CODE,
      `sti: mov ecx, 50; 1: dec ecx; jnz 1b; sti; nop; nop; hlt
       stihlt: nop; sti; hlt
       popf: push 0x202; mov ecx, 5; 1: dec ecx; jnz 1b; popfq; nop; hlt
       iret: push 0x10; push ${0x8_e000}; push 0x202; push 8; lea rax, [rip + 1f]; push rax; iretq; 1: nop; hlt
       never: mov ecx, 500; 1: dec ecx; jnz 1b; hlt
       sysret: ${setup} sysretq`,
    );
    guest.code(USER, `nop; nop; 1: jmp 1b`);
    for (const label of ["sti", "stihlt", "popf", "iret", "never", "sysret"]) {
      for (const budget of [1, 3, 10_000]) {
        guest.start(guest.core, at(label));
        let stepped = 0;
        let reason = "budget";
        while (stepped < budget && reason === "budget") {
          const result = guest.core.run(1);
          stepped += result.retired;
          reason = result.reason === "budget" && guest.core.interruptible ? "window" : result.reason;
        }
        const rip = guest.core.rip;
        guest.start(guest.core, at(label));
        const result = guest.core.runToWindow(budget);
        expect(`${label} ${budget} ${result.reason} ${result.retired} ${guest.core.rip}`).toBe(
          `${label} ${budget} ${reason} ${stepped} ${rip}`,
        );
      }
    }
    guest.close();
  });
});
