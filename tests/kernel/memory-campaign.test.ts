/**
 * Running out of memory is an error for the caller: the n-th allocation of load and run fails, for every n. Each time
 * the job ends with success, a refusal, or a status; the kernel does not panic, nothing is left behind (the kernel
 * checks after each task), and the next job runs on the same machine. The countdown is set in the kernel's memory from
 * outside, so that one machine serves for all n.
 */
import { describe, expect, it } from "vitest";
import { Cause } from "../../emulator/abi/net.ts";
import { realEngine } from "../machine/guest.ts";
import { Bench, withBench } from "../system/jobs.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/memory-campaign skipped: ${engine}`);
const here = typeof engine !== "string";

interface Counts {
  readonly allocations: number;
  tried: number;
  success: number;
  refused: number;
  failed: number;
  /** Another rank waits for ever for the one that failed, by the program's design: ended by a kill. */
  killed: number;
}
/** Interval of jobs without a fault. Each job also runs normally after the fault before it, up to its own fault. */
const CLEAN_EVERY = 16;
/** Makes one allocation on `nid` fail, the n-th from now; 0: none. */
function arm(bench: Bench, nid: number, n: number, lasting = false): void {
  const at = bench.variable("allocation_fault");
  bench.node(nid).view.setBigUint64(at, BigInt(n), true);
  bench.node(nid).view.setBigUint64(at + 8, 0n, true);
  bench.node(nid).view.setBigUint64(at + 16, lasting ? 1n : 0n, true);
}
const asked = (bench: Bench, nid: number): number =>
  Number(bench.node(nid).view.getBigUint64(bench.variable("allocation_fault") + 8, true));

interface Sweep {
  readonly nodes: number;
  readonly cores?: number;
  readonly nid: number;
  readonly program: string;
  readonly args?: readonly string[];
  readonly lasting: boolean;
}
function sweep({ nodes, cores = 1, nid, program, args = [], lasting }: Sweep): Counts {
  return withBench({ nodes, cores, memBytes: 32 << 20, traced: false }, (bench) => {
    const clean = (): void => {
      const run = bench.run({ program, args });
      expect(run.result, bench.console).toMatchObject({ kind: "exited", waitStatus: 0, count: nodes });
      expect(bench.io.taskCount).toBe(0);
    };
    clean();
    arm(bench, nid, 1 << 30);
    clean();
    const counts = { allocations: asked(bench, nid), tried: 0, success: 0, refused: 0, failed: 0, killed: 0 };
    for (let n = 1; n <= counts.allocations; n++) {
      arm(bench, nid, n, lasting);
      const id = bench.submit({ program, args });
      if (bench.ends(id, 0.2e9) === false) bench.service.kill(id, Math.max(bench.now, bench.machine.time));
      const { result } = bench.finish(id);
      arm(bench, nid, 0);
      counts.tried++;
      const where = `allocation ${n} of nid ${nid}: ${JSON.stringify(result)}`;
      expect(bench.console, where).not.toMatch(/panic/);
      if (result.kind === "refused") {
        counts.refused++;
        expect(
          [Cause.NO_MEMORY, Cause.BUSY, Cause.BAD_REQUEST, Cause.PROGRAM_OPEN, Cause.KILLED, Cause.UNREACHABLE],
          where,
        ).toContain(result.cause);
        expect(result.text).toContain("nid ");
      } else if (result.kind === "killed") counts.killed++;
      else if (result.waitStatus === 0) counts.success++;
      else counts.failed++;
      if (counts.tried % CLEAN_EVERY === 0) clean();
    }
    clean();
    return counts;
  });
}

describe.skipIf(!here)("the n-th allocation fails", () => {
  it.each<Sweep>([
    { nodes: 1, nid: 1, program: "hello", lasting: false },
    { nodes: 1, nid: 1, program: "hello", lasting: true },
    { nodes: 2, nid: 2, program: "hello", lasting: false },
    { nodes: 2, nid: 2, program: "hello", lasting: true },
    { nodes: 2, nid: 1, program: "ring", lasting: false },
    { nodes: 2, nid: 1, program: "ring", lasting: true },
    // Threads, and pages that are replaced while they use them.
    { nodes: 1, cores: 3, nid: 1, program: "shootdown", args: ["6", "1"], lasting: false },
    { nodes: 1, cores: 3, nid: 1, program: "shootdown", args: ["6", "1"], lasting: true },
  ])("$program on $nodes node(s), at nid $nid, lasting $lasting: never a panic, and the next job runs", (s) => {
    const counts = sweep(s);
    console.log(`${s.program}, nid ${s.nid} of ${s.nodes}${s.lasting ? ", lasting" : ""}: ${JSON.stringify(counts)}`);
    expect(counts.allocations).toBeGreaterThan(20);
    expect(counts.refused).toBeGreaterThan(5);
  });
  it("by the boot parameter fail_alloc", () => {
    withBench({ nodes: 1, append: "fail_alloc=5" }, (bench) => {
      expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "refused", nid: 1 });
      expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "exited", waitStatus: 0 });
    });
  });
  it("of the boot: fewer cores, no network, or a refusal that says so; never a panic", () => {
    const ends = new Map<string, number>();
    for (let n = 1; n <= 24; n++) {
      const bench = new Bench({
        nodes: 1,
        cores: 3,
        memBytes: 32 << 20,
        append: `fail_boot_alloc=${n}`,
        traced: false,
      });
      try {
        const reason = bench.until(() => /margay: (ready|halted).*\n/.test(bench.console), 1e9);
        expect(bench.console, `allocation ${n}`).not.toMatch(/panic/);
        const end =
          /no memory for (?:the kernel's page tables|shipped calls)|left out: \d|net=none|ready nid=1 cpus=3 mem=32 net=up/.exec(
            bench.console,
          )?.[0];
        expect(end, `allocation ${n}: ${reason} ${bench.machine.fault?.text} ${bench.console}`).toBeDefined();
        ends.set(end!, (ends.get(end!) ?? 0) + 1);
        // With a network, a job runs on the processors and memory that are left.
        if (/net=up/.test(bench.console))
          expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "exited", waitStatus: 0 });
      } finally {
        bench.close();
      }
    }
    console.log(`boot: ${JSON.stringify([...ends])}`);
    expect(ends.get("no memory for the kernel's page tables")).toBeGreaterThan(3);
    expect([...ends.keys()].filter((k) => k.startsWith("left out")).length).toBe(2);
    expect(ends.get("net=none")).toBe(3);
  });
});
