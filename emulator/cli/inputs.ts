/** Turns what was typed into checked settings: images, roots, output files. Everything here refuses with one line before anything starts. */
import fs from "node:fs";
import path from "node:path";
import { recipes } from "../../images/recipes.ts";
import { scanCodes, UnknownKey } from "../devices/scancodes.ts";
import { type FaultSpec, FaultSpecError, parseFaults } from "../fabric/faults.ts";
import { DEFAULT_EPOCH_SECONDS } from "../machine/clock.ts";
import { UserError } from "./errors.ts";
import { bounds, defaults } from "./options.ts";
import { packageRoot } from "./package.ts";
import { parseCount, parseSize, parseTime } from "./units.ts";

export type Texts = Record<string, string | undefined>;
export const imagesOut = path.join(packageRoot, "images/out");

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "is a directory",
  ENOTDIR: "a part of the path is no directory",
  EROFS: "read-only file system",
  ENOSPC: "no space left",
};
const reason = (error: unknown): string => {
  const code = (error as NodeJS.ErrnoException).code ?? "error";
  return reasons[code] ?? code;
};

export function readInput(what: string, file: string, todo: string): Uint8Array {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    throw new UserError(what, `${file}: ${reason(error)}`, todo);
  }
}

/** IMAGE: a recipe's name, or the path of a file. */
export function imageFile(image: string): string {
  const recipe = recipes.find((r) => r.name === image);
  if (recipe) {
    const file = path.join(imagesOut, recipe.elf ?? recipe.output);
    if (!fs.existsSync(file)) throw new UserError("image not built", image, "run `make build` or `margay build`");
    return file;
  }
  if (!/[/.]/.test(image) && !fs.existsSync(image))
    throw new UserError("no such image", image, `give a path, or one of ${recipes.map((r) => r.name).join(", ")}`);
  return image;
}
export const readImage = (image: string): Uint8Array =>
  readInput("image", imageFile(image), "give the path of a PVH ELF64 kernel");

/** A built artifact that the machine needs. */
export function readArtifact(name: string): Uint8Array {
  return readInput("image not built", path.join(imagesOut, name), "run `make build` or `margay build`");
}

export function rootFolder(root: string | undefined): string {
  if (root === undefined) {
    const folder = path.join(imagesOut, "root");
    fs.mkdirSync(folder, { recursive: true });
    return folder;
  }
  const stat = fs.statSync(root, { throwIfNoEntry: false });
  if (!stat) throw new UserError("bad --root", `${root}: no such directory`, "give an existing directory");
  if (!stat.isDirectory()) throw new UserError("bad --root", `${root}: not a directory`, "give an existing directory");
  return fs.realpathSync(root);
}

/** Opens an output file now, so that a bad path is refused before the run. */
export function openOutput(option: string, file: string): number {
  try {
    return fs.openSync(file, "w");
  } catch (error) {
    throw new UserError(`bad ${option}`, `${file}: ${reason(error)}`, "give a path that can be written");
  }
}

export interface MachineSettings {
  readonly cores: number;
  readonly memBytes: number;
  readonly seed: number;
  readonly append: string;
  readonly limitNs: number;
  /** A guest that does what the manuals forbid stops the machine. */
  readonly strict: boolean;
  /** Wall-clock time at virtual time 0, seconds since 1970. */
  readonly epochSeconds: number;
  /** Set-1 scan codes of each key to type once a node is ready; undefined: no keyboard. */
  readonly keys?: readonly (readonly number[])[];
  readonly faults?: FaultSpec;
  /** Print the state hash at the end. */
  readonly hash: boolean;
}

function parseKeys(text: string): readonly (readonly number[])[] {
  try {
    return scanCodes(text);
  } catch (error) {
    if (error instanceof UnknownKey)
      throw new UserError(
        "bad --keys",
        error.message,
        "give what a US keyboard has: letters, digits, punctuation, and \\n \\t \\b \\e",
      );
    throw error;
  }
}
function faultSpec(text: string): FaultSpec {
  try {
    return parseFaults(text);
  } catch (error) {
    if (error instanceof FaultSpecError) throw new UserError("bad --faults", error.message, "");
    throw error;
  }
}
export function machineSettings(o: Texts, defaultCores: number): MachineSettings {
  const append = o["append"] ?? "";
  if (append.length > 1024 || /[^\x20-\x7e]/.test(append))
    throw new UserError("bad --append", "kernel command line", "give at most 1024 printable ASCII characters");
  return {
    cores: o["cores"] === undefined ? defaultCores : parseCount("--cores", o["cores"], 1, bounds.cores),
    memBytes:
      o["mem"] === undefined ? defaults.memBytes : parseSize("--mem", o["mem"], bounds.memLeast, bounds.memMost),
    seed: o["seed"] === undefined ? defaults.seed : parseCount("--seed", o["seed"], 0, 0xffff_ffff),
    append,
    limitNs: o["limit"] === undefined ? Number.POSITIVE_INFINITY : parseTime("--limit", o["limit"]),
    strict: o["strict"] !== undefined,
    hash: o["hash"] !== undefined,
    ...(o["keys"] === undefined ? {} : { keys: parseKeys(o["keys"]) }),
    ...(o["faults"] === undefined ? {} : { faults: faultSpec(o["faults"]) }),
    epochSeconds: o["epoch"] === undefined ? DEFAULT_EPOCH_SECONDS : parseCount("--epoch", o["epoch"], 0, 0xffff_ffff),
  };
}
