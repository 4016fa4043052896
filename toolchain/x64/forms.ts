/**
 * Compiles the instruction table into forms that the encoder matches and writes without parsing text: operand patterns
 * become class masks, the opcode column becomes bytes and slots.
 */
import { CONDITIONS, type Modes, type Row, rows, synonyms } from "./instructions.ts";
import { Class } from "./registers.ts";

/**
 * Where an operand is encoded: implied by the opcode, ModRM.reg, ModRM.rm, low bits of the opcode, immediate, branch
 * distance, far pointer.
 */
export const enum Slot {
  IMPLIED,
  REG,
  RM,
  OPCODE,
  IMMEDIATE,
  RELATIVE,
  FAR,
}
export interface Pattern {
  /** As in the table, for messages. */
  readonly text: string;
  /** Mask of the operand classes that fit. */
  readonly mask: number;
  readonly slot: Slot;
  /** Immediates and branch distances: bytes of the field; otherwise 0. */
  readonly bytes: number;
  /** Immediates: sign-extended to the operand size. */
  readonly signed: boolean;
}
export interface Form {
  readonly mnemonic: string;
  readonly row: Row;
  readonly patterns: readonly Pattern[];
  /** 16 or 32: needs a 66 prefix if the mode's default is the other one; 64: REX.W; 0: neither. */
  readonly operandSize: 0 | 16 | 32 | 64;
  readonly addressSize: 0 | 32;
  /** 66, F2, F3 or 0. */
  readonly prefix: number;
  readonly opcode: readonly number[];
  /** ModRM: none, the register of slot REG, or a digit. */
  readonly modrm: "none" | "register" | number;
  /** Bytes of all immediates. */
  readonly immediateBytes: number;
  readonly modes: number;
}

/** Bits of Form.modes. */
export const modeBit = (bits: 16 | 32 | 64): number => bits >> 4;
const MODES: Readonly<Record<Modes, number>> = { any: 7, legacy: 3, "16": 1, "32": 2, "64": 4 };

// biome-ignore format: a table
const REGISTER_CLASS: Readonly<Record<string, number>> = {
  r8: Class.R8, r16: Class.R16, r32: Class.R32, r64: Class.R64, sreg: Class.SREG, cr: Class.CR, dr: Class.DR, xmm: Class.XMM,
};
// biome-ignore format: a table
const FIXED_CLASS: Readonly<Record<string, number>> = {
  al: Class.AL, ax: Class.AX, eax: Class.EAX, rax: Class.RAX, cl: Class.CL, dx: Class.DX, fs: Class.FS, gs: Class.GS, "1": Class.ONE,
};
const ANY_MEMORY = Class.M0 | Class.M8 | Class.M16 | Class.M32 | Class.M64 | Class.M80 | Class.M128;
/** Unsized memory fits every width; the encoder then checks that only one width would have fitted. */
// biome-ignore format: a table
const MEMORY_CLASS: Readonly<Record<string, number>> = {
  m: ANY_MEMORY, m8: Class.M8 | Class.M0, m16: Class.M16 | Class.M0, m32: Class.M32 | Class.M0, m64: Class.M64 | Class.M0,
  m128: Class.M128 | Class.M0,
};

function pattern(text: string, modrm: Form["modrm"], opcodeRegister: boolean, rmTaken: boolean): Pattern {
  const make = (mask: number, slot: Slot, bytes = 0, signed = false): Pattern => ({ text, mask, slot, bytes, signed });
  const fixed = FIXED_CLASS[text];
  if (fixed !== undefined) return make(fixed, Slot.IMPLIED);
  const register = REGISTER_CLASS[text];
  if (register !== undefined) {
    if (opcodeRegister) return make(register, Slot.OPCODE);
    // With a segment, control, debug or vector register, or with a digit, a general register is encoded in ModRM.rm.
    return make(register, modrm === "register" && (rmTaken || !text.startsWith("r")) ? Slot.REG : Slot.RM);
  }
  const memory = MEMORY_CLASS[text];
  if (memory !== undefined) return make(memory, Slot.RM);
  const either = /^rm(8|16|32|64)$/.exec(text);
  if (either) return make(REGISTER_CLASS[`r${either[1]}`] | MEMORY_CLASS[`m${either[1]}`], Slot.RM);
  const vector = /^xmm\/(m\d+)$/.exec(text);
  if (vector) return make(Class.XMM | MEMORY_CLASS[vector[1]], Slot.RM);
  const immediate = /^imm(8|16|32|64)(s?)$/.exec(text);
  if (immediate) {
    const narrow = immediate[1] === "8" && immediate[2] === "s";
    return make(
      Class.IMMEDIATE | (narrow ? 0 : Class.SYMBOL),
      Slot.IMMEDIATE,
      Number(immediate[1]) / 8,
      immediate[2] === "s",
    );
  }
  const relative = /^rel(8|16|32)$/.exec(text);
  if (relative)
    return make(Class.LABEL | (relative[1] === "32" ? Class.SYMBOL : 0), Slot.RELATIVE, Number(relative[1]) / 8, true);
  if (text === "far") return make(Class.FAR, Slot.FAR);
  throw new Error(`instruction table: unknown operand ${text}`);
}

function compile(row: Row, mnemonic: string, position: number): Form {
  let operandSize: Form["operandSize"] = 0;
  let addressSize: Form["addressSize"] = 0;
  let prefix = 0;
  let modrm: Form["modrm"] = "none";
  let opcodeRegister = false;
  let immediateBytes = 0;
  const opcode: number[] = [];
  const tokens = row[2].split(" ");
  tokens.forEach((token, i) => {
    const byte = /^([0-9A-F]{2})(\+n|\+8n|\+r)?$/.exec(token);
    if (byte) {
      const value = Number.parseInt(byte[1], 16) + (byte[2] === "+n" ? position : byte[2] === "+8n" ? 8 * position : 0);
      if (opcode.length === 0 && (value === 0x66 || value === 0xf2 || value === 0xf3) && i + 1 < tokens.length)
        prefix = value;
      else opcode.push(value);
      if (byte[2] === "+r") opcodeRegister = true;
    } else if (token === "o16") operandSize = 16;
    else if (token === "o32") operandSize = 32;
    else if (token === "REX.W") operandSize = 64;
    else if (token === "a32") addressSize = 32;
    else if (token === "/r") modrm = "register";
    else if (token === "/n") modrm = position;
    else if (/^\/[0-7]$/.test(token)) modrm = Number(token[1]);
    else if (/^i[bwdq]$/.test(token)) immediateBytes += { b: 1, w: 2, d: 4, q: 8 }[token[1]] ?? 0;
    else if (!/^c[bwdp]$/.test(token)) throw new Error(`instruction table: unknown opcode column ${row[2]}`);
  });
  const texts = row[1] === "" ? [] : row[1].split(", ");
  const rmTaken = texts.some((text) => /^(rm|m|xmm\/)/.test(text));
  const patterns = texts.map((text) => pattern(text, modrm, opcodeRegister, rmTaken));
  return {
    mnemonic,
    row,
    patterns,
    operandSize,
    addressSize,
    prefix,
    opcode,
    modrm,
    immediateBytes,
    modes: MODES[row[3]],
  };
}

/** Mnemonics of a row's first column with their positions. */
export function mnemonicsOf(column: string): [name: string, position: number][] {
  if (column.endsWith("*")) {
    return CONDITIONS.flatMap((names, n) => names.map((name): [string, number] => [column.slice(0, -1) + name, n]));
  }
  return column
    .split(" ")
    .map((name, n): [string, number] => [name, n])
    .filter(([name]) => name !== "-");
}

/** All forms of a mnemonic in the order of the table. */
export const forms: ReadonlyMap<string, readonly Form[]> = (() => {
  const map = new Map<string, Form[]>();
  for (const row of rows) {
    for (const [name, position] of mnemonicsOf(row[0])) {
      const list = map.get(name);
      const form = compile(row, name, position);
      if (list) list.push(form);
      else map.set(name, [form]);
    }
  }
  for (const [name, original] of Object.entries(synonyms)) map.set(name, map.get(original) ?? []);
  return map;
})();

const byCount = new Map<string, readonly (readonly Form[])[]>();
const NO_FORMS: readonly Form[] = [];
/** Forms of a mnemonic for one mode and number of operands, in the order of the table; undefined = unknown mnemonic. */
export function formsFor(mnemonic: string, bits: 16 | 32 | 64, operandCount: number): readonly Form[] | undefined {
  let lists = byCount.get(mnemonic);
  if (lists === undefined) {
    const list = forms.get(mnemonic);
    if (list === undefined) return undefined;
    // Three modes by zero to three operands.
    lists = ([16, 32, 64] as const).flatMap((mode) =>
      [0, 1, 2, 3].map((count) =>
        list.filter((form) => (form.modes & modeBit(mode)) !== 0 && form.patterns.length === count),
      ),
    );
    byCount.set(mnemonic, lists);
  }
  return lists[(bits === 64 ? 8 : bits === 32 ? 4 : 0) + operandCount] ?? NO_FORMS;
}
