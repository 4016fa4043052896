/**
 * A start of Debian's Python with the host's files as its root, here and on the host. Instructions include the boot,
 * the load and the kernel's work; the host's are not counted.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { hostSeconds } from "./clock.ts";
import { runJob } from "./job.ts";
import type { Figure, Section } from "./report.ts";

const PYTHON = "/usr/bin/python3";
const starts = [
  { name: "python3 -S -c pass", args: ["-B", "-S", "-c", "pass"] },
  { name: "python3 -c pass", args: ["-B", "-c", "pass"] },
  { name: "import json, hashlib, sqlite3, ctypes", args: ["-B", "-c", "import json, hashlib, sqlite3, ctypes"] },
];

export function python(packageRoot: string): Section {
  const title = "Python start";
  const how = "one core; virtual time is 1 ns an instruction, and waiting";
  if (!fs.existsSync(PYTHON))
    return { title, how, figures: [{ name: PYTHON, value: null, unit: "", note: "is not installed" }] };
  const figures = starts.flatMap(({ name, args }): Figure[] => {
    const run = runJob({ packageRoot, nodes: 1, cores: 1, memBytes: 256 << 20, root: "/", program: PYTHON, args });
    const begun = hostSeconds();
    const native = spawnSync(PYTHON, args, { cwd: os.tmpdir(), env: {} });
    const seconds = hostSeconds() - begun;
    if (native.status !== 0) throw new Error(`${PYTHON} ${args.join(" ")}: ${native.stderr.toString()}`);
    return [
      { name, value: run.instructions / 1e6, unit: "M instructions" },
      { name: "", value: (run.ended.virtualNs - run.submitted.virtualNs) / 1e6, unit: "ms virtual" },
      {
        name: "",
        value: run.ended.hostSeconds - run.submitted.hostSeconds,
        unit: "s of the host",
        peer: { name: "native", value: seconds },
      },
    ];
  });
  return { title, how, figures };
}
