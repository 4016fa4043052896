/**
 * Upcalls: a task's handlers for faults in ranges of its addresses, and for its own end, from C and from the library.
 * Hostile ones end the task with a report, and the next job runs. The cost of one is counted in instructions.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compiled, program } from "../compiled.ts";
import { packageRoot, temporaryFolder } from "./command.ts";
import { Bench } from "./jobs.ts";

const root = temporaryFolder();
let bench: Bench;
beforeAll(() => {
  const source = path.join(packageRoot, "tests/system/programs/upcalls");
  const r = spawnSync("gcc", ["-static", "-pthread", "-O1", "-w", "-o", path.join(root, "c"), `${source}.c`], {
    encoding: "utf8",
  });
  if (r.status !== 0) throw new Error(r.stderr);
  fs.writeFileSync(path.join(root, "library"), compiled(program(`${source}.ts`)), { mode: 0o755 });
  bench = new Bench({ nodes: 1, cores: 2, root, traced: false }).boot();
});
afterAll(() => {
  bench.close();
  fs.rmSync(root, { recursive: true });
});
/** Wait status, output, and the addresses of core reports. */
function run(what: string, ...args: string[]): { status: number; lines: string[]; reports: bigint[] } {
  const before = bench.reports.length;
  const { result, stdout } = bench.run({ program: what === "library" ? "/library" : "/c", args: [what, ...args] });
  if (result.kind !== "exited") throw new Error(JSON.stringify(result));
  const reports = bench.reports.slice(before).map(({ report }) => report.address);
  return { status: result.waitStatus, lines: stdout.trimEnd().split("\n"), reports };
}

it("a fault in a range enters its handler, which may change registers and nest; bad ones are refused", () => {
  const { status, lines, reports } = run("faults");
  expect([status, reports]).toEqual([0, []]);
  const cost = lines.findIndex((line) => line.startsWith("instructions "));
  const instructions = Number(lines[cost]!.split(" ")[1]);
  console.log(`upcall for a fault, to the handler and back: ${instructions} instructions`);
  expect(instructions).toBeGreaterThan(500);
  expect(instructions).toBeLessThan(3500);
  expect(lines.toSpliced(cost, 1).map((line) => line.replace(/^(watch|syscall)\((.*)\) = /, "$2 = "))).toEqual([
    "0, 64 * PAGE, open_page, 7 = 0 ",
    "  fault at 5 error 6 argument 7 rip 1",
    "  fault at 4096 error 4 argument 7 rip 1",
    "x 0",
    "  fault at 6 error 7 argument 7 rip 1",
    "calls = 3 ",
    "0, PAGE, open_page, 7 = -1 File exists",
    "64 * PAGE, PAGE, open_page, 7 = 0 ",
    "0, 64 * PAGE, nested, 0 = 0 ",
    "calls = 51 ",
    "0, 64 * PAGE, skip, 0 = 0 ",
    "value = 42 ",
    "0, 64 * PAGE, open_page, 0 = 0 ",
    "64 * PAGE, PAGE, NULL, 0 = 0 ",
    "128 * PAGE, PAGE, NULL, 0 = -1 No such file or directory",
    "0, 64 * PAGE, NULL, 0 = 0 ",
    "0, 0, open_page, 0 = -1 Invalid argument",
    "1, PAGE, open_page, 0 = -1 Invalid argument",
    "FAULT_HANDLER, -PAGE, PAGE, open_page, fault_return, 0 = -1 Invalid argument",
    "0, PAGE, (void *)0xffff800000000000, 0 = -1 Bad address",
    "FAULT_HANDLER, BASE, PAGE, open_page, (void *)-1l, 0 = -1 Bad address",
    "EXIT_HANDLER, (void *)0xffffffff80000000, exit_return, 0 = -1 Bad address",
    "EXIT_HANDLER, at_end, (void *)-8l, 0 = -1 Bad address",
    "EXIT = -1 Operation not permitted",
    "16: No space left on device",
  ]);
});

const BASE = 0x6_0000_0000n;
const SEGV = 11;
it.each([
  ["bad: a handler that faults elsewhere", 8n],
  ["same: a handler that faults on its page", BASE],
  ["nowhere: a handler that is not there", BASE + 4096n],
  ["inside: a handler in a range without pages", BASE + 4096n],
  ["restorer: one that is not there", BASE + 4096n],
  ["keeps no stack: there is no room for the frame", BASE],
])("%s ends the task with a report", (what, address) => {
  const r = run(what);
  expect([r.status & 0x7f, r.lines, r.reports]).toEqual([SEGV, [""], [address]]);
});

it.each([
  ["exit", ["1"], 0x300, "end 300 argument 1 pid 1"],
  ["exit: its own status", ["2"], 0x500, "end 300 argument 2 pid 1"],
  ["exit: a fault in it", ["3"], SEGV, "end 300 argument 3 pid 1"],
  ["exit: registers again", ["4"], 0x300, "end 300 argument 4 pid 1"],
  ["plain exit of the only thread", [], 0x400, "end 400 argument 1 pid 1"],
  ["c: the last thread is not the main one", [], 0x600, "end 600 argument 1 pid 0"],
  ["term", [], 15, "end f argument 1 pid 1"],
  ["v: a fault", [], SEGV, "end b argument 1 pid 1"],
  ["Kill asks nobody", [], 9, ""],
  ["x: it is not there", [], SEGV, ""],
  ["o: a stack that has overflowed", [], SEGV, ""],
  ["d: removed again", [], 0x700, ""],
])("the end, %s", (what, args, status, last) => {
  const r = run(what, ...args);
  expect([r.status & 0xff7f, r.lines.at(-1)]).toEqual([status, last]);
});

it("a signal from the service node reaches a handler of the end", () => {
  const id = bench.submit({ program: "/c", args: ["wait"] }, (job) =>
    bench.service.signal(job, 10, bench.machine.time + 5e6),
  );
  const { result, stdout } = bench.finish(id);
  expect([result.kind === "exited" && result.waitStatus, stdout]).toEqual([10, "end a argument 1 pid 1\n"]);
});
it("from the library", () => {
  expect(run("library")).toEqual({ status: 0x300, lines: ["end 768 argument 7 faults 40"], reports: [] });
});
