/**
 * Signals: numbers, codes, and the structures that kernel and programs share. Source: Linux uapi headers
 * (asm/signal.h, asm-generic/siginfo.h, asm/sigcontext.h, asm/ucontext.h), arch/x86/include/asm/sigframe.h.
 */
// biome-ignore format: a table
export const enum Signal {
  SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12,
  SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23,
  SIGXCPU = 24, SIGXFSZ = 25, SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28, SIGIO = 29, SIGPWR = 30, SIGSYS = 31, SIGRTMIN = 32, SIGRTMAX = 64,
}
/** Bytes of a signal set: signal n is bit n - 1. */
export const SIGNAL_SET_BYTES: u64 = 8;

/** Handlers that are none. */
// biome-ignore format: a table
export const enum SignalHandler { DEFAULT = 0, IGNORE = 1 }
// biome-ignore format: a table
export const enum SignalFlag {
  NOCLDSTOP = 0x1, NOCLDWAIT = 0x2, SIGINFO = 0x4, EXPOSE_TAGBITS = 0x800, RESTORER = 0x0400_0000, ONSTACK = 0x0800_0000, RESTART = 0x1000_0000,
  NODEFER = 0x4000_0000, RESETHAND = 0x8000_0000,
}
/** struct sigaction as the kernel has it. */
export class SignalAction {
  handler: u64 = 0;
  flags: u64 = 0;
  restorer: u64 = 0;
  mask: u64 = 0;
}
/** rt_sigprocmask. */
// biome-ignore format: a table
export const enum SignalHow { BLOCK = 0, UNBLOCK = 1, SETMASK = 2 }

/** stack_t. */
export class SignalStack {
  address: u64 = 0;
  flags: u32 = 0;
  reserved: u32 = 0;
  bytes: u64 = 0;
}
// biome-ignore format: a table
export const enum StackFlag { ONSTACK = 1, DISABLE = 2, AUTODISARM = 0x8000_0000 }
export const MINSIGSTKSZ: u64 = 2048;

/** si_code: who sent it, if 0 or less or SI_KERNEL; else what of the signal's own reasons. */
// biome-ignore format: a table
export const enum SignalCode { SI_USER = 0, SI_KERNEL = 0x80, SI_QUEUE = -1, SI_TIMER = -2, SI_TKILL = -6 }
// biome-ignore format: a table
export const enum FaultCode {
  ILL_ILLOPN = 2,
  FPE_INTDIV = 1, FPE_FLTDIV = 3, FPE_FLTOVF = 4, FPE_FLTUND = 5, FPE_FLTRES = 6, FPE_FLTINV = 7,
  SEGV_MAPERR = 1, SEGV_ACCERR = 2,
  BUS_ADRALN = 1, BUS_ADRERR = 2,
  TRAP_BRKPT = 1, TRAP_TRACE = 2, TRAP_HWBKPT = 4,
}
/** siginfo_t. `first` and `value` lie where the signal's own fields do. */
export class SignalInfo {
  signal: i32 = 0;
  errno: i32 = 0;
  code: i32 = 0;
  reserved: u32 = 0;
  /** kill: pid, user id in the upper half. A fault: its address. A timer: its id, overruns in the upper half. */
  first: u64 = 0;
  /** sigqueue, timers: the value that goes with it. */
  value: u64 = 0;
  rest!: arr<u64, 12>;
}

/** struct ucontext with its struct sigcontext_64. */
export class SignalContext {
  flags: u64 = 0;
  link: u64 = 0;
  stack!: SignalStack;
  r8: u64 = 0;
  r9: u64 = 0;
  r10: u64 = 0;
  r11: u64 = 0;
  r12: u64 = 0;
  r13: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
  rdi: u64 = 0;
  rsi: u64 = 0;
  rbp: u64 = 0;
  rbx: u64 = 0;
  rdx: u64 = 0;
  rax: u64 = 0;
  rcx: u64 = 0;
  rsp: u64 = 0;
  rip: u64 = 0;
  rflags: u64 = 0;
  cs: u16 = 0;
  gs: u16 = 0;
  fs: u16 = 0;
  ss: u16 = 0;
  /** Of the thread's last exception: error code, vector; `cr2` is the address of the last page fault. */
  error: u64 = 0;
  trap: u64 = 0;
  oldMask: u64 = 0;
  cr2: u64 = 0;
  /** FXSAVE area in the program's memory, below the frame; 0: none. */
  fpState: u64 = 0;
  reserved!: arr<u64, 8>;
  mask: u64 = 0;
}
/** `flags` of a context: `ss` is valid, and is to be restored. */
// biome-ignore format: a table
export const enum ContextFlag { SIGCONTEXT_SS = 2, STRICT_RESTORE_SS = 4 }
/** struct rt_sigframe: what a handler returns through. RSP is at `returnAddress` when the handler starts. */
export class SignalFrame {
  returnAddress: u64 = 0;
  context!: SignalContext;
  info!: SignalInfo;
}
/** Below a function's stack pointer, its own (System V ABI, AMD64 supplement, 3.2.2). */
export const RED_ZONE_BYTES: u64 = 128;
export const FX_BYTES: u64 = 512;
/** A pending signal that carries data takes one of these (RLIMIT_SIGPENDING), a task at most so many. */
export const SIGNALS_QUEUED_MAX: u32 = 128;

/** setitimer. */
// biome-ignore format: a table
export const enum IntervalTimer { REAL = 0, VIRTUAL = 1, PROF = 2 }
