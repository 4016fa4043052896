/**
 * System instructions and states: MSRs, control registers, CPUID, events, NMI, shutdown, save and restore, errors of
 * the bus.
 */
import { expect, it } from "vitest";
import type { Core } from "../../emulator/cpu/engine.ts";
import { RecordingBus } from "./bus.ts";
import { CODE, describeEngines, fingerprint, Guest, USER } from "./guest.ts";

const HANDLERS = 0x10_8000;

/**
 * Runs kernel code whose exception handlers halt; returns the vector (undefined: none), its error code, and RIP
 * relative to CODE.
 */
function run(source: string, prepare: (guest: Guest) => void = () => {}, bus = new RecordingBus()) {
  const guest = new Guest({ bus });
  for (let vector = 0; vector < 20; vector++) {
    guest.code(HANDLERS + vector * 16, `mov r15d, ${vector + 100}; hlt`);
    guest.gate(vector, HANDLERS + vector * 16);
  }
  guest.code(CODE, `${source}; hlt`);
  guest.start(guest.core, CODE);
  prepare(guest);
  const { reason, retired } = guest.finish(guest.core, 1000);
  const core = guest.core;
  const vector = core.register("r15") ? Number(core.register("r15")) - 100 : undefined;
  const withCode = vector !== undefined && [8, 10, 11, 12, 13, 14, 17].includes(vector);
  const stack = Number(core.register("rsp"));
  const result = {
    reason,
    retired,
    vector,
    code: withCode ? Number(guest.quad(stack)) : undefined,
    at: vector === undefined ? undefined : Number(guest.quad(stack + (withCode ? 8 : 0))) - CODE,
    state: core.save(),
  };
  guest.close();
  return result;
}
const wrmsr = (index: number, value: bigint): string =>
  `mov ecx, ${index}; mov eax, ${value & 0xffff_ffffn}; mov edx, ${value >> 32n}; wrmsr`;

describeEngines("MSRs", () => {
  it("its own are kept, with the checks of WRMSR", () => {
    const { vector, state } = run(
      [
        wrmsr(0xc000_0081, 0x0018_0008_0000_0000n),
        wrmsr(0xc000_0082, 0xffff_8000_0000_1000n),
        wrmsr(0xc000_0084, 0x4_0700n),
        wrmsr(0xc000_0100, 0x1111n),
        wrmsr(0xc000_0101, 0x2222n),
        wrmsr(0xc000_0102, 0x3333n),
        wrmsr(0xc000_0103, 5n),
        wrmsr(0x277, 0x0606_0606_0606_0606n),
        "swapgs; mov ecx, 0xc0000101; rdmsr",
      ].join(";"),
    );
    expect(vector).toBeUndefined();
    expect([
      state.star,
      state.lstar,
      state.fmask,
      state.segments.fs.base,
      state.segments.gs.base,
      state.kernelGsBase,
      state.tscAux,
      state.pat,
      state.gpr.rax,
    ]).toEqual([
      0x0018_0008_0000_0000n,
      0xffff_8000_0000_1000n,
      0x4_0700n,
      0x1111n,
      0x3333n,
      0x2222n,
      5n,
      0x0606_0606_0606_0606n,
      0x3333n,
    ]);
  });

  // biome-ignore format: a table
  it.each([
    { name: "LSTAR not canonical",     source: wrmsr(0xc000_0082, 1n << 47n) },
    { name: "KERNEL_GS_BASE not canonical", source: wrmsr(0xc000_0102, 1n << 63n) },
    { name: "EFER reserved bit",       source: wrmsr(0xc000_0080, 0x1d01n) },
    { name: "EFER.LME with paging on", source: wrmsr(0xc000_0080, 0xc01n) },
    { name: "PAT type 2",              source: wrmsr(0x277, 2n) },
    { name: "TSC_AUX of 33 bits",      source: wrmsr(0xc000_0103, 1n << 32n) },
    { name: "unknown, written",        source: wrmsr(0x12345, 0n) },
    { name: "unknown, read",           source: "nop; mov ecx, 0x12345; nop; rdmsr" },
  ])("#GP(0): $name", ({ source }) => {
    const { vector, code, at, retired } = run(source);
    expect({ vector, code, at, retired }).toMatchObject({ vector: 13, code: 0, retired: 5 });
    expect(at).toBeGreaterThan(0);
  });

  it("unknown ones go to the bus, at the exact time", () => {
    class Msrs extends RecordingBus {
      override readMsr(core: Core, index: number): bigint {
        this.log.push(`${core.time} rdmsr ${index.toString(16)}`);
        return 0xfee0_0900n;
      }
      override writeMsr(core: Core, index: number, value: bigint): boolean {
        this.log.push(`${core.time} wrmsr ${index.toString(16)} ${value.toString(16)}`);
        return true;
      }
    }
    const bus = new Msrs();
    run("mov ecx, 0x1b; rdmsr; inc edx; wrmsr", () => {}, bus);
    expect(bus.log).toEqual(["1 rdmsr 1b", "3 wrmsr 1b 1fee00900"]);
  });
});

describeEngines("system instructions", () => {
  // biome-ignore format: a table
  it.each([
    { name: "PCIDE in CR4",                 source: "mov rax, cr4; or eax, 0x20000; mov cr4, rax" },
    { name: "PAE off in long mode",         source: "mov rax, cr4; and eax, 0xffffffdf; mov cr4, rax" },
    { name: "PG without PE",                source: "mov rax, cr0; and eax, 0xfffffffe; mov cr0, rax" },
    { name: "NW without CD",                source: "mov rax, cr0; or eax, 0x20000000; mov cr0, rax" },
    { name: "PG off in 64-bit code",        source: "mov rax, cr0; and eax, 0x7fffffff; mov cr0, rax" },
    { name: "CR3 beyond MAXPHYADDR",        source: "mov eax, 1; shl rax, 40; mov cr3, rax" },
    { name: "CR8 beyond 15",                source: "mov eax, 16; nop; mov cr8, rax" },
  ])("#GP(0): $name", ({ source }) => {
    const { vector, code, at } = run(source);
    expect({ vector, code }).toEqual({ vector: 13, code: 0 });
    expect(at).toBeGreaterThan(0);
  });

  it("CPUID gives what the bus says, zero-extended; RDRAND does not exist", () => {
    const { state } = run("mov rax, -1; mov rcx, -1; mov rbx, -1; mov rdx, -1; mov eax, 7; mov ecx, 9; cpuid");
    expect([state.gpr.rax, state.gpr.rbx, state.gpr.rcx, state.gpr.rdx]).toEqual([
      0x107n,
      9n,
      0xdead_beefn,
      0x8000_0001n,
    ]);
    const guest = new Guest();
    guest.engine.ram.set([0x90, 0x0f, 0xc7, 0xf0], CODE); // nop; rdrand eax
    guest.code(HANDLERS, "hlt");
    guest.gate(6, HANDLERS);
    guest.start(guest.core, CODE);
    expect(guest.finish()).toEqual({ reason: "halt", retired: 2 });
    guest.close();
  });

  it("CR8 is the bus's", () => {
    const bus = new RecordingBus();
    const { state } = run("mov eax, 9; mov cr8, rax; mov rbx, cr8", () => {}, bus);
    expect([bus.taskPriority, state.gpr.rbx]).toEqual([9, 9n]);
  });

  it("SYSCALL with SCE off is #UD, with prefixes it still goes to LSTAR", () => {
    expect(run(`${wrmsr(0xc000_0080, 0xd00n)}; syscall`)).toMatchObject({ vector: 6 });
    const guest = new Guest();
    guest.code(
      CODE,
      `${wrmsr(0xc000_0081, 0x0018_0008_0000_0000n)}; ${wrmsr(0xc000_0082, BigInt(HANDLERS))}; push 0x23; push 0x409000; push 0x202; push 0x2b; push ${USER}; iretq`,
    );
    guest.engine.ram.set([0x48, 0x0f, 0x05, 0x90], USER); // rex.w syscall
    guest.code(HANDLERS, "hlt");
    guest.start(guest.core, CODE);
    expect(guest.finish().reason).toBe("halt");
    expect([guest.core.register("rcx"), guest.core.cpl, guest.core.rip]).toEqual([
      BigInt(USER + 3),
      0,
      BigInt(HANDLERS + 1),
    ]);
    guest.close();
  });

  it("exceptions that Unicorn finds arrive with their codes", () => {
    expect(run("xor edx, edx; xor ecx, ecx; div ecx")).toMatchObject({ vector: 0, at: 4, retired: 4 });
    expect(run("mov eax, 0x1230; mov ds, ax")).toMatchObject({ vector: 13, code: 0x1230, at: 5 });
    expect(run("ud2")).toMatchObject({ vector: 6, at: 0, retired: 2 });
    expect(run("int3")).toMatchObject({ vector: 3, at: 1, retired: 3 });
    expect(run("int 3")).toMatchObject({ vector: 3, retired: 3 });
    expect(run("xor edx, edx; div edx; div edx; div edx")).toMatchObject({ vector: 0, at: 2 });
  });

  it("the trap flag: #DB after the instruction behind POPF, with the frame's TF", () => {
    const { vector, at, retired } = run("pushfq; or qword ptr [rsp], 0x100; popfq; nop; nop");
    expect({ vector, retired }).toEqual({ vector: 1, retired: 6 });
    expect(at).toBe(1 + 8 + 1 + 1);
  });
});

describeEngines("events and states", () => {
  it("an interrupt wakes a halted core, which returns behind HLT", () => {
    const guest = new Guest();
    const at = guest.code(CODE, "sti; hlt; mov ebx, 5; hlt; irq: inc r9; iretq");
    guest.gate(0x40, guest.core.index + at("irq"));
    guest.start(guest.core, CODE);
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 2 });
    expect([guest.core.interruptible, guest.core.halted]).toEqual([true, true]);
    guest.core.time += 5000;
    guest.core.injectInterrupt(0x40);
    expect(guest.core.halted).toBe(false);
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 4 });
    expect([guest.core.time, guest.core.register("rbx"), guest.core.register("r9")]).toEqual([5006, 5n, 1n]);
    guest.close();
  });

  it("an NMI during an NMI waits for IRET, exactly; a third one merges with it", () => {
    const guest = new Guest();
    const at = guest.code(CODE, "start: nop; jmp start; nmi: inc r9; inc r8; inc r8; iretq");
    guest.gate(2, at("nmi"));
    guest.start(guest.core, CODE);
    guest.core.run(10);
    guest.core.injectNmi();
    guest.core.run(2);
    guest.core.injectNmi();
    guest.core.injectNmi();
    expect(guest.core.save().nmiPending).toBe(true);
    guest.core.run(2);
    expect([guest.core.register("r9"), guest.core.register("r8")]).toEqual([1n, 2n]);
    guest.core.run(1);
    expect([guest.core.register("r9"), guest.core.rip]).toEqual([2n, BigInt(at("nmi")) + 3n]);
    guest.core.run(1000);
    expect(guest.core.register("r9")).toBe(2n);
    guest.close();
  });

  it("a triple fault is shutdown until INIT", () => {
    const guest = new Guest();
    guest.code(CODE, "nop; ud2");
    guest.code(0x8000, "hlt", 16);
    guest.start(guest.core, CODE);
    expect(guest.core.run(100)).toEqual({ reason: "shutdown", retired: 1 });
    expect(guest.core.run(100)).toEqual({ reason: "shutdown", retired: 0 });
    expect([guest.core.interruptible, guest.core.save().shutdown]).toEqual([false, true]);
    guest.core.init();
    guest.core.startup(8);
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 1 });
    guest.close();
  });

  it("a handler that can never start does not hang the host", () => {
    const guest = new Guest();
    guest.code(CODE, "ud2");
    guest.gate(6, 0x7000_0000, { ist: 1 });
    guest.gate(14, 0x7000_0000, { ist: 1 });
    guest.start(guest.core, CODE);
    expect(guest.core.run(100)).toEqual({ reason: "shutdown", retired: 0 });
    guest.close();
  });

  it("FXSAVE64 of the guest and save() agree, and restore() brings it back", () => {
    // Two values on the x87 stack (TOP = 6), rounding up in FCW and MXCSR, all XMM registers different.
    const image = new Uint8Array(512);
    const view = new DataView(image.buffer);
    view.setUint16(0, 0xb7f, true);
    view.setUint16(2, 6 << 11, true);
    view.setUint8(4, 0xc0);
    view.setUint32(24, 0x5f80, true);
    view.setUint32(28, 0xffff, true);
    image.set([0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f, 0xc9, 0x00, 0x40], 32); // π
    image.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f], 48); // 1
    for (let byte = 160; byte < 416; byte++) image[byte] = (byte * 7) & 0xff;
    const compared = [
      ...Array.from({ length: 5 }, (_, index) => index),
      ...Array.from({ length: 392 }, (_, index) => 24 + index),
    ].filter((at) => at < 416);
    const pick = (bytes: Uint8Array): number[] => compared.map((at) => bytes[at]);

    const guest = new Guest();
    guest.code(CODE, "fninit; fxrstor64 [0x80000]; fxsave64 [0x81000]; hlt");
    guest.engine.ram.set(image, 0x8_0000);
    guest.start(guest.core, CODE);
    guest.finish();
    expect(pick(guest.engine.ram.slice(0x8_1000, 0x8_1200))).toEqual(pick(image));
    const state = guest.core.save();
    expect(pick(state.fx)).toEqual(pick(image));
    guest.close();

    const other = new Guest();
    other.code(CODE, "fxsave64 [0x81000]; hlt");
    other.start(other.core, CODE);
    other.core.restore({ ...other.core.save(), fx: state.fx });
    other.finish();
    expect(pick(other.engine.ram.slice(0x8_1000, 0x8_1200))).toEqual(pick(image));
    other.close();
  });

  it("save and restore are inverse, for a core in any state", () => {
    const guest = new Guest({ cores: 2 });
    guest.code(CODE, "std; stc; sti; nop; hlt");
    guest.start(guest.core, CODE, { cr4: 0x30_0620 });
    for (let step = 0; step < 6; step++) {
      const before = fingerprint(guest.engine);
      for (const core of guest.engine.cores) core.restore(core.save());
      expect(fingerprint(guest.engine)).toBe(before);
      guest.core.run(1);
    }
    guest.close();
  });

  it("registers by name; unknown names are refused", () => {
    const guest = new Guest();
    guest.start(guest.core, CODE);
    for (const name of ["rax", "r15", "rip", "cr2", "fs_base", "gs_base", "kernel_gs_base"]) {
      guest.core.setRegister(name, 0x1234_5000n);
      expect(guest.core.register(name)).toBe(0x1234_5000n);
    }
    guest.core.setRegister("rflags", 0xcd5n);
    expect(guest.core.register("rflags")).toBe(0xcd7n);
    expect(() => guest.core.register("xax")).toThrow("no register is called xax");
    expect([guest.core.translate(0x10_0123n), guest.core.translate(0x7000_0000n)]).toEqual([0x10_0123, undefined]);
    guest.close();
  });

  it("an error thrown by the bus comes out of run, and the engine stays usable", () => {
    class Broken extends RecordingBus {
      override writePort(): void {
        throw new Error("broken device");
      }
    }
    const guest = new Guest({ bus: new Broken() });
    guest.code(CODE, "nop; out 0x80, al; inc ebx; hlt");
    guest.start(guest.core, CODE);
    expect(() => guest.core.run(100)).toThrow("broken device");
    guest.start(guest.core, CODE + 3);
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 2 });
    guest.close();
  });

  it("paging without long mode is refused by name", () => {
    const guest = new Guest();
    guest.code(CODE, "mov eax, cr0; or eax, 0x80000000; mov cr0, eax", 32);
    guest.core.startPvh(CODE, 0);
    expect(() => guest.core.run(100)).toThrow("32-bit paging");
    guest.close();
  });

  it("several nodes share the process; a closed one's RAM comes back zeroed", () => {
    const guests = [new Guest({ cores: 2 }), new Guest({ cores: 3 })];
    guests.forEach((guest, index) => {
      guest.code(CODE, `mov eax, ${index + 5}; mov [0x80000], eax; hlt`);
      for (const core of guest.engine.cores) guest.start(core, CODE);
    });
    for (const guest of guests) for (const core of guest.engine.cores) core.run(2);
    for (const guest of guests) for (const core of guest.engine.cores) core.run(2);
    expect(guests.map((guest) => guest.view.getUint32(0x8_0000, true))).toEqual([5, 6]);
    for (const guest of guests) guest.close();
    const next = new Guest({ cores: 3 });
    expect(next.view.getUint32(0x8_0000, true)).toBe(0);
    next.code(CODE, "hlt");
    next.start(next.engine.cores[2], CODE);
    expect(next.engine.cores[2].run(5)).toEqual({ reason: "halt", retired: 1 });
    next.close();
  });

  it("refuses impossible nodes", () => {
    expect(() => new Guest({ cores: 65 })).toThrow("cores must be 1 to 64");
    expect(() => new Guest({ ramBytes: 5000 })).toThrow("whole 4 KB pages");
  });
});
