/**
 * The two-phase load (ARCHITECTURE.md section 5) on a whole machine: golden traces, per-node programs, refusals,
 * tear-down.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Operation } from "../../emulator/abi/net.ts";
import { expectGolden, runCluster } from "./cluster.ts";
import { temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));

describe("two-phase load", () => {
  it("is the design's 15 steps, told by a golden trace of two nodes", async () => {
    const run = runCluster({ nodes: 2, program: "hello" });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0, count: 2 });
    await expectGolden(run.golden("service,job,msg,io"), "load-two-nodes.trace");
  });

  it("reads the program by function shipping: init's calls, the kernel's messages, the I/O node's results", async () => {
    const run = runCluster({ nodes: 1, cores: 1, program: "hello" });
    const shipped = run.golden("sys,io,msg").split("\n");
    await expectGolden(shipped.join("\n"), "shipped-read.trace");
    expect(shipped.filter((l) => l.includes("io.call")).map((l) => l.split(/ +/)[2])).toEqual([
      "open",
      "fstat",
      "pread64",
      "pread64",
      "close",
      "write",
      "exit_group",
    ]);
  });

  it.each([1, 2, 3, 8])(
    "with fan-out %i reaches every rank of seven; each kernel sends one exit notice up the tree",
    (fanout) => {
      const run = runCluster({ nodes: 7, cores: 1, fanout, program: "hello" });
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0, count: 7 });
      expect(run.stdout.split("\n").filter(Boolean).sort()).toEqual(
        Array.from({ length: 7 }, (_, r) => `hello from rank ${r} of 7 on nid ${r + 1} core 0`),
      );
      const sent = run.events.filter((e) => e.kind === EventKind.MSG_SEND);
      const notices = sent.filter((e) => Number(e.words[0]) === Operation.EXIT_NOTICE);
      expect(notices.map((e) => [e.nid, Number(e.words[1])]).sort((a, b) => a[0]! - b[0]!)).toEqual(
        Array.from({ length: 7 }, (_, r) => [r + 1, r === 0 ? 0 : Math.floor((r - 1) / fanout) + 1]),
      );
      const loads = sent.filter((e) => Number(e.words[0]) === Operation.LOAD);
      expect(loads.filter((e) => e.nid === 0)).toHaveLength(1);
      expect(loads).toHaveLength(7);
      // Only rank 0 opens the program in the file system.
      const opened = run.events.filter((e) => e.kind === EventKind.JOB_START).map((e) => e.nid);
      expect(opened.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    },
  );

  it("respects programs of single ranks", () => {
    const run = runCluster({
      nodes: 5,
      cores: 1,
      fanout: 2,
      program: ["hello", "hello", "files", "hello", "files"],
      root: dir,
    });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0, count: 5 });
    expect(run.stdout.match(/^hello from rank [013] of 5/gm)).toHaveLength(3);
    expect(run.stdout.match(/^files: rank [24]/gm)).toHaveLength(2);
  });
});

describe("refused loads", () => {
  it("a program that is missing comes back as ENOENT, fanned in, and every rank is torn down", async () => {
    const run = runCluster({ nodes: 2, program: "/missing", root: dir });
    expect(run.result).toMatchObject({ kind: "refused", errno: 2 });
    expect(run.stdout).toBe("");
    expect(run.events.filter((e) => e.kind === EventKind.JOB_START)).toEqual([]);
    await expectGolden(run.golden("service,job,msg,io"), "load-missing-program.trace");
  });
  it("a leaf whose program is no program fails the whole job, and names the leaf", () => {
    fs.writeFileSync(path.join(dir, "text"), "no program\n".repeat(20));
    const run = runCluster({ nodes: 4, cores: 1, fanout: 2, program: ["hello", "hello", "hello", "/text"], root: dir });
    expect(run.result).toMatchObject({ kind: "refused", nid: 4 });
    expect(run.stdout).toBe("");
    const loaded = run.events.filter((e) => e.kind === EventKind.JOB_LOAD).map((e) => e.nid);
    const ended = run.events.filter((e) => e.kind === EventKind.TASK_END).map((e) => e.nid);
    expect(ended.sort()).toEqual(loaded.sort());
  });
});

describe("determinism", () => {
  it("host slices and host work change neither trace nor state", () => {
    const runs = [undefined, 100, 777, 5000].map((hostSlice) =>
      runCluster({ nodes: 2, program: "ring", machine: hostSlice ? { hostSlice } : {} }),
    );
    for (const r of runs) {
      expect(r.result).toMatchObject({ kind: "exited", waitStatus: 0 });
      expect(r.stateHash).toBe(runs[0]!.stateHash);
      expect(r.fullTrace()).toBe(runs[0]!.fullTrace());
    }
  });
});
