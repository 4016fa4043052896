/** The output of a compile: diagnostics at nodes, and source positions for the IR. */
import type { Loc, Scope } from "../ir/ir.ts";
import type { SourceProgram, ts } from "./adapter.ts";
import { type Code, type Diagnostic, Refused } from "./diagnostics.ts";

export class Reporter {
  readonly source: SourceProgram;
  readonly diagnostics: Diagnostic[] = [];
  /** TypeScript has reported errors, so an unknown name needs no second diagnostic. */
  hasSourceErrors = false;
  /** The node being compiled, for internal errors. */
  currentNode: ts.Node | null = null;
  readonly #fileIndex = new Map<ts.SourceFile, number>();

  constructor(source: SourceProgram) {
    this.source = source;
    source.files.forEach((file, index) => this.#fileIndex.set(file, index));
  }

  report(node: ts.Node, code: Code, message: string): void {
    const start = node.getStart();
    this.diagnostics.push({ code, message, ...this.source.position(node.getSourceFile(), start) });
  }
  refuse(node: ts.Node, code: Code, message: string): never {
    this.report(node, code, message);
    throw new Refused();
  }
  locOf(node: ts.Node, scope: Scope | null = null): Loc {
    const file = node.getSourceFile();
    const index = this.#fileIndex.get(file) ?? -1;
    const at = file.getLineAndCharacterOfPosition(node.getStart(file));
    const [line, column] = [at.line + 1, at.character + 1];
    return scope === null ? { file: index, line, column } : { file: index, line, column, scope };
  }
}

/** A short piece of the source for messages. */
export function excerpt(node: ts.Node, limit = 40): string {
  const text = node.getText().replace(/\s+/g, " ");
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}
