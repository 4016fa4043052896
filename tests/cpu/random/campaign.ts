/**
 * `make engines N=… SEED=…`: the native engine beside Unicorn. Random programs of user-mode instructions, an
 * instruction at a time and in one run; then random bytes as code in ring 0 and ring 3, by random budgets: on both
 * (`starts`), and on the native engine in pieces, in steps and in one run (`self`).
 */
import { createNativeEngine } from "../../../emulator/cpu/native/engine.ts";
import { createUnicornEngine } from "../../../emulator/cpu/unicorn/engine.ts";
import { campaign, families } from "./differential.ts";
import { replay, runStarts } from "./starts.ts";

const count = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? 1);
const only = process.argv[4];
let failed = 0;
const single = /^start:(\d+)$/.exec(only ?? "");
if (single) console.log(replay(createUnicornEngine, createNativeEngine, seed, Number(single[1])).join("\n"));
for (const [name, { accept, length }] of Object.entries(families)) {
  if (only !== undefined && only !== name) continue;
  const programs = Math.ceil(count / 10);
  const result = campaign({
    reference: createUnicornEngine,
    native: createNativeEngine,
    programs,
    seed,
    accept,
    length,
  });
  for (const { text, seed: own } of result.differences) console.log(`  ${text} (program ${own})`);
  console.log(
    `${name}: ${result.programs} programs, ${result.instructions} instructions, ${result.differences.length} differences`,
  );
  failed += result.differences.length;
}
for (const [name, reference] of [
  ["starts", createUnicornEngine],
  ["self", createNativeEngine],
] as const) {
  if (only !== undefined && only !== name) continue;
  const { starts, instructions, stops, known, differences } = runStarts({
    reference,
    tested: createNativeEngine,
    starts: count,
    seed,
    most: 20,
  });
  for (const [reason, times] of known) console.log(`  known, ${times} times: ${reason}`);
  for (const text of differences) console.log(`  ${text}`);
  console.log(
    `${name}: ${starts} starts, ${stops} stops, ${instructions} instructions, ${differences.length} differences`,
  );
  failed += differences.length;
}
process.exitCode = failed === 0 ? 0 : 1;
