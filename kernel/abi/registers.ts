/** The registers of a program as the kernel reports them, in the order of gdb's amd64 general registers. */
export class GeneralRegisters {
  rax: u64 = 0;
  rbx: u64 = 0;
  rcx: u64 = 0;
  rdx: u64 = 0;
  rsi: u64 = 0;
  rdi: u64 = 0;
  rbp: u64 = 0;
  rsp: u64 = 0;
  r8: u64 = 0;
  r9: u64 = 0;
  r10: u64 = 0;
  r11: u64 = 0;
  r12: u64 = 0;
  r13: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
  rip: u64 = 0;
  rflags: u64 = 0;
}
