/**
 * The job's side of a `run` line: ranks, environment, arguments, working directory, quota. Mistakes are refused before
 * anything starts.
 */
import { Errno } from "../abi/errno.ts";
import { argumentBytes, argumentBytesMost } from "../service/parameters.ts";
import { UserError } from "./errors.ts";
import { bounds, defaults } from "./limits.ts";
import { parseMap } from "./map.ts";
import { type Placement, placement } from "./placement.ts";
import type { Parsed } from "./parse.ts";
import { parseCount, parseSize } from "./units.ts";

export interface JobSetup {
  readonly nodes: number;
  readonly placement: Placement;
  readonly fanout: number;
  readonly workingDirectory: string;
  readonly quotaBytes: number;
  /** Of each program. */
  readonly commands: readonly (readonly string[])[];
  /** Index into `commands` of each rank. */
  readonly programOfRank: readonly number[];
  /** `NAME=VALUE`. */
  readonly envp: readonly string[];
}

export function jobSetup({ texts, lists, operands }: Parsed, environment: NodeJS.ProcessEnv = process.env): JobSetup {
  const nodes = texts["nodes"] === undefined ? defaults.nodes : parseCount("--nodes", texts["nodes"], 1, bounds.nodes);
  const cores =
    texts["cores"] === undefined ? defaults.runCores : parseCount("--cores", texts["cores"], 1, bounds.cores);
  const map = texts["map"] === undefined ? undefined : parseMap(texts["map"]);
  const mapped = map?.reduce((sum, { ranks }) => sum + ranks.length, 0);
  const places = placement(texts, nodes, cores, mapped);
  const programOfRank = places.nids.map((_, rank) => map?.findIndex(({ ranks }) => ranks.includes(rank)) ?? 0);
  const commands = map?.map(({ argv }) => argv) ?? [operands];
  const envp = variables(lists["env"] ?? [], environment);
  for (const argv of commands) mustFit(argv, envp);
  return {
    nodes,
    placement: places,
    fanout: texts["fanout"] === undefined ? defaults.fanout : parseCount("--fanout", texts["fanout"], 1, bounds.fanout),
    workingDirectory: workingDirectory(texts["chdir"]),
    quotaBytes:
      texts["quota"] === undefined ? defaults.quotaBytes : parseSize("--quota", texts["quota"], 0, bounds.quotaMost, 1),
    commands,
    programOfRank,
    envp,
  };
}

function workingDirectory(text: string | undefined): string {
  if (text === undefined) return "/";
  if (text === "") throw new UserError("bad --chdir", "''", "give a directory inside --root");
  return text;
}

/** The last value of a name wins; it takes the place of the first. */
function variables(settings: readonly string[], environment: NodeJS.ProcessEnv): readonly string[] {
  const values = new Map<string, string>();
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    const name = equals < 0 ? setting : setting.slice(0, equals);
    if (name === "") throw new UserError("bad --env", `'${setting}'`, "give NAME=VALUE, or NAME to pass on its value");
    const value = equals < 0 ? environment[name] : setting.slice(equals + 1);
    if (value === undefined) throw new UserError("bad --env", `'${name}' is not set here`, `give ${name}=VALUE`);
    values.set(name, value);
  }
  return [...values].map(([name, value]) => `${name}=${value}`);
}

/** The same check that init makes when it builds the program's stack (userland/init/execute.ts). */
function mustFit(argv: readonly string[], envp: readonly string[]): void {
  const bytes = argumentBytes(argv, envp);
  if (bytes > argumentBytesMost)
    throw new UserError(
      "arguments too long",
      `${argv.length} arguments and ${envp.length} variables take ${bytes} bytes of the stack (errno ${Errno.E2BIG}, E2BIG)`,
      `give at most ${argumentBytesMost}, or put them into a file`,
    );
}
