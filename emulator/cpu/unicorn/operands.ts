/**
 * Finds the bytes of memory that an instruction accesses, by iced-x86. This is needed only if a misaligned load meets a
 * watched page, and for faults in the last page of the lower canonical addresses; so the large package is loaded on
 * first use.
 */
import { createRequire } from "node:module";
import type * as Iced from "iced-x86";
import { gprNames } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import type { Processor } from "./processor.ts";

const LONGEST_INSTRUCTION = 15;
/** The first non-canonical address. */
export const CANONICAL_END = 0x8000_0000_0000n;
let loaded: typeof Iced | undefined;

/** A part of a page that is read. */
export interface Read {
  readonly linear: bigint;
  readonly bytes: number;
}

/**
 * The bytes within [linear, linear + bytes) that the instruction at RIP is about to read. If its operands do not tell
 * (implicit loads), all of the range.
 */
export function splitReads(processor: Processor, linear: bigint, bytes: number): readonly Read[] {
  const end = linear + BigInt(bytes);
  const reads: Read[] = [];
  for (const [address, size] of readOperands(processor)) {
    const first = address > linear ? address : linear;
    const last = address + BigInt(size) < end ? address + BigInt(size) : end;
    if (first < last) reads.push({ linear: first, bytes: Number(last - first) });
  }
  return reads.length > 0 ? reads : [{ linear, bytes }];
}

/**
 * Does the instruction at RIP access memory across the end of the lower canonical addresses? Then it raises #GP or #SS.
 */
export function leavesCanonical(processor: Processor): boolean {
  return memoryOperands(processor, () => true).some(
    ([address, bytes]) => address < CANONICAL_END && address + BigInt(bytes) > CANONICAL_END,
  );
}

function readOperands(processor: Processor): [address: bigint, bytes: number][] {
  const { OpAccess } = load();
  return memoryOperands(
    processor,
    (access) => access === OpAccess.Read || access === OpAccess.ReadWrite || access === OpAccess.CondRead,
  );
}

const load = (): typeof Iced => (loaded ??= createRequire(import.meta.url)("iced-x86") as typeof Iced);

function memoryOperands(
  processor: Processor,
  wanted: (access: Iced.OpAccess) => boolean,
): [address: bigint, bytes: number][] {
  const { Decoder, DecoderOptions, InstructionInfoFactory, MemorySizeExt, RegisterExt } = load();
  const code: number[] = [];
  for (let at = processor.linearRip; code.length < LONGEST_INSTRUCTION; at++) {
    const byte = processor.peekByte(at);
    if (byte === undefined) break;
    code.push(byte);
  }
  const decoder = new Decoder(
    processor.is64Bit ? 64 : processor.is32Bit ? 32 : 16,
    Uint8Array.from(code),
    DecoderOptions.None,
  );
  decoder.ip = processor.rip;
  const instruction = decoder.decode();
  const factory = new InstructionInfoFactory();
  const info = factory.info(instruction);
  const operands: [bigint, number][] = [];
  for (const memory of info.usedMemory() as Iced.UsedMemory[]) {
    // With a repeat prefix the operand is the whole string; this is one iteration of it.
    const size = MemorySizeExt.size(memory.memorySize) || MemorySizeExt.size(instruction.memorySize);
    if (wanted(memory.access) && size > 0) {
      const offset =
        registerValue(processor, memory.base) +
        registerValue(processor, memory.index) * BigInt(memory.scale) +
        memory.displacement;
      const bits = 8 * (RegisterExt.size(memory.base) || RegisterExt.size(memory.index) || 8);
      const linear = segmentBase(processor, memory.segment) + BigInt.asUintN(bits, offset);
      operands.push([BigInt.asUintN(processor.is64Bit ? 64 : 32, linear), size]);
    }
    memory.free();
  }
  info.free();
  factory.free();
  instruction.free();
  decoder.free();
  return operands;
}

/** iced-x86 gives the address of a RIP-relative operand as its displacement. */
function registerValue(processor: Processor, register: Iced.Register): bigint {
  const { Register, RegisterExt } = loaded as typeof Iced;
  if (register === Register.None || register === Register.RIP || register === Register.EIP) return 0n;
  const index = RegisterExt.number(register);
  return index < gprNames.length ? BigInt.asUintN(RegisterExt.size(register) * 8, processor.gpr(index)) : 0n;
}

function segmentBase(processor: Processor, register: Iced.Register): bigint {
  const { Register } = loaded as typeof Iced;
  const index = [Register.ES, Register.CS, Register.SS, Register.DS, Register.FS, Register.GS].indexOf(register);
  if (index < 0 || (processor.is64Bit && index < SegmentIndex.FS)) return 0n;
  return processor.segment(index as SegmentIndex).base;
}
