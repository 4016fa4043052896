/**
 * Prints a random program in our TypeScript subset and in C (stdint types, a cast around every operation so that C's
 * promotions have no effect). In C every link name has a prefix, so that many programs fit into one file; a generic
 * function is printed once per instance, with T defined as its type. Pointers into packed structs need types of
 * alignment 1 in C, so all pointers have them.
 */
import { containerC, CONTAINERS_TS, instanceName } from "./containers.ts";
import type { Fn, Global, Param, Program, Shape } from "./program.ts";
import { cDeclare, cLiteral, type Language, tsShape } from "./render-expressions.ts";
import { HASH_C, HASH_TS, StatementRenderer } from "./render-statements.ts";

/** The file with the entry: prints the checksum of each program as a line of 16 hex digits, and exits. */
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
/**
 * Conversions of floats give the result of cvttsd2si, as ours do: 1 << 63 out of range, and from 2^63 on the conversion
 * of the number minus 2^63.
 */
export const C_PRELUDE = `#include <stdint.h>
#include <stdio.h>
#include <string.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
typedef int8_t i8; typedef int16_t i16; typedef int32_t i32; typedef int64_t i64;
typedef double f64;
${["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f64"].map((t) => `typedef ${t} ${t}_1 __attribute__((aligned(1)));`).join("\n")}
static inline u64 clz_(u64 x, int w) { return x == 0 ? (u64)w : (u64)__builtin_clzll(x) - (u64)(64 - w); }
static inline u64 ctz_(u64 x, int w) { return x == 0 ? (u64)w : (u64)__builtin_ctzll(x); }
static inline u64 rotl_(u64 x, u64 n, int w) { n &= (u64)(w - 1); return n == 0 ? x : (x << n) | (x >> ((u64)w - n)); }
static inline u64 bswap_(u64 x, int w) { return __builtin_bswap64(x) >> (64 - w); }
static inline u64 bits_(f64 x) { u64 b; memcpy(&b, &x, 8); return x == x ? b : 0x7ff8000000000000ull; }
static inline f64 double_(u64 b) { f64 x; memcpy(&x, &b, 8); return x; }
static inline i64 ftoi_(f64 x) { return x >= -0x1p63 && x < 0x1p63 ? (i64)x : (i64)(-9223372036854775807ll - 1); }
static inline u64 ftou_(f64 x) { return x >= 0x1p64 ? 0 : x >= 0x1p63 ? (u64)x : (u64)ftoi_(x); }
`;
/** Declarations that each program's file needs in our language. */
const PRELUDE_TS = `let hash: u64 = 0xcbf29ce484222325;
function bits(x: f64): u64 { return x === x ? bitsOfF64(x) : 0x7ff8000000000000; }
function mix(x: u64): void { attr({ inline: "never" }); ${HASH_TS.replace("X", "x")} }`;

/** Exports `program`, under the link name `symbol`. */
export function renderTypeScript(program: Program, symbol: string): string {
  const r = new FunctionRenderer("ts", symbol);
  const out = [`// Random program ${program.seed}.`, PRELUDE_TS];
  for (const s of program.signatures)
    out.push(`type ${s.name} = (${s.params.map((t, i) => `p${i}: ${t}`).join(", ")}) => ${s.result};`);
  for (const s of program.structs)
    out.push(
      `${s.packed ? "@packed " : ""}class ${s.name} {`,
      ...s.fields.map((f) => `  ${f.name}!: ${tsShape(f.shape)};`),
      "}",
    );
  for (const of of new Set(program.containers.map((c) => c.of))) out.push(CONTAINERS_TS[of]);
  for (const g of program.globals) {
    if (g.shape.kind === "scalar") out.push(`let ${g.name}: ${g.shape.type} = ${initial(g, "ts")[0]};`);
    else if (g.values) out.push(`const ${g.name}: ${tsShape(g.shape)} = [${initial(g, "ts").join(", ")}];`);
    else out.push(`const ${g.name}: ${tsShape(g.shape)} = zeroed<${tsShape(g.shape)}>();`);
  }
  for (const { name, table } of program.signatures)
    out.push(`const ${table.name}: arr<${name}, ${table.entries.length}> = [${table.entries.join(", ")}];`);
  for (const f of program.functions) out.push(...r.function(f));
  return `${out.join("\n")}\n`;
}

/** Without C_PRELUDE. Defines `u64 <prefix>program(void)`. */
export function renderC(program: Program, prefix: string): string {
  const r = new FunctionRenderer("c", "");
  const names = [
    "hash",
    "mix",
    ...program.signatures.flatMap((s) => [s.name, s.table.name]),
    ...program.structs.flatMap((s) => [s.name, `${s.name}_1`]),
    ...program.containers.flatMap((c) => ["", "_put", "_take", "_sum", "_at"].map((part) => instanceName(c) + part)),
    ...program.globals.map((g) => g.name),
    ...program.functions.flatMap((f) => (f.instances ? f.instances.map((t) => `${f.name}_${t}`) : [f.name])),
  ];
  const out = [
    `// Random program ${program.seed}.`,
    ...names.map((n) => `#define ${n} ${prefix}${n}`),
    "static u64 hash = 0xcbf29ce484222325ull;",
    `static void mix(u64 x) { ${HASH_C.replace("X", "x")} }`,
  ];
  for (const s of program.signatures) out.push(`typedef ${s.result} (*${s.name})(${s.params.join(", ")});`);
  for (const s of program.structs) {
    const fields = s.fields.map((f) => `  ${cDeclare(f.shape, f.name)};`);
    out.push("typedef struct {", ...fields, `} ${s.packed ? "__attribute__((packed)) " : ""}${s.name};`);
    out.push(`typedef ${s.name} ${s.name}_1 __attribute__((aligned(1)));`);
  }
  out.push(...program.containers.map(containerC));
  for (const g of program.globals) {
    const values = g.values === null ? null : initial(g, "c").join(", ");
    out.push(
      `static ${cDeclare(g.shape, g.name)}${values === null ? "" : g.shape.kind === "array" ? ` = { ${values} }` : ` = ${values}`};`,
    );
  }
  for (const s of program.signatures) {
    // The functions of a signature have all its parameters, including hidden ones.
    out.push(...s.members.map((f) => `static ${s.result} ${f}(${s.params.join(", ")});`));
    out.push(`static ${s.name} ${s.table.name}[${s.table.entries.length}] = { ${s.table.entries.join(", ")} };`);
  }
  for (const f of program.functions) {
    if (!f.instances) out.push(...r.function(f));
    else
      for (const t of f.instances)
        out.push(
          `#define T ${t}`,
          `#define T_1 ${t}_1`,
          ...r.function({ ...f, name: `${f.name}_${t}` }),
          "#undef T",
          "#undef T_1",
        );
  }
  return [...out, ...names.map((n) => `#undef ${n}`), ""].join("\n");
}

/** The initial values of a static variable, as text. */
function initial(g: Global, language: Language): string[] {
  const scalar = (s: Shape): string => (s.kind === "scalar" ? s.type : s.kind === "array" ? scalar(s.of) : "u8");
  const t = scalar(g.shape);
  return (g.values ?? [0n]).map((v) =>
    t === "f64" ? `${Number(v) / 4}` : language === "c" ? cLiteral(t as "u8", v) : `${v}`,
  );
}

class FunctionRenderer extends StatementRenderer {
  /** Link name of `program`. */
  readonly #symbol: string;
  constructor(language: Language, symbol: string) {
    super(language);
    this.#symbol = symbol;
  }
  function(f: Fn): string[] {
    const param = (p: Param): string => {
      const { type } = p;
      if (type.kind === "fn") return this.c ? `${type.sig.name} ${p.name}` : `${p.name}: ${type.sig.name}`;
      if (type.kind === "scalar") return this.c ? `${type.type} ${p.name}` : `${p.name}: ${type.type}`;
      return this.c ? `${type.struct.name}_1 *${p.name}` : `${p.name}: ptr<${type.struct.name}>`;
    };
    const params = f.params
      .filter((p) => this.c || !p.hidden)
      .map(param)
      .join(", ");
    if (this.c) {
      const kept = f.name === "program" ? "" : "static ";
      return [`${kept}${f.result ?? "void"} ${f.name}(${params || "void"}) {`, ...this.body(f.body, "  "), "}"];
    }
    const attributes = [
      f.inline === "auto" ? "" : `inline: "${f.inline}"`,
      f.name === "program" ? `symbol: "${this.#symbol}", keep: true` : "",
    ].filter((s) => s !== "");
    const attr = attributes.length > 0 ? [`  attr({ ${attributes.join(", ")} });`] : [];
    const type = f.instances ? "<T extends number>" : "";
    return [
      `${f.name === "program" ? "export " : ""}function ${f.name}${type}(${params}): ${f.result ?? "void"} {`,
      ...attr,
      ...this.body(f.body, "  "),
      "}",
    ];
  }
}
