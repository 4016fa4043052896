/** A guest that exercises the operations whose counts are easily wrong. */
import type { Core } from "../../emulator/cpu/engine.ts";
import { RecordingBus } from "./bus.ts";
import { CODE, Guest, USER, USER_DATA_PAGE } from "./guest.ts";

/**
 * A user program with page faults (its handler maps), system calls (which unmap), divisions by zero, MMIO, rep and SSE.
 */
export function busyGuest(): { guest: Guest; bus: RecordingBus } {
  class StoppingBus extends RecordingBus {
    override writeMemory(core: Core, address: number, size: number, value: number): void {
      super.writeMemory(core, address, size, value);
      if (value & 1) core.requestStop();
    }
  }
  const bus = new StoppingBus();
  const guest = new Guest({ bus });
  const first = guest.map(0x60_0000n, 0x60_0006n);
  const second = guest.map(0x60_1000n, 0x60_1006n);
  guest.map(0xfee0_0000n, 0xfee0_001fn);
  const handlers = guest.code(
    CODE,
    `pf: push rax; mov rax, cr2; shr rax, 12; cmp eax, 0x600; jne 1f; or dword ptr [${first}], 7; jmp 2f
     1: or dword ptr [${second}], 7
     2: pop rax; add rsp, 8; iretq
     sys: and dword ptr [${first}], 0xfffffffe; and dword ptr [${second}], 0xfffffffe; invlpg [0x600000]; invlpg [0x601000]; out 0x80, al; sysretq
     fin: hlt; jmp fin
     de: add qword ptr [rsp], 2; inc qword ptr [0x80008]; iretq
     start: mov ecx, 0xc0000081; xor eax, eax; mov edx, 0x00180008; wrmsr; mov ecx, 0xc0000082; mov eax, 0x100800; xor edx, edx; wrmsr
     mov ecx, 0xc0000084; mov eax, 0x200; wrmsr
     push 0x23; push ${USER_DATA_PAGE + 0x1000}; push 0x202; push 0x2b; push ${USER}; iretq`,
  );
  guest.code(
    0x10_0800,
    `and dword ptr [${first}], 0xfffffffe; and dword ptr [${second}], 0xfffffffe; invlpg [0x600000]; invlpg [0x601000]; out 0x80, al; sysretq`,
  );
  guest.gate(14, handlers("pf"));
  guest.gate(0x81, handlers("fin"), { dpl: 3 });
  guest.gate(0, handlers("de"));
  guest.code(
    USER,
    `mov r12d, 40; mov eax, 0x3ff00000; shl rax, 32; movq xmm2, rax
     1: mov edi, 0x600ff0; mov esi, ${USER_DATA_PAGE}; mov ecx, 40; rep movsb
     mov rax, [0x600ffc]; add rbx, rax; mov [0x600ffd], r12
     xor edx, edx; xor ecx, ecx; div ecx
     mov edi, 0xfee00000; mov [rdi + 0x300], r12d; add ebx, [rdi + 0x20]; rdtsc; xor rbx, rax
     syscall
     mov edi, 0x600ffc; lock add [rdi], r12; lea rdi, [rdi - 100]; mov ecx, 30; rep stosd
     addsd xmm2, xmm2; mulsd xmm2, xmm2; movq rax, xmm2; mov [${USER_DATA_PAGE + 16}], rax
     dec r12d; jnz 1b; int 0x81`,
  );
  guest.start(guest.core, handlers("start"));
  return { guest, bus };
}
