/** Multiplication; by a constant with lea and shifts where that is faster. */
import type { Instr } from "../../ir/ir.ts";
import { DEF, imm, MEMORY_OK, type Mem, memOf, RAX, RDX, type Reg, reg, USE, type Width } from "../machine.ts";
import { inPlace, moveInto, sourceOf, truncate, wide } from "./operands.ts";
import type { Selector } from "./selector.ts";
import { shortImmediate, powerOfTwo } from "./values.ts";

export function multiply(s: Selector, d: number, a: Instr, b: Instr, width: Width): void {
  const w = wide(width);
  if (a.op === "const") [a, b] = [b, a];
  const constant = shortImmediate(b);
  const k = powerOfTwo(b);
  if (k === 0) return truncate(s, d, a, w);
  if (k > 0) {
    moveInto(s, d, a, width);
    s.emit("shl", reg(d, w, inPlace(w)), imm(k));
    return;
  }
  if (constant !== null && isByAddresses(constant)) return timesByAddresses(s, d, s.use(a), constant, w);
  if (constant !== null) {
    s.emit("imul", reg(d, w, DEF), width === w ? sourceOf(s, a, w) : s.useReg(a, w), imm(constant));
    return;
  }
  const source = width === w ? sourceOf(s, b, w) : s.useReg(b, w);
  if (a === b) s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(s.use(a), 64, USE | MEMORY_OK));
  else moveInto(s, d, a, width);
  s.emit("imul", reg(d, w, USE | DEF), source);
}

/**
 * One step of a product of x: a lea of two earlier values (0 = x, 1 = the first step), the second one scaled; a left
 * shift; or an addition or subtraction of x.
 */
type Step = readonly [base: 0 | 1, index: 0 | 1, scale: 2 | 4 | 8] | number | "add" | "sub";
/** Constants that two one-cycle instructions multiply by, instead of a three-cycle imul. */
const steps: ReadonlyMap<bigint, readonly Step[]> = new Map([
  ...[4, 5, 6, 7, 8].flatMap((k): [bigint, Step[]][] => [
    [(1n << BigInt(k)) + 1n, [k, "add"]],
    [(1n << BigInt(k)) - 1n, [k, "sub"]],
  ]),
  ...([2, 4, 8] as const).flatMap((first): [bigint, Step[]][] => {
    const made = first + 1;
    return [
      ...[1, 2, 3, 4, 5].map((k): [bigint, Step[]] => [BigInt(made << k), [[0, 0, first], k]]),
      ...([2, 4, 8] as const).flatMap((scale): [bigint, Step[]][] => [
        [
          BigInt(made + made * scale),
          [
            [0, 0, first],
            [1, 1, scale],
          ],
        ],
        [
          BigInt(1 + made * scale),
          [
            [0, 0, first],
            [0, 1, scale],
          ],
        ],
        [
          BigInt(made + scale),
          [
            [0, 0, first],
            [1, 0, scale],
          ],
        ],
      ]),
      [BigInt(made), [[0, 0, first]]],
    ];
  }),
]);
export const isByAddresses = (constant: bigint): boolean => steps.has(constant);

/** `to` = `from` * `constant`, by leas and a shift. The registers may not be the same. */
export function timesByAddresses(s: Selector, to: number, from: number, constant: bigint, w: 32 | 64): void {
  const list = steps.get(constant)!;
  let made = from;
  list.forEach((step, i) => {
    const d = i === list.length - 1 ? to : s.temp();
    if (typeof step === "number" || typeof step === "string") {
      s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(made, 64, USE | MEMORY_OK));
      if (typeof step === "string") s.emit(step, reg(d, w, USE | DEF), reg(from, w, USE | MEMORY_OK));
      else s.emit("shl", reg(d, w, inPlace(w)), imm(step));
    } else {
      const [base, index] = [step[0], step[1]].map((k) => reg(k === 0 ? from : made, 64, USE));
      s.emit("lea", reg(d, w, DEF), memOf(0, { base, index, scale: step[2] }));
    }
    made = d;
  });
}

/** d ← low … high half of rax * `by`: rdx. */
export function multiplyHigh(s: Selector, d: number, by: Reg | Mem, op: "mul" | "imul"): void {
  const instr = s.emit(op, by);
  instr.uses = 1 << RAX;
  instr.defs = (1 << RAX) | (1 << RDX);
  s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(RDX, 64, USE));
}
