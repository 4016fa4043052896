/**
 * The back end: turns a module of IR into chunks for the linker. For each function: selection, register allocation,
 * frame, code. A failure names the function and, if possible, the instruction.
 */
import type { Data, Func, Module, Scope } from "../ir/ir.ts";
import type { FunctionDebug } from "../link/debug.ts";
import type { Chunk, ObjectModule, Relocation } from "../link/object.ts";
import { type AssembledCode, Assembler } from "./assembler.ts";
import { DebugWriter } from "./debug/info.ts";
import { analyseLiveness } from "./liveness.ts";
import { assembleInline } from "./inline.ts";
import type { CodeSink } from "./operand.ts";
import { allocateRegisters } from "./regalloc.ts";
import { placeRegisters, type PlacedFunction } from "./regalloc-place.ts";
import { selectFunction } from "./select/select.ts";
import type { SelectOptions } from "./select/selector.ts";
import { TextSink } from "./text.ts";
import { type JumpTable, writeCode } from "./write.ts";

const FUNCTION_ALIGN = 16;

export function emitModule(module: Module): ObjectModule {
  const options = optionsFor(module);
  const chunks: Chunk[] = [];
  for (const f of module.functions.values()) {
    try {
      chunks.push(...emitFunction(f, options));
    } catch (error) {
      const message = (error as Error).message;
      throw new Error(message.startsWith(`${f.name}: `) ? message : `${f.name}: ${message}`, { cause: error });
    }
  }
  for (const data of module.data.values()) chunks.push(dataChunk(data));
  return { name: module.name, files: module.files, types: module.types, constants: module.constants, chunks };
}

/** The function as assembly text, for people. */
export function emitFunctionText(f: Func, module: Module | null = null): string {
  const sink = new TextSink();
  sink.label(f.name);
  const tables = writeFunction(f, optionsFor(module), sink);
  for (const table of tables) sink.note(`${table.symbol}: ${table.labels.join(", ")}`);
  return sink.text();
}

export const optionsFor = (module: Module | null): SelectOptions => ({
  isNoreturn: (symbol) => module?.functions.get(symbol)?.attributes.noreturn ?? false,
});

/** Selection and allocation: the input of `writeCode`, and what tests check. */
export function allocateFunction(f: Func, options: SelectOptions): PlacedFunction {
  const mf = selectFunction(f, options);
  const live = analyseLiveness(mf);
  return placeRegisters(mf, live, allocateRegisters(mf, live));
}

function writeFunction(f: Func, options: SelectOptions, sink: CodeSink): JumpTable[] {
  if (f.attributes.naked) {
    writeNaked(f, sink);
    return [];
  }
  return writeCode(allocateFunction(f, options), sink);
}
/** Writes the code and collects its debug information. */
function writeDescribed(f: Func, root: Scope, options: SelectOptions, assembler: Assembler): Described {
  const placed = allocateFunction(f, options);
  const writer = new DebugWriter(assembler);
  const tables = writeCode(placed, assembler, writer);
  return { tables, describe: ({ bytes, moved }) => writer.describe(f, root, placed, bytes.length, moved) };
}
interface Described {
  readonly tables: JumpTable[];
  readonly describe: ((code: AssembledCode) => FunctionDebug) | null;
}

function emitFunction(f: Func, options: SelectOptions): Chunk[] {
  const assembler = new Assembler(f.name, f.attributes.naked ? f.attributes.bits : 64);
  const { tables, describe }: Described =
    f.scope && !f.attributes.naked
      ? writeDescribed(f, f.scope, options, assembler)
      : { tables: writeFunction(f, options, assembler), describe: null };
  const finished = assembler.finish();
  const { bytes, relocations, lines, labels, frame } = finished;
  const { section, align, keep } = f.attributes;
  const code: Chunk = {
    symbol: f.name,
    sourceName: f.sourceName,
    section,
    align: align || FUNCTION_ALIGN,
    size: bytes.length,
    bytes,
    relocations,
    lines,
    isFunction: true,
    readonly: true,
    keep,
    frame,
    ...(f.attributes.naked ? { labels: namedLabels(finished) } : {}),
    ...(describe ? { debug: describe(finished) } : {}),
  };
  return [code, ...tables.map((table) => tableChunk(f, table, labels))];
}

/** `.A0.name`: the prefix identifies the block (writeNaked). Numeric labels have no name. */
function namedLabels({ labels, called }: AssembledCode): NonNullable<Chunk["labels"]> {
  const named = [...labels].flatMap(([label, offset]) => {
    const name = /^\.A\d+\.([^\d].*)$/.exec(label)?.[1];
    return name === undefined ? [] : [{ name, offset, called: called.has(label) }];
  });
  return named.sort((a, b) => a.offset - b.offset);
}

function tableChunk(f: Func, table: JumpTable, labels: ReadonlyMap<string, number>): Chunk {
  const relocations = table.labels.map((label, i): Relocation => {
    const offset = labels.get(label);
    if (offset === undefined) throw new Error(`jump table entry '${label}' has no code`);
    return {
      offset: 8 * i,
      kind: "abs64",
      expression: { plus: f.name, minus: null, addend: BigInt(offset) },
      trailing: 0,
    };
  });
  const size = 8 * table.labels.length;
  return {
    symbol: table.symbol,
    sourceName: `${f.sourceName}: jump table`,
    section: ".rodata",
    align: 8,
    size,
    bytes: new Uint8Array(size),
    relocations,
    lines: [],
    isFunction: false,
    readonly: true,
    keep: false,
  };
}

function dataChunk(data: Data): Chunk {
  return {
    symbol: data.name,
    sourceName: data.sourceName,
    section: data.section,
    align: data.align,
    size: data.size,
    bytes: data.bytes,
    relocations: data.relocations.map(({ offset, symbol, addend }) => ({
      offset,
      kind: "abs64",
      expression: { plus: symbol, minus: null, addend },
      trailing: 0,
    })),
    lines: [],
    isFunction: false,
    readonly: data.readonly,
    keep: data.keep,
    ...(data.type === undefined ? {} : { datum: { type: data.type, file: data.loc.file, line: data.loc.line } }),
  };
}

/** Writes only the assembly: no prologue, no epilogue, no ret. */
function writeNaked(f: Func, sink: CodeSink): void {
  let count = 0;
  for (const block of f.blocks) {
    for (const instr of block.instrs) {
      switch (instr.op) {
        case "asm": {
          const asm = instr.asm!;
          if (asm.bits !== f.attributes.bits)
            throw new Error(`asm of ${asm.bits} bits in a naked function of ${f.attributes.bits}`);
          const refuse = (): never => {
            throw new Error("the assembly of a naked function takes constants and symbols only");
          };
          if (asm.inputs.length > 0 || instr.type !== "void") refuse();
          assembleInline(asm, refuse, null, sink, `.A${count++}.`);
          break;
        }
        // Generated by the front end for parameters and the end of the body.
        case "dbg":
        case "param":
        case "alloca":
        case "const":
        case "symbol":
        case "undef":
        case "jump":
        case "ret":
        case "unreachable":
          break;
        case "store":
          if (instr.args[1].op === "param") break;
          throw new Error("a naked function holds inline assembly only, not store");
        default:
          throw new Error(`a naked function holds inline assembly only, not ${instr.op}`);
      }
    }
  }
}
