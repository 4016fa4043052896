/**
 * The compiler's own command, for build steps before `margay` exists:
 *   codec ABI_DIR OUT_DIR                     typed codecs of the modules of ABI_DIR, for node
 *   compile [--entry NAME] [--kind KIND] [--address A] [--base B] [--no-optimize] [--emit STAGE] -o OUT FILE…
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { compile, type CompileOptions } from "./compiler.ts";
import { dump, stages } from "./dump.ts";
import { generateCodecs } from "./frontend/codec.ts";
import { type Diagnostic, formatDiagnostic } from "./frontend/diagnostics.ts";
import type { Layout } from "./link/object.ts";

const USAGE = "usage: toolchain codec ABI_DIR OUT_DIR | toolchain compile [options] -o OUT FILE…";
const EXIT_REFUSED = 2;

function fail(message: string): number {
  process.stderr.write(`toolchain: ${message}\n`);
  return EXIT_REFUSED;
}
function report(diagnostics: readonly Diagnostic[]): number {
  for (const d of diagnostics) process.stderr.write(`${formatDiagnostic(d)}\n`);
  return diagnostics.length > 0 ? EXIT_REFUSED : 0;
}

function codec(args: readonly string[]): number {
  const [abiDir, outDir] = args;
  if (!abiDir || !outDir || args.length > 2) return fail(USAGE);
  return report(generateCodecs(abiDir, outDir).diagnostics);
}

const KINDS: readonly Layout["kind"][] = ["kernel", "program", "flat"];
function compileCommand(args: string[]): number {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      entry: { type: "string", default: "_start" },
      kind: { type: "string", default: "program" },
      address: { type: "string", default: "0x400000" },
      base: { type: "string", default: "0" },
      output: { type: "string", short: "o" },
      emit: { type: "string" },
      "no-optimize": { type: "boolean", default: false },
    },
  });
  const kind = KINDS.find((k) => k === values.kind);
  if (!kind) return fail(`no kind of image is called ${values.kind}; there are ${KINDS.join(", ")}`);
  if (positionals.length === 0) return fail(USAGE);
  const packageRoot = process.cwd();
  const options: CompileOptions = {
    name: path.basename(positionals[0] ?? "image", ".ts"),
    roots: positionals.map((p) => path.resolve(p)),
    packageRoot,
    entry: values.entry,
    layout: { kind, entry: values.entry, base: BigInt(values.base), address: BigInt(values.address) },
    optimize: !values["no-optimize"],
  };
  if (values.emit !== undefined) {
    if (!stages.includes(values.emit)) return fail(`no stage is called ${values.emit}; there are ${stages.join(", ")}`);
    const { text, diagnostics } = dump(values.emit, options);
    process.stdout.write(text);
    return report(diagnostics);
  }
  if (!values.output) return fail(USAGE);
  const { image, diagnostics } = compile(options);
  if (image) writeFileSync(values.output, image.flat ?? image.elf, { mode: kind === "program" ? 0o755 : 0o644 });
  return report(diagnostics);
}

function main(argv: readonly string[]): number {
  const [command, ...rest] = argv;
  try {
    if (command === "codec") return codec(rest);
    if (command === "compile") return compileCommand(rest);
    return fail(USAGE);
  } catch (e) {
    return fail(e instanceof Error ? (e.message.split("\n")[0] ?? "") : String(e));
  }
}
process.exitCode = main(process.argv.slice(2));
