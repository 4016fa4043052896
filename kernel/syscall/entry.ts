/**
 * The SYSCALL instruction's entry: swapgs, the core's kernel stack, the caller's registers as a Call, and back by SYSRET.
 * All registers but RAX, RCX and R11 are preserved, as on Linux (the callee-saved ones by the compiled code).
 * Source: AMD64 APM vol. 2, 6.1. A program's RIP is below USER_END, one page short of the canonical half, so SYSRET cannot fault.
 */
import { Efer, Msr, Rflags, Selector } from "../abi/x86.ts";
import { readMsr, writeMsr } from "../arch/cpu.ts";
import { dispatchSyscall } from "./table.ts";

/** On each core. */
export function syscallStart(): void {
  writeMsr(Msr.EFER, readMsr(Msr.EFER) | Efer.SCE);
  writeMsr(Msr.STAR, (u64(Selector.KERNEL_CODE) << 32) | (u64(Selector.USER_BASE) << 48));
  writeMsr(Msr.LSTAR, cast<u64>(syscallEntry));
  writeMsr(Msr.FMASK, Rflags.IF | Rflags.DF | Rflags.TF | Rflags.AC | Rflags.NT);
}

function syscallEntry(): void {
  attr({ naked: true, align: 16 });
  asm`
    swapgs
    mov gs:[16], rsp
    mov rsp, gs:[8]
    push qword ptr gs:[16]
    push r11
    push rcx
    push rax
    push rdi; push rsi; push rdx; push r10; push r8; push r9
    mov rdi, rsp
    call ${dispatchSyscall}
    pop r9; pop r8; pop r10; pop rdx; pop rsi; pop rdi
    add rsp, 8
    pop rcx
    pop r11
    pop rsp
    swapgs
    sysretq
  `;
}
