/**
 * Length of the kernel's hot paths in guest instructions, counted by a program on the emulator (programs/paths.ts):
 * exact, and the same on every host. The null interrupt is the vector that only wakes a core (`Vector.WAKE`); the
 * benchmark injects it into the LAPIC.
 */
import fs from "node:fs";
import { Vector } from "../../emulator/abi/vectors.ts";
import { compileProgram, runJob } from "./job.ts";
import type { Section } from "./report.ts";

const GOALS = { call: 60, interrupt: 90 };

export function paths(packageRoot: string): Section {
  const { root, program } = compileProgram(packageRoot, "paths");
  try {
    let sent = 0;
    const { stdout } = runJob({
      packageRoot,
      nodes: 1,
      cores: 1,
      memBytes: 64 << 20,
      root,
      program,
      between: (machine, text) => {
        // Far enough apart that one has ended before the next.
        if (text.includes("spinning\n") && sent++ % 5 === 0)
          machine.nodes[0]!.board.lapics[0]!.accept(Vector.WAKE, false);
      },
    });
    const count = (what: string): number | null => {
      const found = new RegExp(`^${what} (\\d+)$`, "m").exec(stdout);
      return found ? Number(found[1]) : null;
    };
    return {
      title: "kernel paths",
      how: "guest instructions, user mode and back",
      figures: [
        {
          name: "null call (getpid)",
          value: count("call"),
          unit: "instructions",
          note: `goal ${GOALS.call}, syscall to sysretq`,
        },
        {
          name: "null interrupt with EOI",
          value: count("interrupt"),
          unit: "instructions",
          note: `goal ${GOALS.interrupt}, vector to iretq`,
        },
      ],
    };
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}
