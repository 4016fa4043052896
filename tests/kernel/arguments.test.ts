/**
 * Hostile arguments, each with its correct result. Calls that Linux has are compared with the Linux that runs the
 * tests, which executes the same file; for Margay's own calls the program holds the correct results. No case may harm
 * the node.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { realEngine } from "../machine/guest.ts";
import { programImage, runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/arguments skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

/** Calls by name → result. */
const resultsOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split("\n")
      .filter((l) => l !== "")
      .map((l) => /^(.*) (\S+)$/.exec(l)?.slice(1, 3) ?? [l, ""]),
  );

describe.skipIf(create === null)("hostile arguments", () => {
  it.skipIf(process.platform !== "linux" || process.arch !== "x64")("of Linux's calls: as on Linux", () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "margay-arguments-"));
    try {
      const file = path.join(dir, "arguments");
      fs.writeFileSync(file, programImage("arguments"), { mode: 0o755 });
      // Standard input at its end and standard output a pipe, as for a job.
      const linux = resultsOf(execFileSync(file, ["linux"], { input: "", encoding: "utf8" }));
      const run = runJob(create!, { program: "arguments", argv: ["linux"] });
      expect(run.result, run.console).toMatchObject({ kind: "exited", waitStatus: 0 });
      expect(Object.keys(linux).length).toBeGreaterThan(130);
      expect(resultsOf(run.stdout)).toEqual(linux);
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });

  it("of Margay's own calls: refused in all 64 bits", () => {
    const run = runJob(create!, { program: "arguments", argv: ["margay"] });
    expect(run.stdout, run.console).toBe("done\n");
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
  });
});
