/**
 * The kernel's assertions work: a word of a booted node's memory is changed from outside, as a kernel bug could, and
 * the next use panics with the name of the broken invariant.
 */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { realEngine } from "../machine/guest.ts";
import { packageRoot } from "../system/command.ts";
import { Bench } from "../system/jobs.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/invariants skipped: ${engine}`);

const NET = 1;
const CONSOLE = 0x40;

/** Offset of a field in the compiler's layout. */
const layouts =
  typeof engine === "string"
    ? ""
    : execFileSync(
        process.execPath,
        [path.join(packageRoot, "dist/margay.js"), "build", "kernel", "--emit", "layout"],
        { encoding: "utf8" },
      );
function offsetOf(type: string, field: string): number {
  const fields = layouts.slice(layouts.indexOf(`\n${type} size `) + 1).split(/\n(?! )/, 1)[0]!;
  const found = new RegExp(`^ +(\\d+) +\\d+ +${field}: `, "m").exec(fields);
  if (!found) throw new Error(`no field ${field} in ${type}`);
  return Number(found[1]);
}

interface Memory {
  set(symbol: string, type: string, field: string, value: number): void;
}
/**
 * Boots one core and loads a job. Memory is changed while the core idles before the job, or while the job runs. Returns
 * the panic's line.
 */
function panicOf(when: "idle" | "running", change: (memory: Memory) => void): string {
  const bench = new Bench({ nodes: 1, cores: 1 });
  try {
    bench.boot();
    // READY leaves before the core idles.
    expect(bench.until(() => bench.node(1).engine.cores[0]!.halted)).toBe("until");
    const set = (symbol: string, type: string, field: string, value: number): void => {
      bench.node(1).view.setUint32(bench.variable(symbol) + offsetOf(type, field), value, true);
    };
    if (when === "idle") change({ set });
    bench.submit({ program: "hello" }, () => void (when === "running" && change({ set })));
    bench.until(() => bench.machine.exits.length > 0, 1e9);
    expect(bench.machine.exits.at(-1)?.status, bench.console).toBe(3);
    return /margay: panic: (.*)/.exec(bench.consoles.get(1)!)?.[1] ?? bench.console;
  } finally {
    bench.close();
  }
}

describe.skipIf(typeof engine === "string")("broken invariants of the kernel", () => {
  // The table of states is an array of u32: its first word, of FREE, is at offset 0 like a lock's owner.
  // biome-ignore format: table
  const cases: readonly (readonly [what: string, when: "idle" | "running", change: (m: Memory) => void, panic: RegExp])[] = [
    ["a lock without a rank",              "idle",    (m) => m.set("netLock", "Lock", "rank", 0),        /^lock: without a rank/],
    ["a lock that its core holds already", "idle",    (m) => { m.set("netLock", "Lock", "owner", 1); m.set("cpus", "Cpu", "locks", NET); }, /^lock: taken twice by one core, rank \(0x0+1\) on cpu 0/],
    ["an outer lock within an inner one",  "idle",    (m) => m.set("cpus", "Cpu", "locks", CONSOLE),      /^lock: out of order; ranks held, and wanted in the upper half \(0x0+100000040\) on cpu 0/],
    ["two locks of one rank",              "idle",    (m) => m.set("taskLock", "Lock", "rank", NET),      /^lock: out of order; ranks held, and wanted in the upper half \(0x0+100000001\) on cpu 0/],
    ["a lock that the program's call left", "running", (m) => m.set("cpus", "Cpu", "locks", CONSOLE),     /^lock: /],
    ["a task state that does not follow",  "idle",    (m) => m.set("NEXT_STATES", "Lock", "owner", 0),   /^task: a state that does not follow; from, and to in the upper half \(0x/],
    ["a thread that was never counted",    "running", (m) => m.set("tasks", "Task", "threads", 0),        /^task: more threads have left than there were/],
    ["cores that the task does not own",   "running", (m) => m.set("owned", "Owned", "cores", 0),         /^task: cores that it does not own/],
  ];
  for (const [what, when, change, panic] of cases) it(what, () => expect(panicOf(when, change)).toMatch(panic));
});
