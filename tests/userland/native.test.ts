/** Proves: the jobs, compiled by our compiler, run on a Linux host as rank 0 of 1, and fail if their output is lost. */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildImage } from "../../images/build.ts";
import { recipes } from "../../images/recipes.ts";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";

const packageRoot = path.resolve(import.meta.dirname, "../..");
const isLinux = process.platform === "linux" && process.arch === "x64";
if (!isLinux) console.log("skipped: the jobs run natively on x86-64 Linux only");

describe.skipIf(!isLinux)("on Linux", () => {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), "margay-native-"));
  const bin = (name: string): string => path.join(out, "bin", name);
  beforeAll(() => {
    for (const recipe of recipes.filter((r) => ["hello", "ring", "files"].includes(r.name))) {
      const { diagnostics } = buildImage(recipe, packageRoot, out);
      expect(diagnostics.map(formatDiagnostic)).toEqual([]);
    }
  });
  afterAll(() => fs.rmSync(out, { recursive: true, force: true }));

  it("hello is rank 0 of 1", () => {
    expect(execFileSync(bin("hello"), ["with", "arguments"], { encoding: "utf8" })).toMatch(
      /^hello from rank 0 of 1 on nid 0 core \d+\n$/,
    );
  });
  it("hello fails when nobody can read it", () => {
    const full = fs.existsSync("/dev/full") ? fs.openSync("/dev/full", "w") : null;
    if (full === null) return console.log("skipped: no /dev/full here");
    expect(spawnSync(bin("hello"), [], { stdio: ["ignore", full, "ignore"] }).status).toBe(1);
  });
  it("ring has no hop to measure", () => {
    expect(execFileSync(bin("ring"), { encoding: "utf8" })).toBe("ring: 1 rank, no hop to measure\n");
  });
  it("files holds against Linux's own file system", () => {
    const text = execFileSync(bin("files"), { cwd: out, encoding: "utf8" });
    expect(text).toMatch(/^files: rank 0: files\.0\.dat, 100011 bytes, \d+ checks passed\n$/);
    const written = fs.readFileSync(path.join(out, "files.0.dat"));
    expect(written.length).toBe(100011);
    expect(Buffer.compare(written.subarray(100000), written.subarray(0, 11))).toBe(0);
  });
  it("files says what fails", () => {
    fs.mkdirSync(path.join(out, "sealed"));
    fs.mkdirSync(path.join(out, "sealed", "files.0.dat"));
    const run = spawnSync(bin("files"), { cwd: path.join(out, "sealed"), encoding: "utf8" });
    expect(run.status).toBe(1);
    expect(run.stderr).toBe("files: rank 0: open for writing: result -21 EISDIR\n");
  });
});
