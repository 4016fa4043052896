/**
 * Random operands for the rows of the instruction table, and iced-x86's decoding of the bytes, both as comparable text.
 */
import { Decoder, DecoderOptions, type Instruction, MemorySizeExt, Mnemonic, OpKind, Register } from "iced-x86";
import type { Prng } from "../../../toolchain/lib/prng.ts";
import { AssemblerError, type Bits, CodeBuffer, encode } from "../../../toolchain/x64/encoder.ts";
import { type Form, type Pattern, Slot } from "../../../toolchain/x64/forms.ts";
import { CONDITIONS } from "../../../toolchain/x64/instructions.ts";
import type { MemoryOperand, Operand } from "../../../toolchain/x64/operand.ts";
import { Class, HIGH_BYTES, registerName, registers, resize } from "../../../toolchain/x64/registers.ts";

// ---- operands ------------------------------------------------------------------------------------------------------

/** Immediates of these are counts, ports and vectors: never negative. */
const UNSIGNED = /^(in|out|int|ret|lret|retf|sh[lr]d?|sal|sar|r[oc][lr]|bt[src]?)$/;

function displacement(random: Prng, bits: Bits): bigint {
  const size = random.pick([0, 8, 8, 16, 32]);
  if (size === 0) return 0n;
  const value = BigInt.asIntN(Math.min(size, bits === 16 ? 16 : 32), random.u64());
  return value;
}

const BASES_16: readonly (readonly [string, string | null])[] = [
  ["bx", "si"],
  ["bx", "di"],
  ["bp", "si"],
  ["bp", "di"],
  ["si", null],
  ["di", null],
  ["bp", null],
  ["bx", null],
];

function memory(random: Prng, width: MemoryOperand["width"], bits: Bits): MemoryOperand {
  const make = (base: string | null, index: string | null, scale: 1 | 2 | 4 | 8, size: Bits): MemoryOperand => ({
    kind: "memory",
    width,
    base,
    index,
    scale,
    displacement:
      base === null && index === null && bits !== 64
        ? BigInt.asUintN(size, displacement(random, size))
        : displacement(random, size),
    symbol: null,
    segment: random.below(6) === 0 ? random.pick(["fs", "gs"] as const) : null,
  });
  const addressBits: Bits = bits === 64 ? random.pick([64, 64, 64, 32]) : random.pick([bits, bits, 16, 32]);
  if (addressBits === 16) {
    const [base, index] = random.pick(BASES_16);
    return make(base, index, 1, 16);
  }
  const count = bits === 64 ? 16 : 8;
  const base = registerName(random.below(count), addressBits);
  let indexNumber = random.below(count);
  if (indexNumber === 4) indexNumber = 6;
  const index = registerName(indexNumber, addressBits);
  const scale = random.pick([1, 2, 4, 8] as const);
  switch (random.below(bits === 64 ? 6 : 5)) {
    case 0:
    case 1:
      return make(base, null, 1, addressBits);
    case 2:
      return make(base, index, scale, addressBits);
    case 3:
      return make(null, index, random.pick([2, 4, 8] as const), addressBits);
    case 4:
      return make(null, null, 1, bits);
    default:
      return make("rip", null, 1, 64);
  }
}

function immediate(random: Prng, pattern: Pattern, form: Form): bigint {
  const width = random.below(4) === 0 ? Math.min(8, pattern.bytes * 8) : pattern.bytes * 8;
  const value = BigInt.asUintN(width, random.u64());
  if (pattern.signed) return BigInt.asIntN(width, value);
  return UNSIGNED.test(form.mnemonic) || random.below(2) === 0 ? value : BigInt.asIntN(width, value);
}

function operand(random: Prng, form: Form, pattern: Pattern, bits: Bits): Operand {
  const { mask, slot } = pattern;
  if (slot === Slot.RELATIVE) return { kind: "label", name: "L" };
  if (slot === Slot.FAR) {
    return { kind: "far", selector: random.below(65536), offset: { kind: "immediate", value: BigInt(random.u32()) } };
  }
  if (slot === Slot.IMMEDIATE) return { kind: "immediate", value: immediate(random, pattern, form) };
  if ((mask & Class.ONE) !== 0) return { kind: "immediate", value: 1n };
  if (slot === Slot.IMPLIED) return { kind: "register", name: pattern.text };
  const widths = { [Class.M8]: 8, [Class.M16]: 16, [Class.M32]: 32, [Class.M64]: 64, [Class.M128]: 128 } as const;
  const sized = Object.entries(widths).filter(([bit]) => (mask & Number(bit)) !== 0);
  const classes = mask & (Class.R8 | Class.R16 | Class.R32 | Class.R64 | Class.SREG | Class.CR | Class.DR | Class.XMM);
  if (sized.length > 0 && (classes === 0 || random.below(2) === 0))
    return memory(random, sized.length === 1 ? sized[0][1] : 0, bits);
  const usable = [...registers.values()].filter(
    (register) => (register.classes & classes) !== 0 && (bits === 64 || register.number < 8),
  );
  return { kind: "register", name: random.pick(usable).name };
}

export interface Sample {
  readonly form: Form;
  readonly bits: Bits;
  readonly operands: readonly Operand[];
  /** As the row encodes it, even if other rows would fit. */
  readonly bytes: Uint8Array;
  /** Branches: bytes from the start of the instruction to its target. */
  readonly distance: number;
}

/** Operands for one row, and its bytes. Impossible combinations (ah with REX, r8 in legacy modes) are drawn again. */
export function sample(random: Prng, form: Form, bits: Bits): Sample {
  for (let attempt = 0; attempt < 200; attempt++) {
    const operands = form.patterns.map((pattern) => operand(random, form, pattern, bits));
    if (form.mnemonic === "mov" && operands[0].kind === "register" && operands[0].name === "cs") continue;
    // GNU as encodes int 3 as int3, which has a separate opcode.
    if (form.mnemonic === "int" && operands[0].kind === "immediate" && operands[0].value === 3n) continue;
    const buffer = new CodeBuffer();
    try {
      encode(buffer, form, operands, bits);
    } catch (error) {
      if (error instanceof AssemblerError) continue;
      throw error;
    }
    let distance = 0;
    for (const fixup of buffer.fixups) {
      const width = fixup.kind === "rel8" ? 8 : fixup.kind === "rel16" || bits === 16 ? 15 : 32;
      const relative = Number(BigInt.asIntN(width, random.u64()));
      distance = relative + buffer.length;
      const bytes = fixup.kind === "rel8" ? 1 : fixup.kind === "rel16" ? 2 : 4;
      for (let i = 0; i < bytes; i++) buffer.bytes[fixup.offset + i] = relative >> (8 * i);
    }
    return { form, bits, operands, bytes: buffer.bytes.slice(0, buffer.length), distance };
  }
  throw new Error(`no operands found for ${form.mnemonic} ${form.row[1]} in ${bits}-bit code`);
}

// ---- comparable text -----------------------------------------------------------------------------------------------

const lower = (register: Register): string => Register[register].toLowerCase().replace(/^r(\d+)l$/, "r$1b");
/** Selector registers: only 16 bits count, so `mov ds, ax` and `mov ds, eax` are one instruction. */
const SELECTORS = /^(mov\b.*\b(es|cs|ss|ds|fs|gs)\b|ltr|lldt)/;
const word = (name: string): string => {
  const register = registers.get(name);
  return register !== undefined &&
    register.width >= 16 &&
    register.width <= 64 &&
    !HIGH_BYTES.some((high) => high === name) &&
    (register.classes & Class.SREG) === 0
    ? registerName(register.number, 16)
    : name;
};

const BASE_MNEMONIC = new Map<string, string>([
  ...CONDITIONS.flatMap((names) =>
    ["j", "set", "cmov"].flatMap((stem) => names.map((name): [string, string] => [stem + name, stem + names[0]])),
  ),
  ["movabs", "mov"],
  ["lret", "retf"],
  ["lretq", "retf"],
  ["retfq", "retf"],
  ["ljmp", "jmp"],
  ["sal", "shl"],
]);
const BY_MODE: Readonly<Record<string, Readonly<Record<Bits, string>>>> = {
  iret: { 16: "iret", 32: "iretd", 64: "iretd" },
  pushf: { 16: "pushf", 32: "pushfd", 64: "pushfq" },
  popf: { 16: "popf", 32: "popfd", 64: "popfq" },
};

function memoryText(base: string, index: string, scale: number, offset: bigint, segment: string): string {
  return `${segment}:[${base}+${index}*${scale}+${offset}]`;
}

/** The meaning of a sample, in the form of `decoded`. */
export function expected({ form, bits, operands, distance }: Sample): string {
  const mnemonic = BY_MODE[form.mnemonic]?.[bits] ?? BASE_MNEMONIC.get(form.mnemonic) ?? form.mnemonic;
  const texts = operands.map((given, i): string => {
    const pattern = form.patterns[i];
    switch (given.kind) {
      case "register":
        return given.name;
      case "immediate": {
        const width = pattern.signed ? form.operandSize || bits : Math.max(8, pattern.bytes * 8);
        return BigInt.asUintN(width, given.value).toString();
      }
      case "label":
        return `.+${wrap(distance, bits)}`;
      case "far":
        return `${given.selector}:${given.offset.kind === "immediate" ? given.offset.value : ""}`;
      case "memory": {
        const { index, scale } = given;
        // rsp cannot be an index; unscaled, it changes places with the base.
        const size =
          given.base === null && index === null ? bits : (registers.get(given.base ?? index ?? "")?.width ?? 64);
        const offset = BigInt.asUintN(size === 0 ? 64 : size, given.displacement);
        const text = memoryText(
          given.base ?? "none",
          index ?? "none",
          index === null ? 1 : scale,
          offset,
          given.segment ?? "none",
        );
        return given.width === 0 ? text : `${given.width} ${text}`;
      }
      default:
        return "";
    }
  });
  return finishText(mnemonic, texts);
}

const wrap = (distance: number, bits: Bits): string => BigInt.asUintN(bits, BigInt(distance)).toString();

function finishText(mnemonic: string, texts: readonly string[]): string {
  // Exchanges and tests are symmetric; both orders have one encoding.
  const ordered = mnemonic === "xchg" || mnemonic === "test" ? [...texts].sort() : texts;
  const text = `${mnemonic} ${ordered.join(", ")}`.trim();
  // Writing a 32-bit register clears the upper half, so GNU as omits REX.W here.
  if (mnemonic === "str" && registers.get(texts[0])?.width === 64) return `str ${resize(texts[0], 32)}`;
  return SELECTORS.test(text) ? text.replaceAll(/\b[a-z]\w*\b/g, (name) => word(name)) : text;
}

/**
 * What iced-x86 decodes from the bytes as one instruction; `like` tells which operands are explicit and which have a
 * size.
 */
export function decoded(bytes: Uint8Array, like: Sample): { text: string; length: number } {
  const decoder = new Decoder(like.bits, bytes, DecoderOptions.None);
  const ip = 0n;
  decoder.ip = ip;
  const instruction = decoder.decode();
  try {
    const mnemonic = Mnemonic[instruction.mnemonic].toLowerCase();
    const texts = like.operands.map((_, i) => operandText(instruction, i, like));
    return { text: finishText(mnemonic, texts), length: instruction.length };
  } finally {
    instruction.free();
    decoder.free();
  }
}

function operandText(instruction: Instruction, i: number, { form, bits, operands }: Sample): string {
  if (i >= instruction.opCount) return "missing";
  const kind = instruction.opKind(i);
  switch (kind) {
    case OpKind.Register:
      return lower(instruction.opRegister(i));
    case OpKind.NearBranch16:
    case OpKind.NearBranch32:
    case OpKind.NearBranch64:
      return `.+${BigInt.asUintN(bits, instruction.nearBranchTarget)}`;
    case OpKind.FarBranch16:
      return `${instruction.farBranchSelector}:${instruction.farBranch16}`;
    case OpKind.FarBranch32:
      return `${instruction.farBranchSelector}:${instruction.farBranch32}`;
    case OpKind.Memory: {
      const relative = instruction.memoryBase === Register.RIP;
      const offset = relative
        ? instruction.memoryDisplacement - BigInt(instruction.length)
        : instruction.memoryDisplacement;
      const base = lower(instruction.memoryBase);
      const index = lower(instruction.memoryIndex);
      const size = registers.get(base === "none" ? index : base)?.width ?? bits;
      const segment = lower(instruction.segmentPrefix);
      const text = memoryText(
        base,
        index,
        instruction.memoryIndexScale,
        BigInt.asUintN(size === 0 ? 64 : size, offset),
        segment,
      );
      const sized = operands.some((given) => given.kind === "memory" && given.width !== 0);
      return sized ? `${MemorySizeExt.size(instruction.memorySize) * 8} ${text}` : text;
    }
    default: {
      const pattern = form.patterns[i];
      const width = pattern.signed ? form.operandSize || bits : Math.max(8, pattern.bytes * 8);
      return BigInt.asUintN(width, instruction.immediate(i)).toString();
    }
  }
}
