/**
 * Proves that shipped calls behave as on Linux: each family's program (names.c, …) prints what every call gives, the
 * error cases of the manual pages among them, and prints the same on both. Compiled with glibc and with musl.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compareFamilies, Conformance } from "./rig.ts";

compareFamilies({
  names: 170,
  attributes: 150,
  transfer: 160,
  descriptors: 210,
  memory: 120,
  mapped: 110,
  procself: 75,
});

describe("a shared mapping", () => {
  const c = new Conformance();
  afterAll(() => c.close());
  it("is written back whatever ends the task: exit, _exit, SIGKILL, SIGTERM, abort", { timeout: 60_000 }, () => {
    expect(c.compile("gcc", "mapped")).toBeNull();
    for (const end of ["exit", "unceremonious", "kill", "term", "abort"]) {
      c.onMargay("mapped", [end]);
      const bytes = fs.readFileSync(path.join(c.work("margay"), "end"));
      expect([bytes.length, bytes.toString("latin1", 0, 2), bytes.toString("latin1", 4096, 4098)]).toEqual([
        8192,
        `${end[0]}a`,
        `${end[0]}b`,
      ]);
    }
  });
});
