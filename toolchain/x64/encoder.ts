/**
 * Chooses the form that fits an instruction's operands and writes its bytes (Intel SDM vol. 2, chapter 2). Fields with
 * unknown values become fixups; the assembler turns them into label distances or relocations.
 */
import type { Relocation, SymbolExpression } from "../link/object.ts";
import { type Form, type Pattern, Slot, forms, formsFor, modeBit } from "./forms.ts";
import { formatInstruction, formatNumber } from "./format.ts";
import type { FarOperand, MemoryOperand, Operand } from "./operand.ts";
import { Class, type Register, SEGMENTS, registers } from "./registers.ts";

export type Bits = 16 | 32 | 64;
/** An error in assembly: one readable line. */
export class AssemblerError extends Error {}

/** A field to fill in: a relocation, or a 16-bit branch distance, which is never left to the linker. */
export interface Fixup {
  offset: number;
  kind: Relocation["kind"] | "rel16";
  expression: SymbolExpression;
  trailing: number;
}

/** A growing run of code bytes with its fixups. */
export class CodeBuffer {
  bytes = new Uint8Array(256);
  length = 0;
  fixups: Fixup[] = [];

  /** Makes room for one instruction (15 bytes at most). */
  reserve(): void {
    if (this.length + 16 <= this.bytes.length) return;
    const larger = new Uint8Array(this.bytes.length * 2);
    larger.set(this.bytes);
    this.bytes = larger;
  }
  byte(value: number): void {
    this.bytes[this.length++] = value;
  }
  /** Little-endian field of 1, 2, 4 or 8 bytes. */
  field(value: bigint, bytes: number): void {
    if (bytes === 8) {
      this.field(value, 4);
      this.field(value >> 32n, 4);
      return;
    }
    // Most values are small; large ones need an exact low half.
    const plain = Number(value);
    let rest = plain === (plain | 0) ? plain : Number(BigInt.asIntN(32, value));
    for (let i = 0; i < bytes; i++) {
      this.bytes[this.length++] = rest & 255;
      rest >>= 8;
    }
  }
}

const MEMORY_CLASS: Readonly<Record<MemoryOperand["width"], number>> = {
  0: Class.M0,
  8: Class.M8,
  16: Class.M16,
  32: Class.M32,
  64: Class.M64,
  80: Class.M80,
  128: Class.M128,
};

function registerNamed(name: string): Register {
  const register = registers.get(name);
  if (register === undefined) throw new AssemblerError(`unknown register '${name}'`);
  return register;
}

function classesOf(operand: Operand): number {
  switch (operand.kind) {
    case "register":
      return registerNamed(operand.name).classes;
    case "memory":
      return MEMORY_CLASS[operand.width];
    case "immediate":
      return operand.value === 1n ? Class.IMMEDIATE | Class.ONE : Class.IMMEDIATE;
    case "symbol":
      return Class.SYMBOL;
    case "label":
      return Class.LABEL;
    case "far":
      return Class.FAR;
  }
}

function fitsSigned(value: bigint, width: number): boolean {
  const plain = Number(value);
  return (width > 8 && plain >= -128 && plain <= 127) || BigInt.asIntN(width, value) === value;
}
const fitsEither = (value: bigint, width: number): boolean =>
  fitsSigned(value, width) || BigInt.asUintN(width, value) === value;

function immediateFits(value: bigint, pattern: Pattern, form: Form, bits: Bits): boolean {
  const width = pattern.bytes * 8;
  const plain = Number(value);
  if (plain >= -128 && plain <= 127) return true;
  if (!pattern.signed) return fitsEither(value, width);
  // In a 32-bit operation 0xffff_ffff means -1.
  const operation = form.operandSize === 0 ? bits : form.operandSize;
  return fitsEither(value, operation) && fitsSigned(BigInt.asIntN(operation, value), width);
}

function fits(
  form: Form,
  operands: readonly Operand[],
  classes: readonly number[],
  bits: Bits,
  ranges: boolean,
): boolean {
  const { patterns } = form;
  if (patterns.length !== operands.length || (form.modes & modeBit(bits)) === 0) return false;
  for (let i = 0; i < patterns.length; i++) {
    if ((patterns[i].mask & classes[i]) === 0) return false;
  }
  if (!ranges) return true;
  for (let i = 0; i < patterns.length; i++) {
    const operand = operands[i];
    if (
      operand.kind === "immediate" &&
      patterns[i].slot === Slot.IMMEDIATE &&
      !immediateFits(operand.value, patterns[i], form, bits)
    )
      return false;
  }
  return true;
}

/** Scratch: classes of the current operands. Kept, because every instruction needs it. */
const scratch: number[] = [];

/** The form that encodes an instruction. Throws an AssemblerError that says why there is none. */
export function selectForm(mnemonic: string, operands: readonly Operand[], bits: Bits): Form {
  const candidates = formsFor(mnemonic, bits, operands.length);
  if (candidates === undefined) throw new AssemblerError(`unknown instruction '${mnemonic}'`);
  const classes = scratch;
  for (let k = 0; k < operands.length; k++) classes[k] = classesOf(operands[k]);
  for (let i = 0; i < candidates.length; i++) {
    const form = candidates[i];
    if (!fits(form, operands, classes, bits, true)) continue;
    for (let k = 0; k < operands.length; k++) {
      if (classes[k] === Class.M0) checkSize(candidates, form, k, mnemonic, operands, classes, bits);
    }
    return form;
  }
  throw new AssemblerError(whyNot(forms.get(mnemonic) ?? [], mnemonic, operands, classes, bits));
}

/** If operand k is memory without a width, all matching forms must give it the same width. */
function checkSize(
  candidates: readonly Form[],
  chosen: Form,
  k: number,
  mnemonic: string,
  operands: readonly Operand[],
  classes: readonly number[],
  bits: Bits,
): void {
  const ALL = Class.M8 | Class.M16 | Class.M32 | Class.M64 | Class.M80 | Class.M128;
  const width = chosen.patterns[k].mask & ALL;
  if (candidates.every((form) => !fits(form, operands, classes, bits, true) || (form.patterns[k].mask & ALL) === width))
    return;
  const text = formatInstruction(mnemonic, operands);
  throw new AssemblerError(`${text}: size of the memory operand not known; write byte, word, dword or qword ptr`);
}

function whyNot(
  candidates: readonly Form[],
  mnemonic: string,
  operands: readonly Operand[],
  classes: readonly number[],
  bits: Bits,
): string {
  const text = formatInstruction(mnemonic, operands);
  if (candidates.every((form) => (form.modes & modeBit(bits)) === 0))
    return `${text}: does not exist in ${bits}-bit code`;
  const wide = candidates.find((form) => fits(form, operands, classes, bits, false));
  if (wide !== undefined) {
    const at = operands.findIndex((operand) => operand.kind === "immediate");
    const operand = operands[at];
    const largest = candidates.filter((form) => fits(form, operands, classes, bits, false)).pop() ?? wide;
    const value = operand.kind === "immediate" ? formatNumber(operand.value) : "";
    return `${text}: ${value} does not fit ${largest.patterns[at].text}`;
  }
  for (const other of [64, 32, 16] as const) {
    if (candidates.some((form) => fits(form, operands, classes, other, true)))
      return `${text}: not in ${bits}-bit code, only in ${other}-bit code`;
  }
  const counts = [...new Set(candidates.map((form) => form.patterns.length))].sort();
  if (!counts.includes(operands.length))
    return `${text}: takes ${counts.join(" or ")} operand${counts.join() === "1" ? "" : "s"}`;
  const accepted = candidates
    .filter((form) => form.patterns.length === operands.length && (form.modes & modeBit(bits)) !== 0)
    .map((form) => form.patterns.map((pattern) => pattern.text).join(", "));
  const shown = [...new Set(accepted)];
  const forms = `${shown.slice(0, 6).join(" | ")}${shown.length > 6 ? " | …" : ""}`;
  return `${text}: no such combination of operands; ${mnemonic} takes ${forms}`;
}

/** ModRM.rm, SIB and displacement of a memory operand, computed before the prefixes are written. */
interface Address {
  /** Address size in bits; it decides the 67 prefix. */
  size: Bits;
  mod: number;
  rm: number;
  /** SIB byte, or -1. */
  sib: number;
  rexX: number;
  rexB: number;
  displacementBytes: number;
}

const badAddress = (memory: MemoryOperand, why: string): AssemblerError =>
  new AssemblerError(`${formatInstruction("", [memory]).trim()}: ${why}`);

/** ModRM.rm of a 16-bit address by base and index (Intel SDM vol. 2, table 2-1). */
const RM16: Readonly<Record<string, number>> = { bxsi: 0, bxdi: 1, bpsi: 2, bpdi: 3, si: 4, di: 5, bp: 6, bx: 7 };

function address(memory: MemoryOperand, bits: Bits): Address {
  let { base, index } = memory;
  const { displacement } = memory;
  const baseRegister = base === null ? null : registerNamed(base);
  const relative = base === "rip" || base === "eip";
  if (relative) {
    if (bits !== 64) throw badAddress(memory, "relative addresses exist only in 64-bit code");
    if (index !== null) throw badAddress(memory, `an address relative to ${base} has no index`);
    if (!fitsSigned(displacement, 32)) throw badAddress(memory, "displacement does not fit 32 bits");
    return { size: base === "rip" ? 64 : 32, mod: 0, rm: 5, sib: -1, rexX: 0, rexB: 0, displacementBytes: 4 };
  }
  const indexRegister = index === null ? null : registerNamed(index);
  for (const register of [baseRegister, indexRegister]) {
    if (
      register !== null &&
      (register.width < 16 || register.width > 64 || (register.classes & (Class.SREG | Class.CR | Class.DR)) !== 0)
    ) {
      throw badAddress(memory, `${register.name} cannot be part of an address`);
    }
  }
  const size = (baseRegister?.width ?? indexRegister?.width ?? bits) as Bits;
  if (indexRegister !== null && indexRegister.width !== size)
    throw badAddress(memory, "base and index differ in width");
  if (bits === 64 && size === 16) throw badAddress(memory, "16-bit addresses do not exist in 64-bit code");
  if (bits !== 64 && size === 64) throw badAddress(memory, `64-bit addresses do not exist in ${bits}-bit code`);
  // Addresses wrap at their size, so 0xffff_ffff_8000_0000 equals its negative form.
  const value = size === 64 ? BigInt.asIntN(64, displacement) : displacement;
  if (size === 64 ? !fitsSigned(value, 32) || !fitsEither(displacement, 64) : !fitsEither(value, size)) {
    throw badAddress(memory, `displacement does not fit ${size === 16 ? 16 : 32} bits`);
  }
  const small = memory.symbol === null && fitsSigned(BigInt.asIntN(size, value), 8);
  const zero = memory.symbol === null && displacement === 0n;
  if (size === 16) {
    if (memory.scale !== 1) throw badAddress(memory, "16-bit addresses have no scale");
    if (base === "si" || base === "di") [base, index] = [index, base];
    const rm = base === null && index === null ? 6 : RM16[`${base ?? ""}${index ?? ""}`];
    if (rm === undefined) throw badAddress(memory, "16-bit addresses are bx or bp plus si or di");
    if (base === null && index === null) return { size, mod: 0, rm, sib: -1, rexX: 0, rexB: 0, displacementBytes: 2 };
    const mod = zero && rm !== 6 ? 0 : small ? 1 : 2;
    return { size, mod, rm, sib: -1, rexX: 0, rexB: 0, displacementBytes: mod };
  }
  let b = baseRegister?.number ?? -1;
  let x = indexRegister?.number ?? -1;
  let { scale } = memory;
  if (x === 4 && scale === 1 && b !== 4) [b, x] = [x, b];
  if (b === -1 && scale === 1) [b, x] = [x, b];
  if (x === 4) throw badAddress(memory, `${index} cannot be an index`);
  if (x === -1) scale = 1;
  const rexX = x >= 8 ? 1 : 0;
  const rexB = b >= 8 ? 1 : 0;
  const scaleBits = scale === 1 ? 0 : scale === 2 ? 1 : scale === 4 ? 2 : 3;
  if (b === -1) {
    // Without a base, ModRM alone means rip-relative in 64-bit code, so an absolute address needs a SIB without base
    // and index.
    const sib = x === -1 ? (bits === 64 ? 0x25 : -1) : (scaleBits << 6) | ((x & 7) << 3) | 5;
    return { size, mod: 0, rm: sib === -1 ? 5 : 4, sib, rexX, rexB, displacementBytes: 4 };
  }
  const mod = zero && (b & 7) !== 5 ? 0 : small ? 1 : 2;
  const sib = x === -1 && (b & 7) !== 4 ? -1 : (scaleBits << 6) | ((x === -1 ? 4 : x & 7) << 3) | (b & 7);
  return { size, mod, rm: sib === -1 ? b & 7 : 4, sib, rexX, rexB, displacementBytes: mod === 2 ? 4 : mod };
}

const SEGMENT_PREFIX = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/**
 * Writes one instruction in a form that fits it (selectForm). A label operand leaves a fixup with the label's name as
 * expression.
 */
export function encode(buffer: CodeBuffer, form: Form, operands: readonly Operand[], bits: Bits): void {
  buffer.reserve();
  const start = buffer.length;
  try {
    encodeUnchecked(buffer, form, operands, bits);
  } catch (error) {
    buffer.length = start;
    throw error;
  }
}

function encodeUnchecked(buffer: CodeBuffer, form: Form, operands: readonly Operand[], bits: Bits): void {
  const { patterns, operandSize, opcode } = form;
  let reg = typeof form.modrm === "number" ? form.modrm : 0;
  let rm = -1;
  let opcodeRegister = 0;
  let memory: MemoryOperand | null = null;
  let where: Address | null = null;
  let rex = operandSize === 64 ? 8 : 0;
  let needsRex = false;
  let forbidsRex: Register | null = null;
  let high: Register | null = null;
  for (let i = 0; i < operands.length; i++) {
    const operand = operands[i];
    if (operand.kind === "register") {
      const slot = patterns[i].slot;
      if (slot === Slot.IMPLIED) continue;
      const register = registerNamed(operand.name);
      if (register.needsRex) needsRex = true;
      if (register.forbidsRex) forbidsRex = register;
      if (register.number >= 8 || register.needsRex) high = register;
      const extension = register.number >> 3;
      if (slot === Slot.REG) {
        reg = register.number & 7;
        rex |= extension << 2;
      } else if (slot === Slot.OPCODE) {
        opcodeRegister = register.number & 7;
        rex |= extension;
      } else {
        rm = register.number & 7;
        rex |= extension;
      }
      if (slot === Slot.REG && register.name === "cs" && operands[0] === operand)
        throw new AssemblerError("mov cs: not possible; use ljmp or lretq");
    } else if (operand.kind === "memory") {
      memory = operand;
      where = address(operand, bits);
      rex |= (where.rexX << 1) | where.rexB;
    }
  }
  if (rex !== 0 || needsRex) {
    if (bits !== 64)
      throw new AssemblerError(
        `${formatInstruction(form.mnemonic, operands)}: ${high?.name ?? "this register"} exists only in 64-bit code`,
      );
    if (forbidsRex !== null) {
      const reasons = "r8–r15, spl, bpl, sil, dil or 64-bit operands";
      const why = `${forbidsRex.name} cannot stand in an instruction with a REX prefix (${reasons})`;
      throw new AssemblerError(`${formatInstruction(form.mnemonic, operands)}: ${why}`);
    }
    rex |= 0x40;
  }
  if (memory !== null && memory.segment !== null) buffer.byte(SEGMENT_PREFIX[SEGMENTS.indexOf(memory.segment)]);
  if ((where !== null && where.size !== bits) || (form.addressSize === 32 && bits !== 32)) buffer.byte(0x67);
  if (operandSize === 16 ? bits !== 16 : operandSize === 32 && bits === 16) buffer.byte(0x66);
  if (form.prefix !== 0) buffer.byte(form.prefix);
  if (rex !== 0) buffer.byte(rex);
  for (let i = 0; i < opcode.length - 1; i++) buffer.byte(opcode[i]);
  buffer.byte(opcode[opcode.length - 1] | opcodeRegister);
  if (form.modrm !== "none") {
    if (memory !== null && where !== null) {
      buffer.byte((where.mod << 6) | (reg << 3) | where.rm);
      if (where.sib !== -1) buffer.byte(where.sib);
      writeDisplacement(buffer, memory, where, bits, form.immediateBytes);
    } else {
      buffer.byte(0xc0 | (reg << 3) | rm);
    }
  }
  for (let i = 0; i < operands.length; i++) {
    const operand = operands[i];
    const pattern = patterns[i];
    if (pattern.slot === Slot.IMMEDIATE)
      writeImmediate(buffer, operand, pattern, operandSize === 0 ? bits : operandSize);
    else if (pattern.slot === Slot.RELATIVE) writeDistance(buffer, operand, pattern);
    else if (pattern.slot === Slot.FAR && operand.kind === "far") writeFar(buffer, operand);
  }
}

function writeDisplacement(
  buffer: CodeBuffer,
  memory: MemoryOperand,
  where: Address,
  bits: Bits,
  trailing: number,
): void {
  if (where.displacementBytes === 0) return;
  if (memory.symbol === null) {
    buffer.field(memory.displacement, where.displacementBytes);
    return;
  }
  const expression = { ...memory.symbol, addend: memory.symbol.addend + memory.displacement };
  const relative = memory.base === "rip" || memory.base === "eip";
  if (relative && expression.minus !== null)
    throw badAddress(memory, "a difference of symbols cannot be relative to rip");
  const kind = relative ? "rel32" : where.size === 16 ? "abs16" : bits === 64 && where.size === 64 ? "abs32s" : "abs32";
  buffer.fixups.push({ offset: buffer.length, kind, expression, trailing: relative ? trailing : 0 });
  buffer.field(0n, where.displacementBytes);
}

function writeImmediate(buffer: CodeBuffer, operand: Operand, pattern: Pattern, operation: number): void {
  const { bytes } = pattern;
  if (operand.kind === "immediate") {
    buffer.field(operand.value, bytes);
    return;
  }
  if (operand.kind !== "symbol") return;
  const kind =
    bytes === 8 ? "abs64" : bytes === 2 ? "abs16" : bytes === 1 ? "abs8" : operation === 64 ? "abs32s" : "abs32";
  buffer.fixups.push({ offset: buffer.length, kind, expression: operand.expression, trailing: 0 });
  buffer.field(0n, bytes);
}

function writeDistance(buffer: CodeBuffer, operand: Operand, pattern: Pattern): void {
  const kind = pattern.bytes === 1 ? "rel8" : pattern.bytes === 2 ? "rel16" : "rel32";
  if (operand.kind === "label") {
    buffer.fixups.push({
      offset: buffer.length,
      kind,
      expression: { plus: operand.name, minus: null, addend: 0n },
      trailing: 0,
    });
  } else if (operand.kind === "symbol") {
    if (operand.expression.minus !== null)
      throw new AssemblerError("the target of a jump or call is one symbol, not a difference");
    buffer.fixups.push({ offset: buffer.length, kind, expression: operand.expression, trailing: 0 });
  }
  buffer.field(0n, pattern.bytes);
}

function writeFar(buffer: CodeBuffer, operand: FarOperand): void {
  if (operand.selector < 0 || operand.selector > 0xffff)
    throw new AssemblerError(`ljmp: selector ${operand.selector} does not fit 16 bits`);
  const { offset } = operand;
  if (offset.kind === "immediate") {
    if (!fitsEither(offset.value, 32))
      throw new AssemblerError(`ljmp: offset ${formatNumber(offset.value)} does not fit 32 bits`);
    buffer.field(offset.value, 4);
  } else {
    buffer.fixups.push({ offset: buffer.length, kind: "abs32", expression: offset.expression, trailing: 0 });
    buffer.field(0n, 4);
  }
  buffer.field(BigInt(operand.selector), 2);
}
