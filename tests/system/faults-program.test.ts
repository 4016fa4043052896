/**
 * What a user sees after a program's fault and a kernel's panic: names and source lines on stderr, status 128 + signal
 * or 3, nothing on stdout.
 */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { margay, packageRoot } from "./command.ts";

const source = fs.readFileSync(path.join(packageRoot, "userland/jobs/nullderef.ts"), "utf8").split("\n");
const faultLine = source.findIndex((l) => l.includes("volatileWrite")) + 1;

describe("a program that dereferences null", () => {
  const r = margay(["run", "--nodes", "3", "--cores", "2", "nullderef"]);
  it("ends as its signal", () => {
    expect(r.status).toBe(139);
    expect(r.stdout).toBe("");
  });
  it("shows a core report of each rank: rank, nid, core, signal, address, symbol, source line", () => {
    for (const rank of [0, 1, 2]) {
      expect(r.stderr).toContain(
        `margay: rank ${rank} on nid ${rank + 1} core 0: SIGSEGV (write to 0x0000000000000000, not mapped) in moveNext+0x4 at userland/jobs/nullderef.ts:${faultLine}: nullderef was ended\n`,
      );
    }
    expect(r.stderr.match(/^ {2}rip=0x[0-9a-f]{16} rsp=/gm)).toHaveLength(3);
    expect(
      r.stderr.match(
        /^ {4}0x[0-9a-f]{16} moveNext\+0x4, userland\/jobs\/nullderef\.ts:\d+\n( {4}.*\n)* {4}0x[0-9a-f]{16} _start/gm,
      ),
    ).toHaveLength(3);
  });
});

describe("a panic in an interrupt handler (--append panic=irq)", () => {
  const r = margay(["run", "--nodes", "1", "--cores", "2", "--append", "panic=irq", "hello"]);
  it("ends with status 3", () => {
    expect(r.status).toBe(3);
    expect(r.stdout).toBe("");
  });
  it("shows every core with symbols and source lines, and the last records", () => {
    expect(r.stderr).toMatch(/margay: panic: asked for by panic=irq/);
    expect(r.stderr).toMatch(/0x[0-9a-f]{16} panicInInterrupt\+0x[0-9a-f]+, kernel\/boot\/main\.ts:\d+/);
    expect(r.stderr).toMatch(/ {2}interrupted:/);
    expect(r.stderr).toMatch(/cpu 1: idle/);
    expect(r.stderr.match(/0x[0-9a-f]{16} idleLoop\+0x[0-9a-f]+, kernel\/\S+:\d+/g)).toHaveLength(3);
    expect(r.stderr).toMatch(/flight recorder:\n(\[n1\] {3}c\d .*\n)+/);
    expect(r.stderr).toMatch(/^margay: machine: /m);
  });
  it("on `margay boot` by a key", () => {
    const b = margay(["boot", "kernel", "--cores", "2", "--append", "panic=irq", "--keys", "x"]);
    expect(b.status).toBe(3);
    expect(b.stdout).toMatch(/panic: asked for by panic=irq/);
  });
});
