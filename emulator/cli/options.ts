/** The options of `boot` and `run` as one table: yargs, the help texts and the splitting of PROGRAM's own arguments read it. */
import type { Options } from "yargs";
import { UserError } from "./errors.ts";

type Table = Readonly<Record<string, Options>>;
const text = (describe: string): Options => ({ describe, type: "string", requiresArg: true, nargs: 1 });

const machine: Table = {
  cores: text("cores of each node, 1…64"),
  mem: text("memory of each node, as 64M or 1G"),
  append: text("added to the kernel's command line"),
  trace: text("write every event to FILE"),
  show: text(
    "events to show or trace: groups or kinds, as sys,irq.eoi,msg (default all in FILE); insn: each instruction",
  ),
  node: text("… of these nodes only, as 1 or 1,4-7"),
  core: text("… of these cores only"),
  from: text("… from this virtual time on, as 20us or 3.5ms"),
  to: text("… up to this virtual time"),
  seed: text("seed of everything random"),
  epoch: text("wall-clock time at boot, seconds since 1970"),
  keys: text("type TEXT on the nodes' keyboards after ready, one key a virtual ms"),
  hash: { describe: "print the hash of the machine's state at the end", type: "boolean" },
  gdb: text("let gdb debug the machine by PORT or SOCKET (a path); waits for it"),
  "no-wait": { describe: "with --gdb or --gdb-job: start at once, a debugger may come later", type: "boolean" },
  strict: {
    describe: "stop where a guest does what the manuals forbid, check the rules of every trace",
    type: "boolean",
  },
};

export const bootOptions: Table = {
  ...machine,
  module: text("boot module (PVH module 0)"),
  until: text("stop at EVENT: ready, console:TEXT, time:10ms, or KIND[:field=value]"),
  limit: text("end with status 124 at this virtual time"),
};
export const runOptions: Table = {
  nodes: text("compute nodes, 1…256"),
  ...machine,
  "gdb-job": text("let gdb debug the job's processes, by PORT or SOCKET, while the machine goes on; waits for it"),
  fanout: text("degree of the job's load tree"),
  root: text("directory that the I/O node serves as /"),
  faults: text("faults of the links, as drop=1%,dup=1%,corrupt=0.5%,reorder=2%,delay=1%:50us"),
  kernel: text("kernel image: a recipe's name or a path"),
  limit: text("end with status 124 at this virtual time"),
  label: { describe: "mark each line of output with its rank", type: "boolean" },
};

export const defaults = { bootCores: 1, runCores: 2, nodes: 4, memBytes: 64 * 2 ** 20, fanout: 4, seed: 0 } as const;
/** Bounds; RAM ends below the hole for devices (kernel/abi/memory.ts). */
export const bounds = { cores: 64, nodes: 256, fanout: 64, memLeast: 16 * 2 ** 20, memMost: 3 * 2 ** 30 } as const;

export const recordOptions: Table = {
  output: { ...text("the trace file (default margay.trace)"), alias: "o" },
  ...Object.fromEntries(Object.entries(runOptions).filter(([name]) => name !== "trace")),
};

/**
 * `margay run [OPTIONS] PROGRAM [ARGS…]`, and `margay trace record` likewise: everything behind PROGRAM is the program's. Returns argv with `--` put before PROGRAM,
 * so that yargs leaves the rest alone.
 */
export function splitProgram(argv: readonly string[]): string[] {
  const isRecord = argv[0] === "trace" && argv[1] === "record";
  if (argv[0] !== "run" && !isRecord) return [...argv];
  const options: Table = isRecord ? { ...recordOptions, o: recordOptions["output"]! } : runOptions;
  let i = isRecord ? 2 : 1;
  while (i < argv.length && argv[i]!.startsWith("-") && argv[i] !== "--") {
    const name = argv[i]!.replace(/^-+/, "");
    const takesValue = !name.includes("=") && options[name]?.type === "string";
    i += takesValue ? 2 : 1;
  }
  return argv[i] === "--" || i >= argv.length ? [...argv] : [...argv.slice(0, i), "--", ...argv.slice(i)];
}

/** The options as texts, a flag as "true". yargs hands an option given twice as an array. */
export function single(args: Record<string, unknown>, names: readonly string[]): Record<string, string | undefined> {
  const values: Record<string, string | undefined> = {};
  for (const name of names) {
    const value = args[name];
    if (Array.isArray(value)) throw new UserError(`--${name} given twice`, value.join(", "), "give it once");
    values[name] = value === undefined || value === false ? undefined : String(value);
  }
  return values;
}
