/**
 * The per-CPU area: GS points to it whenever the kernel runs (`swapgs` at each entry from user mode). It holds only
 * what arch itself needs; upper floors keep their own arrays, indexed by `cpuIndex()`.
 */
import { MAX_CPUS } from "../abi/memory.ts";
import { Msr } from "../abi/x86.ts";
import { writeMsr } from "./cpu.ts";
import { fatal } from "./fatal.ts";
import type { Frame } from "./frame.ts";

/**
 * Reasons that keep a core from returning to its program: its task ends, a debugger stops it, a signal is pending.
 * CALL: the system call in progress is reported to a debugger when it returns; it ends no wait.
 */
// biome-ignore format: a table
export const enum Leave { END = 1, STOP = 2, SIGNAL = 4, CALL = 8 }

/** Value of `locks` that forbids taking any lock. */
export const ALL_LOCKS: u32 = 0xffff_ffff;

export class Cpu {
  self: ptr<Cpu> | null = null;
  /** Loaded into RSP by the SYSCALL entry, and by the processor (TSS.RSP0) at interrupts from user mode. */
  kernelStackTop: u64 = 0;
  /** Scratch of the SYSCALL entry. */
  userStack: u64 = 0;
  /** Equals the APIC id. */
  index: u32 = 0;
  online: u32 = 0;
  /** Frame of the innermost interrupted context; null outside of interrupts. */
  frame: ptr<Frame> | null = null;
  /** This CPU's flight recorder; set by recorderStart. */
  ring: u64 = 0;
  /**
   * Leave; not 0: do not return to the program. Checked before every return to it, together with `locks`, which must be
   * 0 there.
   */
  leave: u32 = 0;
  /** LockRank bits of the locks that this core holds (spinlock.ts); ALL_LOCKS while it serves a cross-call. */
  locks: u32 = 0;
  /** Address of the Task whose program runs here; only core knows its type. 0: none. */
  task: u64 = 0;
}
export const cpus: arr<Cpu, 64> = zeroed();

class CpuCount {
  total: u32 = 1;
}
const counted: CpuCount = new CpuCount();

export function thisCpu(): ptr<Cpu> {
  return asm<ptr<Cpu>>`mov ${ret}, gs:[0]`;
}
export function cpuIndex(): u32 {
  return thisCpu().index;
}
/**
 * The task of this core's thread is ending: long work need not be finished, because its memory is freed with the task.
 */
export function isEnding(): boolean {
  return (volatileRead(addr(thisCpu().leave)) & Leave.END) !== 0;
}
/**
 * Handles pending interrupts, then disables interrupts again. Called between two slices of long work, so that
 * interrupts are never off for more than 20 µs; the machine measures this under --strict. The caller holds no lock and
 * has completed every update that an interrupt handler may read.
 */
export function admitInterrupts(): void {
  if (thisCpu().locks !== 0) fatal(cstr("lock: interrupts let in while ranks are held"), u64(thisCpu().locks));
  asm({ clobber: ["memory"] })`
    sti
    nop
    cli
  `;
}
/** Hardware threads of this node that are online. */
export function cpuCount(): u32 {
  return counted.total;
}
export function setCpuCount(total: u32): void {
  counted.total = total;
}
export function cpuAt(index: u32): ptr<Cpu> {
  return addr(cpus[index]);
}

/** Points GS to the area of CPU `index`, on that CPU. */
export function enterPerCpu(index: u32, kernelStackTop: u64): void {
  const cpu = cpuAt(index);
  cpu.self = cpu;
  cpu.index = index;
  cpu.kernelStackTop = kernelStackTop;
  writeMsr(Msr.GS_BASE, cast<u64>(cpu));
  writeMsr(Msr.KERNEL_GS_BASE, 0);
  writeMsr(Msr.TSC_AUX, u64(index));
}

/** Bits of CPUs 0…total−1. */
export function allCpusMask(): u64 {
  const total: u32 = cpuCount();
  return total >= MAX_CPUS ? 0xffff_ffff_ffff_ffff : (u64(1) << u64(total)) - 1;
}
