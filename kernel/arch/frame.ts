import type { GeneralRegisters } from "../abi/registers.ts";
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

/** Flags that a program may set: those that Linux lets a debugger or a signal handler's context change. */
export const USER_FLAGS: u64 =
  Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.TF | Rflags.DF | Rflags.OF | Rflags.RF | Rflags.AC;

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

export function readGeneral(r: ptr<GeneralRegisters>, frame: ptr<Frame>): void {
  r.rax = frame.rax;
  r.rbx = frame.rbx;
  r.rcx = frame.rcx;
  r.rdx = frame.rdx;
  r.rsi = frame.rsi;
  r.rdi = frame.rdi;
  r.rbp = frame.rbp;
  r.rsp = frame.rsp;
  r.r8 = frame.r8;
  r.r9 = frame.r9;
  r.r10 = frame.r10;
  r.r11 = frame.r11;
  r.r12 = frame.r12;
  r.r13 = frame.r13;
  r.r14 = frame.r14;
  r.r15 = frame.r15;
  r.rip = frame.rip;
  r.rflags = frame.rflags;
}
/** The program's own flags only; its segments are the ones that it started with. */
export function writeGeneral(frame: ptr<Frame>, r: ptr<GeneralRegisters>): void {
  frame.rax = r.rax;
  frame.rbx = r.rbx;
  frame.rcx = r.rcx;
  frame.rdx = r.rdx;
  frame.rsi = r.rsi;
  frame.rdi = r.rdi;
  frame.rbp = r.rbp;
  frame.rsp = r.rsp;
  frame.r8 = r.r8;
  frame.r9 = r.r9;
  frame.r10 = r.r10;
  frame.r11 = r.r11;
  frame.r12 = r.r12;
  frame.r13 = r.r13;
  frame.r14 = r.r14;
  frame.r15 = r.r15;
  frame.rip = r.rip;
  frame.rflags = (frame.rflags & ~USER_FLAGS) | (r.rflags & USER_FLAGS);
  frame.cs = Selector.USER_CODE;
  frame.ss = Selector.USER_DATA;
}
