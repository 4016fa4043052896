/**
 * The IR as text: stable, readable, and complete, so that `parser.ts` gives back a module that prints the same.
 *
 *   module "demo"
 *   file 0 "kernel/boot/main.ts"
 *   data @table "table" section ".rodata" align 8 size 16 readonly
 *     bytes 000102…            (left out: all zero)
 *     reloc 8 @f+4
 *   func @f "f" (i64 "p", i32 "n") i32 section ".text" inline=auto !0:3:1 {
 *   b0:
 *     %0 = param i64 0 "p" !0:3:12
 *     %2 = load i32 %0 volatile
 *     branch %3 ? b1 : b2
 *   b1: preds b0, b2
 *     %4 = phi i32 [%2, %9] "i"
 *
 * `!file:line:column` is the source position; a position equal to that of the line above is not repeated (`!` alone
 * resets to none). With debug information: `type {…}` a line (JSON) in the module, and in a function, before its
 * blocks, the scopes and variables that its positions (`!0:3:1@2`: in scope 2) and debug values name:
 *
 *     scope 0 "f" "f" -1 !0:1:1            a function's own: link name, name, type of the result, position
 *     scope 1 in 0 "f" "f" -1 !0:1:1       a block of it
 *     scope 2 at 0:9:3@1 "g" "g" 4 !0:5:1  an inlined copy, and where the call stood
 *     var 0 "x" type 3 scope 1 !0:2:7      (param 0: the function's first parameter)
 *     dbg var 0 bytes 0 8 = %3             bytes from 0 on, 8 of them; indirect: `= [%3]`;
 *                                          a constant: `= const i64 5`; unknown: `= ?`
 */
import type {
  Alloca,
  Asm,
  Block,
  Data,
  DebugValue,
  FloatConst,
  Func,
  Instr,
  Loc,
  Module,
  Param,
  Phi,
  Scope,
  SymbolAddress,
  Variable,
} from "./ir.ts";

export function printModule(module: Module): string {
  const out = [`module ${quote(module.name)}`];
  module.files.forEach((f, i) => out.push(`file ${i} ${quote(f)}`));
  for (const type of module.types) out.push(`type ${JSON.stringify(type, bigintsAsText)}`);
  for (const constant of module.constants) out.push(`constant ${JSON.stringify(constant, bigintsAsText)}`);
  for (const data of module.data.values()) out.push("", printData(data));
  for (const func of module.functions.values()) out.push("", printFunction(func));
  return `${out.join("\n")}\n`;
}

export function printData(data: Data): string {
  const type = data.type === undefined ? "" : ` type ${data.type}`;
  const flags = `${data.readonly ? " readonly" : ""}${data.keep ? " keep" : ""}${type}${position(data.loc)}`;
  const head = `data ${at(data.name)} ${quote(data.sourceName)} section ${quote(data.section)}`;
  const out = [`${head} align ${data.align} size ${data.size}${flags}`];
  if (data.bytes)
    for (let i = 0; i < data.bytes.length; i += 32)
      out.push(`  bytes ${Buffer.from(data.bytes.subarray(i, i + 32)).toString("hex")}`);
  for (const r of data.relocations) out.push(`  reloc ${r.offset} ${at(r.symbol)}${addend(r.addend)}`);
  return out.join("\n");
}

export function printFunction(func: Func): string {
  const a = func.attributes;
  const flags = [
    `section ${quote(a.section)}`,
    a.align ? `align ${a.align}` : "",
    a.bits === 64 ? "" : `bits ${a.bits}`,
    a.inline === "auto" ? "" : `inline=${a.inline}`,
    a.naked ? "naked" : "",
    a.noreturn ? "noreturn" : "",
    a.keep ? "keep" : "",
  ].filter((s) => s !== "");
  const params = func.params.map((p) => `${p.type} ${quote(p.name)}`).join(", ");
  const head = `func ${at(func.name)} ${quote(func.sourceName)}`;
  const out = [`${head} (${params}) ${func.result} ${flags.join(" ")}${position(func.loc)} {`];
  const names = new DebugNames(func);
  out.push(...names.lines);
  let last = func.loc;
  for (const block of func.blocks) {
    out.push(`b${block.id}:${block.preds.length ? ` preds ${block.preds.map((p) => `b${p.id}`).join(", ")}` : ""}`);
    for (const instr of block.instrs) {
      const { file, line, column, scope } = instr.loc;
      const same = file === last.file && line === last.line && column === last.column && scope === last.scope;
      out.push(`  ${printInstr(instr, names)}${same ? "" : file < 0 ? " !" : ` ${names.position(instr.loc)}`}`);
      last = instr.loc;
    }
  }
  out.push("}");
  return out.join("\n");
}

/** Numbers for the scopes and variables of a function, in the order in which they are met; parents first. */
class DebugNames {
  readonly lines: string[] = [];
  readonly #scopes = new Map<Scope, number>();
  readonly #variables = new Map<Variable, number>();
  readonly #values: ReadonlySet<Instr>;
  constructor(func: Func) {
    this.#values = new Set(func.blocks.flatMap((b) => b.instrs));
    if (func.scope) this.#scope(func.scope);
    for (const block of func.blocks) {
      for (const instr of block.instrs) {
        const { loc } = instr;
        if (loc.scope) this.#scope(loc.scope);
        if (instr.op !== "dbg" || this.#variables.has(instr.debug.variable)) continue;
        const { debug } = instr;
        const { name, type, loc: declared, scope, parameter } = debug.variable;
        const place = `${parameter < 0 ? "" : ` param ${parameter}`}${position(declared)}`;
        const text = `${quote(name)} type ${type} scope ${this.#scope(scope)}${place}`;
        this.lines.push(`  var ${this.#variables.size} ${text}`);
        this.#variables.set(debug.variable, this.#variables.size);
      }
    }
  }
  #scope(scope: Scope): number {
    const known = this.#scopes.get(scope);
    if (known !== undefined) return known;
    const { parent, inlinedAt, function: f } = scope;
    let where = "";
    if (parent) where = ` in ${this.#scope(parent)}`;
    else if (inlinedAt) {
      if (inlinedAt.scope) this.#scope(inlinedAt.scope);
      where = ` at ${this.position(inlinedAt).slice(1)}`;
    }
    const number = this.#scopes.size;
    this.#scopes.set(scope, number);
    this.lines.push(`  scope ${number}${where} ${quote(f.name)} ${quote(f.sourceName)} ${f.result}${position(f.loc)}`);
    return number;
  }
  position(loc: Loc): string {
    return `!${loc.file}:${loc.line}:${loc.column}${loc.scope ? `@${this.#scopes.get(loc.scope)}` : ""}`;
  }
  value({ variable, watched, indirect, offset, bytes }: DebugValue): string {
    const leaf =
      watched?.op === "const"
        ? `const ${watched.type} ${watched.imm}`
        : watched?.op === "fconst"
          ? `fconst ${number(watched)}`
          : null;
    const other =
      watched?.op === "symbol"
        ? `symbol ${symbolOf(watched)}`
        : watched && this.#values.has(watched)
          ? `%${watched.id}`
          : "?";
    const value = leaf ?? other;
    return `var ${this.#variables.get(variable)} bytes ${offset} ${bytes} = ${indirect ? `[${value}]` : value}`;
  }
}

/** One instruction, without its position. */
export function printInstr(instr: Instr, names: DebugNames | null = null): string {
  const head = instr.type === "void" ? instr.op : `%${instr.id} = ${instr.op} ${instr.type}`;
  const args = instr.args.map((a) => `%${a.id}`);
  switch (instr.op) {
    case "const":
      return `${head} ${instr.imm}`;
    case "fconst":
      return `${head} ${number(instr)}`;
    case "symbol":
      return `${head} ${symbolOf(instr)}`;
    case "dbg":
      return `${head} ${names ? names.value(instr.debug) : quote(instr.debug.variable.name)}`;
    case "param":
      return `${head} ${instr.index}${named(instr)}`;
    case "alloca":
      return `${head} size ${instr.size} align ${instr.align}${named(instr)}`;
    case "copy":
    case "zero":
      return `${head} ${args.join(" ")} size ${instr.size} align ${instr.align}`;
    case "load":
    case "store":
      return `${head} ${args.join(", ")}${instr.volatile ? " volatile" : ""}`;
    case "call":
      return `${head} ${at(instr.symbol)} (${args.join(", ")})`;
    case "asm":
      return `${head} (${args.join(", ")}) ${quoteAsm(instr)}`;
    case "phi":
      return `${head} [${args.join(", ")}]${named(instr)}`;
    case "jump":
      return `${head} ${blockName(instr.targets[0])}`;
    case "branch":
      return `${head} ${args[0]} ? ${instr.targets.map(blockName).join(" : ")}`;
    case "switch": {
      const { cases, targets } = instr;
      const known = cases.map((c, i) => `${c}: ${blockName(targets[i])}, `).join("");
      return `${head} ${args[0]} ${known}else: ${blockName(targets[cases.length])}`;
    }
    default:
      return `${head}${args.length ? " " : ""}${args.join(", ")}`;
  }
}

const blockName = (block: Block): string => `b${block.id}`;
const named = ({ name }: Alloca | Param | Phi): string => (name === "" ? "" : ` ${quote(name)}`);
const quote = (text: string): string => JSON.stringify(text);
const at = (name: string): string => (/^[\w.$]+$/.test(name) ? `@${name}` : `@${quote(name)}`);
const addend = (value: bigint): string => (value === 0n ? "" : value < 0n ? `${value}` : `+${value}`);
const position = (loc: Loc): string => (loc.file < 0 ? "" : ` !${loc.file}:${loc.line}:${loc.column}`);
const symbolOf = (instr: SymbolAddress): string => `${at(instr.symbol)}${addend(BigInt.asIntN(64, instr.imm))}`;
const number = ({ float }: FloatConst): string =>
  float === 0 || !Number.isFinite(float) ? floatBits(float) : `${float}`;
const floatBits = (value: number): string => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return `0x${view.getBigUint64(0).toString(16).padStart(16, "0")}`;
};
const bigintsAsText = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}` : value);
/** The asm block as JSON, its bigints as strings. */
const quoteAsm = (instr: Asm): string => JSON.stringify(instr.asm, bigintsAsText);
