/** Prints statements of random programs in both languages. */
import { instanceName, instanceType } from "./containers.ts";
import type { Arg, Case, Pointer, Stmt } from "./program.ts";
import { cDeclare, ExpressionRenderer, tsShape } from "./render-expressions.ts";

export const HASH_TS = "hash = (hash ^ X) * 0x100000001b3 + (hash >> 29);";
export const HASH_C = "hash = (u64)((u64)((u64)(hash ^ X) * 0x100000001b3ull) + (u64)(hash >> 29));";
/** Name in our language and builtin of gcc (5: __ATOMIC_SEQ_CST). */
const ATOMICS = {
  exchange: ["atomicExchange", "__atomic_exchange_n"],
  add: ["atomicAdd", "__atomic_fetch_add"],
  and: ["atomicAnd", "__atomic_fetch_and"],
  or: ["atomicOr", "__atomic_fetch_or"],
  xor: ["atomicXor", "__atomic_fetch_xor"],
  compareExchange: ["atomicCompareExchange", ""],
} as const;

export class StatementRenderer extends ExpressionRenderer {
  body(list: readonly Stmt[], indent: string): string[] {
    return list.flatMap((s) => this.#stmt(s).map((line) => indent + line));
  }
  #declare(name: string, type: string, value: string): string {
    return this.c ? `${type} ${name} = ${value};` : `let ${name}: ${type} = ${value};`;
  }
  #stmt(s: Stmt): string[] {
    const { c } = this;
    switch (s.k) {
      case "let":
        return [this.#declare(s.name, s.t, this.bare(s.e))];
      case "letShape": {
        const type = tsShape(s.shape);
        return [
          c
            ? `${cDeclare(s.shape, s.name)}; memset(&${s.name}, 0, sizeof ${s.name});`
            : `const ${s.name}: ${type} = zeroed<${type}>();`,
        ];
      }
      case "letPtr":
      case "letStructPtr": {
        const type = s.k === "letPtr" ? s.t : s.struct.name;
        return [
          c
            ? `${type}_1 *${s.name} = (${type}_1 *)&${this.place(s.p)};`
            : `const ${s.name}: ptr<${type}> = addr(${this.place(s.p)});`,
        ];
      }
      case "set":
        return [`${this.place(s.p)} ${s.op}= ${this.bare(s.e)};`];
      case "step":
        return [`${this.place(s.p)}${s.op};`];
      case "copy": {
        const [to, from] = [this.place(s.to), this.place(s.from)];
        return [c ? `${to} = ${from};` : `copy(addr(${to}), addr(${from}));`];
      }
      case "zero":
        return [c ? `memset(&${this.place(s.p)}, 0, sizeof ${this.place(s.p)});` : `zero(addr(${this.place(s.p)}));`];
      case "setSpecial":
      case "atomic":
      case "fence":
        return [this.#special(s)];
      case "if":
        return [
          `if (${this.cond(s.c)}) {`,
          ...this.body(s.then, "  "),
          ...(s.else.length > 0 ? ["} else {", ...this.body(s.else, "  ")] : []),
          "}",
        ];
      case "for": {
        const start = this.#declare(s.name, s.t, `${s.down ? s.count : 0}`);
        const [test, step] = s.down ? [`${s.name} > 0`, "--"] : [`${s.name} < ${s.count}`, "++"];
        return [`for (${start} ${test}; ${s.name}${step}) {`, ...this.body(s.body, "  "), "}"];
      }
      case "while":
      case "do": {
        const test = `(${s.name} < ${s.count} && ${this.cond(s.c)})`;
        const [head, tail] = s.k === "while" ? [`while ${test} {`, "}"] : ["do {", `} while ${test};`];
        return [this.#declare(s.name, "u32", "0"), head, `  ${s.name} += 1;`, ...this.body(s.body, "  "), tail];
      }
      case "switch":
        return [`switch (${this.expr(s.e)}) {`, ...s.cases.flatMap((one) => this.#case(one)), "}"];
      case "break":
      case "continue":
        return [`${s.k};`];
      case "return":
        return [`return${s.e ? ` ${this.bare(s.e)}` : ""};`];
      case "call": {
        const f = s.instance === null ? s.f : c ? `${s.f}_${s.instance}` : `${s.f}<${s.instance}>`;
        const args = s.args.filter((a) => c || a.k !== "value" || !a.hidden).map((a) => this.#arg(a));
        return [`${s.to ? `${this.place(s.to)} = ` : ""}${f}(${args.join(", ")});`];
      }
      case "callPtr": {
        const [before, f] = this.#pointer(s.via);
        return [...before, `${this.place(s.to)} = ${f}(${s.args.map((a) => this.bare(a)).join(", ")});`];
      }
      case "setTable":
        return [`${s.sig.table.name}[${this.index(s.index, s.sig.table.entries.length - 1)}] = ${s.f};`];
      case "letContainer": {
        const type = c ? instanceName(s.c) : instanceType(s.c);
        return [
          c
            ? `${type} ${s.name}; memset(&${s.name}, 0, sizeof ${s.name});`
            : `const ${s.name}: ${type} = zeroed<${type}>();`,
        ];
      }
      case "put":
        return [c ? `${instanceName(s.c)}_put(&${s.name}, ${this.expr(s.e)});` : `${s.name}.put(${this.bare(s.e)});`];
      case "take":
        return [
          `${s.to ? `${this.place(s.to)} = ` : ""}${c ? `${instanceName(s.c)}_take(&${s.name})` : `${s.name}.take()`};`,
        ];
      case "hash": {
        // Unsigned numbers widen by themselves.
        const isPlain = !c && s.e.k === "read" && s.e.t.startsWith("u");
        const value = isPlain
          ? this.expr(s.e)
          : s.e.t === "f64"
            ? this.expr({ k: "bits", t: "u64", f: s.e })
            : `${c ? "(u64)" : "u64"}(${this.expr(s.e)})`;
        if (s.apart) return [`mix(${value});`];
        return [(c ? HASH_C : HASH_TS).replace("X", () => value)];
      }
    }
  }
  #case({ values, body, end }: Case): string[] {
    const label = (v: bigint): string => {
      if (!this.c) return `${v}`;
      return v === -(1n << 63n) ? "(-9223372036854775807ll - 1)" : `${v}${v > 9223372036854775807n ? "ull" : ""}`;
    };
    const labels = values.length > 0 ? values.map((v) => `case ${label(v)}:`) : ["default:"];
    return [`  ${labels.join(" ")} {`, ...this.body(body, "    "), ...(end === "fall" ? [] : [`    ${end};`]), "  }"];
  }
  #special(s: Stmt & { k: "setSpecial" | "atomic" | "fence" }): string {
    const { c } = this;
    if (s.k === "fence") {
      if (!c) return `${s.how}();`;
      return s.how === "fence" ? "__atomic_thread_fence(5);" : `__asm__ volatile ("" ::: "memory");`;
    }
    const p = this.place(s.p);
    const e = this.bare(s.e);
    if (s.k === "setSpecial") {
      if (s.how === "volatile") return c ? `*(volatile ${s.t}_1 *)&${p} = ${e};` : `volatileWrite(addr(${p}), ${e});`;
      return c ? `__atomic_store_n(&${p}, ${e}, 5);` : `atomicStore(addr(${p}), ${e});`;
    }
    const [name, builtin] = ATOMICS[s.op];
    if (s.expected === null) {
      const value = c ? `${builtin}(&${p}, ${e}, 5)` : `${name}(addr(${p}), ${e})`;
      return s.to === null ? `${value};` : this.#declare(s.to, s.t, value);
    }
    const expected = this.bare(s.expected);
    if (!c) {
      const value = `${name}(addr(${p}), ${expected}, ${e})`;
      return s.to === null ? `${value};` : this.#declare(s.to, s.t, value);
    }
    // The builtin overwrites the expected value by the old one.
    const exchange = (old: string): string => `__atomic_compare_exchange_n(&${p}, &${old}, ${e}, 0, 5, 5);`;
    return s.to === null
      ? `{ ${s.t} old_ = ${expected}; ${exchange("old_")} }`
      : `${s.t} ${s.to} = ${expected}; ${exchange(s.to)}`;
  }
  #arg(a: Arg): string {
    if (a.k === "value") return this.bare(a.e);
    if (a.k === "function") return a.name;
    if (a.pointer) return this.place(a.p);
    return `${this.c ? "&" : "addr("}${this.place(a.p)}${this.c ? "" : ")"}`;
  }
  /** The statements before the call, and the expression to call. */
  #pointer(via: Pointer): [string[], string] {
    switch (via.k) {
      case "param":
        return [[], via.name];
      case "table":
        return [[], `${via.sig.table.name}[${this.index(via.index, via.sig.table.entries.length - 1)}]`];
      default: {
        const target = via.k === "local" ? via.name : this.place(via.p);
        const first = via.k === "local" ? this.#declare(target, via.sig.name, via.no) : `${target} = ${via.no};`;
        return [[first, `if (${this.cond(via.c)}) ${target} = ${via.yes};`], target];
      }
    }
  }
}
