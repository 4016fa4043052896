/**
 * Selection of f64 operations (SSE2 scalar). NaN makes ucomisd set ZF, PF and CF, so that "a" and "ae" after a
 * comparison with swapped operands are false, as flt and fle require; equality also needs PF (conditions oe, une).
 */
import type { Instr } from "../../ir/ir.ts";
import { DEF, EARLY, type Reg, reg, USE } from "../machine.ts";
import { addressOf, moveInto, signExtend, sourceOf, zeroExtend } from "./operands.ts";
import type { Selector } from "./selector.ts";
import { bits } from "./values.ts";

const ARITHMETIC: Readonly<Record<string, string>> = { fadd: "addsd", fsub: "subsd", fmul: "mulsd", fdiv: "divsd" };
const TWO_63 = 0x43e0_0000_0000_0000n;

export function lowerFloat(s: Selector, instr: Instr): void {
  const [a, b] = instr.args;
  const d = s.result(instr);
  switch (instr.op) {
    case "fadd":
    case "fsub":
    case "fmul":
    case "fdiv": {
      const source = sourceOf(s, b, 64);
      if (a === b) s.emit("copy", reg(d, 64, DEF), s.useReg(a, 64));
      else moveInto(s, d, a, 64);
      s.emit(ARITHMETIC[instr.op], reg(d, 64, USE | DEF), source);
      return;
    }
    case "fbits":
      if (s.canSwallow(a, true)) s.emit("mov", reg(d, 64, DEF), addressOf(s, a.args[0], 64));
      else s.emit("movq", reg(d, 64, DEF), s.useReg(a, 64));
      return;
    case "bitsf":
      if (s.canSwallow(a, true)) s.emit("movsd", reg(d, 64, DEF), addressOf(s, a.args[0], 64));
      else s.emit("movq", reg(d, 64, DEF), s.useReg(a, 64));
      return;
    case "sitof":
      return fromInteger(s, d, extended(s, a, true));
    case "uitof":
      if (a.type === "i64") return fromUnsigned(s, d, s.use(a));
      return fromInteger(s, d, extended(s, a, false));
    case "ftosi":
      s.emit("cvttsd2si", reg(d, 64, DEF), sourceOf(s, a, 64));
      return;
    case "ftoui":
      if (instr.type === "i64") return toUnsigned(s, d, s.use(a));
      s.emit("cvttsd2si", reg(d, 64, DEF), sourceOf(s, a, 64));
      return;
    default:
      throw new Error(`no selection for ${instr.op}`);
  }
}

function extended(s: Selector, a: Instr, signed: boolean): Reg {
  if (bits(a.type) === 64) return s.useReg(a, 64);
  const t = s.temp();
  if (signed) signExtend(s, t, a, 64);
  else zeroExtend(s, t, a);
  return reg(t, 64, USE);
}

/** cvtsi2sd keeps the upper half of its destination: clearing it first breaks the false dependency. */
function fromInteger(s: Selector, d: number, from: Reg): void {
  s.emit("undef", reg(d, 64, DEF));
  s.emit("xorps", reg(d, 64, USE | DEF), reg(d, 64, USE));
  s.emit("cvtsi2sd", reg(d, 64, USE | DEF), from);
}

/** A number beyond 2^63 is halved (keeping the lowest bit for rounding), converted, and doubled. */
function fromUnsigned(s: Selector, d: number, x: number): void {
  s.emit(
    "expand",
    reg(d, 64, DEF | EARLY),
    reg(x, 64, USE),
    reg(s.temp(), 64, DEF | EARLY),
    reg(s.temp(), 64, DEF | EARLY),
  ).expand = ({ sink, name, label }) => {
    const R = (i: number) => ({ kind: "register", name: name(i, 64) }) as const;
    const one = { kind: "immediate", value: 1n } as const;
    sink.emit("xorps", R(0), R(0));
    sink.emit("test", R(1), R(1));
    sink.emit("js", { kind: "label", name: `${label}.big` });
    sink.emit("cvtsi2sd", R(0), R(1));
    sink.emit("jmp", { kind: "label", name: `${label}.end` });
    sink.label(`${label}.big`);
    sink.emit("mov", R(2), R(1));
    sink.emit("mov", R(3), R(1));
    sink.emit("shr", R(2), one);
    sink.emit("and", { kind: "register", name: name(3, 32) }, one);
    sink.emit("or", R(2), R(3));
    sink.emit("cvtsi2sd", R(0), R(2));
    sink.emit("addsd", R(0), R(0));
    sink.label(`${label}.end`);
  };
}

function toUnsigned(s: Selector, d: number, x: number): void {
  s.emit(
    "expand",
    reg(d, 64, DEF | EARLY),
    reg(x, 64, USE),
    reg(s.temp(true), 64, DEF | EARLY),
    reg(s.temp(), 64, DEF | EARLY),
  ).expand = ({ sink, name, label }) => {
    const R = (i: number) => ({ kind: "register", name: name(i, 64) }) as const;
    sink.emit("mov", R(3), { kind: "immediate", value: TWO_63 });
    sink.emit("movq", R(2), R(3));
    sink.emit("ucomisd", R(1), R(2));
    sink.emit("jae", { kind: "label", name: `${label}.big` });
    sink.emit("cvttsd2si", R(0), R(1));
    sink.emit("jmp", { kind: "label", name: `${label}.end` });
    sink.label(`${label}.big`);
    // x − 2^63, computed as −(2^63 − x).
    sink.emit("subsd", R(2), R(1));
    sink.emit("cvttsd2si", R(0), R(2));
    sink.emit("neg", R(0));
    sink.emit("btc", R(0), { kind: "immediate", value: 63n });
    sink.label(`${label}.end`);
  };
}

/** Sets the flags for float comparison `instr`; returns the condition code under which it holds. */
export function compareFloats(s: Selector, instr: Instr, exclusive: boolean): string {
  const [a, b] = instr.args;
  if (instr.op === "feq" || instr.op === "fne") {
    s.emit("ucomisd", s.useReg(a, 64), sourceOf(s, b, 64, exclusive));
    return instr.op === "feq" ? "oe" : "une";
  }
  s.emit("ucomisd", s.useReg(b, 64), sourceOf(s, a, 64, exclusive));
  return instr.op === "flt" ? "a" : "ae";
}
