/**
 * The FPU belongs to programs: kernel code never touches vector registers, and with one thread per core no state is
 * ever switched. The kernel only enables it and gives each program a fresh state. Source: Intel SDM vol. 1, table 10-2
 * (FXSAVE area).
 */
import { Cr0, Cr4, FloatException } from "../abi/x86.ts";
import { cpuIndex } from "./percpu.ts";
import { readCr0, readCr4, writeCr0, writeCr4 } from "./cpu.ts";

export class FxArea {
  controlWord: u16 = 0x37f;
  statusWord: u16 = 0;
  tagWord: u16 = 0;
  opcode: u16 = 0;
  instruction: u64 = 0;
  operand: u64 = 0;
  mxcsr: u32 = 0x1f80;
  mxcsrMask: u32 = 0;
  registers!: arr<u64, 60>;
}
/** Place of the exceptions' masks in MXCSR, by their own places. */
const MXCSR_MASKS: u32 = 7;
/** @align 16 */
const freshState: FxArea = zeroed();

/**
 * By core: initial state of its next thread.
 * @align 16
 */
const startStates: arr<FxArea, 64> = zeroed();

/** Run on each core. */
export function fpuStart(): void {
  writeCr0((readCr0() & ~u64(Cr0.EM | Cr0.TS)) | Cr0.MP | Cr0.NE);
  writeCr4(readCr4() | Cr4.OSFXSR | Cr4.OSXMMEXCPT);
  freshState.controlWord = 0x37f;
  freshState.mxcsr = 0x1f80;
  fpuReset();
}

/** Sets the control words to their defaults and all registers to zero. */
export function fpuReset(): void {
  fpuLoad(addr(freshState));
}

/** Saves all vector and FPU registers of this core into an area with 16-byte alignment. */
export function fpuSave(area: ptr<FxArea>): void {
  asm({ clobber: ["memory"] })`fxsave64 [${cast<u64>(area)}]`;
}
export function fpuLoad(area: ptr<FxArea>): void {
  asm({ clobber: ["memory"] })`fxrstor64 [${cast<u64>(area)}]`;
}

/** Unmasked exceptions of the x87 unit that have come, and of SSE: FloatException. */
export function fpuExceptions(): u32 {
  const area = ownState();
  return u32(area.statusWord & ~area.controlWord & u16(FloatException.ALL));
}
export function simdExceptions(): u32 {
  const area = ownState();
  return area.mxcsr & ~(area.mxcsr >> MXCSR_MASKS) & FloatException.ALL;
}
/** What a thread of this core has begun with is not needed any more once it runs. */
function ownState(): ptr<FxArea> {
  const area = addr(startStates[cpuIndex()]);
  fpuSave(area);
  return area;
}

/** Saves this core's registers as the initial state of a new thread on core `cpu`, as on Linux. */
export function fpuSaveFor(cpu: u32): void {
  fpuSave(addr(startStates[cpu]));
}
/** On core `cpu`: loads the state that `fpuSaveFor` saved. */
export function fpuTake(cpu: u32): void {
  fpuLoad(addr(startStates[cpu]));
}
