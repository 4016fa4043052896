/**
 * Cost of a TLB shootdown by number of cores (programs/shootdown.ts): virtual time, so exact and the same on every
 * host. The peer is the same call with the IPIs off (`tlb_ipi=off`), which is incorrect but shows the IPIs' share of
 * the time. An IPI takes one quantum (1 µs).
 */
import fs from "node:fs";
import { compileProgram, runJob } from "./job.ts";
import type { Figure, Section } from "./report.ts";

const CORES = [1, 2, 4, 8, 16, 32, 64];

export function shootdown(packageRoot: string): Section {
  const { root, program } = compileProgram(packageRoot, "shootdown");
  try {
    const figures = CORES.flatMap((cores): Figure[] => {
      const measure = (append: string): ((what: string) => number) => {
        const { stdout } = runJob({ packageRoot, nodes: 1, cores, memBytes: 64 << 20, root, program, append });
        return (what) => {
          const found = new RegExp(`^${what} (\\d+)$`, "m").exec(stdout);
          if (found === null) throw new Error(`shootdown on ${cores} cores: no '${what}' in: ${stdout}`);
          return Number(found[1]);
        };
      };
      const on = measure("");
      const off = measure("tlb_ipi=off");
      if (on("cores") !== cores) throw new Error(`shootdown: ${on("cores")} of ${cores} cores took part`);
      const name = `${cores} ${cores === 1 ? "core" : "cores"}`;
      const note = cores === 1 ? "no other core: no IPI" : `each other core: ${on("disturbed")} instructions a request`;
      return ["munmap", "mprotect"].map((call) => ({
        name: `${call}, ${name}`,
        value: on(call),
        unit: "ns virtual",
        peer: { name: "IPIs off", value: off(call) },
        ...(call === "munmap" ? { note } : {}),
      }));
    });
    // One table per call: figures to compare are in one column.
    figures.sort((a, b) => Number(b.name.startsWith("munmap")) - Number(a.name.startsWith("munmap")));
    return { title: "TLB shootdown", how: "one page, every other core of the node in the address space", figures };
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}
