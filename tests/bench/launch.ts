/** Launch of `hello` on 1…64 nodes, memory a node, hops of `ring`: virtual time is exact, host time is of this run. */
import { runJob } from "./job.ts";
import type { Figure, Section } from "./report.ts";

const NODES = [1, 2, 4, 8, 16, 32, 64];
const MEM_BYTES = 64 << 20;

export function launch(packageRoot: string): Section {
  const figures: Figure[] = [];
  for (const nodes of NODES) {
    const { started, submitted, running, ended, residentBytes } = runJob({
      packageRoot,
      nodes,
      cores: 1,
      memBytes: MEM_BYTES,
      program: "hello",
    });
    const seconds = (from: { hostSeconds: number }, to: { hostSeconds: number }): string =>
      `${(to.hostSeconds - from.hostSeconds).toFixed(2)} s`;
    figures.push({
      name: `${nodes} ${nodes === 1 ? "node" : "nodes"}`,
      value: (running.virtualNs - submitted.virtualNs) / 1000,
      unit: "µs virtual",
      note: `host: boot ${seconds(started, submitted)}, load ${seconds(submitted, running)}, run ${seconds(running, ended)}`,
    });
    if (nodes === NODES.at(-1)) {
      const note = `resident, of ${MEM_BYTES >> 20} MB RAM, one core; ${nodes} nodes`;
      figures.push({ name: "memory a node", value: residentBytes / nodes / 2 ** 20, unit: "MB", note });
    }
  }
  return { title: "launch of hello", how: "from submit to go of all ranks, fan-out 4", figures };
}

/** `ring`'s laps: one to begin with, eight that count. */
const RING_LAPS = 9;
const RING_NODES = 8;

export function messages(packageRoot: string): Section {
  const { stdout, running, ended } = runJob({ packageRoot, nodes: RING_NODES, cores: 1, memBytes: MEM_BYTES, program: "ring" });
  const meanHop = /mean hop (\d+) ns/.exec(stdout);
  const value = meanHop ? Number(meanHop[1]) : null;
  const hops = RING_LAPS * RING_NODES;
  const rate = hops / (ended.hostSeconds - running.hostSeconds);
  return {
    title: "messages",
    how: `ring of ${RING_NODES} nodes`,
    figures: [
      { name: "hop latency", value, unit: "ns virtual", note: "a program's PUT to its successor's PUT" },
      { name: "one message at a time", value: value === null ? null : 1e9 / value, unit: "messages/s virtual" },
      { name: "emulated", value: rate, unit: "messages/s of the host", note: `${hops} hops from go to end` },
    ],
  };
}
