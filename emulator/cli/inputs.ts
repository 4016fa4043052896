/**
 * Turns typed text into checked settings: images, roots, output files. Each refusal is one line, before anything
 * starts.
 */
import fs from "node:fs";
import path from "node:path";
import { recipes } from "../../images/recipes.ts";
import { scanCodes, UnknownKey } from "../devices/scancodes.ts";
import { type FaultSpec, FaultSpecError, parseFaults } from "../fabric/faults.ts";
import { defaultFabric, type FabricOptions } from "../fabric/switch.ts";
import { DEFAULT_EPOCH_SECONDS, DEFAULT_QUANTUM_NS } from "../machine/clock.ts";
import { codeOf, reasonOf, UserError } from "./errors.ts";
import { makeDirectories, readInput } from "./files.ts";
import { bounds, defaults, type EngineName, engineNames } from "./limits.ts";
import { packageRoot } from "./package.ts";
import type { Texts } from "./parse.ts";
import { parseCount, parseRate, parseSize, parseTime, parseWallTime } from "./units.ts";

export const imagesOut = path.join(packageRoot, "images/out");

/** IMAGE: a recipe's name, or the path of a file. */
export function imageFile(image: string): string {
  const recipe = recipes.find((r) => r.name === image);
  if (recipe) {
    const file = path.join(imagesOut, recipe.elf ?? recipe.output);
    if (!fs.existsSync(file)) throw new UserError("image not built", image, "run `make build` or `margay build`");
    return file;
  }
  if (image === "" || (!/[/.]/.test(image) && !fs.existsSync(image)))
    throw new UserError(
      "no such image",
      `'${image}'`,
      `give a path, or one of ${recipes.map((r) => r.name).join(", ")}`,
    );
  return image;
}
export const readImage = (image: string): Uint8Array =>
  readInput("image", imageFile(image), "give the path of a PVH ELF64 kernel");

/** Reads a built artifact that the machine needs. */
export function readArtifact(name: string): Uint8Array {
  return readInput("image not built", path.join(imagesOut, name), "run `make build` or `margay build`");
}

/** --root, or the installation's own root, which is created if it is missing. @throws UserError */
export function rootFolder(root: string | undefined): string {
  if (root === undefined) {
    const folder = path.join(imagesOut, "root");
    try {
      makeDirectories(folder);
    } catch (error) {
      throw new UserError("no root folder", `${folder}: ${reasonOf(error)}`, "give a directory by --root DIR");
    }
    return folder;
  }
  let stat: fs.Stats;
  try {
    stat = fs.statSync(root);
  } catch (error) {
    const why = codeOf(error) === "ENOENT" ? "no such directory" : reasonOf(error);
    throw new UserError("bad --root", `'${root}': ${why}`, "give an existing directory");
  }
  if (!stat.isDirectory())
    throw new UserError("bad --root", `'${root}': not a directory`, "give an existing directory");
  try {
    fs.accessSync(root, fs.constants.R_OK | fs.constants.X_OK);
  } catch (error) {
    throw new UserError("bad --root", `'${root}': ${reasonOf(error)}`, "give a directory that you may read");
  }
  return root;
}

/** --engine, else MARGAY_ENGINE, else the default. */
function engineName(option: string | undefined): EngineName {
  const text = option ?? process.env["MARGAY_ENGINE"] ?? defaults.engine;
  const name = engineNames.find((known) => known === text);
  if (name === undefined)
    throw new UserError(
      option === undefined ? "bad MARGAY_ENGINE" : "bad --engine",
      `'${text}'`,
      `give ${engineNames.join(" or ")}`,
    );
  return name;
}

export interface MachineSettings {
  readonly cores: number;
  readonly memBytes: number;
  readonly seed: number;
  readonly append: string;
  readonly limitNs: number;
  /** Stop the machine when a guest does what the manuals forbid. */
  readonly strict: boolean;
  /** Wall-clock time at virtual time 0, seconds since 1970. */
  readonly epochSeconds: number;
  /** Set-1 scan codes of each key to type once a node is ready; undefined: no keyboard. */
  readonly keys?: readonly (readonly number[])[];
  readonly faults?: FaultSpec;
  readonly fabric: FabricOptions;
  /** Wall-clock time limit of the run, seconds. */
  readonly timeSeconds: number;
  /** Print the summary as JSON. */
  readonly json: boolean;
  readonly engine: EngineName;
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
/**
 * The latency is the earliest time at which one node can affect another. Its lower bound is the quantum (machine.ts).
 */
const LATENCY_MOST_NS = 10e6;
function fabric(o: Texts): FabricOptions {
  const latencyNs = o["latency"] === undefined ? defaultFabric.latencyNs : parseTime("--latency", o["latency"]);
  if (latencyNs < DEFAULT_QUANTUM_NS || latencyNs > LATENCY_MOST_NS)
    throw new UserError("bad --latency", `'${o["latency"]}'`, "give a time from 1us to 10ms");
  const bytesPerNs =
    o["bandwidth"] === undefined ? defaultFabric.bytesPerNs : parseRate("--bandwidth", o["bandwidth"]) / 1e9;
  return { latencyNs, bytesPerNs };
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
    engine: engineName(o["engine"]),
    hash: o["hash"] !== undefined,
    ...(o["keys"] === undefined ? {} : { keys: parseKeys(o["keys"]) }),
    ...(o["faults"] === undefined ? {} : { faults: faultSpec(o["faults"]) }),
    fabric: fabric(o),
    timeSeconds: o["time"] === undefined ? Number.POSITIVE_INFINITY : parseWallTime("--time", o["time"]),
    json: o["json"] !== undefined,
    epochSeconds: o["epoch"] === undefined ? DEFAULT_EPOCH_SECONDS : parseCount("--epoch", o["epoch"], 0, 0xffff_ffff),
  };
}
