/**
 * `finish` from an inlined function ends in its caller: compared with the frames that there are at the first
 * instruction behind the copy, in optimised programs. Where the caller is a copy, too, that ends at the same
 * instruction, it has nothing left to stop at, and the next caller is right.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { compiledFile, program } from "../../compiled.ts";

const packageRoot = path.resolve(import.meta.dirname, "../../..");
const script = path.join(import.meta.dirname, "finish.py");

interface Left {
  readonly place: string;
  readonly line: string;
  readonly frames: readonly string[];
  readonly level: number;
  readonly ended: readonly string[];
  readonly at: number;
}
function left(file: string, how: "finish" | "stepi"): Map<string, Left> {
  const { stdout, stderr } = spawnSync("gdb", ["-nx", "-batch", "-x", script, file], {
    cwd: packageRoot,
    env: { ...process.env, LEAVE: how },
    encoding: "utf8",
  });
  const lines = stdout.split("\n").filter((l) => l.startsWith("LEFT "));
  if (lines.length === 0) throw new Error(`gdb stopped nowhere\n${stdout}\n${stderr}`);
  return new Map(lines.map((l) => JSON.parse(l.slice(5)) as Left).map((l) => [l.place, l]));
}
/** Functions that begin where gdb stops are entered in its next step only: the outer frames count. */
const agrees = (finished: Left, stepped: Left): boolean =>
  finished.ended.join() ===
  (finished.at === stepped.at
    ? stepped.ended.slice(-finished.ended.length || stepped.ended.length)
    : stepped.ended
  ).join();

const missing =
  process.platform !== "linux" || process.arch !== "x64"
    ? "the host is not Linux on x86-64"
    : spawnSync("gdb", ["--version"]).status !== 0
      ? "gdb is not installed"
      : undefined;
if (missing !== undefined) console.log(`skipped: finish in gdb (${missing})`);

describe.skipIf(missing !== undefined)("finish from inlined functions", () => {
  it.each([
    ["inlines", path.join(import.meta.dirname, "programs/inlines.ts"), 20],
    ["the cases", path.join(import.meta.dirname, "cases/main.ts"), 10],
  ])("%s", (_, source, least) => {
    const file = compiledFile(program(source));
    const [finished, stepped] = [left(file, "finish"), left(file, "stepi")];
    let compared = 0;
    const wrong: unknown[] = [];
    for (const [place, one] of finished) {
      const other = stepped.get(place);
      if (other === undefined) continue;
      compared++;
      if (!agrees(one, other)) wrong.push({ finished: one, stepped: other });
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThanOrEqual(least);
  });
});
