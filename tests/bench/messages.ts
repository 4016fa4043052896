/**
 * Hop latency and message rates in the steady state. Each figure is the difference of two runs of different lengths
 * (programs/messages.ts), which excludes boot, load, the wait for the first message and the end of the job. Virtual
 * figures are exact.
 */
import fs from "node:fs";
import { compileProgram, type JobRun, runJob } from "./job.ts";
import type { Section } from "./report.ts";

const RING_NODES = 8;
const LAPS = { few: 8, many: 136 };
const STREAM = { few: 64, many: 2112 };
const MEM_BYTES = 64 << 20;

export function messages(packageRoot: string): Section {
  const { root, program } = compileProgram(packageRoot, "messages");
  try {
    const run = (mode: string, nodes: number, count: number): JobRun =>
      runJob({ packageRoot, nodes, cores: 1, memBytes: MEM_BYTES, root, program, args: [mode, `${count}`] });
    const ring = difference(
      run("ring", RING_NODES, LAPS.few),
      run("ring", RING_NODES, LAPS.many),
      (LAPS.many - LAPS.few) * RING_NODES,
    );
    const stream = difference(run("stream", 2, STREAM.few), run("stream", 2, STREAM.many), STREAM.many - STREAM.few);
    const note = "8 bytes each, host time between go and end of two runs";
    return {
      title: "messages",
      how: "programs' PUTs of 8 bytes; difference of a long and a short run",
      figures: [
        {
          name: "hop latency",
          value: ring.virtualNs,
          unit: "ns virtual",
          note: `ring of ${RING_NODES} nodes: a PUT to its successor's PUT`,
        },
        { name: "one at a time", value: 1e9 / ring.virtualNs, unit: "messages/s virtual", note: "the ring's" },
        {
          name: "one pair of nodes",
          value: 1e9 / stream.virtualNs,
          unit: "messages/s virtual",
          note: "16 under way, each acknowledged",
        },
        { name: "one at a time, emulated", value: 1 / ring.hostSeconds, unit: "messages/s of the host", note },
        { name: "one pair, emulated", value: 1 / stream.hostSeconds, unit: "messages/s of the host", note },
      ],
    };
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}

/** Cost per message. */
function difference(
  short: JobRun,
  long: JobRun,
  count: number,
): { readonly virtualNs: number; readonly hostSeconds: number } {
  const virtualNs = (run: JobRun): number => {
    const found = /^ns (\d+)$/m.exec(run.stdout);
    if (found === null) throw new Error(`messages: no time in: ${run.stdout}`);
    return Number(found[1]);
  };
  const hostSeconds = (run: JobRun): number => run.ended.hostSeconds - run.running.hostSeconds;
  return {
    virtualNs: (virtualNs(long) - virtualNs(short)) / count,
    hostSeconds: (hostSeconds(long) - hostSeconds(short)) / count,
  };
}
