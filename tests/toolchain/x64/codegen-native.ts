/**
 * Runs code of the back end: links a module as a static program whose start code calls the functions under test, one
 * after the other, and writes their results to standard output; the host executes it. Needs an x86-64 Linux host, like
 * all code generation tests.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Builder } from "../../../toolchain/ir/builder.ts";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import {
  type AsmBlock,
  Func,
  type FunctionAttributes,
  type Instr,
  type Module,
  NO_LOC,
} from "../../../toolchain/ir/ir.ts";
import type { Type } from "../../../toolchain/ir/ops.ts";
import { link } from "../../../toolchain/link/link.ts";
import { allocateFunction, emitModule, optionsFor } from "../../../toolchain/x64/emit.ts";
import { checkAllocation } from "../../../toolchain/x64/regalloc-check.ts";

/** A call with constant arguments; f64 as its 64 bits. */
export interface NativeCall {
  readonly name: string;
  readonly args: readonly bigint[];
}

export const attributes = (rest: Partial<FunctionAttributes> = {}): FunctionAttributes => ({
  naked: false,
  bits: 64,
  section: ".text",
  align: 0,
  inline: "never",
  noreturn: false,
  keep: false,
  ...rest,
});

export function newFunction(
  module: Module,
  name: string,
  params: readonly Type[],
  result: Type,
  rest: Partial<FunctionAttributes> = {},
): Func {
  const f = new Func(
    name,
    name,
    params.map((type, i) => ({ name: `p${i}`, type })),
    result,
    attributes(rest),
    NO_LOC,
  );
  module.functions.set(name, f);
  return f;
}

/** A block of inline assembly; inputs default to registers named in the text. */
export function asmInstr(
  b: Builder,
  type: Type,
  args: Instr[],
  block: Partial<AsmBlock> & Pick<AsmBlock, "pieces" | "operands">,
): Instr {
  return b.asm(
    { bits: 64, inputs: args.map(() => null), out: null, clobbers: [], clobbersMemory: true, loc: NO_LOC, ...block },
    type,
    args,
  );
}

/**
 * Adds the driver to `module` (which is changed), runs it, and returns the result of each call, zero-extended; null for
 * a crash.
 */
export function runNative(module: Module, calls: readonly NativeCall[]): { results: bigint[]; signal: string | null } {
  module.data.set("results$", {
    name: "results$",
    sourceName: "results",
    section: ".bss",
    align: 8,
    size: 8 * calls.length,
    bytes: null,
    relocations: [],
    readonly: false,
    keep: true,
    loc: NO_LOC,
  });
  const b = new Builder(newFunction(module, "driver$", [], "void"));
  calls.forEach(({ name, args }, i) => {
    const f = module.functions.get(name)!;
    const values = args.map((value, k) => {
      const type = f.params[k].type;
      return type === "f64" ? b.convert("bitsf", "f64", b.iconst("i64", value)) : b.iconst(type, value);
    });
    const call = b.call(name, f.result, values);
    if (f.result === "void") return;
    const result = f.result === "f64" ? b.convert("fbits", "i64", call) : b.convert("zext", "i64", call);
    b.store(b.symbol("results$", 8 * i), result);
  });
  b.ret();
  const start = new Builder(newFunction(module, "_start", [], "void", { naked: true, keep: true }));
  asmInstr(start, "void", [], {
    pieces: [
      "xor ebp, ebp; call ",
      "; mov eax, 1; mov edi, 1; lea rsi, [rip + ",
      "]; mov edx, ",
      "; syscall; mov eax, 60; xor edi, edi; syscall",
    ],
    operands: [
      { kind: "symbol", name: "driver$" },
      { kind: "symbol", name: "results$" },
      { kind: "const", value: BigInt(8 * calls.length) },
    ],
  });
  start.unreachable();
  const { elf } = link(emitModule(module), { kind: "program", entry: "_start", base: 0n, address: 0x400000n });
  const folder = mkdtempSync(join(tmpdir(), "margay-codegen-"));
  try {
    const program = join(folder, "program");
    writeFileSync(program, elf, { mode: 0o755 });
    const run = spawnSync(program, { timeout: 10_000, maxBuffer: 1 << 24 });
    const results: bigint[] = [];
    for (let at = 0; at + 8 <= run.stdout.length; at += 8) results.push(run.stdout.readBigUInt64LE(at));
    return { results, signal: run.signal ?? (run.status === 0 ? null : `status ${run.status}`) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same calls by the interpreter. */
export function runInterpreted(module: Module, calls: readonly NativeCall[]): bigint[] {
  const interpreter = new Interpreter(module);
  const float = new DataView(new ArrayBuffer(8));
  return calls.map(({ name, args }) => {
    const f = module.functions.get(name)!;
    const values = args.map((value, k) => {
      if (f.params[k].type !== "f64") return value;
      float.setBigUint64(0, value);
      return float.getFloat64(0);
    });
    const outcome = interpreter.run(name, values);
    if (outcome.kind !== "returned")
      throw new Error(`${name}(${args.join(", ")}): ${outcome.trap}: ${outcome.message}`);
    if (typeof outcome.value === "number") {
      float.setFloat64(0, outcome.value);
      return float.getBigUint64(0);
    }
    return outcome.value ?? 0n;
  });
}

/** Problems of every function's allocation, by the independent checker. */
export function allocationProblems(module: Module): string[] {
  return [...module.functions.values()]
    .filter((f) => !f.attributes.naked)
    .flatMap((f) => checkAllocation(allocateFunction(f, optionsFor(module))));
}
