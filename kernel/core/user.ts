/** Entry into user mode. */
import type { Frame } from "../arch/frame.ts";

/**
 * Enters user mode with all registers as in `frame`, a program's frame in memory that can serve as a stack. Interrupts
 * are off.
 */
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
