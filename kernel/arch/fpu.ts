/**
 * The FPU belongs to programs: kernel code never touches vector registers, and with one thread a core nothing is ever
 * switched. The kernel only turns it on and gives each program a fresh state. Source: Intel SDM vol. 1, table 10-2
 * (FXSAVE area).
 */
import { Cr0, Cr4 } from "../abi/x86.ts";
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
/** @align 16 */
const freshState: FxArea = zeroed();

/**
 * By core: what a thread starts with.
 * @align 16
 */
const startStates: arr<FxArea, 64> = zeroed();

/** On each core. */
export function fpuStart(): void {
  writeCr0((readCr0() & ~u64(Cr0.EM | Cr0.TS)) | Cr0.MP | Cr0.NE);
  writeCr4(readCr4() | Cr4.OSFXSR | Cr4.OSXMMEXCPT);
  freshState.controlWord = 0x37f;
  freshState.mxcsr = 0x1f80;
  fpuReset();
}

/** Control words at their defaults, all registers zero. */
export function fpuReset(): void {
  fpuLoad(addr(freshState));
}

/** All of this core's vector and FPU registers, in an area of 16-byte alignment. */
export function fpuSave(area: ptr<FxArea>): void {
  asm({ clobber: ["memory"] })`fxsave64 [${cast<u64>(area)}]`;
}
export function fpuLoad(area: ptr<FxArea>): void {
  asm({ clobber: ["memory"] })`fxrstor64 [${cast<u64>(area)}]`;
}

/** A new thread on core `cpu` will start with this core's registers, as Linux has it. */
export function fpuSaveFor(cpu: u32): void {
  fpuSave(addr(startStates[cpu]));
}
/** On core `cpu`: takes what `fpuSaveFor` has put there. */
export function fpuTake(cpu: u32): void {
  fpuLoad(addr(startStates[cpu]));
}
