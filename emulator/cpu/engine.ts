/**
 * The whole contract between the machine and a CPU engine. A node is one Engine: shared RAM and up to 64 cores. Nothing
 * of an engine's technique shows here, so that a second engine (a translator to WebAssembly) can stand in.
 *
 * Time: one retired instruction is one virtual nanosecond and one TSC tick. The machine sets `core.time` when it moves
 * a core forward without running it (halted cores); `run` advances it by what it retired. Retired counts: each `rep`
 * iteration 1, hlt 1, int n 1, syscall 1, a faulting instruction 0, delivery of an event 0.
 */

/**
 * The devices as a core sees them. Called synchronously, inside `run`, in program order; `core.time` is exact in the
 * call.
 */
export interface Bus {
  /**
   * Physical address outside RAM. size 1, 2, 4; an 8-byte access comes as two of 4, low half first. Unclaimed reads
   * give all ones.
   */
  readMemory(core: Core, address: number, size: number): number;
  writeMemory(core: Core, address: number, size: number, value: number): void;
  readPort(core: Core, port: number, size: number): number;
  writePort(core: Core, port: number, size: number, value: number): void;
  /** MSRs that the engine does not keep itself (APIC_BASE and unknown ones). undefined: #GP. */
  readMsr(core: Core, index: number): bigint | undefined;
  writeMsr(core: Core, index: number, value: bigint): boolean;
  /** CPUID leaf: [eax, ebx, ecx, edx], unsigned. */
  cpuid(core: Core, leaf: number, subleaf: number): readonly [number, number, number, number];
  /** CR8 is the LAPIC's task priority. */
  readTaskPriority(core: Core): number;
  writeTaskPriority(core: Core, value: number): void;
  /**
   * Observed: an exception, an INT n, an NMI or an injected interrupt was delivered at `core.time`; `core.rip` is its
   * handler.
   */
  delivered?(core: Core, vector: number): void;
  /**
   * Observed: delivering exception `first` met `second`, and the double fault was delivered instead. `core.rip` is its
   * handler.
   */
  doubleFault?(core: Core, first: number, second: number, rip: bigint): void;
}

export type StopReason =
  /** The budget is used up. */
  | "budget"
  /** `runToWindow` only: `interruptible` has become true. */
  | "window"
  /** hlt retired. The machine resumes the core after an event was injected. */
  | "halt"
  /** `requestStop` was called; the current instruction was completed. */
  | "stop"
  | "breakpoint"
  | "watchpoint"
  /** Triple fault. The core does not run again before INIT. */
  | "shutdown";

export interface RunResult {
  readonly reason: StopReason;
  /** Instructions retired by this call. */
  readonly retired: number;
  /** breakpoint, watchpoint: its id. */
  readonly id?: number;
  /** watchpoint: first byte accessed within it, and whether the access was a write. */
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
  /** Bits 8–15 and 20–23 of the descriptor's high word, in place. */
  flags: number;
}
export type SegmentName = "es" | "cs" | "ss" | "ds" | "fs" | "gs" | "ldtr" | "tr";
/** Architectural state of a core, the architectural TLB included; plain data (snapshot, debugger, state hash). */
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
  /** DR0 to DR3, DR6, DR7 by their numbers (4 and 5 do not exist). */
  debug: readonly bigint[];
  /** RFLAGS.RF, while a breakpoint is enabled in DR7: the next instruction meets no execute breakpoint. */
  resume: boolean;
  /** Behind a load of SS: B0 to B3 that wait for the end of the next instruction; bit 4: it meets no breakpoint. */
  debugPending: number;
  /** 512 bytes of FXSAVE64. */
  fx: Uint8Array;
  /** One instruction after STI, MOV SS. */
  interruptShadow: boolean;
  halted: boolean;
  /** After INIT, until SIPI. */
  waitingForStartup: boolean;
  /** After a triple fault, until INIT. */
  shutdown: boolean;
  /** From the delivery of an NMI until IRET; one more can be pending meanwhile. */
  nmiBlocked: boolean;
  nmiPending: boolean;
  /** Virtual time, ns. */
  time: number;
  tlb: readonly TlbEntry[];
}
export interface TlbEntry {
  /** Virtual page address, and physical. */
  readonly virtual: bigint;
  readonly physical: number;
  readonly bytes: number;
  /** Granted: bit 0 read, 1 write, 2 fetch. */
  readonly permissions: number;
  readonly user: boolean;
  readonly global: boolean;
  /** The dirty bit was set when the entry was last used for a write: a write through a clean entry walks again. */
  readonly dirty: boolean;
}

export interface Core {
  readonly index: number;
  /** Virtual ns = instructions retired + time skipped while halted. Exact inside bus callbacks. */
  time: number;
  /** Retires at most `budget` instructions. */
  run(budget: number): RunResult;
  /**
   * As `run`, but also stops, before the first instruction at which `interruptible` is true, with reason "window": an
   * interrupt waits and must be taken at exactly that instruction (after sti, popf, iret, sysret; the end of a shadow).
   * Called only while `interruptible` is false, so it retires at least one instruction.
   */
  runToWindow(budget: number): RunResult;
  /** From a bus callback: stop after the current instruction. Otherwise: before the next. */
  requestStop(): void;
  /** True when a maskable interrupt would be taken now: IF set and no shadow. */
  readonly interruptible: boolean;
  readonly halted: boolean;
  /**
   * Delivers an external interrupt through the IDT, now; wakes a halted core. The caller has checked `interruptible`.
   */
  injectInterrupt(vector: number): void;
  injectNmi(): void;
  /** INIT: reset state, waiting for SIPI. The TLB is emptied. */
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
   * A debugger's write, unchecked, with what follows from it: paging registers flush the TLB as the guest's write
   * would, EFER.LMA follows, the selector of a code or data segment loads its descriptor where it names one (else, and
   * for ldtr and tr, only the selector changes). A halted core stays halted, whatever its rip is.
   */
  setRegister(name: string, value: bigint): void;
  /** 512 bytes as FXSAVE64 writes them: x87, MXCSR, XMM0 to XMM15. */
  readFx(): Uint8Array;
  writeFx(image: Uint8Array): void;
  /** The next `run` executes the instruction at rip even if a breakpoint is there (a debugger steps). */
  passBreakpoint(): void;
  /** Page walk as the core would do it, TLB not consulted, no accessed or dirty bit set; undefined = not mapped. */
  translate(virtual: bigint): number | undefined;
}

/**
 * What a breakpoint or watchpoint is about. `virtual`: an address in the space whose CR3 (bits 12–51) is `space`; null
 * = in every space. `physical`: an offset as the guest's physical address, by whatever virtual address it is reached.
 */
export type Place = { readonly virtual: bigint; readonly space: number | null } | { readonly physical: number };
export type WatchKind = "write" | "read" | "access";

export interface Engine {
  readonly name: string;
  /** The node's RAM, physical address 0 up (and from 4 GB on behind DEVICE_HOLE). The engine owns the memory. */
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly cores: readonly Core[];
  /**
   * Somebody other than a core wrote RAM (DMA, debugger): translated code of these bytes is stale. An offset in `ram`.
   */
  invalidateCode(offset: number, length: number): void;
  /**
   * A core that is about to execute the instruction at `where` stops with reason "breakpoint" before it retires. Guest
   * memory stays as it is. The next `run` of that core, if its rip is unchanged, executes the instruction without
   * stopping there again. Id > 0, unique in the engine.
   */
  addBreakpoint(where: Place): number;
  removeBreakpoint(id: number): void;
  /**
   * A core that accesses any of `bytes` bytes from `where` in a way of `kind` completes the instruction and stops with
   * reason "watchpoint". Cores only: neither DMA nor page walks nor fetches. A rep instruction stops after the
   * iteration. Id > 0, unique in the engine.
   */
  addWatchpoint(where: Place, bytes: number, kind: WatchKind): number;
  removeWatchpoint(id: number): void;
  /**
   * Forget everything that is not architectural state (translations, host TLBs). For tests: must change nothing that a
   * guest sees.
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
