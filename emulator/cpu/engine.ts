/**
 * The whole contract between the machine and a CPU engine. A node is one Engine: shared RAM and up to 64 cores. The
 * contract shows nothing of an engine's technique, so one engine can replace another.
 *
 * Time: one retired instruction is one virtual nanosecond and one TSC tick. The machine sets `core.time` when it moves
 * a core forward without running it (halted cores); `run` advances it by the number of retired instructions. Retired
 * counts: each `rep` iteration 1, hlt 1, int n 1, syscall 1, a faulting instruction 0, delivery of an event 0.
 */

/**
 * The devices as a core sees them. Called synchronously, inside `run`, in program order; `core.time` is exact during
 * the call.
 */
export interface Bus {
  /**
   * A physical address outside RAM. Sizes are 1, 2 and 4; an 8-byte access becomes two accesses of 4 bytes, the low
   * half first. Unclaimed reads return all ones.
   */
  readMemory(core: Core, address: number, size: number): number;
  writeMemory(core: Core, address: number, size: number, value: number): void;
  readPort(core: Core, port: number, size: number): number;
  writePort(core: Core, port: number, size: number, value: number): void;
  /** MSRs that the engine does not keep itself (APIC_BASE and unknown ones). undefined: the core raises #GP. */
  readMsr(core: Core, index: number): bigint | undefined;
  writeMsr(core: Core, index: number, value: bigint): boolean;
  /** CPUID leaf: [eax, ebx, ecx, edx], unsigned. */
  cpuid(core: Core, leaf: number, subleaf: number): readonly [number, number, number, number];
  /** CR8 is the task priority of the LAPIC. */
  readTaskPriority(core: Core): number;
  writeTaskPriority(core: Core, value: number): void;
  /**
   * For observers: an exception, an INT n, an NMI or an injected interrupt was delivered at `core.time`; `core.rip` is
   * its handler.
   */
  delivered?(core: Core, vector: number): void;
  /**
   * For observers: the delivery of exception `first` raised `second`, and the double fault was delivered instead.
   * `core.rip` is its handler.
   */
  doubleFault?(core: Core, first: number, second: number, rip: bigint): void;
}

export type StopReason =
  /** The budget is used up. */
  | "budget"
  /** `runToWindow` only: `interruptible` has become true. */
  | "window"
  /** A hlt has retired. The machine resumes the core after it has injected an event. */
  | "halt"
  /** `requestStop` was called, and the current instruction was completed. */
  | "stop"
  | "breakpoint"
  | "watchpoint"
  /** Triple fault. The core does not run again before an INIT. */
  | "shutdown";

export interface RunResult {
  readonly reason: StopReason;
  /** Instructions retired by this call. */
  readonly retired: number;
  /** breakpoint, watchpoint: its id. */
  readonly id?: number;
  /** watchpoint: the first byte of it that was accessed, and whether the access was a write. */
  readonly accessed?: { readonly virtual: bigint; readonly write: boolean };
}

/** General registers in the processor's encoding order. */
export const gprNames = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
] as const;
export type Gpr = (typeof gprNames)[number];
export interface Segment {
  selector: number;
  base: bigint;
  limit: number;
  /** Bits 8–15 and 20–23 of the descriptor's high word, at their places. */
  flags: number;
}
export type SegmentName = "es" | "cs" | "ss" | "ds" | "fs" | "gs" | "ldtr" | "tr";
/**
 * Architectural state of a core, including the architectural TLB. Plain data, for snapshots, the debugger and the state
 * hash.
 */
export interface CoreState {
  gpr: Record<Gpr, bigint>;
  rip: bigint;
  rflags: bigint;
  segments: Record<SegmentName, Segment>;
  gdtr: { base: bigint; limit: number };
  idtr: { base: bigint; limit: number };
  cr0: bigint;
  cr2: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  star: bigint;
  lstar: bigint;
  cstar: bigint;
  fmask: bigint;
  kernelGsBase: bigint;
  tscAux: bigint;
  tscOffset: bigint;
  pat: bigint;
  sysenter: { cs: bigint; esp: bigint; eip: bigint };
  /** DR0 to DR3, DR6 and DR7, indexed by their numbers (4 and 5 do not exist). */
  debug: readonly bigint[];
  /** RFLAGS.RF while DR7 enables a breakpoint: the next instruction meets no execute breakpoint. */
  resume: boolean;
  /**
   * After a load of SS: B0 to B3 that wait for the end of the next instruction; bit 4: the next instruction meets no
   * breakpoint.
   */
  debugPending: number;
  /** 512 bytes in the format of FXSAVE64. */
  fx: Uint8Array;
  /** For one instruction after STI and MOV SS. */
  interruptShadow: boolean;
  halted: boolean;
  /** From INIT until SIPI. */
  waitingForStartup: boolean;
  /** From a triple fault until INIT. */
  shutdown: boolean;
  /** From the delivery of an NMI until IRET. Meanwhile one more NMI can be pending. */
  nmiBlocked: boolean;
  nmiPending: boolean;
  /** Virtual time, in ns. */
  time: number;
  tlb: readonly TlbEntry[];
}
export interface TlbEntry {
  /** Address of the virtual page, and of the physical one. */
  readonly virtual: bigint;
  readonly physical: number;
  readonly bytes: number;
  /** Granted accesses: bit 0 read, 1 write, 2 fetch. */
  readonly permissions: number;
  readonly user: boolean;
  readonly global: boolean;
  /**
   * The dirty bit was set when the entry was last used for a write. A write through a clean entry walks the page tables
   * again.
   */
  readonly dirty: boolean;
}

export interface Core {
  readonly index: number;
  /** Virtual ns = instructions retired + time skipped while halted. Exact inside bus callbacks. */
  time: number;
  /** Retires at most `budget` instructions. */
  run(budget: number): RunResult;
  /**
   * As `run`, but also stops, with reason "window", before the first instruction at which `interruptible` is true: an
   * interrupt is pending and must be taken at exactly that instruction (after sti, popf, iret, sysret, or the end of an
   * interrupt shadow). Called only while `interruptible` is false, so it retires at least one instruction.
   */
  runToWindow(budget: number): RunResult;
  /** From a bus callback: stops after the current instruction. Otherwise: stops before the next one. */
  requestStop(): void;
  /** True when the core would take a maskable interrupt now: IF is set and there is no interrupt shadow. */
  readonly interruptible: boolean;
  readonly halted: boolean;
  /**
   * Delivers an external interrupt through the IDT immediately; wakes a halted core. The caller has checked
   * `interruptible`.
   */
  injectInterrupt(vector: number): void;
  injectNmi(): void;
  /** INIT: sets the reset state and waits for SIPI. The TLB is emptied. */
  init(): void;
  /** SIPI: real mode at page << 12. */
  startup(page: number): void;
  /** PVH start state (QEMU hw/i386/x86.c): 32-bit protected mode, paging off, EBX = start info. */
  startPvh(entry: number, startInfo: number): void;
  save(): CoreState;
  restore(state: CoreState): void;
  readonly rip: bigint;
  readonly cpl: number;
  /**
   * One register by name: gpr names, rip, rflags; cs, ss, ds, es, fs, gs, ldtr, tr (selectors) and cs_base … tr_base;
   * gdtr_base, gdtr_limit, idtr_base, idtr_limit; cr0, cr2, cr3, cr4, cr8; efer, star, lstar, cstar, fmask,
   * kernel_gs_base, tsc_aux, pat, tsc, sysenter_cs, sysenter_esp, sysenter_eip; dr0 to dr3, dr6, dr7. RangeError for
   * other names.
   */
  register(name: string): bigint;
  /**
   * A debugger's write, unchecked, with its consequences: paging registers flush the TLB as a write by the guest would,
   * EFER.LMA follows, and a selector of a code or data segment loads the descriptor that it names. If it names none,
   * and for ldtr and tr, only the selector changes. A halted core stays halted, whatever its rip is.
   */
  setRegister(name: string, value: bigint): void;
  /** 512 bytes in the format of FXSAVE64: x87, MXCSR, XMM0 to XMM15. */
  readFx(): Uint8Array;
  writeFx(image: Uint8Array): void;
  /** The next `run` executes the instruction at rip even if a breakpoint is there (used by a debugger's step). */
  passBreakpoint(): void;
  /**
   * Walks the page tables as the core would, without the TLB and without setting accessed or dirty bits. undefined: not
   * mapped.
   */
  translate(virtual: bigint): number | undefined;
}

/**
 * The place of a breakpoint or watchpoint. `virtual`: an address in the space whose CR3 (bits 12–51) is `space`; null =
 * in every space. `physical`: a guest physical address, whatever the virtual address that reaches it.
 */
export type Place = { readonly virtual: bigint; readonly space: number | null } | { readonly physical: number };
export type WatchKind = "write" | "read" | "access";

export interface Engine {
  readonly name: string;
  /** The node's RAM, from physical address 0 (and from 4 GB, above DEVICE_HOLE). The engine owns the memory. */
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly cores: readonly Core[];
  /**
   * RAM was written by something other than a core (DMA, debugger): translated code of these bytes is stale. `offset`
   * is an offset in `ram`.
   */
  invalidateCode(offset: number, length: number): void;
  /**
   * A core that is about to execute the instruction at `where` stops with reason "breakpoint" before it retires that
   * instruction. Guest memory does not change. The next `run` of that core, if its rip is unchanged, executes the
   * instruction without stopping there again. Ids are > 0 and unique in the engine.
   */
  addBreakpoint(where: Place): number;
  removeBreakpoint(id: number): void;
  /**
   * A core that accesses any of the `bytes` bytes at `where` in a way of `kind` completes the instruction and stops
   * with reason "watchpoint". Only accesses of cores count: no DMA, page walks or fetches. A rep instruction stops
   * after the iteration. Ids are > 0 and unique in the engine.
   */
  addWatchpoint(where: Place, bytes: number, kind: WatchKind): number;
  removeWatchpoint(id: number): void;
  /**
   * Drops everything that is not architectural state (translations, host TLBs). For tests: a guest must not see any
   * difference.
   */
  flushCaches(): void;
  close(): void;
}
export interface EngineOptions {
  readonly ramBytes: number;
  readonly cores: number;
  readonly bus: Bus;
  /** TSC at time 0. */
  readonly tscBase?: bigint;
}
export type CreateEngine = (options: EngineOptions) => Engine;
