/** Text dumps of the compiler's stages: what `--emit=STAGE` prints. */
import { type CompileOptions, compile, stageError, toModule, toObject, toOptimized } from "./compiler.ts";
import type { Diagnostic } from "./frontend/diagnostics.ts";
import { dumpLayouts, dumpTree } from "./frontend/dump.ts";
import { printFunction, printModule } from "./ir/printer.ts";
import type { ObjectModule } from "./link/object.ts";
import { passNames } from "./passes/passes.ts";

/**
 * ast: syntax trees of the modules.  layout: structs with the offsets of their fields.
 * ir: after all passes; ir:frontend before them; ir:PASS each function after each run of that pass.
 * asm: chunks of code and data with relocations and lines.  map: the link map.
 */
export const stages: readonly string[] = [
  "ast",
  "layout",
  "ir",
  "ir:frontend",
  ...passNames.map((p) => `ir:${p}`),
  "asm",
  "map",
];

export function dump(stage: string, options: CompileOptions): { text: string; diagnostics: readonly Diagnostic[] } {
  if (!stages.includes(stage)) throw new Error(`no stage is called ${stage}; there are ${stages.join(", ")}`);
  if (stage === "ast") return { text: dumpTree(options), diagnostics: [] };
  if (stage === "layout") return { text: dumpLayouts(options), diagnostics: [] };
  if (stage === "map") {
    const { image, diagnostics } = compile(options);
    return { text: image?.map ?? "", diagnostics };
  }
  const { module, diagnostics } = toModule(options);
  if (!module) return { text: "", diagnostics };
  try {
    if (stage === "ir:frontend") return { text: printModule(module), diagnostics };
    const wanted = stage.startsWith("ir:") ? stage.slice(3) : null;
    const parts: string[] = [];
    toOptimized(module, {
      ...options,
      passes: {
        ...options.passes,
        onPass: (pass, func) => {
          if (pass === wanted) parts.push(`# after ${pass}\n${printFunction(func)}\n`);
        },
      },
    });
    if (wanted) return { text: parts.join("\n"), diagnostics };
    if (stage === "ir") return { text: printModule(module), diagnostics };
    return { text: dumpObject(toObject(module)), diagnostics };
  } catch (e) {
    return { text: "", diagnostics: stageError("dump", e) };
  }
}

const offsetText = (offset: number): string => offset.toString(16).padStart(4, "0");
const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(" ");

/** Chunks as the linker receives them: bytes by source line, then relocations. */
export function dumpObject(object: ObjectModule): string {
  const out: string[] = [];
  for (const chunk of object.chunks) {
    out.push(`${chunk.symbol}: section ${chunk.section} align ${chunk.align} size ${chunk.size}`);
    if (chunk.bytes) {
      const rows = chunk.lines.length > 0 ? chunk.lines : [{ offset: 0, file: -1, line: 0, column: 0 }];
      rows.forEach((row, i) => {
        const end = rows[i + 1]?.offset ?? chunk.size;
        const where = row.file >= 0 ? `  # ${object.files[row.file] ?? "?"}:${row.line}:${row.column}` : "";
        if (end > row.offset)
          out.push(
            `  ${offsetText(row.offset)}  ${hex(chunk.bytes?.subarray(row.offset, end) ?? new Uint8Array())}${where}`,
          );
      });
    }
    for (const r of chunk.relocations) {
      const { plus, minus: subtracted, addend } = r.expression;
      const minus = subtracted ? ` - ${subtracted}` : "";
      out.push(`  reloc ${offsetText(r.offset)} ${r.kind} ${plus}${minus}${addend ? ` + ${addend}` : ""}`);
    }
  }
  return `${out.join("\n")}\n`;
}
