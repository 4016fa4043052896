/** Launch of `hello` on 1…64 nodes, and memory per node. Virtual time is exact, host time applies to this run. */
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
