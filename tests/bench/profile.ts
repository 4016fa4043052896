/**
 * Where the emulator spends its time in long runs: samples of V8's profiler, each counted for the code on top of its
 * stack. Our own code is identified by the module that its line of the bundle belongs to (so this runs only as a
 * bundle). Native code called from emulator/cpu/unicorn is the Unicorn library together with koffi. Three loads:
 * computing, messages, and system calls that change the address space of four cores.
 */
import fs from "node:fs";
import inspector from "node:inspector";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { CreateEngine } from "../../emulator/cpu/engine.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { assemble, hasAssembler, realEngine } from "../machine/guest.ts";
import { compileProgram, type JobOptions, runJob } from "./job.ts";
import type { Figure, Section } from "./report.ts";

/** Sampling interval, µs. */
const SAMPLE_US = 500;
const INSIDE = "Unicorn";
const UNICORN = /^emulator\/cpu\/unicorn\//;
// biome-ignore format: a table; the first that fits
const groups: readonly (readonly [name: string, modules: RegExp])[] = [
  ["calls and hooks of the engine", UNICORN],
  ["page walk, TLB, events",        /^emulator\/cpu\/x86\//],
  ["scheduler",                     /^emulator\/machine\//],
  ["devices",                       /^emulator\/devices\//],
  ["fabric, nid 0",                 /^emulator\/(fabric|service|ionode|abi)\//],
];

export async function profile(packageRoot: string): Promise<Section> {
  const engine = await realEngine();
  const messages = compileProgram(packageRoot, "messages");
  const job = (o: Omit<JobOptions, "packageRoot" | "memBytes">) => () =>
    void runJob({ packageRoot, memBytes: 64 << 20, ...o });
  const computing =
    typeof engine === "string" ? engine : hasAssembler ? () => loop(packageRoot, engine) : "needs GNU as and ld";
  // biome-ignore format: a table
  const loads: readonly (readonly [name: string, run: (() => void) | string, what: string])[] = [
    ["computing",    computing,                                                                     "one core, the loop of the MIPS figures"],
    ["messages",     job({ nodes: 8, cores: 1, ...messages, args: ["ring", "136"] }),               "ring of 8 nodes"],
    ["system calls", job({ nodes: 1, cores: 4, program: "shootdown", args: ["1000"] }),             "mmap with shootdowns, 4 cores"],
  ];
  try {
    const bundle = new Bundle(fileURLToPath(import.meta.url));
    const figures: Figure[] = [];
    for (const [name, run, what] of loads) {
      if (typeof run === "string") {
        figures.push({ name, value: null, unit: "%", note: run });
        continue;
      }
      const shares = bundle.shares(await sampled(run));
      const rest = [...shares].filter(([group, share]) => group !== INSIDE && share >= 0.5).sort((a, b) => b[1] - a[1]);
      const note = `${what}; the rest: ${rest.map(([group, share]) => `${group} ${share.toFixed(0)} %`).join(", ") || "below 1 %"}`;
      figures.push({ name, value: shares.get(INSIDE) ?? 0, unit: "%", note });
    }
    return {
      title: "time inside Unicorn",
      how: `share of profiler samples, one each ${SAMPLE_US} µs, start-up included`,
      figures,
    };
  } finally {
    fs.rmSync(messages.root, { recursive: true, force: true });
  }
}

function loop(packageRoot: string, createEngine: CreateEngine): void {
  const source = fs.readFileSync(path.join(packageRoot, "tests/bench/guests/loop.s"), "utf8");
  const { image: kernel } = assemble(`.set ITERATIONS, 16000000\n${source}`);
  const machine = new Machine({
    nodes: [{ nid: 1, cores: 1, ramBytes: 16 << 20, kernel, commandLine: "", nic: false }],
    createEngine,
  });
  try {
    machine.run();
  } finally {
    machine.close();
  }
}

/** esbuild writes `// path` before each module. */
class Bundle {
  /** Ascending by line. */
  private readonly modules: { readonly line: number; readonly name: string }[] = [];

  constructor(file: string) {
    for (const [line, text] of fs.readFileSync(file, "utf8").split("\n").entries()) {
      const name = /^\/\/ (\S+\.[cm]?[jt]s)$/.exec(text)?.[1];
      if (name !== undefined) this.modules.push({ line, name });
    }
  }

  /** Percent of the samples by group. Time of the profiler itself does not count. */
  shares({ nodes }: inspector.Profiler.Profile): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const callers = new Map(
      nodes.flatMap(({ callFrame, children = [] }) => children.map((child) => [child, callFrame] as const)),
    );
    let total = 0;
    for (const { id, callFrame, hitCount = 0 } of nodes) {
      const { functionName } = callFrame;
      if (functionName === "(idle)" || functionName === "(program)" || functionName === "dispatch") continue;
      const group = this.groupOf(callFrame, callers.get(id));
      counts.set(group, (counts.get(group) ?? 0) + hitCount);
      total += hitCount;
    }
    return new Map([...counts].map(([group, count]) => [group, (100 * count) / total]));
  }

  private groupOf(frame: inspector.Runtime.CallFrame, caller: inspector.Runtime.CallFrame | undefined): string {
    if (frame.functionName === "(garbage collector)") return "garbage collection";
    if (frame.url === "")
      return caller !== undefined && UNICORN.test(this.moduleOf(caller)) ? INSIDE : "built-in functions";
    return groups.find(([, modules]) => modules.test(this.moduleOf(frame)))?.[0] ?? "other";
  }

  private moduleOf({ lineNumber }: inspector.Runtime.CallFrame): string {
    return this.modules.findLast(({ line }) => line <= lineNumber)?.name ?? "";
  }
}

async function sampled(run: () => void): Promise<inspector.Profiler.Profile> {
  const session = new inspector.Session();
  session.connect();
  const post = <T>(method: string, parameters: object = {}): Promise<T> =>
    new Promise((resolve, reject) =>
      session.post(method, parameters, (error, result) => (error ? reject(error) : resolve(result as T))),
    );
  try {
    await post("Profiler.enable");
    await post("Profiler.setSamplingInterval", { interval: SAMPLE_US });
    await post("Profiler.start");
    run();
    return (await post<{ profile: inspector.Profiler.Profile }>("Profiler.stop")).profile;
  } finally {
    session.disconnect();
  }
}
