/**
 * The job `shootdown` from a user's view: correct with the IPIs, and without them the bug that they prevent. Golden
 * traces of both.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { expectGolden, runCluster } from "./cluster.ts";
import { margay } from "./command.ts";
import { callCosts, wakeCosts } from "./costs.ts";

const run = (...args: string[]) => margay(["run", "--nodes", "1", "--cores", "4", ...args]);
const READERS = 3;

describe("shootdown", () => {
  it("reads nothing stale", () => {
    const r = run("shootdown");
    const [, stale, reads] = /^stale reads: (\d+) of (\d+)\n$/.exec(r.stdout) ?? [];
    expect(r.status).toBe(0);
    expect(Number(stale)).toBe(0);
    expect(Number(reads)).toBeGreaterThanOrEqual(1000 * READERS);
  });
  it("reads stale pages with tlb_ipi=off", () => {
    const r = run("--append", "tlb_ipi=off", "shootdown");
    const [, stale, reads] = /^stale reads: (\d+) of (\d+)\n$/.exec(r.stdout) ?? [];
    expect(r.status).toBe(0);
    expect(Number(stale)).toBeGreaterThan(0);
    expect(Number(reads)).toBeGreaterThanOrEqual(1000 * READERS);
  });
  it("--hang ends with the IPIs", () => {
    const r = run("--limit", "20ms", "shootdown", "--hang");
    expect(r.stdout).toBe("joined\n");
    expect(r.status).toBe(0);
  });
  it("--hang never ends without them", () => {
    const r = run("--append", "tlb_ipi=off", "--limit", "20ms", "shootdown", "--hang");
    expect(r.stdout).toBe("");
    expect(r.status).toBe(124);
  });
  it("says what it cannot do", () => {
    expect(margay(["run", "--nodes", "1", "--cores", "1", "shootdown"])).toMatchObject({ status: 2, stdout: "" });
    expect(run("shootdown", "many")).toMatchObject({ status: 2, stdout: "" });
  });
});

describe("golden traces", () => {
  it("of a thread that is created and joined", async () => {
    const r = runCluster({ nodes: 1, cores: 2, program: "shootdown", args: ["--hang"] });
    expect(r.stdout).toBe("joined\n");
    await expectGolden(r.golden("job.start,sys,ipi,irq.deliver,cpu", EventKind.JOB_START), "thread-create-join.trace");
  });
  const short = { nodes: 1, cores: 2, program: "shootdown", args: ["2", "1"] } as const;
  it("of a shootdown with IPIs", async () => {
    const r = runCluster(short);
    expect(r.stdout).toBe("stale reads: 0 of 2\n");
    await expectGolden(r.golden("job.start,sys,ipi,tlb,frame", EventKind.JOB_START), "shootdown-ipi.trace");
  });
  it("of what its calls and the way out of the idle loop cost", async () => {
    const r = runCluster({ ...short, cores: 3 });
    const woken = [0, 1, 2].flatMap((core) => wakeCosts(r.events, 1, core));
    expect(woken.length).toBeGreaterThan(0);
    // The program's own calls; shipped calls depend on the wire.
    const program = r.events.slice(r.events.findIndex((e) => e.kind === EventKind.JOB_START));
    const calls = callCosts(program, 1, 0).filter((line) => !/ (write|exit_group) /.test(line));
    const lines = [...calls, ...woken];
    await expectGolden(
      `# costs in instructions: image=shootdown nodes=1 cores=3\n${lines.join("\n")}\n`,
      "shootdown-cost.trace",
    );
  });
  it("of the same without IPIs", async () => {
    const r = runCluster({ ...short, append: "tlb_ipi=off" });
    expect(r.stdout).toBe("stale reads: 1 of 2\n");
    await expectGolden(r.golden("job.start,sys,ipi,tlb,frame", EventKind.JOB_START), "shootdown-no-ipi.trace");
  });
});
