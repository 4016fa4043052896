/** The way into a program: fresh registers, interrupts on. */
import { Rflags, Selector } from "../abi/x86.ts";
import type { Frame } from "../arch/frame.ts";

/** Enters user mode at `entry` with RSP = `stack`, RDI, RSI, RDX and R8 as given and every other register 0. Interrupts are off. */
export function enterUser(_entry: u64, _stack: u64, _rdi: u64, _rsi: u64, _rdx: u64, _r8: u64): void {
  attr({ naked: true, noreturn: true });
  asm`
    cli
    swapgs
    push ${Selector.USER_DATA}
    push rsi
    push ${Rflags.IF | Rflags.ONE}
    push ${Selector.USER_CODE}
    push rdi
    .cfi_signal_frame
    .cfi_def_cfa rsp, 40
    .cfi_offset rip, -40; .cfi_offset rflags, -24; .cfi_offset rsp, -16
    mov rdi, rdx
    mov rsi, rcx
    mov rdx, r8
    mov r8, r9
    xor eax, eax
    xor ebx, ebx
    xor ecx, ecx
    xor ebp, ebp
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    xor r12d, r12d
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    iretq
  `;
}

/** Enters user mode with all registers as in `frame`, which is a program's and lies in memory that may serve as a stack. Interrupts are off. */
export function enterFrame(_frame: ptr<Frame>): void {
  attr({ naked: true, noreturn: true });
  asm`
    cli
    swapgs
    mov rsp, rdi
    .cfi_signal_frame
    .cfi_def_cfa rsp, ${sizeof<Frame>()}
    .cfi_offset rip, -40; .cfi_offset rflags, -24; .cfi_offset rsp, -16
    .cfi_offset rax, -64; .cfi_offset rbx, -72; .cfi_offset rcx, -80; .cfi_offset rdx, -88
    .cfi_offset rsi, -96; .cfi_offset rdi, -104; .cfi_offset rbp, -112; .cfi_offset r8, -120
    .cfi_offset r9, -128; .cfi_offset r10, -136; .cfi_offset r11, -144; .cfi_offset r12, -152
    .cfi_offset r13, -160; .cfi_offset r14, -168; .cfi_offset r15, -176
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    add rsp, 16
    iretq
  `;
}
