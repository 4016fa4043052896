/**
 * The registers of instructions: number, width and class of each, and the mapping from (number, width) to the name.
 * Numbers are those of ModRM/REX (Intel SDM vol. 2, tables 2-1 and 3-1), so rsp is 4 and r8 is 8. "rip" and "eip" exist
 * only as the base of a memory operand, "rip" and "rflags" also in frame directives. The only vector registers are xmm;
 * x87 registers are never named.
 */

/**
 * Operand classes: the bits of the patterns in the instruction table. A register has its class, and a separate bit if a
 * row names it.
 */
export const enum Class {
  R8 = 1 << 0,
  R16 = 1 << 1,
  R32 = 1 << 2,
  R64 = 1 << 3,
  SREG = 1 << 4,
  CR = 1 << 5,
  DR = 1 << 6,
  XMM = 1 << 7,
  AL = 1 << 8,
  AX = 1 << 9,
  EAX = 1 << 10,
  RAX = 1 << 11,
  CL = 1 << 12,
  DX = 1 << 13,
  M8 = 1 << 14,
  M16 = 1 << 15,
  M32 = 1 << 16,
  M64 = 1 << 17,
  M80 = 1 << 18,
  M128 = 1 << 19,
  /** Memory without a specified width. */
  M0 = 1 << 20,
  IMMEDIATE = 1 << 21,
  SYMBOL = 1 << 22,
  LABEL = 1 << 23,
  FAR = 1 << 24,
  /** The constant 1 (shifts by one). */
  ONE = 1 << 25,
  /** fs and gs, the only segment registers that 64-bit code can push. */
  FS = 1 << 26,
  GS = 1 << 27,
}

export interface Register {
  readonly name: string;
  readonly number: number;
  /** Bits; 0 for rip, eip and rflags. */
  readonly width: 0 | 8 | 16 | 32 | 64 | 128;
  readonly classes: number;
  /** spl, bpl, sil, dil: a REX prefix must be present. */
  readonly needsRex: boolean;
  /** ah, ch, dh, bh: no REX prefix may be present. */
  readonly forbidsRex: boolean;
}

// biome-ignore format: a table
const GENERAL: Readonly<Record<8 | 16 | 32 | 64, readonly string[]>> = {
  8:  ["al",  "cl",  "dl",  "bl",  "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"],
  16: ["ax",  "cx",  "dx",  "bx",  "sp",  "bp",  "si",  "di",  "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"],
  32: ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"],
  64: ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",  "r9",  "r10",  "r11",  "r12",  "r13",  "r14",  "r15"],
};
export const HIGH_BYTES = ["ah", "ch", "dh", "bh"] as const;
export const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"] as const;
const OWN: Readonly<Record<string, number>> = {
  al: Class.AL,
  ax: Class.AX,
  eax: Class.EAX,
  rax: Class.RAX,
  cl: Class.CL,
  dx: Class.DX,
  fs: Class.FS,
  gs: Class.GS,
};

export const registers: ReadonlyMap<string, Register> = (() => {
  const map = new Map<string, Register>();
  const add = (
    name: string,
    number: number,
    width: Register["width"],
    classes: number,
    needsRex = false,
    forbidsRex = false,
  ): void => {
    map.set(name, { name, number, width, classes: classes | (OWN[name] ?? 0), needsRex, forbidsRex });
  };
  const classOf = { 8: Class.R8, 16: Class.R16, 32: Class.R32, 64: Class.R64 };
  for (const width of [8, 16, 32, 64] as const) {
    for (const [n, name] of GENERAL[width].entries())
      add(name, n, width, classOf[width], width === 8 && n >= 4 && n < 8);
  }
  for (const [i, name] of HIGH_BYTES.entries()) add(name, i + 4, 8, Class.R8, false, true);
  for (const [n, name] of SEGMENTS.entries()) add(name, n, 16, Class.SREG);
  for (let n = 0; n < 16; n++) {
    add(`xmm${n}`, n, 128, Class.XMM);
    if (n === 0 || n === 2 || n === 3 || n === 4 || n === 8) add(`cr${n}`, n, 64, Class.CR);
    if (n < 8) add(`dr${n}`, n, 64, Class.DR);
  }
  add("rip", 0, 0, 0);
  add("eip", 0, 0, 0);
  add("rflags", 0, 0, 0);
  return map;
})();

/** Name of general register `number` in a width: registerName(0, 32) is "eax". */
export const registerName = (number: number, width: 8 | 16 | 32 | 64): string => GENERAL[width][number];
/** Name of the same general register in another width: resize("rax", 8) is "al". */
export function resize(name: string, width: 8 | 16 | 32 | 64): string {
  const register = registers.get(name);
  if (register === undefined || register.width === 0 || register.width > 64)
    throw new Error(`${name} is no general register`);
  return GENERAL[width][register.forbidsRex ? register.number - 4 : register.number];
}
