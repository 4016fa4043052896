/** Test-only: runs functions of subset modules in the IR interpreter. */
import path from "node:path";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";
import { lowerProgram } from "../../toolchain/frontend/frontend.ts";
import { Interpreter, type InterpreterOptions } from "../../toolchain/ir/interpreter.ts";
import { type Data, type Module, NO_LOC } from "../../toolchain/ir/ir.ts";

const packageRoot = path.resolve(import.meta.dirname, "../..");
export const SCRATCH = "test.scratch";

export class Subset {
  readonly module: Module;
  readonly interpreter: Interpreter;
  /** `file` relative to the package; `scratchBytes` of memory for arguments. */
  constructor(file: string, scratchBytes: number, options: InterpreterOptions = {}) {
    const { module, diagnostics } = lowerProgram({
      name: file,
      roots: [path.join(packageRoot, file)],
      packageRoot,
      entry: null,
    });
    if (module === null) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
    const data: Data = {
      name: SCRATCH,
      sourceName: SCRATCH,
      section: ".bss",
      align: 64,
      size: scratchBytes,
      bytes: null,
      relocations: [],
      readonly: false,
      keep: true,
      loc: NO_LOC,
    };
    module.data.set(SCRATCH, data);
    this.module = module;
    this.interpreter = new Interpreter(module, options);
  }
  get scratch(): bigint {
    return this.interpreter.addressOf(SCRATCH);
  }
  write(offset: number, bytes: Uint8Array): void {
    this.interpreter.bytesAt(this.scratch, offset + bytes.length).set(bytes, offset);
  }
  call(name: string, ...args: bigint[]): bigint {
    const outcome = this.interpreter.run(name, args);
    if (outcome.kind === "trap") throw new Error(`${name}: ${outcome.trap}: ${outcome.message}`);
    return typeof outcome.value === "bigint" ? outcome.value : 0n;
  }
}
