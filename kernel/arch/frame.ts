import { Rflags, Selector } from "../abi/x86.ts";

/** What the interrupt stubs leave on the stack, lowest address first. The stubs (trap.ts) define the order. */
export class Frame {
  r15: u64 = 0;
  r14: u64 = 0;
  r13: u64 = 0;
  r12: u64 = 0;
  r11: u64 = 0;
  r10: u64 = 0;
  r9: u64 = 0;
  r8: u64 = 0;
  rbp: u64 = 0;
  rdi: u64 = 0;
  rsi: u64 = 0;
  rdx: u64 = 0;
  rcx: u64 = 0;
  rbx: u64 = 0;
  rax: u64 = 0;
  /** At entry the stub's return address, which identifies the vector; `trapEntry` replaces it by the vector. */
  vector: u64 = 0;
  /** 0 if the processor pushes no error code. */
  error: u64 = 0;
  rip: u64 = 0;
  cs: u64 = 0;
  rflags: u64 = 0;
  rsp: u64 = 0;
  ss: u64 = 0;
}

/** Initial registers of a program: all 0 except these, interrupts on. */
export function startFrame(frame: ptr<Frame>, rip: u64, rsp: u64): void {
  zero(frame);
  frame.rip = rip;
  frame.rsp = rsp;
  frame.cs = Selector.USER_CODE;
  frame.ss = Selector.USER_DATA;
  frame.rflags = Rflags.IF | Rflags.ONE;
}

export function fromUser(frame: ptr<Frame>): boolean {
  return (frame.cs & 3) !== 0;
}
