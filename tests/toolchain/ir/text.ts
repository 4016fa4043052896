/**
 * Small functions as text, before and after passes: `f` with two data, `d` of 64 bytes and `e` of 8, and their results
 * in the interpreter.
 */
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { Func, Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printFunction } from "../../../toolchain/ir/printer.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";
import { optimize } from "../../../toolchain/passes/passes.ts";

const DATA = 'data @d "d" section ".data" align 8 size 64\ndata @e "e" section ".data" align 8 size 8\n';

export function parsed(signature: string, body: string): Module {
  const module = parseModule(`module "t"\n${DATA}func @f "f" ${signature} section ".text" keep {\n${body}\n}\n`);
  verify(module);
  return module;
}

/** The blocks of f after the passes as they are printed, verified after each. */
export function dumpAfter(only: readonly string[], signature: string, body: string): string {
  const module = parsed(signature, body);
  optimize(module, { verify: true, only });
  const lines = printFunction(module.functions.get("f") as Func)
    .trimEnd()
    .split("\n");
  return lines.slice(1, -1).join("\n");
}

export interface Result {
  readonly value: unknown;
  readonly memory: readonly number[];
}
/** Result of f for `args`, and the contents of d afterwards, without and with the passes `only`. */
export function results(
  only: readonly string[],
  signature: string,
  body: string,
  args: readonly bigint[],
): [Result, Result] {
  const run = (isOptimized: boolean): Result => {
    const module = parsed(signature, body);
    if (isOptimized) optimize(module, { verify: true, only });
    const interpreter = new Interpreter(module, { maxSteps: 100_000 });
    const outcome = interpreter.run("f", args);
    return {
      value: outcome.kind === "returned" ? outcome.value : outcome.trap,
      memory: [...interpreter.bytesAt(interpreter.addressOf("d"), 64)],
    };
  };
  return [run(false), run(true)];
}
