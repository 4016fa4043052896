/**
 * What gdb shows of optimised random programs (../random): a local is never shown with a value that it never had, and
 * nearly all values are current. Nearly, because a stop in code that was moved to another line is at another moment
 * than that line.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { compile, toModule } from "../../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../../toolchain/frontend/diagnostics.ts";
import { generate } from "../random/generator.ts";
import { compileOptions, symbolOf } from "../random/harness.ts";
import { agreement, gdbStops, impossible, interpret, linesOf } from "./stops.ts";

const packageRoot = path.resolve(import.meta.dirname, "../../..");
const first = Number(process.env.DEBUG_SEED ?? 1);
const count = Number(process.env.DEBUG_COUNT ?? 6);
/** Share of the shown values that are of another moment. */
const WRONG_MAX = 0.02;
/** Programs with more visits take gdb too long. */
const VISITS_MAX = 600;

const missing =
  process.platform !== "linux" || process.arch !== "x64"
    ? "the host is not Linux on x86-64"
    : spawnSync("gdb", ["--version"]).status !== 0
      ? "gdb is not installed"
      : null;
if (missing) console.log(`skipped: locals of random programs in gdb (${missing})`);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-debug-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe.skipIf(missing !== null)("locals of optimised random programs", () => {
  test(`seeds from ${first} on: no value that there never was`, { timeout: 120_000 + 5000 * count }, () => {
    let shown = 0;
    let wrong = 0;
    for (let seed = first, done = 0; done < count; seed++) {
      const replay = `DEBUG_SEED=${seed} DEBUG_COUNT=1 npx vitest run tests/toolchain/debug/random`;
      const program = generate(seed);
      const options = compileOptions([program], packageRoot);
      const { module, diagnostics } = toModule({ ...options, debug: true });
      const { image } = compile(options);
      if (!module || !image) throw new Error(`${diagnostics.map(formatDiagnostic).join("\n")}\n${replay}`);
      const { stops: all, ever } = interpret(module, symbolOf(program), []);
      const reference = all.filter(({ file }) => file.startsWith("program"));
      if (reference.length > VISITS_MAX && count > 1) continue;
      done++;
      const file = path.join(folder, `${seed}`);
      fs.writeFileSync(file, image.elf, { mode: 0o755 });
      const stops = gdbStops(file, folder, linesOf(reference));
      expect(impossible(stops, ever), replay).toEqual([]);
      const result = agreement(reference, stops);
      for (const { right } of result.details.values()) shown += right;
      wrong += result.wrong.length;
    }
    console.log(`${count} random programs: ${shown} values shown and right, ${wrong} of another moment`);
    expect(shown).toBeGreaterThan(100 * count);
    expect(wrong / shown).toBeLessThan(WRONG_MAX);
  });
});
