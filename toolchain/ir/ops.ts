/**
 * The operation table: the one authority on what each IR operation is, read by the builder, printer, parser, verifier,
 * interpreter, constant folder and instruction selection.
 *
 * Values are i8, i16, i32, i64 (pointers are i64, booleans are i8 holding 0 or 1) and f64. Integers have no sign;
 * operations do. Semantics are total, with these exceptions: division by zero and signed overflow of division trap
 * (#DE); memory accesses may fault.
 */
export type Type = "void" | "i8" | "i16" | "i32" | "i64" | "f64";
export const widthOf: Readonly<Record<Exclude<Type, "void">, number>> = { i8: 8, i16: 16, i32: 32, i64: 64, f64: 64 };

/** Result type: the type of operand 0 ("same"), a fixed one, or one given by the instruction ("explicit"). */
export type ResultRule = "same" | "explicit" | "void" | "i8" | "i64" | "f64";

export interface OpInfo {
  /** Number of value operands; -1 = any. */
  readonly operands: number;
  readonly result: ResultRule;
  /**
   * Operands have one common integer type ("int"), are i64 ("i64"), f64 ("f64"), or are checked by the verifier per
   * op ("any").
   */
  readonly operandType: "int" | "i64" | "f64" | "any";
  readonly commutative?: boolean;
  /** May not be duplicated, or removed even if unused. */
  readonly effect?: boolean;
  readonly readsMemory?: boolean;
  readonly writesMemory?: boolean;
  readonly terminator?: boolean;
  /**
   * Value for constant operands, as unsigned bigints of `width` bits; undefined = traps. Result is wrapped by the
   * caller.
   */
  readonly fold?: (width: number, a: bigint, b: bigint, c: bigint) => bigint | undefined;
}

const S = (width: number, x: bigint): bigint => BigInt.asIntN(width, x);
const count = (width: number, x: bigint): bigint => x & BigInt(width - 1);
const bit = (x: boolean): bigint => (x ? 1n : 0n);
const sdivTraps = (w: number, a: bigint, b: bigint): boolean =>
  b === 0n || (S(w, b) === -1n && S(w, a) === -(1n << BigInt(w - 1)));
const leadingZeros = (w: number, a: bigint): bigint => BigInt(w - (a === 0n ? 0 : a.toString(2).length));
const trailingZeros = (w: number, a: bigint): bigint =>
  a === 0n ? BigInt(w) : BigInt((a & -a).toString(2).length - 1);
const swap = (w: number, a: bigint): bigint => {
  let r = 0n;
  for (let i = 0; i < w; i += 8) r = (r << 8n) | ((a >> BigInt(i)) & 255n);
  return r;
};
const rotate = (w: number, a: bigint, n: bigint): bigint => (n === 0n ? a : (a << n) | (a >> (BigInt(w) - n)));

// biome-ignore format: a table
export const ops = {
  // ---- leaves: payload `imm` (bigint, unsigned), `float`, `symbol` + `imm` as addend, `index`
  const:    { operands: 0, result: "explicit", operandType: "any" },
  fconst:   { operands: 0, result: "f64",      operandType: "any" },
  symbol:   { operands: 0, result: "i64",      operandType: "any" },
  param:    { operands: 0, result: "explicit", operandType: "any" },
  undef:    { operands: 0, result: "explicit", operandType: "any" },

  // ---- integers; shift counts are taken modulo the width, and have the type of operand 0
  add:      { operands: 2, result: "same", operandType: "int", commutative: true, fold: (_w, a, b) => a + b },
  sub:      { operands: 2, result: "same", operandType: "int", fold: (_w, a, b) => a - b },
  mul:      { operands: 2, result: "same", operandType: "int", commutative: true, fold: (_w, a, b) => a * b },
  udiv:     { operands: 2, result: "same", operandType: "int", effect: true, fold: (_w, a, b) => (b === 0n ? undefined : a / b) },
  sdiv:     { operands: 2, result: "same", operandType: "int", effect: true, fold: (w, a, b) => (sdivTraps(w, a, b) ? undefined : S(w, a) / S(w, b)) },
  urem:     { operands: 2, result: "same", operandType: "int", effect: true, fold: (_w, a, b) => (b === 0n ? undefined : a % b) },
  srem:     { operands: 2, result: "same", operandType: "int", effect: true, fold: (w, a, b) => (sdivTraps(w, a, b) ? undefined : S(w, a) % S(w, b)) },
  mulhu:    { operands: 2, result: "same", operandType: "i64", commutative: true, fold: (w, a, b) => (a * b) >> BigInt(w) },
  and:      { operands: 2, result: "same", operandType: "int", commutative: true, fold: (_w, a, b) => a & b },
  or:       { operands: 2, result: "same", operandType: "int", commutative: true, fold: (_w, a, b) => a | b },
  xor:      { operands: 2, result: "same", operandType: "int", commutative: true, fold: (_w, a, b) => a ^ b },
  shl:      { operands: 2, result: "same", operandType: "int", fold: (w, a, b) => a << count(w, b) },
  lshr:     { operands: 2, result: "same", operandType: "int", fold: (w, a, b) => a >> count(w, b) },
  ashr:     { operands: 2, result: "same", operandType: "int", fold: (w, a, b) => S(w, a) >> count(w, b) },
  rotl:     { operands: 2, result: "same", operandType: "int", fold: (w, a, b) => rotate(w, a, count(w, b)) },
  clz:      { operands: 1, result: "same", operandType: "int", fold: (w, a) => leadingZeros(w, a) },
  ctz:      { operands: 1, result: "same", operandType: "int", fold: (w, a) => trailingZeros(w, a) },
  bswap:    { operands: 1, result: "same", operandType: "int", fold: (w, a) => swap(w, a) },

  // ---- comparisons give i8 0 or 1
  eq:       { operands: 2, result: "i8", operandType: "int", commutative: true, fold: (_w, a, b) => bit(a === b) },
  ne:       { operands: 2, result: "i8", operandType: "int", commutative: true, fold: (_w, a, b) => bit(a !== b) },
  slt:      { operands: 2, result: "i8", operandType: "int", fold: (w, a, b) => bit(S(w, a) < S(w, b)) },
  sle:      { operands: 2, result: "i8", operandType: "int", fold: (w, a, b) => bit(S(w, a) <= S(w, b)) },
  ult:      { operands: 2, result: "i8", operandType: "int", fold: (_w, a, b) => bit(a < b) },
  ule:      { operands: 2, result: "i8", operandType: "int", fold: (_w, a, b) => bit(a <= b) },

  // ---- widths: sext and zext widen, trunc narrows; select's operand 0 is an i8 (0 or not), 1 and 2 have the
  // result's type
  sext:     { operands: 1, result: "explicit", operandType: "int" },
  zext:     { operands: 1, result: "explicit", operandType: "int" },
  trunc:    { operands: 1, result: "explicit", operandType: "int" },
  select:   { operands: 3, result: "explicit", operandType: "any" },

  // ---- f64 (IEEE 754 binary64, round to nearest even; comparisons with NaN are false, except fne, which is true)
  fadd:     { operands: 2, result: "f64", operandType: "f64", commutative: true },
  fsub:     { operands: 2, result: "f64", operandType: "f64" },
  fmul:     { operands: 2, result: "f64", operandType: "f64", commutative: true },
  fdiv:     { operands: 2, result: "f64", operandType: "f64" },
  feq:      { operands: 2, result: "i8",  operandType: "f64", commutative: true },
  fne:      { operands: 2, result: "i8",  operandType: "f64", commutative: true },
  flt:      { operands: 2, result: "i8",  operandType: "f64" },
  fle:      { operands: 2, result: "i8",  operandType: "f64" },
  sitof:    { operands: 1, result: "f64", operandType: "int" },
  uitof:    { operands: 1, result: "f64", operandType: "int" },
  ftosi:    { operands: 1, result: "explicit", operandType: "f64" },
  ftoui:    { operands: 1, result: "explicit", operandType: "f64" },
  fbits:    { operands: 1, result: "i64", operandType: "f64" },
  bitsf:    { operands: 1, result: "f64", operandType: "i64" },

  // ---- memory: addresses are i64. alloca: payload size, align. load: operand address. store: address, value. copy:
  // to, from. zero: to.
  alloca:   { operands: 0, result: "i64", operandType: "any", effect: true },
  load:     { operands: 1, result: "explicit", operandType: "i64", readsMemory: true },
  store:    { operands: 2, result: "void", operandType: "any", effect: true, writesMemory: true },
  copy:     { operands: 2, result: "void", operandType: "i64", effect: true, readsMemory: true, writesMemory: true },
  zero:     { operands: 1, result: "void", operandType: "i64", effect: true, writesMemory: true },
  // atomics are sequentially consistent; all except load and store return the old value. cmpxchg: address, expected,
  // desired
  aload:    { operands: 1, result: "explicit", operandType: "i64", effect: true, readsMemory: true, writesMemory: true },
  astore:   { operands: 2, result: "void", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  axchg:    { operands: 2, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  aadd:     { operands: 2, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  aand:     { operands: 2, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  aor:      { operands: 2, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  axor:     { operands: 2, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  cmpxchg:  { operands: 3, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  fence:    { operands: 0, result: "void", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  /** Compiler-only fence: no code. */
  barrier:  { operands: 0, result: "void", operandType: "any", effect: true, readsMemory: true, writesMemory: true },

  // ---- calls: call has payload `symbol`; icall's operand 0 is the target. asm has payload `asm`.
  call:     { operands: -1, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  icall:    { operands: -1, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },
  asm:      { operands: -1, result: "explicit", operandType: "any", effect: true, readsMemory: true, writesMemory: true },

  /**
   * Debug value, payload `debug` (ir.ts): no code, no operands, no effect on memory. Placed after the phis. No pass may
   * depend on its presence: a test checks that the code with and without dbg is the same, byte for byte.
   */
  dbg:      { operands: 0, result: "void", operandType: "any", effect: true },

  // ---- control: phi has one operand per predecessor, in the order of block.preds
  phi:      { operands: -1, result: "explicit", operandType: "any" },
  jump:     { operands: 0, result: "void", operandType: "any", effect: true, terminator: true },
  /** Operand 0: i8, 0 or not. targets[0] if not 0, else targets[1]. */
  branch:   { operands: 1, result: "void", operandType: "any", effect: true, terminator: true },
  /** targets[i] for cases[i]; the last target is the default. */
  switch:   { operands: 1, result: "void", operandType: "int", effect: true, terminator: true },
  ret:      { operands: -1, result: "void", operandType: "any", effect: true, terminator: true },
  /** Compiles to ud2. */
  unreachable: { operands: 0, result: "void", operandType: "any", effect: true, terminator: true },
} as const satisfies Record<string, OpInfo>;

export type Op = keyof typeof ops;
export const opInfo = (op: Op): OpInfo => ops[op];
