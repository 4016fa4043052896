/**
 * The header of a trace file: the command line that repeats the run, and the hashes of the images. It leaves out the
 * trace file's own name, so that equal runs give equal files.
 */
import { createHash } from "node:crypto";
import path from "node:path";
import type { TracedImage, TraceHeader } from "../trace/file.ts";
import { optionsOf } from "./definitions.ts";
import type { MachineSettings } from "./inputs.ts";
import { packageRoot } from "./package.ts";
import type { Parsed } from "./parse.ts";

/** An image that the run uses; `bytes`: its content. */
export interface UsedImage {
  readonly role: TracedImage["role"];
  readonly file: string;
  readonly bytes: Uint8Array;
}

const OUTPUTS = ["trace", "output"];

export function traceHeader(
  { command, texts, lists, operands }: Parsed,
  nodes: number,
  { cores, seed }: MachineSettings,
  images: readonly UsedImage[],
): TraceHeader {
  // In the order of the table, not of the line.
  const options = optionsOf(command).flatMap(({ name, value, mayRepeat }) => {
    if (OUTPUTS.includes(name)) return [];
    if (mayRepeat === true) return (lists[name] ?? []).flatMap((v) => [`--${name}`, v]);
    const text = texts[name];
    return text === undefined ? [] : value === undefined ? [`--${name}`] : [`--${name}`, text];
  });
  const selection = ["show", "node", "core", "from", "to"].flatMap((name) =>
    texts[name] === undefined ? [] : [`${name}=${texts[name]}`],
  );
  return {
    command: [command.name === "boot" ? "boot" : "run", ...options, ...operands],
    image: operands[0] ?? texts["map"]!,
    nodes,
    cores,
    seed,
    show: selection.join(" ") || "all",
    images: images.map(({ role, file, bytes }) => ({
      role,
      file: nameInPackage(file),
      sha256: createHash("sha256").update(bytes).digest("hex"),
    })),
  };
}

function nameInPackage(file: string): string {
  const inPackage = path.relative(packageRoot, path.resolve(file));
  return inPackage.startsWith("..") || path.isAbsolute(inPackage) ? file : inPackage;
}
