/** Registers as a debugger reads and writes them: each by name, and the effects of a write. */
import { expect, it } from "vitest";
import { gprNames } from "../../emulator/cpu/engine.ts";
import { RecordingBus } from "./bus.ts";
import { CODE, describeEngines, Guest, USER } from "./guest.ts";

describeEngines("registers", () => {
  it("all hold what is written", () => {
    const guest = new Guest();
    guest.start(guest.core, CODE);
    const { core } = guest;
    const plain = [
      "rip",
      "cr2",
      "star",
      "lstar",
      "cstar",
      "fmask",
      "kernel_gs_base",
      "tsc_aux",
      "tsc",
      "gdtr_base",
      "idtr_base",
    ];
    [...gprNames, ...plain, "fs_base", "gs_base", "tr_base", "ldtr_base"].forEach((name, index) => {
      const value = 0x1234_5678_0000n + BigInt(index);
      core.setRegister(name, value);
      expect(`${name} ${core.register(name)}`).toBe(`${name} ${value}`);
    });
    for (const [name, value] of [
      ["gdtr_limit", 0x77n],
      ["idtr_limit", 0x88n],
      ["pat", 0x0606_0606_0606_0606n],
      ["rflags", 0xcd7n],
    ] as const) {
      core.setRegister(name, value);
      expect(`${name} ${core.register(name)}`).toBe(`${name} ${value}`);
    }
    expect(() => core.register("eax")).toThrow("no register is called eax");
    expect(() => core.setRegister("st0", 0n)).toThrow("no register is called st0");
    guest.close();
  });

  it("CR8 is the bus's task priority", () => {
    class Priority extends RecordingBus {
      override writeTaskPriority(_core: unknown, value?: number): void {
        this.taskPriority = value ?? 0;
      }
    }
    const bus = new Priority();
    const guest = new Guest({ bus });
    guest.core.setRegister("cr8", 7n);
    expect([bus.taskPriority, guest.core.register("cr8")]).toEqual([7, 7n]);
    guest.close();
  });

  it("CR3: the next access goes by the new tables; global entries stay", () => {
    const guest = new Guest();
    const page = guest.map(0x60_0000n, 0x12_0003n);
    const kept = guest.map(0x60_1000n, 0x12_2103n);
    guest.view.setUint32(0x12_0000, 1, true);
    guest.view.setUint32(0x12_1000, 2, true);
    guest.view.setUint32(0x12_2000, 3, true);
    guest.code(CODE, `mov eax, [0x600000]; mov ebx, [0x601000]; mov eax, [0x600000]; mov ebx, [0x601000]; hlt`);
    guest.start(guest.core, CODE, { cr4: 0x6a0 });
    guest.core.run(2);
    guest.setQuad(page, 0x12_1003n);
    guest.setQuad(kept, 0x12_1103n);
    guest.core.setRegister("cr3", guest.core.register("cr3"));
    expect(guest.core.save().tlb.map((entry) => entry.virtual)).toEqual([0x60_1000n]);
    guest.core.run(3);
    expect([guest.core.register("rax"), guest.core.register("rbx")]).toEqual([2n, 3n]);
    guest.close();
  });

  it("CR0, CR4, EFER: the mode follows, and LMA with it", () => {
    const guest = new Guest();
    guest.code(CODE, `mov ecx, 0xc0000080; rdmsr; hlt`);
    guest.start(guest.core, CODE);
    guest.core.run(1);
    expect(guest.core.save().tlb.length).toBeGreaterThan(0);
    guest.core.setRegister("cr4", guest.core.register("cr4") ^ 0x80n);
    expect(guest.core.save().tlb.length).toBe(0);
    guest.core.setRegister("cr0", guest.core.register("cr0") & ~0x8000_0000n);
    expect(guest.core.register("efer")).toBe(0x901n);
    guest.core.setRegister("cr0", guest.core.register("cr0") | 0x8000_0000n);
    expect(guest.core.register("efer")).toBe(0xd01n);
    guest.core.run(10);
    expect(guest.core.register("rax")).toBe(0xd01n);
    guest.close();
  });

  it("a selector loads its descriptor and with CS the privilege; one that names none changes nothing else", () => {
    const guest = new Guest();
    guest.start(guest.core, CODE);
    const { core } = guest;
    core.setRegister("fs_base", 0x1234n);
    core.setRegister("fs", 0x7f8n);
    expect([core.register("fs"), core.register("fs_base")]).toEqual([0x7f8n, 0x1234n]);
    core.setRegister("fs", 0x10n);
    expect([core.register("fs"), core.register("fs_base")]).toEqual([0x10n, 0n]);
    core.setRegister("ss", 0x23n);
    core.setRegister("cs", 0x2bn);
    expect(core.cpl).toBe(3);
    expect(core.save().segments.cs).toMatchObject({ selector: 0x2b, base: 0n });
    guest.code(USER, `nop; mov ax, cs; cli`);
    guest.gate(13, guest.code(CODE, `gp: hlt`)("gp"));
    core.setRegister("rip", BigInt(USER));
    expect(core.run(10)).toEqual({ reason: "halt", retired: 3 });
    expect(core.register("rax") & 0xffffn).toBe(0x2bn);
    guest.close();
  });

  it("x87 and SSE by the FXSAVE image, as the guest's own FXSAVE64 shows it", () => {
    const guest = new Guest();
    // biome-ignore format: one instruction a line
    guest.engine.ram.set([
      0xd9, 0xe8,                                           // fld1
      0xd9, 0xeb,                                           // fldpi
      0x48, 0x0f, 0xae, 0x04, 0x25, 0x00, 0x00, 0x08, 0x00, // fxsave64 [0x80000]
      0xde, 0xc1,                                           // faddp
      0xdd, 0x1c, 0x25, 0x00, 0x04, 0x08, 0x00,             // fstp qword ptr [0x80400]
      0x0f, 0x11, 0x3c, 0x25, 0x10, 0x04, 0x08, 0x00,       // movups [0x80410], xmm7
      0xf4,                                                 // hlt
    ], CODE);
    guest.start(guest.core, CODE);
    guest.core.run(2);
    const image = guest.core.readFx();
    image.set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], 160 + 7 * 16);
    // ST(0) becomes 2.0
    image.set([0, 0, 0, 0, 0, 0, 0, 0x80, 0x00, 0x40], 32);
    guest.core.writeFx(image);
    expect(guest.core.readFx()).toEqual(image);
    guest.core.run(10);
    const stored = guest.engine.ram.slice(0x8_0000, 0x8_0000 + 416);
    // Without the last instruction's pointers (6 to 23) and MXCSR's mask.
    for (const [from, to] of [
      [0, 5],
      [24, 28],
      [32, 416],
    ])
      expect(stored.slice(from, to)).toEqual(image.slice(from, to));
    expect(guest.view.getFloat64(0x8_0400, true)).toBe(3);
    expect([...guest.engine.ram.subarray(0x8_0410, 0x8_0420)]).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ]);
    guest.close();
  });

  it("the guest's debug registers are kept", () => {
    const guest = new Guest();
    const at = guest.code(
      CODE,
      `start: lea rax, [rip + here]; mov dr0, rax; mov eax, 0; mov dr7, rax; mov eax, 0; mov dr6, rax; nop; here: nop
       mov rbx, dr0; mov rcx, dr6; mov rdx, dr7; mov rsi, dr4; hlt`,
    );
    guest.start(guest.core, at("start"), { cr4: 0x620 });
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 13 });
    expect(["rbx", "rcx", "rdx", "rsi"].map((name) => guest.core.register(name))).toEqual([
      BigInt(at("here")),
      0xffff_0ff0n,
      0x400n,
      0xffff_0ff0n,
    ]);
    guest.code(CODE, `mov dr4, rax; nop; ud: hlt`);
    guest.gate(6, CODE + 4);
    guest.start(guest.core, CODE, { cr4: 0x628 });
    expect(guest.core.run(100)).toEqual({ reason: "halt", retired: 1 });
    guest.close();
  });
});
