/** The thin thread: PVH start in 32-bit protected mode, the guest's own way into long mode, and port output over the bus. */
import { describe, expect, it } from "vitest";
import { createUnicornEngine } from "../../emulator/cpu/unicorn/engine.ts";
import { RecordingBus } from "./bus.ts";
import { assemble, missing } from "./gnu.ts";

if (missing) console.log(`tests/cpu/boot: skipped: ${missing}`);

const BOOT = `
.code32
  mov esp, 0x8f000
  mov [0x80000], ebx
  mov dword ptr [0x10000], 0x11003
  mov dword ptr [0x11000], 0x12003
  mov dword ptr [0x12000], 0x83
  lgdt [gdtr]
  .byte 0xea; .long 1f; .word 8
1: mov eax, 0x10; mov ds, eax; mov es, eax; mov ss, eax
  mov eax, cr4; or eax, 0x620; mov cr4, eax
  mov eax, 0x10000; mov cr3, eax
  mov ecx, 0xc0000080; rdmsr; or eax, 0x100; wrmsr
  mov eax, cr0; or eax, 0x80000000; mov cr0, eax
  .byte 0xea; .long 2f; .word 0x18
.code64
2: lea rsi, [rip + text]; mov ecx, 5; mov dx, 0x3f8
3: lodsb; out dx, al; loop 3b
  mov rax, 0x123456789abcdef0; hlt
text: .ascii "hello"
.balign 8
gdt: .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00af9a000000ffff
gdtr: .word 31; .long gdt
`;

describe.skipIf(missing)("PVH boot", () => {
  for (const chunk of [1_000_000, 1, 3, 7]) {
    it(`reaches long mode and prints, in runs of ${chunk}`, () => {
      const bus = new RecordingBus();
      const engine = createUnicornEngine({ ramBytes: 16 << 20, cores: 1, bus });
      engine.ram.set(assemble(BOOT, 0x100000), 0x100000);
      const core = engine.cores[0];
      core.startPvh(0x100000, 0x6000);
      let result = core.run(chunk);
      while (result.reason === "budget") result = core.run(chunk);
      expect(result.reason).toBe("halt");
      expect(bus.output).toBe("hello");
      expect(core.register("rax")).toBe(0x123456789abcdef0n);
      expect(engine.view.getUint32(0x80000, true)).toBe(0x6000);
      expect(core.time).toBe(44);
      engine.close();
    });
  }
});
