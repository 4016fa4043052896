/** The instruction table (opcodes.ts) in the form that the decoder looks up. */
import { instructionTable } from "./opcodes.ts";

/** Status flags and DF, at their bits in RFLAGS. */
export const Flag = { c: 1, p: 4, a: 0x10, z: 0x40, s: 0x80, d: 0x400, o: 0x800 } as const;
export const STATUS_FLAGS = Flag.c | Flag.p | Flag.a | Flag.z | Flag.s | Flag.o;

/** One operand of a row: kind and size letters of SDM vol. 2, appendix A. */
export interface Operand {
  readonly kind: string;
  readonly size: string;
  readonly reads: boolean;
  readonly writes: boolean;
}

export interface Row {
  readonly name: string;
  /** Without prefix: 0 to 0xff, or 0x100 + second byte. */
  readonly opcode: number;
  /** Mandatory prefix byte: 0x66, 0xf2, 0xf3; 0: none. */
  readonly prefix: number;
  readonly operands: readonly Operand[];
  readonly readsFlags: number;
  /** Includes undefined flags. */
  readonly writesFlags: number;
  readonly undefinedFlags: number;
  readonly how: string;
  readonly lockable: boolean;
  /** Exists only in this mode: 32 (and 16), 64; 0: in every mode. */
  readonly mode: number;
  readonly hasModrm: boolean;
  /** The r/m operand, and the register operand of ModRM.reg. */
  readonly rm: Operand | undefined;
  readonly reg: Operand | undefined;
  readonly immediate: Operand | undefined;
  /** ENTER: has a second immediate. */
  readonly immediate2: boolean;
  /** Needs the FPU, MMX or SSE: CR0.EM, CR0.TS, CR4.OSFXSR. */
  readonly unit: "" | "x87" | "mmx" | "sse";
}

const PREFIX_BYTES: Readonly<Record<string, number>> = { NP: 0, "66": 1, F3: 2, F2: 3 };
const PREFIX_VALUES = [0, 0x66, 0xf3, 0xf2];

/**
 * By prefix column (0: none, 66, F3, F2) × 512 + opcode: a row; or 16 or 128 rows, by reg + 8 × register form, and × 8
 * + rm.
 */
export type Entry = Row | (Row | undefined)[] | undefined;
export const entries: Entry[] = new Array(4 * 512).fill(undefined);

const flagsOf = (letters: string): number =>
  [...letters].reduce((mask, letter) => mask | (Flag[letter as keyof typeof Flag] ?? 0), 0);

function parseOperand(text: string): Operand {
  const access = text.at(-1);
  return {
    kind: text[0],
    size: text[1],
    reads: access !== "=",
    writes: access === "=" || access === "*",
  };
}

const OPCODE = /^(NP|66(?=0F)|F3(?=0F)|F2(?=0F))?(0F)?([0-9A-Fa-f]{2})(\+)?(?:\/([0-7]))?(?::([mr])(?:\.([0-7]))?)?$/;

function parseLine(line: string): void {
  const fields = line.trim().split(/\s+/);
  const match = OPCODE.exec(fields[0]);
  if (!match) throw new Error(`opcodes.ts: ${line}`);
  const [, prefixText, map, byte, plus, regText, form, rmText] = match;
  const rest = fields.slice(2);
  const operands: Operand[] = [];
  while (/^[A-Z][bwdqvzyoutsp][=*]?$/.test(rest[0])) operands.push(parseOperand(rest.shift() as string));
  if (operands.length === 0) rest.shift(); // "-"
  const [flags, how, ...marks] = rest;
  const [read, writtenText] = flags === "-" ? ["", ""] : flags.includes(">") ? flags.split(">") : ["", flags];
  const [written, undefinedText = ""] = writtenText.split("?");
  const opcode = (map ? 0x100 : 0) | parseInt(byte, 16);
  const rm = operands.find(({ kind }) => "EMRWUQN".includes(kind));
  const reg = operands.find(({ kind }) => "GVPSCD".includes(kind));
  const immediates = operands.filter(({ kind }) => "IJ".includes(kind));
  const isX87 = opcode >= 0xd8 && opcode <= 0xdf;
  const usesMmx = operands.some(({ kind }) => "PQN".includes(kind)) || fields[1] === "EMMS";
  const usesXmm = operands.some(({ kind }) => "VWU".includes(kind)) || how === "mxcsr";
  const row: Row = {
    name: fields[1],
    opcode,
    prefix: prefixText ? PREFIX_VALUES[PREFIX_BYTES[prefixText]] : 0,
    operands,
    readsFlags: flagsOf(read),
    writesFlags: flagsOf(written) | flagsOf(undefinedText),
    undefinedFlags: flagsOf(undefinedText),
    how,
    lockable: marks.includes("L"),
    mode: marks.includes("32") ? 32 : marks.includes("64") ? 64 : 0,
    hasModrm: rm !== undefined || reg !== undefined || regText !== undefined || form !== undefined,
    rm,
    reg,
    immediate: immediates[0],
    immediate2: immediates.length > 1,
    unit: isX87 || how === "fwait" ? "x87" : usesXmm ? "sse" : usesMmx ? "mmx" : "",
  };
  const columns = prefixText ? [PREFIX_BYTES[prefixText]] : [0, 1, 2, 3];
  for (const column of columns) {
    for (let low = 0; low < (plus ? 8 : 1); low++) {
      const at = column * 512 + opcode + low;
      if (regText === undefined && form === undefined) {
        if (!Array.isArray(entries[at])) entries[at] = row;
        continue;
      }
      // By form, reg and rm. A row for any prefix does not replace a row that names its prefix.
      let table = entries[at];
      if (!Array.isArray(table)) entries[at] = table = new Array(128).fill(undefined) as (Row | undefined)[];
      for (const isRegister of form === undefined ? [0, 1] : [form === "r" ? 1 : 0])
        for (let r = 0; r < 8; r++)
          for (let m = 0; m < 8; m++) {
            if (regText !== undefined && r !== Number(regText)) continue;
            if (rmText !== undefined && m !== Number(rmText)) continue;
            table[(isRegister * 8 + r) * 8 + m] ??= row;
          }
    }
  }
}

for (const line of instructionTable.split("\n")) if (line.trim() !== "") parseLine(line);

/** Does selecting a row of this opcode and prefix column need a ModRM byte? */
export const isGroup = (entry: Entry): entry is (Row | undefined)[] => Array.isArray(entry);
