/** Starting cores: PVH entry to long mode with port output over the bus; and INIT, SIPI, real mode to long mode. */
import { expect, it } from "vitest";
import { RecordingBus } from "./bus.ts";
import { describeEngines, Guest } from "./guest.ts";
import { descriptor } from "./plain-cpu.ts";

/** From protected mode with flat segments to 64-bit code at 0x101000. GDTR contents at 0x9000. */
const TO_LONG = `
  mov eax, cr4; or eax, 0x620; mov cr4, eax
  mov eax, 0x10000; mov cr3, eax
  mov ecx, 0xc0000080; rdmsr; or eax, 0x100; wrmsr
  mov eax, cr0; or eax, 0x80000000; mov cr0, eax
  ljmp 0x18, 0x101000`;

/** GDT for starting: 08 32-bit code, 10 data, 18 64-bit code, 20 32-bit code for the SIPI path. */
function startTables(guest: Guest): void {
  [0n, descriptor(0xc09b), descriptor(0xc093), descriptor(0xa09b)].forEach((value, index) =>
    guest.setQuad(0x9100 + 8 * index, value),
  );
  guest.view.setUint16(0x9000, 31, true);
  guest.view.setUint32(0x9002, 0x9100, true);
}

describeEngines("starting", () => {
  for (const chunk of [1_000_000, 1, 3, 7]) {
    it(`PVH: reaches long mode and prints, in runs of ${chunk}`, () => {
      const bus = new RecordingBus();
      const guest = new Guest({ bus });
      startTables(guest);
      guest.code(0x10_0000, `mov esp, 0x8f000; mov dword ptr [0x80000], ebx; lgdt [0x9000]; ljmp 8, 0x100100`, 32);
      guest.code(0x10_0100, `mov eax, 0x10; mov ds, ax; mov es, ax; mov ss, ax${TO_LONG}`, 32);
      guest.code(
        0x10_1000,
        `mov esi, 0x80100; mov ecx, 5; mov edx, 0x3f8; 1: lodsb; out dx, al; dec ecx; jnz 1b; mov rax, 0x123456789abcdef0; hlt`,
      );
      guest.engine.ram.set(new TextEncoder().encode("hello"), 0x8_0100);
      const core = guest.core;
      core.startPvh(0x10_0000, 0x6000);
      expect([
        core.register("cr0"),
        core.register("rbx"),
        core.register("cr4"),
        core.register("efer"),
        core.cpl,
      ]).toEqual([0x11n, 0x6000n, 0n, 0n, 0]);
      expect(guest.finish(core, chunk).reason).toBe("halt");
      expect(bus.output).toBe("hello");
      expect([core.register("rax"), core.register("efer"), core.halted]).toEqual([
        0x1234_5678_9abc_def0n,
        0x500n,
        true,
      ]);
      expect(guest.view.getUint32(0x8_0000, true)).toBe(0x6000);
      // 4 + 4 + 13 before long mode, 3 + 5 × 4 + 2 in long mode
      expect(core.time).toBe(46);
      guest.close();
    });

    it(`INIT and SIPI: real, protected, long mode, in runs of ${chunk}`, () => {
      const guest = new Guest({ cores: 2 });
      startTables(guest);
      guest.code(
        0x8000,
        `cli; mov ax, cs; mov ds, ax; mov ax, 0x1234; mov word ptr [0xf00], ax; xor ax, ax; mov ds, ax; lgdt [0x9000]; mov eax, cr0; or al, 1; mov cr0, eax; ljmp 8, 0x8100`,
        16,
      );
      guest.code(
        0x8100,
        `mov eax, 0x10; mov ds, ax; mov es, ax; mov ss, ax; mov esp, 0x8f000; mov dword ptr [0x80100], 0x32323232${TO_LONG}`,
        32,
      );
      guest.code(0x10_1000, `mov rax, 0x1122334455667788; mov [0x80108], rax; mov eax, cs; mov [0x80110], eax; hlt`);
      const core = guest.engine.cores[1];
      expect(core.run(chunk)).toEqual({ reason: "halt", retired: 0 });
      core.init();
      expect([core.register("rip"), core.halted, core.interruptible]).toEqual([0xfff0n, true, false]);
      core.startup(8);
      expect(guest.finish(core, chunk).reason).toBe("halt");
      expect([
        guest.view.getUint16(0x8f00, true),
        guest.view.getUint32(0x8_0100, true),
        guest.quad(0x8_0108),
        guest.view.getUint32(0x8_0110, true),
      ]).toEqual([0x1234, 0x3232_3232, 0x1122_3344_5566_7788n, 0x18]);
      expect(core.time).toBe(12 + 6 + 13 + 5);
      core.startup(9); // not waiting for it: ignored
      expect(core.rip >> 12n).toBe(0x101n);
      guest.close();
    });
  }

  it("INIT empties the TLB, keeps MSRs but EFER, and a SIPI starts the core anew", () => {
    const guest = new Guest();
    guest.code(0x10_0000, `mov ecx, 0xc0000082; mov eax, 0x1234; xor edx, edx; wrmsr; hlt`);
    guest.code(0x8000, `mov ax, cs; hlt`, 16);
    const core = guest.core;
    guest.start(core, 0x10_0000);
    guest.finish();
    expect(core.save().tlb.length).toBeGreaterThan(0);
    core.init();
    const state = core.save();
    expect([state.tlb.length, state.lstar, state.efer, state.cr3, state.cr0, state.gpr.rdx]).toEqual([
      0,
      0x1234n,
      0n,
      0n,
      0x6000_0010n,
      0x101n,
    ]);
    core.startup(8);
    expect(guest.finish()).toEqual({ reason: "halt", retired: 2 });
    expect(core.register("rax")).toBe(0x800n);
    guest.close();
  });
});
