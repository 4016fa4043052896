/**
 * The processor against the manual: guest programs (guest/, one image per family) print their findings, line by line.
 * Our machine, on each engine, and QEMU must print the lines in expected/, which were checked one by one against the
 * manuals; known.ts lists known differences with the reasons.
 */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../../emulator/cpu/native/engine.ts";
import { realEngine } from "../../machine/guest.ts";
import { arithmeticLines } from "./flags-model.ts";
import { buildFamily, qemuMissing, runHere, runOnQemu, STRICT } from "./harness.ts";
import { type KnownDifference, knownDifferences, notOnQemu } from "./known.ts";

const engine = await realEngine();
const missing = typeof engine === "string" ? engine : undefined;
if (missing !== undefined) console.log(`tests/cpu/checks skipped: ${missing}`);
if (qemuMissing !== undefined) console.log(`tests/cpu/checks: ${qemuMissing}`);

/**
 * `shutdowns`: variants beside the main run; each ends in shutdown. `strict`: it runs under --strict, too, without
 * the lines that fit.
 */
const families: readonly {
  readonly name: string;
  readonly cores: number;
  readonly shutdowns?: readonly string[];
  readonly strict?: RegExp;
}[] = [
  { name: "flags", cores: 1 },
  { name: "faults", cores: 1 },
  { name: "paging", cores: 1 },
  { name: "nested", cores: 1, shutdowns: ["a", "b", "c", "d", "e"] },
  { name: "syscall", cores: 1 },
  { name: "segments", cores: 1 },
  { name: "system", cores: 1, strict: /^the window/ },
  { name: "debug", cores: 1 },
  { name: "smc", cores: 2 },
  { name: "atomics", cores: 2 },
];

/** `check → result`, in order. An indented line belongs to the one before it; repeated names are numbered. */
function results(lines: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  let parent = "";
  for (const text of lines) {
    const colon = text.lastIndexOf(": ");
    const [own, gave] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 2)];
    const plain = own.startsWith("  ") ? `${parent} / ${own.trim()}` : own;
    let name = plain;
    for (let again = 2; found.has(name); again++) name = `${plain} (${again})`;
    if (!own.startsWith("  ")) parent = name;
    found.set(name, gave);
  }
  return found;
}

function expectedLines(family: string): string[] {
  const file = fs.readFileSync(path.join(import.meta.dirname, "expected", `${family}.txt`), "utf8");
  const typed = file.split("\n").filter((text) => text !== "" && !text.startsWith("#"));
  return family === "flags" ? [...arithmeticLines(), ...typed] : typed;
}

type Where = "unicorn" | "native" | "qemu";
const covers = (row: KnownDifference, where: Where): boolean =>
  row.where === where || (row.where === "both" && where !== "native");

/** Rows that matched, with their number of matches on each machine, and the first line. */
const used = new Map<KnownDifference, Record<Where, number> & { readonly example: string }>();
const counts = { checks: 0, unicorn: 0, native: 0, qemu: 0, qemuRun: 0, equal: 0 };

/** Unlisted differences between a machine and the manual, as lines. */
function differences(
  family: string,
  where: Where,
  expected: Map<string, string>,
  found: Map<string, string>,
): string[] {
  const problems: string[] = [];
  for (const [check, wanted] of expected) {
    if (where === "qemu" && notOnQemu.has(check)) continue;
    if (where === "qemu") counts.qemuRun++;
    const gave = found.get(check);
    if (gave === wanted) continue;
    const rows = knownDifferences.filter(
      (row) =>
        row.family === family &&
        covers(row, where) &&
        (typeof row.check === "string" ? row.check === check : row.check.test(check)) &&
        gave?.startsWith(row.gives) === true,
    );
    if (rows.length > 0) {
      counts[where]++;
      for (const row of rows) {
        const use = used.get(row) ?? {
          unicorn: 0,
          native: 0,
          qemu: 0,
          example: `${family}: ${check}: ${gave}; manual: ${wanted}`,
        };
        use[where]++;
        used.set(row, use);
      }
    } else problems.push(`${check}: ${gave ?? "no such line"}; manual: ${wanted}`);
  }
  for (const [check, gave] of found) if (!expected.has(check)) problems.push(`${check}: ${gave}: not expected at all`);
  return problems;
}
/** A row that says "both" must match on each machine on which the checks run. */
function gone(family: string, where: Where, expected: Map<string, string>, found: Map<string, string>): string[] {
  return knownDifferences
    .filter((row) => row.family === family && covers(row, where))
    .flatMap((row) =>
      [...expected]
        .filter(
          ([check, wanted]) =>
            (typeof row.check === "string" ? row.check === check : row.check.test(check)) &&
            found.get(check) === wanted,
        )
        .filter(([check]) => !(where === "qemu" && notOnQemu.has(check)) && !partly.has(check))
        .map(([check]) => `${family}: ${check} (${where}): now as the manual says; take it off known.ts`),
    );
}
/** INT through a gate of DPL 0 differs only in the outer rings, because ring 0 may use it. */
const partly = new Set(["cpl0 int, gate of dpl 0", "cpl0 int, gate of dpl 0 / its rip"]);

describe.skipIf(missing !== undefined)("the processor by the manual", () => {
  for (const { name, cores, shutdowns = [], strict } of families) {
    it(name, async () => {
      if (typeof engine === "string") throw new Error(engine);
      const image = buildFamily(name);
      const onQemu =
        qemuMissing === undefined
          ? Promise.all(["q", ...shutdowns].map((variant) => runOnQemu(image, cores, variant)))
          : undefined;
      const expected = results(expectedLines(name));
      counts.checks += expected.size + shutdowns.length;
      let foundHere = new Map<string, string>();
      for (const [where, create] of [
        ["native", createNativeEngine],
        ["unicorn", engine],
      ] as const) {
        const here = ["", ...shutdowns].map((variant) => runHere(create, image, cores, variant));
        foundHere = results(here[0]);
        expect(differences(name, where, expected, foundHere)).toEqual([]);
        expect(gone(name, where, expected, foundHere)).toEqual([]);
        for (const lines of here.slice(1)) expect(lines).toEqual(["before", "shutdown"]);
        if (strict !== undefined)
          expect(runHere(create, image, cores, STRICT)).toEqual(here[0].filter((line) => !strict.test(line)));
      }
      const qemu = await onQemu;
      if (qemu === undefined) return;
      const foundQemu = results(qemu[0]);
      expect(differences(name, "qemu", expected, foundQemu)).toEqual([]);
      expect(gone(name, "qemu", expected, foundQemu)).toEqual([]);
      for (const lines of qemu.slice(1)) expect(lines).toEqual(["before", "shutdown"]);
      counts.qemuRun += shutdowns.length;
      counts.equal += shutdowns.length + [...foundQemu].filter(([check, gave]) => foundHere.get(check) === gave).length;
    });
  }

  it("no row of the known differences is left over", () => {
    const applicable = knownDifferences.filter((row) => row.where !== "qemu" || qemuMissing === undefined);
    expect(applicable.filter((row) => !used.has(row)).map((row) => `${row.family}: ${row.check}`)).toEqual([]);
    for (const [row, { unicorn, native, qemu, example }] of used)
      console.log(`known difference (Unicorn ${unicorn}, native ${native}, QEMU ${qemu}): ${example}; ${row.reason}`);
    console.log(
      `CPU checks: ${counts.checks}; known differences from the manual: Unicorn ${counts.unicorn}, native ${counts.native}; ` +
        (qemuMissing ??
          `on QEMU ${counts.qemuRun} run, ${counts.qemu} known differences, ${counts.equal} equal on Unicorn and there`),
    );
  });
});
