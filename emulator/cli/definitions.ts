/**
 * The command line as data. The parser, the help texts, the man page and the shell completions are made from these
 * tables. inputs.ts, units.ts and others interpret the values.
 */
import { defaultFabric } from "../fabric/switch.ts";
import { bounds, defaults, engineNames } from "./limits.ts";
import { formatSize } from "./units.ts";

/** What a shell offers for a value: files, directories, IMAGE, PROGRAM, or a list of fixed words. */
export type Offer = "file" | "directory" | "image" | "program" | readonly string[];

export interface Option {
  /** Without the leading `--`. */
  readonly name: string;
  /** One letter, without the leading `-`. */
  readonly short?: string;
  /** Name of the value in texts. Left out: the option takes no value. */
  readonly value?: string;
  readonly about: string;
  /** The default as a user would type it; help shows it, and a test checks it. */
  readonly default?: string;
  readonly mayRepeat?: boolean;
  readonly mustBeGiven?: boolean;
  readonly offers?: Offer;
}
export interface OptionGroup {
  readonly title: string;
  readonly options: readonly Option[];
  /** Printed after the options. */
  readonly notes?: readonly string[];
}
export interface Operand {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  readonly offers?: Offer;
  /** Everything after the first operand belongs to PROGRAM. */
  readonly takesRest?: boolean;
  /** The option that stands for the operand: one of the two must be given. */
  readonly orOption?: string;
}
export interface Example {
  readonly line: string;
  readonly about: string;
}
export interface Command {
  /** One or two words: "run", "trace show". */
  readonly name: string;
  /** Operands, without the options. */
  readonly usage: string;
  readonly about: string;
  readonly operand?: Operand;
  readonly groups: readonly OptionGroup[];
  readonly notes?: readonly string[];
  readonly examples?: readonly Example[];
}

const EXIT_STATUS: readonly (readonly [status: string, about: string])[] = [
  ["0…255", "the job's own: of the lowest rank that failed, 0 if none did"],
  ["128+n", "the job was terminated by signal n"],
  ["2", "refused: a mistake on the command line, or a load that the nodes refused"],
  ["3", "fault of the machine: a panic, a triple fault, a broken rule under --strict"],
  ["74", "an output cannot be written"],
  ["124", "--limit or --time"],
  ["130", "Ctrl-C; 143 after SIGTERM, 129 after SIGHUP"],
  ["141", "the reader of stdout has gone (SIGPIPE)"],
];
export const exitStatuses = EXIT_STATUS;

// ---- options of several commands

const cores = (count: number): Option => ({
  name: "cores",
  value: "N",
  about: `cores of each node, 1…${bounds.cores}`,
  default: `${count}`,
});
const mem: Option = {
  name: "mem",
  value: "SIZE",
  about: `memory of each node, ${formatSize(bounds.memLeast)}…${formatSize(bounds.memMost)}`,
  default: formatSize(defaults.memBytes),
};
// biome-ignore format: a table
const machine: readonly Option[] = [
  { name: "engine", value: "NAME",    about: "what executes the guests' instructions", default: defaults.engine, offers: engineNames },
  { name: "append", value: "TEXT",    about: "added to the kernel's command line" },
  { name: "seed",   value: "N",       about: "seed of everything random", default: `${defaults.seed}` },
  { name: "epoch",  value: "SECONDS", about: "wall-clock time at boot, since 1970", default: `${defaults.epochSeconds}` },
  { name: "keys",   value: "TEXT",    about: "type TEXT on the nodes' keyboards once they are ready, one key a virtual ms; \\n \\t \\b \\e are keys" },
  { name: "strict",                   about: "stop where a guest does what the manuals forbid; check the rules of every trace" },
  { name: "hash",                     about: "print the hash of the machine's state at the end" },
];
// biome-ignore format: a table
const selection: readonly Option[] = [
  { name: "node", value: "LIST", about: "of these nodes only, as 1 or 1,4-7" },
  { name: "core", value: "LIST", about: "of these cores only, as 0 or 0-3" },
  { name: "from", value: "TIME", about: "from this virtual time on, as 20us or 3.5ms" },
  { name: "to",   value: "TIME", about: "up to this virtual time" },
];
const traceFile: Option = {
  name: "trace",
  value: "FILE",
  about: "write the events to FILE, for `margay trace show`, `diff` and `export`",
  offers: "file",
};
const show: Option = {
  name: "show",
  value: "LIST",
  about:
    "groups or kinds of events, as sys,irq.eoi,msg; insn: each instruction. Printed on stderr, or selected for FILE",
};
const limit: Option = {
  name: "limit",
  value: "TIME",
  about: "end with status 124 at this virtual time, as 10ms or 2s",
};
const time: Option = {
  name: "time",
  value: "TIME",
  about: "end with status 124 after this wall-clock time, as 90s, 10m or 2h",
};
const json: Option = { name: "json", about: "print the summary as one line of JSON" };
const gdb: Option = {
  name: "gdb",
  value: "PORT|SOCKET",
  about: "let gdb debug the machine, by a TCP port or the path of a socket; waits for it",
};
const noWait: Option = { name: "no-wait", about: "start at once; a debugger may connect later" };

const strace: Option = { name: "strace", about: "print the job's system calls on stderr: [RANK.CORE] call = result" };

const trace = (first: readonly Option[]): OptionGroup => ({ title: "Trace", options: [...first, show, ...selection] });

// ---- run

const machineOfRun: OptionGroup = {
  title: "Machine",
  options: [
    { name: "nodes", value: "N", about: `compute nodes, 1…${bounds.nodes}`, default: `${defaults.nodes}` },
    cores(defaults.runCores),
    mem,
    { name: "kernel", value: "IMAGE", about: "kernel: a recipe's name or a path", default: "kernel", offers: "image" },
    ...machine,
    {
      name: "latency",
      value: "TIME",
      about: "of the fabric, from one node to another; at least 1us",
      default: `${defaultFabric.latencyNs / 1000}us`,
    },
    {
      name: "bandwidth",
      value: "RATE",
      about: "of each link and direction, bytes a virtual second",
      default: `${defaultFabric.bytesPerNs}GB/s`,
    },
  ],
};
const job: OptionGroup = {
  title: "Job",
  options: [
    {
      name: "ranks",
      short: "n",
      value: "N",
      about: "ranks of the job (default: --tasks-per-node on each node), spread over the nodes as equally as possible",
    },
    {
      name: "tasks-per-node",
      value: "N",
      about: "ranks on each node, which is filled before the next one (default: as many as --ranks needs)",
    },
    {
      name: "distribution",
      value: "NAME",
      about: "block: the ranks of a node follow each other; cyclic: rank by rank to the next node",
      default: "block",
      offers: ["block", "cyclic"],
    },
    {
      name: "cores-per-task",
      value: "N",
      about: "cores of each rank, from core 0 on (default: an equal part of the node's)",
    },
    { name: "bind", value: "LIST", about: "the cores of each rank of a node, as 0-1:2,4 for two ranks" },
    {
      name: "map",
      value: "MAP",
      about: "instead of PROGRAM, a command for each range of ranks, as '0-3=hello,4-7=/bin/b -x 1'",
    },
    {
      name: "root",
      value: "DIR",
      about: "directory that the job sees as / (default: images/out/root of the installation)",
      offers: "directory",
    },
    {
      name: "mount",
      value: "HOST:GUEST[:ro]",
      about: "show the directory HOST at GUEST, a path of the job's; ro: read-only; may be repeated",
      mayRepeat: true,
    },
    { name: "chdir", value: "DIR", about: "where relative paths start; a path inside --root", default: "/" },
    {
      name: "env",
      value: "NAME[=VALUE]",
      about:
        "set a variable of the job's environment, which is empty otherwise; without VALUE, NAME's value is passed on; may be repeated",
      mayRepeat: true,
    },
    {
      name: "stdin",
      value: "FILE|-",
      about: "standard input of rank 0, the others have none; -: the command's own",
      default: "-",
      offers: "file",
    },
    {
      name: "signal",
      value: "NAME@TIME",
      about: "send the signal to every rank at this virtual time, as USR1@20ms; may be repeated",
      mayRepeat: true,
    },
    {
      name: "quota",
      value: "SIZE",
      about: "most bytes by which the job may grow files, holes included",
      default: formatSize(defaults.quotaBytes),
    },
    {
      name: "fanout",
      value: "N",
      about: `degree of the job's load tree, 1…${bounds.fanout}`,
      default: `${defaults.fanout}`,
    },
    limit,
    time,
    { name: "label", about: "mark each line of output with its rank" },
    json,
  ],
};
const debuggerOfRun: OptionGroup = {
  title: "Debugger",
  options: [
    gdb,
    {
      name: "gdb-job",
      value: "PORT|SOCKET",
      about: "let gdb debug the job's processes while the machine goes on; waits for it",
    },
    noWait,
    {
      name: "core-dir",
      value: "DIR",
      about: "write an ELF core file of each rank that a fault ends into DIR, for `gdb PROGRAM CORE`",
      offers: "directory",
    },
  ],
};
const faults: OptionGroup = {
  title: "Faults",
  options: [
    { name: "faults", value: "SPEC", about: "faults of the links, from --seed: parts as below, joined by commas" },
  ],
  // biome-ignore format: a table
  notes: [
    "drop=RATE                 frames that are lost, as 1%",
    "dup=RATE                  frames that arrive twice",
    "corrupt=RATE              frames with 1 to 3 bits flipped",
    "reorder=RATE[:TIME]       frames held back by up to TIME (20us)",
    "delay=RATE[:TIME]         frames that hold up their link for TIME (50us)",
    "cut=NID:FROM[:UNTIL]      the link of NID carries nothing in this time; may be repeated",
  ],
};
const runGroups = (first: readonly Option[]): readonly OptionGroup[] => [
  machineOfRun,
  job,
  trace([...first, strace]),
  debuggerOfRun,
  faults,
];
const program: Operand = { name: "PROGRAM", least: 1, most: 1, offers: "program", takesRest: true, orOption: "map" };

// ---- commands

const traceOperand = (count: number): Operand => ({ name: "FILE", least: count, most: count, offers: "file" });
const kinds: Option = { name: "kind", value: "LIST", about: "groups or kinds of events, as sys,irq.eoi,msg" };

export const commands: readonly Command[] = [
  {
    name: "build",
    usage: "[IMAGE…]",
    about: "compile the kernel, init and the jobs, or the images named",
    operand: { name: "IMAGE", least: 0, most: Number.POSITIVE_INFINITY, offers: "image" },
    groups: [
      {
        title: "Options",
        options: [
          {
            name: "out",
            value: "DIR",
            about: "output folder (default: images/out of the installation)",
            offers: "directory",
          },
          {
            name: "emit",
            value: "STAGE",
            about: "print a stage of the compiler instead: ast, ir, asm, map or layout",
            offers: ["ast", "ir", "asm", "map", "layout"],
          },
        ],
      },
    ],
  },
  {
    name: "boot",
    usage: "IMAGE",
    about: "boot IMAGE on one node; its console goes to stdout",
    notes: ["IMAGE is a recipe's name (kernel) or the path of an ELF64 with a PVH note."],
    operand: { name: "IMAGE", least: 1, most: 1, offers: "image" },
    groups: [
      {
        title: "Machine",
        options: [
          cores(defaults.bootCores),
          mem,
          ...machine,
          { name: "module", value: "FILE", about: "boot module (PVH module 0)", offers: "file" },
          {
            name: "until",
            value: "EVENT",
            about: "stop at EVENT: ready, console:TEXT, time:10ms, or KIND[:field=value]",
          },
          limit,
          time,
          json,
        ],
      },
      trace([traceFile]),
      { title: "Debugger", options: [gdb, noWait] },
    ],
    examples: [
      { line: "margay boot kernel --cores 4", about: "boot four cores, see the console" },
      { line: "margay boot kernel --show irq,ipi --until ready", about: "interrupts up to the ready line" },
    ],
  },
  {
    name: "run",
    usage: "PROGRAM [ARGS…]",
    about: "boot a machine and run PROGRAM as a job",
    notes: [
      "PROGRAM without a slash is a built-in job (hello, ring, files); with one it is a path inside --root. " +
        "The job's stdout goes to stdout and nothing else does.",
    ],
    operand: program,
    groups: runGroups([traceFile]),
    examples: [
      { line: "margay run --nodes 8 --cores 4 --fanout 2 ring", about: "a built-in job on eight nodes" },
      { line: "margay run --nodes 2 --cores 8 --tasks-per-node 4 ring", about: "eight ranks of two cores each" },
      {
        line: "margay run --root . --env OMP_NUM_THREADS=2 --stdin data ./a.out 10",
        about: "a program of yours with an argument, a variable and input",
      },
    ],
  },
  {
    name: "debug",
    usage: "boot IMAGE | run PROGRAM …",
    about: "start gdb on a machine: nodes are its inferiors, cores its threads",
    notes: ["`monitor help` in gdb lists more; emulator/gdb/DEBUGGING.md shows it."],
    operand: { name: "boot|run", least: 1, most: 1, takesRest: true, offers: ["boot", "run"] },
    groups: [
      {
        title: "Options",
        options: [
          {
            name: "script",
            value: "FILE",
            about: "commands for gdb, read when it is connected; may be repeated",
            mayRepeat: true,
            offers: "file",
          },
          { name: "batch", about: "gdb ends after the scripts; the exit status is gdb's" },
          { name: "gdb", value: "PROGRAM", about: "the debugger to start", default: "gdb" },
        ],
      },
    ],
    examples: [
      { line: "margay debug run --nodes 2 hello", about: "the kernels of two nodes, before their first instruction" },
      { line: "margay debug --batch --script a.gdb boot kernel", about: "a script, without a terminal" },
    ],
  },
  {
    name: "trace record",
    usage: "PROGRAM [ARGS…]",
    about: "run PROGRAM as `margay run` does and write its trace into a file",
    notes: ["As `margay run --trace FILE`. The exit status is the run's."],
    operand: program,
    groups: runGroups([
      {
        name: "output",
        short: "o",
        value: "FILE",
        about: "the trace file",
        default: defaults.traceFile,
        offers: "file",
      },
    ]),
    examples: [
      { line: "margay trace record --nodes 8 -o a.trace ring", about: "a whole run into a file" },
      {
        line: "margay trace record --show insn --node 1 --core 0 --from 700us --to 710us hello",
        about: "each instruction of ten virtual microseconds",
      },
    ],
  },
  {
    name: "trace show",
    usage: "FILE",
    about: "print a trace, decoded",
    operand: traceOperand(1),
    groups: [
      {
        title: "Options",
        options: [
          kinds,
          ...selection,
          {
            name: "format",
            value: "FORMAT",
            about: "full: a line an event, with times; golden: a section a core, names instead of addresses",
            default: "full",
            offers: ["full", "golden"],
          },
        ],
      },
    ],
    examples: [
      { line: "margay trace show --kind sys,msg --node 1 a.trace", about: "what node 1 did" },
      { line: "margay trace show --kind irq --format golden a.trace", about: "as the golden traces of the tests" },
    ],
  },
  {
    name: "trace diff",
    usage: "A B",
    about: "find and explain where two traces diverge",
    notes: ["Exit status: 0 they are equal, 1 they differ, 2 bad input."],
    operand: traceOperand(2),
    groups: [
      {
        title: "Options",
        options: [
          kinds,
          ...selection,
          {
            name: "ignore",
            value: "WHAT",
            about: "time: compare what each core did in its order, with names instead of addresses",
            offers: ["time"],
          },
          { name: "context", value: "N", about: "events shown before and after the divergence", default: "5" },
        ],
      },
    ],
    examples: [{ line: "margay trace diff a.trace b.trace", about: "the first event that differs" }],
  },
  {
    name: "trace export",
    usage: "FILE",
    about: "write a trace for another tool",
    operand: traceOperand(1),
    groups: [
      {
        title: "Options",
        options: [
          {
            name: "perfetto",
            value: "FILE",
            about: "write FILE, which ui.perfetto.dev, chrome://tracing and speedscope open",
            mustBeGiven: true,
            offers: "file",
          },
          kinds,
          ...selection,
        ],
      },
    ],
    examples: [{ line: "margay trace export --perfetto a.json a.trace", about: "open a.json at ui.perfetto.dev" }],
  },
  { name: "trace events", usage: "", about: "print the catalogue of events (emulator/trace/EVENTS.md)", groups: [] },
  {
    name: "syscalls",
    usage: "[NAME|NUMBER]…",
    about: "list the system calls: local, shipped to the I/O node, or refused and why",
    operand: { name: "NAME", least: 0, most: 1000 },
    groups: [
      {
        title: "Options",
        options: [
          { name: "json", about: "print them as one line of JSON" },
          { name: "markdown", about: "print the page kernel/SYSCALLS.md" },
        ],
      },
    ],
    examples: [{ line: "margay syscalls open fork", about: "what becomes of these two" }],
  },
  {
    name: "completion",
    usage: "bash|zsh|fish",
    about: "print a script for the shell's completion",
    operand: { name: "SHELL", least: 1, most: 1, offers: ["bash", "zsh", "fish"] },
    groups: [],
    examples: [{ line: "source <(margay completion bash)", about: "for this shell" }],
  },
  {
    name: "help",
    usage: "[COMMAND]",
    about: "print the help of a command, or the list of commands",
    operand: {
      name: "COMMAND",
      least: 0,
      most: 2,
      offers: ["build", "boot", "run", "debug", "trace", "syscalls", "completion"],
    },
    groups: [{ title: "Options", options: [{ name: "man", about: "print the man page, margay(1), in roff" }] }],
  },
];

export const findCommand = (name: string): Command | undefined => commands.find((c) => c.name === name);
export const optionsOf = (command: Command): readonly Option[] => command.groups.flatMap((g) => g.options);
/** First words, in the order of the table. */
export const firstWords: readonly string[] = [...new Set(commands.map((c) => c.name.split(" ")[0]!))];
/** Second words of `word`; empty: `word` is a whole command. */
export const secondWords = (word: string): readonly string[] =>
  commands.flatMap((c) => (c.name.startsWith(`${word} `) ? [c.name.slice(word.length + 1)] : []));
