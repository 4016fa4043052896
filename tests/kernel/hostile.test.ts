/**
 * The hostile-call fuzzer (programs/hostile.ts): two ranks with threads on all cores make random system calls with
 * hostile arguments. There must be no panic, no lost node, nothing left of the task (the kernel checks after each:
 * job/check.ts) and no kernel address visible to the program; and the nodes must run the next job. Each seed has its
 * own machine. `make hostile N=1000000 SEED=1` for long campaigns.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../system/command.ts";
import { Bench } from "../system/jobs.ts";
import { programImage } from "./rig.ts";

const NODES = 2;
const CORES = 4;
/** Calls per machine, by both ranks together. */
const CALLS_A_SEED = 10_000;
/** As much as CI has time for. */
const FEW = 8_000;
const FEW_A_SEED = 4_000;
const campaign = process.env["HOSTILE_CALLS"];
const total = Number(campaign ?? FEW);
const firstSeed = Number(process.env["HOSTILE_SEED"] ?? 1);
const callsASeed = campaign === undefined ? FEW_A_SEED : Math.min(total, CALLS_A_SEED);
const seeds = Math.ceil(total / callsASeed);
const LIMIT_NS = 60e9;

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true }));

interface Attack {
  /** Empty: no error found. */
  readonly wrong: string;
  readonly calls: number;
  readonly counts: ReadonlyMap<string, number>;
}

function attack(seed: number): Attack {
  const root = path.join(folder, String(seed));
  fs.mkdirSync(root);
  fs.writeFileSync(path.join(root, "hostile"), programImage("hostile"), { mode: 0o755 });
  const bench = new Bench({ nodes: NODES, cores: CORES, root, traced: false });
  const counts = new Map<string, number>();
  const failed = (what: string): Attack => ({ wrong: `${what}\n${bench.console}`, calls: 0, counts });
  try {
    bench.boot();
    const each = String(callsASeed / NODES);
    const id = bench.submit({ program: "/hostile", args: [String(seed), each] });
    if (!bench.ends(id, LIMIT_NS))
      return failed(
        `the job does not end: ${bench.machine.fault?.text ?? "time is over"}; ${bench.io.waitingCount} shipped calls wait`,
      );
    const ended = bench.finish(id);
    // The calls may have written anything before a line.
    const lines = [...ended.stdout.matchAll(/hostile: (\d+) calls, ok (\d+)(.*)$/gm)];
    const found = /hostile: a .*$/m.exec(ended.stdout)?.[0];
    if (found !== undefined) return failed(found);
    if (ended.result.kind !== "exited" || ended.result.waitStatus !== 0 || lines.length !== NODES)
      return failed(`${JSON.stringify(ended.result)}, ${lines.length} of ${NODES} ranks came to their end`);
    const next = bench.run({ program: "hello" });
    if (next.result.kind !== "exited" || next.result.waitStatus !== 0 || next.stdout.split("hello").length - 1 < NODES)
      return failed(`the next job: ${JSON.stringify(next.result)}`);
    if (/panic|unexpected|nobody registered/.test(bench.console)) return failed("the console");
    let calls = 0;
    for (const [, made, ok, errors] of lines) {
      calls += Number(made);
      counts.set("ok", (counts.get("ok") ?? 0) + Number(ok));
      for (const [, errno, count] of errors!.matchAll(/errno (\d+) (\d+)/g))
        counts.set(`errno ${errno}`, (counts.get(`errno ${errno}`) ?? 0) + Number(count));
    }
    return { wrong: "", calls, counts };
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  } finally {
    bench.close();
    fs.rmSync(root, { recursive: true });
  }
}

describe("hostile calls", () => {
  it(`${total} calls on ${NODES} nodes of ${CORES} cores`, { timeout: 60_000 + total * 10 }, () => {
    let calls = 0;
    const counts = new Map<string, number>();
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const a = attack(seed);
      const replay = `seed ${seed}: make hostile N=${callsASeed} SEED=${seed}`;
      expect(a.wrong, replay).toBe("");
      calls += a.calls;
      for (const [what, count] of a.counts) counts.set(what, (counts.get(what) ?? 0) + count);
      if (campaign !== undefined) console.log(`seed ${seed}: ${calls} calls`);
    }
    const sorted = [...counts].sort((a, b) => b[1] - a[1]).map(([what, count]) => `${what} ${count}`);
    console.log(`hostile: ${calls} calls, ${seeds} seeds from ${firstSeed}: ${sorted.join(", ")}`);
    expect(calls).toBe(seeds * callsASeed);
    // The calls do reach the kernel: a fair share succeeds, and each kind of refusal occurs.
    expect(counts.get("ok")! / calls).toBeGreaterThan(0.1);
    for (const errno of [9, 14, 22, 38])
      expect(counts.get(`errno ${errno}`) ?? 0, `errno ${errno}`).toBeGreaterThan(10);
  });
});
