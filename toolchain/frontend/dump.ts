/** Dumps of the frontend's own stages: syntax trees and struct layouts. */
import { SourceProgram, ts } from "./adapter.ts";
import { Refused } from "./diagnostics.ts";
import { constantExpression } from "./expressions.ts";
import type { FrontendOptions } from "./frontend.ts";
import { showType, sizeOf } from "./types.ts";
import { Unit } from "./unit.ts";

/** One line per node: kind, position, text of leaves. */
export function dumpTree(options: FrontendOptions): string {
  const source = new SourceProgram(options.roots, options.packageRoot, options.overlay);
  const out: string[] = [];
  const visit = (node: ts.Node, depth: number, file: ts.SourceFile): void => {
    const at = source.position(file, node.getStart(file));
    let leaf = true;
    ts.forEachChild(node, () => {
      leaf = false;
    });
    const text = leaf ? ` ${JSON.stringify(node.getText(file))}` : "";
    out.push(`${"  ".repeat(depth)}${ts.SyntaxKind[node.kind]} ${at.line}:${at.column}${text}`);
    ts.forEachChild(node, (child) => visit(child, depth + 1, file));
  };
  for (const file of source.files) {
    out.push(source.relative(file));
    for (const s of file.statements) visit(s, 1, file);
  }
  return `${out.join("\n")}\n`;
}

/** Every struct without type parameters: size, alignment, and the offset, size and type of each field. */
export function dumpLayouts(options: FrontendOptions): string {
  const unit = new Unit(
    new SourceProgram(options.roots, options.packageRoot, options.overlay),
    options.name,
    constantExpression,
  );
  const out: string[] = [];
  for (const file of unit.source.files) {
    for (const s of file.statements) {
      if (!ts.isClassDeclaration(s) || s.typeParameters) continue;
      try {
        const struct = unit.resolver.complete(unit.resolver.struct(s, [], s), s);
        out.push(`${struct.name} size ${struct.size} align ${struct.align}  # ${unit.source.relative(file)}`);
        for (const f of struct.fields.values())
          out.push(
            `  ${String(f.offset).padStart(5)} ${String(sizeOf(f.type)).padStart(5)}  ${f.name}: ${showType(f.type)}`,
          );
      } catch (e) {
        if (!(e instanceof Refused)) throw e;
      }
    }
  }
  return `${out.join("\n")}\n`;
}
