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
 * `!file:line:column` is the source position; a position equal to that of the line above is not repeated (`!` alone resets to none).
 */
import type { Data, Func, Instr, Loc, Module } from "./ir.ts";

export function printModule(module: Module): string {
  const out = [`module ${quote(module.name)}`];
  module.files.forEach((f, i) => out.push(`file ${i} ${quote(f)}`));
  for (const data of module.data.values()) out.push("", printData(data));
  for (const func of module.functions.values()) out.push("", printFunction(func));
  return `${out.join("\n")}\n`;
}

export function printData(data: Data): string {
  const flags = `${data.readonly ? " readonly" : ""}${data.keep ? " keep" : ""}`;
  const out = [
    `data ${at(data.name)} ${quote(data.sourceName)} section ${quote(data.section)} align ${data.align} size ${data.size}${flags}${position(data.loc)}`,
  ];
  if (data.bytes)
    for (let i = 0; i < data.bytes.length; i += 32) out.push(`  bytes ${Buffer.from(data.bytes.subarray(i, i + 32)).toString("hex")}`);
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
  const out = [`func ${at(func.name)} ${quote(func.sourceName)} (${params}) ${func.result} ${flags.join(" ")}${position(func.loc)} {`];
  let last = func.loc;
  for (const block of func.blocks) {
    out.push(`b${block.id}:${block.preds.length ? ` preds ${block.preds.map((p) => `b${p.id}`).join(", ")}` : ""}`);
    for (const instr of block.instrs) {
      const same = instr.loc.file === last.file && instr.loc.line === last.line && instr.loc.column === last.column;
      out.push(`  ${printInstr(instr)}${same ? "" : instr.loc.file < 0 ? " !" : position(instr.loc)}`);
      last = instr.loc;
    }
  }
  out.push("}");
  return out.join("\n");
}

/** One instruction, without its position. */
export function printInstr(instr: Instr): string {
  const head = instr.type === "void" ? instr.op : `%${instr.id} = ${instr.op} ${instr.type}`;
  const args = instr.args.map((a) => `%${a.id}`);
  const tail = `${instr.volatile ? " volatile" : ""}${instr.name === "" ? "" : ` ${quote(instr.name)}`}`;
  const targets = instr.targets.map((b) => `b${b.id}`);
  switch (instr.op) {
    case "const":
      return `${head} ${instr.imm}${tail}`;
    case "fconst":
      return `${head} ${instr.float === 0 || !Number.isFinite(instr.float) ? floatBits(instr.float) : instr.float}${tail}`;
    case "symbol":
      return `${head} ${at(instr.symbol)}${addend(BigInt.asIntN(64, instr.imm))}${tail}`;
    case "param":
      return `${head} ${instr.index}${tail}`;
    case "alloca":
    case "copy":
    case "zero":
      return `${head} ${[...args, `size ${instr.size}`, `align ${instr.align}`].join(" ")}${tail}`;
    case "call":
      return `${head} ${at(instr.symbol)} (${args.join(", ")})${tail}`;
    case "asm":
      return `${head} (${args.join(", ")}) ${quoteAsm(instr)}${tail}`;
    case "phi":
      return `${head} [${args.join(", ")}]${tail}`;
    case "jump":
      return `${head} ${targets[0]}`;
    case "branch":
      return `${head} ${args[0]} ? ${targets[0]} : ${targets[1]}`;
    case "switch":
      return `${head} ${args[0]} ${instr.cases.map((c, i) => `${c}: ${targets[i]}, `).join("")}else: ${targets.at(-1)}`;
    default:
      return `${head}${args.length ? " " : ""}${args.join(", ")}${tail}`;
  }
}

const quote = (text: string): string => JSON.stringify(text);
const at = (name: string): string => (/^[\w.$]+$/.test(name) ? `@${name}` : `@${quote(name)}`);
const addend = (value: bigint): string => (value === 0n ? "" : value < 0n ? `${value}` : `+${value}`);
const position = (loc: Loc): string => (loc.file < 0 ? "" : ` !${loc.file}:${loc.line}:${loc.column}`);
const floatBits = (value: number): string => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return `0x${view.getBigUint64(0).toString(16).padStart(16, "0")}`;
};
/** The asm block as JSON, its bigints as strings. */
const quoteAsm = (instr: Instr): string =>
  JSON.stringify(instr.asm, (_key, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
