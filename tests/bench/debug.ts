/**
 * Cost of a debugger's points for a running machine: the loop guest with a point set, compared with the same without,
 * in one process and interleaved. The loop reads and writes one word on each of two pages in eleven instructions.
 */
import fs from "node:fs";
import path from "node:path";
import type { CreateEngine } from "../../emulator/cpu/engine.ts";
import { RunControl } from "../../emulator/machine/control.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { assemble, type Guest, hasAssembler, realEngine } from "../machine/guest.ts";
import { hostSeconds } from "./clock.ts";
import type { Figure, Section } from "./report.ts";

const ITERATIONS = 1_000_000;
const REPETITIONS = 5;
const SLICE = 1_000_000;
/** The loop's two data pages, and one that no code accesses. */
const WRITTEN_PAGE = 0x4_0000;
const IDLE_PAGE = 0x6_0000;

type Prepare = (control: RunControl, labels: ReadonlyMap<string, number>) => void;
const everywhere = (virtual: number) => ({ virtual: BigInt(virtual), space: null });
/** Name, target (upper bound), point to set. */
const cases: readonly (readonly [name: string, wanted: string, prepare: Prepare])[] = [
  [
    "breakpoint elsewhere",
    "1.1",
    (control, labels) => control.addBreakpoint(1, everywhere((labels.get("work") ?? 0) - 1)),
  ],
  ["watched word on an idle page", "2", (control) => control.addWatchpoint(1, everywhere(IDLE_PAGE), 8, "access")],
  [
    "word watched for writes, page written",
    "20",
    (control) => control.addWatchpoint(1, everywhere(WRITTEN_PAGE), 8, "write"),
  ],
  [
    "word watched for both, page read and written",
    "20",
    (control) => control.addWatchpoint(1, everywhere(WRITTEN_PAGE), 8, "access"),
  ],
];

export async function debug(packageRoot: string): Promise<Section> {
  const title = "debugger's points";
  const how = `time with the point over time without, least of ${REPETITIONS} each`;
  const engine = await realEngine();
  const missing = typeof engine === "string" ? engine : hasAssembler ? null : "needs GNU as and ld: install binutils";
  if (missing !== null || typeof engine === "string") {
    return { title, how, figures: [{ name: "all", value: null, unit: "×", note: missing ?? "" }] };
  }
  const source = fs.readFileSync(path.join(packageRoot, "tests/bench/guests/loop.s"), "utf8");
  const guest = assemble(`.set ITERATIONS, ${ITERATIONS}\n${source}`);
  const least = cases.map(() => Number.POSITIVE_INFINITY);
  let plain = Number.POSITIVE_INFINITY;
  const stops = cases.map(() => 0);
  for (let i = 0; i < REPETITIONS; i++) {
    plain = Math.min(plain, run(guest, engine, () => {}).seconds);
    cases.forEach(([, , prepare], index) => {
      const result = run(guest, engine, prepare);
      least[index] = Math.min(least[index]!, result.seconds);
      stops[index] = result.stops;
    });
  }
  const figures: Figure[] = cases.map(([name, wanted], index) => ({
    name,
    value: least[index]! / plain,
    unit: "×",
    note: `wanted: at most ${wanted}${stops[index] ? `; ${stops[index]} stops` : ""}`,
  }));
  const inLoop = run(guest, engine, (control) => control.addWatchpoint(1, everywhere(WRITTEN_PAGE), 4096, "write"));
  figures.push({
    name: "a stop at a watchpoint and on",
    value: ((inLoop.seconds - plain) / inLoop.stops) * 1e6,
    unit: "µs",
  });
  return { title, how, figures };
}

function run(
  { image, labels }: Guest,
  createEngine: CreateEngine,
  prepare: Prepare,
): { seconds: number; stops: number } {
  const machine = new Machine({
    nodes: [{ nid: 1, cores: 1, ramBytes: 16 << 20, kernel: image, commandLine: "", nic: false }],
    createEngine,
  });
  try {
    const control = new RunControl(machine);
    prepare(control, labels);
    let stops = 0;
    const start = hostSeconds();
    for (;;) {
      const { reason } = control.runSlice(SLICE);
      if (reason === "breakpoint" || reason === "watchpoint") stops++;
      else if (reason === "exit") break;
      else if (reason !== "slice") throw new Error(`loop guest: ${reason}: ${machine.fault?.text}`);
    }
    return { seconds: hostSeconds() - start, stops };
  } finally {
    machine.close();
  }
}
