/**
 * `make cpu N=… SEED=… ENGINE=…`: user-mode instructions on an engine of ours and on this processor. Prints each kind
 * of difference with a case.
 */
import { createEngine } from "../../engine.ts";
import { Campaign } from "./run.ts";

const count = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? 1);
const only = process.argv[4] as "integer" | "sse" | "x87" | undefined;
const families = only === undefined ? (["integer", "sse", "x87"] as const) : ([only] as const);
let failed = 0;
for (const family of families) {
  const { cases, differences, listed } = new Campaign(createEngine, seed).run(
    family,
    Math.ceil(count / families.length),
  );
  const kinds = new Map<string, { count: number; example: string }>();
  for (const { kind, text } of differences) {
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, { count: 1, example: text });
    else known.count++;
  }
  for (const [kind, { count: times, example }] of kinds) console.log(`${kind}: ${times} times\n  ${example}`);
  console.log(`${family}: ${cases} cases, ${differences.length} differences, ${listed} listed ones`);
  failed += differences.length;
}
process.exitCode = failed === 0 ? 0 : 1;
