/** Prints types, places, expressions and conditions of random programs in both languages. */
import { instanceName } from "./containers.ts";
import { type Compare, type Cond, type Expr, type Int, isSigned, type Place, type Shape, width } from "./program.ts";

export type Language = "ts" | "c";

export function tsShape(s: Shape): string {
  if (s.kind === "scalar") return s.type;
  return s.kind === "struct" ? s.struct.name : s.kind === "fn" ? s.sig.name : `arr<${tsShape(s.of)}, ${s.length}>`;
}
export function cDeclare(s: Shape, name: string): string {
  return s.kind === "array" ? cDeclare(s.of, `${name}[${s.length}]`) : `${tsShape(s)} ${name}`;
}
export function cLiteral(t: Int, v: bigint): string {
  if (!isSigned(t)) return `((${t})${v}ull)`;
  return v === -(1n << 63n) ? "((i64)(-9223372036854775807ll - 1))" : `((${t})${v}ll)`;
}

export class ExpressionRenderer {
  readonly c: boolean;
  /** Nesting depth to the right of a "<" or "<<", where TypeScript reads x < (y > (z)) as type arguments of x. */
  #rightOfLess = 0;
  constructor(language: Language) {
    this.c = language === "c";
  }

  place(p: Place): string {
    if (p.k === "name") return p.name;
    if (p.k === "field") return `${this.place(p.base)}${p.arrow && this.c ? "->" : "."}${p.field}`;
    return `${this.place(p.base)}[${this.index(p.index, p.mask)}]`;
  }
  index(index: Expr, mask: number): string {
    return index.k === "lit" ? `${BigInt.asUintN(64, index.v) & BigInt(mask)}` : `${this.expr(index)} & ${mask}`;
  }

  /** Next to an operand with a type, our literals need none. */
  operand(e: Expr, other: Expr): string {
    return e.k === "lit" && !this.c && other.k !== "lit" ? this.bare(e) : this.expr(e);
  }
  /** Where the type is known. */
  bare(e: Expr): string {
    if (this.c || e.k !== "lit") return this.expr(e);
    return e.v < 0n ? `(${e.v})` : `${e.v}`;
  }

  expr(e: Expr): string {
    const { c } = this;
    const typed = (text: string): string => (c ? `((${e.t})(${text}))` : `(${text})`);
    switch (e.k) {
      case "lit":
        return c ? cLiteral(e.t, e.v) : `${e.t}(${e.v})`;
      case "read":
        return this.place(e.p);
      case "special": {
        const p = this.place(e.p);
        if (e.how === "volatile") return c ? `(*(volatile ${e.t}_1 *)&${p})` : `volatileRead(addr(${p}))`;
        return c ? typed(`__atomic_load_n(&${p}, 5)`) : `atomicLoad(addr(${p}))`;
      }
      case "choose":
        return typed(`${this.cond(e.c)} ? ${this.expr(e.a)} : ${this.expr(e.b)}`);
      case "bin":
        return typed(`${this.operand(e.a, e.b)} ${e.op} ${this.operand(e.b, e.a)}`);
      case "un":
        return typed(`${e.op}${e.op === "-" ? "(" : ""}${this.expr(e.a)}${e.op === "-" ? ")" : ""}`);
      case "cast":
        return c ? typed(this.expr(e.a)) : `${e.t}(${this.expr(e.a)})`;
      case "widen":
        return c ? typed(this.expr(e.a)) : this.expr(e.a);
      case "bool":
        return c ? typed(`(${this.cond(e.c)}) ? 1 : 0`) : `${e.t}(${this.cond(e.c)})`;
      case "toInt":
        return c ? typed(`${e.t === "u64" ? "ftou_" : "ftoi_"}(${this.expr(e.f)})`) : `${e.t}(${this.expr(e.f)})`;
      case "bits":
        return `${c ? "bits_" : "bits"}(${this.expr(e.f)})`;
      case "sum":
        return c ? `${instanceName(e.c)}_sum(&${e.name})` : `sumOf${e.c.of}(addr(${e.name}))`;
      case "flit":
        // Typed, because the checker would see that two literals are never equal.
        return c ? `((f64)${e.v})` : `f64(${e.v})`;
      case "fconst":
        return c ? `double_(0x${e.bits.toString(16)}ull)` : `f64FromBits(0x${e.bits.toString(16)})`;
      case "fbin":
        return `(${this.expr(e.a)} ${e.op} ${this.expr(e.b)})`;
      case "fneg":
        return `(-(${this.expr(e.a)}))`;
      case "toFloat":
        return `${c ? "((f64)" : "f64("}${this.expr(e.i)})`;
      case "fromBits":
        return c
          ? `double_(${this.expr(e.i)} & 0xffefffffffffffffull)`
          : `f64FromBits(${this.expr(e.i)} & 0xffefffffffffffff)`;
      default:
        return this.#machine(e, typed);
    }
  }
  /** Operations that the two languages write differently: shifts, divisions, bits. */
  #machine(e: Expr & { t: Int }, typed: (text: string) => string): string {
    const { c } = this;
    const { t } = e;
    const bits = width(t);
    const unsigned = `u${bits}`;
    switch (e.k) {
      case "shift": {
        const count = this.#behindLess(() => `(${this.expr(e.n)} & ${bits - 1})`);
        if (c && e.op === ">>>") return typed(`(${unsigned})${this.expr(e.a)} >> ${count}`);
        return typed(`${this.expr(e.a)} ${e.op} ${count}`);
      }
      case "div": {
        if (e.guard === "constant") return typed(`${this.expr(e.a)} ${e.op} ${this.operand(e.b, e.a)}`);
        const b = this.expr(e.b);
        const [mask, low] = e.guard === "positive" ? [0x7f, 1] : [0x3e, 2];
        const positive = c ? `((${t})((${t})(${b} & ${mask}) | ${low}))` : `((${b} & ${mask}) | ${low})`;
        return typed(`${this.expr(e.a)} ${e.op} ${e.guard === "positive" ? positive : typed(`-${positive}`)}`);
      }
      case "clz":
      case "ctz":
        return c
          ? typed(`${e.k}_((${unsigned})${this.expr(e.a)}, ${bits})`)
          : `${t}(count${e.k === "clz" ? "Leading" : "Trailing"}Zeros(${this.expr(e.a)}))`;
      case "bswap":
        if (bits === 8) return this.expr(e.a);
        return c ? typed(`bswap_((${unsigned})${this.expr(e.a)}, ${bits})`) : `byteSwap(${this.expr(e.a)})`;
      case "rotl":
        return c
          ? typed(`rotl_((${unsigned})${this.expr(e.a)}, (${unsigned})${this.expr(e.b)}, ${bits})`)
          : `rotateLeft(${this.expr(e.a)}, ${this.expr(e.b)} & ${bits - 1})`;
      case "mulHigh":
        return c
          ? typed(`(u64)(((unsigned __int128)${this.expr(e.a)} * ${this.expr(e.b)}) >> 64)`)
          : `mulHigh(${this.expr(e.a)}, ${this.expr(e.b)})`;
      default:
        throw new Error(`no text for ${e.k}`);
    }
  }
  #behindLess(render: () => string): string {
    this.#rightOfLess++;
    const text = render();
    this.#rightOfLess--;
    return text;
  }
  #compare(op: Compare, a: Expr, b: Expr): string {
    if (op === ">" && this.#rightOfLess > 0) return this.#compare("<", b, a);
    const right = (): string => this.operand(b, a);
    const sign = this.c ? op.replace(/^([=!]=)=$/, "$1") : op;
    return `(${this.operand(a, b)} ${sign} ${op === "<" ? this.#behindLess(right) : right()})`;
  }
  cond(c: Cond): string {
    switch (c.k) {
      case "cmp":
        return this.#compare(c.op, c.a, c.b);
      case "and":
      case "or":
        return `(${this.cond(c.a)} ${c.k === "and" ? "&&" : "||"} ${this.cond(c.b)})`;
      case "not":
        return `!${this.cond(c.a)}`;
      case "test":
        return `(${this.expr(c.e)} ${this.c ? "!=" : "!=="} 0)`;
    }
  }
}
