/**
 * The x87 and SSE state in memory: FXSAVE, FXRSTOR (Intel SDM vol. 1, table 10-2), FNSTENV, FLDENV, FNSAVE, FRSTOR
 * (vol. 1, figures 8-9 to 8-12). Both engines execute them here, on the FXSAVE image of a core.
 *
 * The last instruction's opcode and the instruction and data pointers are always stored as 0 and ignored when loaded.
 * A processor may leave them out (SDM vol. 1, 8.1.8: CS and DS are deprecated), and AMD's store 0 while no unmasked
 * exception is pending.
 */
import { Exception } from "../../abi/x86.ts";
import { Fault, type Privilege } from "./access.ts";

export type FpuTransfer = "FXSAVE" | "FXRSTOR" | "FNSTENV" | "FLDENV" | "FNSAVE" | "FRSTOR";

export interface FpuCore {
  readFx(): Uint8Array;
  writeFx(image: Uint8Array): void;
  readBytes(address: bigint, to: Uint8Array, privilege: Privilege): void;
  /** Writes all or nothing. */
  writeBytes(address: bigint, from: Uint8Array, privilege: Privilege): void;
}

export const FX_BYTES = 512;
const FX_MXCSR = 24;
const FX_REGISTERS = 32;
const FX_XMM = 160;
const MXCSR_VALID = 0xffff;
const EXCEPTIONS = 0x3f;
/** Error summary and busy. */
const SUMMARY = 0x8080;
const INITIAL_CONTROL = 0x37f;
const EMPTY = 3;
const REGISTERS_BYTES = 80;

/** Bytes in memory; `registers`: XMM registers of the mode, `wide`: the format of 32-bit operands. */
export function transferBytes(what: FpuTransfer, wide: boolean, registers: number): number {
  // The bytes after the registers of an FXSAVE image are reserved, and are not accessed.
  if (what === "FXSAVE" || what === "FXRSTOR") return FX_XMM + registers * 16;
  const environment = wide ? 28 : 14;
  return what === "FNSTENV" || what === "FLDENV" ? environment : environment + REGISTERS_BYTES;
}

/** Throws Fault; then nothing has changed. The caller has raised pending exceptions where the instruction waits. */
export function transferFpu(
  cpu: FpuCore,
  what: FpuTransfer,
  address: bigint,
  wide: boolean,
  registers: number,
  privilege: Privilege,
): void {
  const image = cpu.readFx();
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  if ((what === "FXSAVE" || what === "FXRSTOR") && address & 15n) throw new Fault(Exception.GP, 0);
  const memory = new Uint8Array(transferBytes(what, wide, registers));
  switch (what) {
    case "FXSAVE":
      memory.set(image.subarray(0, memory.length));
      return cpu.writeBytes(address, memory, privilege);
    case "FXRSTOR":
      cpu.readBytes(address, memory, privilege);
      if (new DataView(memory.buffer).getUint32(FX_MXCSR, true) & ~MXCSR_VALID) throw new Fault(Exception.GP, 0);
      image.set(memory);
      setControlAndStatus(view, view.getUint16(0, true), view.getUint16(2, true));
      return cpu.writeFx(image);
    case "FNSTENV":
      storeEnvironment(view, memory, wide);
      cpu.writeBytes(address, memory, privilege);
      setControlAndStatus(view, view.getUint16(0, true) | EXCEPTIONS, view.getUint16(2, true));
      return cpu.writeFx(image);
    case "FLDENV":
      cpu.readBytes(address, memory, privilege);
      loadEnvironment(view, image, memory, wide);
      return cpu.writeFx(image);
    case "FNSAVE":
      storeEnvironment(view, memory, wide);
      for (let index = 0; index < 8; index++) {
        const at = FX_REGISTERS + 16 * index;
        memory.set(image.subarray(at, at + 10), memory.length - REGISTERS_BYTES + 10 * index);
      }
      cpu.writeBytes(address, memory, privilege);
      // FNINIT: all registers are empty, and keep their contents.
      moveTop(view, image, 0);
      view.setUint16(0, INITIAL_CONTROL, true);
      view.setUint16(2, 0, true);
      view.setUint8(4, 0);
      return cpu.writeFx(image);
    case "FRSTOR":
      cpu.readBytes(address, memory, privilege);
      loadEnvironment(view, image, memory, wide);
      for (let index = 0; index < 8; index++) {
        const from = memory.length - REGISTERS_BYTES + 10 * index;
        image.set(memory.subarray(from, from + 10), FX_REGISTERS + 16 * index);
      }
      return cpu.writeFx(image);
  }
}

const topOf = (view: DataView): number => (view.getUint16(2, true) >>> 11) & 7;

/** Registers do not move; which one is ST(i) depends on the top of the stack. */
function moveTop(view: DataView, image: Uint8Array, top: number): void {
  const old = image.slice(FX_REGISTERS, FX_XMM);
  const oldTop = topOf(view);
  for (let index = 0; index < 8; index++) {
    const from = 16 * ((top + index - oldTop) & 7);
    image.set(old.subarray(from, from + 16), FX_REGISTERS + 16 * index);
  }
}

/** Bit 6 of the control word is always set, and the summary of the status follows from both. */
function setControlAndStatus(view: DataView, control: number, status: number): void {
  view.setUint16(0, (control & 0x1f3f) | 0x40, true);
  view.setUint16(2, (status & ~SUMMARY) | (status & ~control & EXCEPTIONS ? SUMMARY : 0), true);
}

/** Two bits per physical register: valid, zero, special or empty. */
function tagWord(view: DataView): number {
  const tags = view.getUint8(4);
  let word = 0;
  for (let index = 0; index < 8; index++) {
    const physical = (topOf(view) + index) & 7;
    const at = FX_REGISTERS + 16 * index;
    const exponent = view.getUint16(at + 8, true) & 0x7fff;
    const high = view.getUint32(at + 4, true);
    const isZero = exponent === 0 && high === 0 && view.getUint32(at, true) === 0;
    const isValid = exponent !== 0 && exponent !== 0x7fff && high >>> 31 === 1;
    word |= (!(tags & (1 << physical)) ? EMPTY : isZero ? 1 : isValid ? 0 : 2) << (2 * physical);
  }
  return word;
}

/** The environment in memory: seven words of 4 or 2 bytes, in the protected-mode format, with pointers of 0. */
function storeEnvironment(view: DataView, memory: Uint8Array, wide: boolean): void {
  const out = new DataView(memory.buffer);
  [view.getUint16(0, true), view.getUint16(2, true), tagWord(view)].forEach((word, index) => {
    if (wide) out.setUint32(index * 4, 0xffff_0000 + word, true);
    else out.setUint16(index * 2, word, true);
  });
  if (wide) out.setUint32(24, 0xffff_0000, true);
}

function loadEnvironment(view: DataView, image: Uint8Array, memory: Uint8Array, wide: boolean): void {
  const from = new DataView(memory.buffer);
  const [control, status, tags] = [0, 1, 2].map((index) => from.getUint16(index * (wide ? 4 : 2), true));
  moveTop(view, image, (status >>> 11) & 7);
  setControlAndStatus(view, control, status);
  let used = 0;
  for (let index = 0; index < 8; index++) if (((tags >> (2 * index)) & 3) !== EMPTY) used |= 1 << index;
  view.setUint8(4, used);
}
