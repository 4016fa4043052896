/**
 * Prints a random program in our TypeScript subset and in C (stdint types, a cast around every operation so that C's promotions
 * cannot be seen). Link names carry a prefix, so that many programs fit into one C file.
 */
import {
  type Arg,
  type Cond,
  type Expr,
  type Float,
  type Fn,
  isSigned,
  type Param,
  type Place,
  type Program,
  type Scalar,
  type Shape,
  type Stmt,
  width,
} from "./program.ts";

/** The file that starts, prints the checksum of each program as a line of 16 hex digits, and exits. */
export function renderMain(imports: readonly { readonly from: string; readonly name: string }[]): string {
  return `${imports.map((i) => `import { program as ${i.name} } from "${i.from}";`).join("\n")}
export function _start(): void {
  attr({ naked: true, symbol: "_start", keep: true });
  asm\`
    xor ebp, ebp
    and rsp, -16
    call \${main}
    ud2
  \`;
}
function report(sum: u64): void {
  attr({ inline: "never" });
  const text: arr<u8, 17> = zeroed<arr<u8, 17>>();
  for (let i: u64 = 0; i < 16; i++) {
    const digit: u8 = u8((sum >> (60 - i * 4)) & 15);
    text[i] = digit < 10 ? u8(48 + digit) : u8(87 + digit);
  }
  text[16] = 10;
  asm<i64>({ in: { rax: 1, rdi: 1, rsi: addr(text[0]), rdx: 17 }, out: "rax", clobber: ["rcx", "r11", "memory"] })\`syscall\`;
}
function main(): never {
${imports.map((i) => `  report(${i.name}());`).join("\n")}
  asm({ in: { rax: 231, rdi: 0 }, clobber: ["rcx", "r11", "memory"] })\`syscall\`;
  unreachable();
}
`;
}
export const C_PRELUDE = `#include <stdint.h>
#include <stdio.h>
#include <string.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
typedef int8_t i8; typedef int16_t i16; typedef int32_t i32; typedef int64_t i64;
typedef double f64;
static inline u64 clz_(u64 x, int w) { return x == 0 ? (u64)w : (u64)__builtin_clzll(x) - (u64)(64 - w); }
static inline u64 ctz_(u64 x, int w) { return x == 0 ? (u64)w : (u64)__builtin_ctzll(x); }
static inline u64 rotl_(u64 x, u64 n, int w) { n &= (u64)(w - 1); return n == 0 ? x : (x << n) | (x >> ((u64)w - n)); }
static inline u64 bswap_(u64 x, int w) { return __builtin_bswap64(x) >> (64 - w); }
`;

const HASH_TS = "hash = (hash ^ X) * 0x100000001b3 + (hash >> 29);";
const HASH_C = "hash = (u64)((u64)((u64)(hash ^ X) * 0x100000001b3ull) + (u64)(hash >> 29));";

/** Exports `program`, under the link name `symbol`. */
export function renderTypeScript(program: Program, symbol: string): string {
  const r = new Renderer("ts", symbol);
  const out = [`// Random program ${program.seed}.`, "let hash: u64 = 0xcbf29ce484222325;"];
  for (const s of program.structs) out.push(`class ${s.name} {`, ...s.fields.map((f) => `  ${f.name}!: ${tsShape(f.shape)};`), "}");
  for (const g of program.globals) {
    if (g.shape.kind === "scalar") out.push(`let ${g.name}: ${g.shape.type} = ${g.values?.[0] ?? 0};`);
    else if (g.values) out.push(`const ${g.name}: ${tsShape(g.shape)} = [${g.values.join(", ")}];`);
    else out.push(`const ${g.name}: ${tsShape(g.shape)} = zeroed<${tsShape(g.shape)}>();`);
  }
  for (const f of program.functions) out.push(...r.function(f));
  return `${out.join("\n")}\n`;
}

/** Without C_PRELUDE. Defines `u64 <prefix>program(void)`. */
export function renderC(program: Program, prefix: string): string {
  const r = new Renderer("c", "");
  const names = [
    "hash",
    ...program.structs.map((s) => s.name),
    ...program.globals.map((g) => g.name),
    ...program.functions.map((f) => f.name),
  ];
  const out = [
    `// Random program ${program.seed}.`,
    ...names.map((n) => `#define ${n} ${prefix}${n}`),
    "static u64 hash = 0xcbf29ce484222325ull;",
  ];
  for (const s of program.structs) out.push("typedef struct {", ...s.fields.map((f) => `  ${cDeclare(f.shape, f.name)};`), `} ${s.name};`);
  for (const g of program.globals) {
    const t = g.shape.kind === "array" && g.shape.of.kind === "scalar" ? g.shape.of.type : g.shape.kind === "scalar" ? g.shape.type : "u8";
    const values = g.values?.map((v) => cLiteral(t, v)).join(", ");
    out.push(
      `static ${cDeclare(g.shape, g.name)}${values === undefined ? "" : g.shape.kind === "array" ? ` = { ${values} }` : ` = ${values}`};`,
    );
  }
  for (const f of program.functions) out.push(...r.function(f));
  return [...out, ...names.map((n) => `#undef ${n}`), ""].join("\n");
}

function tsShape(s: Shape): string {
  return s.kind === "scalar" ? s.type : s.kind === "struct" ? s.struct.name : `arr<${tsShape(s.of)}, ${s.length}>`;
}
function cDeclare(s: Shape, name: string): string {
  return s.kind === "scalar"
    ? `${s.type} ${name}`
    : s.kind === "struct"
      ? `${s.struct.name} ${name}`
      : cDeclare(s.of, `${name}[${s.length}]`);
}
function cLiteral(t: Scalar, v: bigint): string {
  if (!isSigned(t)) return `((${t})${v}ull)`;
  return v === -(1n << 63n) ? "((i64)(-9223372036854775807ll - 1))" : `((${t})${v}ll)`;
}

class Renderer {
  readonly #c: boolean;
  /** Link name of `program`. */
  readonly #symbol: string;
  constructor(language: "ts" | "c", symbol: string) {
    this.#symbol = symbol;
    this.#c = language === "c";
  }

  function(f: Fn): string[] {
    const param = (p: Param): string => {
      if (this.#c) return p.type.kind === "scalar" ? `${p.type.type} ${p.name}` : `${p.type.struct.name} *${p.name}`;
      return `${p.name}: ${p.type.kind === "scalar" ? p.type.type : `ptr<${p.type.struct.name}>`}`;
    };
    const params = f.params.map(param).join(", ");
    if (this.#c) {
      const kept = f.name === "program" ? "" : "static ";
      return [`${kept}${f.result ?? "void"} ${f.name}(${params || "void"}) {`, ...this.body(f.body, "  "), "}"];
    }
    const attributes = [
      f.inline === "auto" ? "" : `inline: "${f.inline}"`,
      f.name === "program" ? `symbol: "${this.#symbol}", keep: true` : "",
    ].filter((s) => s !== "");
    const attr = attributes.length > 0 ? [`  attr({ ${attributes.join(", ")} });`] : [];
    return [
      `${f.name === "program" ? "export " : ""}function ${f.name}(${params}): ${f.result ?? "void"} {`,
      ...attr,
      ...this.body(f.body, "  "),
      "}",
    ];
  }
  body(list: readonly Stmt[], indent: string): string[] {
    return list.flatMap((s) => this.#stmt(s, indent));
  }

  #declare(name: string, type: string, value: string): string {
    return this.#c ? `${type} ${name} = ${value};` : `let ${name}: ${type} = ${value};`;
  }
  #stmt(s: Stmt, i: string): string[] {
    const block = (list: readonly Stmt[]): string[] => this.body(list, `${i}  `);
    switch (s.k) {
      case "let":
        return [`${i}${this.#declare(s.name, s.t, this.expr(s.e))}`];
      case "letFloat":
        return [`${i}${this.#declare(s.name, "f64", this.float(s.e))}`];
      case "setFloat":
        return [`${i}${s.name} = ${this.float(s.e)};`];
      case "letShape":
        return [
          this.#c
            ? `${i}${cDeclare(s.shape, s.name)}; memset(&${s.name}, 0, sizeof ${s.name});`
            : `${i}const ${s.name}: ${tsShape(s.shape)} = zeroed<${tsShape(s.shape)}>();`,
        ];
      case "letPtr":
        return [this.#c ? `${i}${s.t} *${s.name} = &${this.place(s.p)};` : `${i}const ${s.name}: ptr<${s.t}> = addr(${this.place(s.p)});`];
      case "letStructPtr":
        return [
          this.#c
            ? `${i}${s.struct.name} *${s.name} = &${this.place(s.p)};`
            : `${i}const ${s.name}: ptr<${s.struct.name}> = addr(${this.place(s.p)});`,
        ];
      case "set":
        return [`${i}${this.place(s.p)} ${s.op}= ${this.expr(s.e)};`];
      case "step":
        return [`${i}${this.place(s.p)}${s.op};`];
      case "copy":
        return [
          this.#c
            ? `${i}${this.place(s.to)} = ${this.place(s.from)};`
            : `${i}copy(addr(${this.place(s.to)}), addr(${this.place(s.from)}));`,
        ];
      case "zero":
        return [this.#c ? `${i}memset(&${this.place(s.p)}, 0, sizeof ${this.place(s.p)});` : `${i}zero(addr(${this.place(s.p)}));`];
      case "if":
        return [
          `${i}if (${this.cond(s.c)}) {`,
          ...block(s.then),
          ...(s.else.length > 0 ? [`${i}} else {`, ...block(s.else)] : []),
          `${i}}`,
        ];
      case "for": {
        const [t, n] = [s.t, s.name];
        const start = this.#declare(n, t, `${s.down ? s.count : 0}`).slice(0, -1);
        return [
          `${i}for (${start}; ${s.down ? `${n} > 0` : `${n} < ${s.count}`}; ${n}${s.down ? "--" : "++"}) {`,
          ...block(s.body),
          `${i}}`,
        ];
      }
      case "while":
        return [
          `${i}${this.#declare(s.name, "u32", "0")}`,
          `${i}while (${s.name} < ${s.count} && ${this.cond(s.c)}) {`,
          `${i}  ${s.name} += 1;`,
          ...block(s.body),
          `${i}}`,
        ];
      case "do":
        return [
          `${i}${this.#declare(s.name, "u32", "0")}`,
          `${i}do {`,
          `${i}  ${s.name} += 1;`,
          ...block(s.body),
          `${i}} while (${s.name} < ${s.count} && ${this.cond(s.c)});`,
        ];
      case "switch":
        return [
          `${i}switch (${this.expr(s.e)}) {`,
          ...s.cases.flatMap((c) => [
            `${i}  case ${this.#c && c.v === -(1n << 63n) ? "(-9223372036854775807ll - 1)" : `${c.v}${this.#c && c.v > 9223372036854775807n ? "ull" : ""}`}: {`,
            ...this.body(c.body, `${i}    `),
            `${i}    break;`,
            `${i}  }`,
          ]),
          `${i}  default: {`,
          ...this.body(s.otherwise, `${i}    `),
          `${i}  }`,
          `${i}}`,
        ];
      case "break":
      case "continue":
        return [`${i}${s.k};`];
      case "return":
        return [`${i}return${s.e ? ` ${this.expr(s.e)}` : ""};`];
      case "call":
        return [`${i}${s.to ? `${this.place(s.to)} = ` : ""}${s.f}(${s.args.map((a) => this.#arg(a)).join(", ")});`];
      case "callPtr": {
        const args = s.args.map((a) => this.expr(a)).join(", ");
        const declare = this.#c ? `u32 (*${s.name})(u32, u32) = ${s.no};` : `let ${s.name}: (a: u32, b: u32) => u32 = ${s.no};`;
        return [`${i}${declare}`, `${i}if (${this.cond(s.c)}) ${s.name} = ${s.yes};`, `${i}${this.place(s.to)} = ${s.name}(${args});`];
      }
      case "hash":
        return [`${i}${(this.#c ? HASH_C : HASH_TS).replace("X", this.#c ? `(u64)(${this.expr(s.e)})` : `u64(${this.expr(s.e)})`)}`];
    }
  }
  #arg(a: Arg): string {
    if (a.k === "value") return this.expr(a.e);
    if (a.pointer) return this.place(a.p);
    return this.#c ? `&${this.place(a.p)}` : `addr(${this.place(a.p)})`;
  }
  place(p: Place): string {
    if (p.k === "name") return p.name;
    if (p.k === "field") return `${this.place(p.base)}${p.arrow && this.#c ? "->" : "."}${p.field}`;
    return `${this.place(p.base)}[${p.index.k === "lit" ? BigInt.asUintN(64, p.index.v) & BigInt(p.mask) : `${this.expr(p.index)} & ${p.mask}`}]`;
  }

  expr(e: Expr): string {
    const t = e.t;
    const typed = (text: string): string => (this.#c ? `((${t})(${text}))` : `(${text})`);
    const bits = width(t);
    const unsigned = `u${bits}`;
    switch (e.k) {
      case "lit":
        return this.#c ? cLiteral(t, e.v) : `${t}(${e.v})`;
      case "read":
        return this.place(e.p);
      case "bin":
        return typed(`${this.expr(e.a)} ${e.op} ${this.expr(e.b)}`);
      case "shift": {
        const count = `(${this.expr(e.n)} & ${bits - 1})`;
        if (this.#c && e.op === ">>>") return typed(`(${unsigned})${this.expr(e.a)} >> ${count}`);
        return typed(`${this.expr(e.a)} ${e.op} ${count}`);
      }
      case "div": {
        const b = this.expr(e.b);
        if (e.guard === "constant") return typed(`${this.expr(e.a)} ${e.op} ${b}`);
        const positive = this.#c
          ? `((${t})((${t})(${b} & ${e.guard === "positive" ? 0x7f : 0x3e}) | ${e.guard === "positive" ? 1 : 2}))`
          : `((${b} & ${e.guard === "positive" ? 0x7f : 0x3e}) | ${e.guard === "positive" ? 1 : 2})`;
        return typed(`${this.expr(e.a)} ${e.op} ${e.guard === "positive" ? positive : typed(`-${positive}`)}`);
      }
      case "un":
        return typed(`${e.op}${e.op === "-" ? "(" : ""}${this.expr(e.a)}${e.op === "-" ? ")" : ""}`);
      case "cast":
        return this.#c ? typed(this.expr(e.a)) : `${t}(${this.expr(e.a)})`;
      case "widen":
        return this.#c ? typed(this.expr(e.a)) : this.expr(e.a);
      case "bool":
        return this.#c ? typed(`(${this.cond(e.c)}) ? 1 : 0`) : `${t}(${this.cond(e.c)})`;
      case "choose":
        return typed(`${this.cond(e.c)} ? ${this.expr(e.a)} : ${this.expr(e.b)}`);
      case "clz":
      case "ctz":
        return this.#c
          ? typed(`${e.k}_((${unsigned})${this.expr(e.a)}, ${bits})`)
          : `${t}(count${e.k === "clz" ? "Leading" : "Trailing"}Zeros(${this.expr(e.a)}))`;
      case "bswap":
        return bits === 8
          ? this.expr(e.a)
          : this.#c
            ? typed(`bswap_((${unsigned})${this.expr(e.a)}, ${bits})`)
            : `byteSwap(${this.expr(e.a)})`;
      case "rotl":
        return this.#c
          ? typed(`rotl_((${unsigned})${this.expr(e.a)}, (${unsigned})${this.expr(e.b)}, ${bits})`)
          : `rotateLeft(${this.expr(e.a)}, ${this.expr(e.b)} & ${bits - 1})`;
      case "mulHigh":
        return this.#c
          ? typed(`(u64)(((unsigned __int128)${this.expr(e.a)} * ${this.expr(e.b)}) >> 64)`)
          : `mulHigh(${this.expr(e.a)}, ${this.expr(e.b)})`;
      case "fromFloat":
        return this.#c
          ? typed(`${e.name} > -100.0 && ${e.name} < 100.0 ? (i32)${e.name} : 0`)
          : `${t}(${e.name} > -100.0 && ${e.name} < 100.0 ? i32(${e.name}) : i32(0))`;
    }
  }
  cond(c: Cond): string {
    const op = (text: string): string => (this.#c ? text.replace(/^([=!]=)=$/, "$1") : text);
    switch (c.k) {
      case "cmp":
        return `(${this.expr(c.a)} ${op(c.op)} ${this.expr(c.b)})`;
      case "fcmp":
        return `(${this.float(c.a)} ${op(c.op)} ${this.float(c.b)})`;
      case "and":
      case "or":
        return `(${this.cond(c.a)} ${c.k === "and" ? "&&" : "||"} ${this.cond(c.b)})`;
      case "not":
        return `!${this.cond(c.a)}`;
      case "test":
        return `(${this.expr(c.e)} ${this.#c ? "!=" : "!=="} 0)`;
    }
  }
  float(f: Float): string {
    switch (f.k) {
      case "flit":
        // Typed: the checker would see that two literals never equal each other.
        return this.#c ? `((f64)${f.v})` : `f64(${f.v})`;
      case "fvar":
        return f.name;
      case "fbin":
        return `(${this.float(f.a)} ${f.op} ${this.float(f.b)})`;
      case "toFloat":
        return this.#c ? `((f64)${this.expr(f.e)})` : `f64(${this.expr(f.e)})`;
    }
  }
}
