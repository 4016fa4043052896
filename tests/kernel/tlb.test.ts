/**
 * What the TLBs hold of one job when the next one is loaded at the same addresses. The loader writes a program's pages
 * and then removes the write permission; threads start on cores that have run an earlier job's threads. The machine's
 * architectural TLBs never forget by themselves. They must hold no wrong entry at moments without a change in progress:
 * when a program starts, and between jobs.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Pte, PTE_NX } from "../../emulator/abi/x86.ts";
import type { Node } from "../../emulator/machine/node.ts";
import { realEngine } from "../machine/guest.ts";
import { packageRoot, temporaryFolder } from "../system/command.ts";
import { type Bench, withBench } from "../system/jobs.ts";
import { programImage } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/tlb skipped: ${engine}`);

const root = temporaryFolder();
afterAll(() => fs.rmSync(root, { recursive: true }));
const install = (name: string): string => {
  fs.writeFileSync(path.join(root, name), programImage(name), { mode: 0o755 });
  return `/${name}`;
};

const USER_HALF_END = 1n << 47n;
const GRANT_WRITE = 2;
const GRANT_FETCH = 4;

/** The page that a walk of the tables at `cr3` finds now. */
function walk(node: Node, cr3: bigint, address: bigint): { physical: number; write: boolean; fetch: boolean } | null {
  let table = Number(cr3 & BigInt(Pte.ADDRESS));
  let write = true;
  let fetch = true;
  for (let level = 4n; ; level--) {
    const entry = node.view.getBigUint64(table + 8 * Number((address >> (3n + 9n * level)) & 511n), true);
    if ((entry & BigInt(Pte.P)) === 0n) return null;
    write &&= (entry & BigInt(Pte.W)) !== 0n;
    fetch &&= (entry & PTE_NX) === 0n;
    const leaf = level === 1n || (entry & BigInt(Pte.PS)) !== 0n;
    const inside = (1n << (3n + 9n * level)) - 1n;
    const physical = entry & BigInt(Pte.ADDRESS);
    if (leaf) return { physical: Number((physical & ~inside) | (address & inside)), write, fetch };
    table = Number(physical);
  }
}
/** Entries for user addresses that grant more than the core's tables do, or map other frames. */
function stale(node: Node): string[] {
  return node.engine.cores.flatMap((core) => {
    const { cr3, tlb } = core.save();
    return tlb
      .filter((entry) => entry.virtual < USER_HALF_END)
      .filter((entry) => {
        const now = walk(node, cr3, entry.virtual);
        if (now === null || now.physical !== entry.physical) return true;
        return (
          ((entry.permissions & GRANT_WRITE) !== 0 && !now.write) ||
          ((entry.permissions & GRANT_FETCH) !== 0 && !now.fetch)
        );
      })
      .map(
        (entry) =>
          `c${core.index} ${entry.virtual.toString(16)} → ${entry.physical.toString(16)} permissions ${entry.permissions}`,
      );
  });
}

const CORES = 4;
const PROGRAM = 0x40_0000n;
/** Runs to the start of the job's program on the node, then on. */
function runThrough(bench: Bench, program: string, args: readonly string[], atStart: () => void): string {
  const starts = bench.events.filter((e) => e.kind === EventKind.JOB_START).length;
  const id = bench.submit({ program, args });
  expect(bench.until(() => bench.events.filter((e) => e.kind === EventKind.JOB_START).length > starts)).toBe("until");
  atStart();
  const { result, stdout } = bench.finish(id);
  expect(result, stdout).toMatchObject({ kind: "exited", waitStatus: 0 });
  return stdout;
}
const userEntries = (node: Node): number =>
  node.engine.cores.reduce(
    (sum, core) => sum + core.save().tlb.filter((entry) => entry.virtual < USER_HALF_END).length,
    0,
  );

/** The linker gives each segment 2 MB pages of its own. */
const LARGE_PAGES = "-Wl,-z,max-page-size=0x200000,-z,common-page-size=0x200000";
/** The core's entries for user addresses, without their dirty bits. */
const entries = (node: Node): { virtual: bigint; bytes: number }[] =>
  node.engine.cores[0]!.save()
    .tlb.filter((entry) => entry.virtual < USER_HALF_END)
    .map(({ virtual, bytes }) => ({ virtual, bytes }));

describe.skipIf(typeof engine === "string")("job after job at the same addresses", () => {
  it("finds no translation of the one before, on no core", () => {
    const jobs = [
      { program: install("overlap"), args: ["unmap", "4"], stdout: `overlap: ${4 * CORES} operations, 0 failed\n` },
      { program: install("threads"), args: ["identities"], stdout: /^threads: \d+ checks passed\n$/ },
      { program: "/overlap", args: ["large", "1"], stdout: `overlap: ${CORES} operations, 0 failed\n` },
    ];
    withBench({ nodes: 1, cores: CORES, root }, (bench) => {
      const node = bench.node(1);
      for (const { program, args, stdout } of jobs) {
        const out = runThrough(bench, program, args, () => {
          // The program is about to run on pages that init wrote with other permissions: no such entry is left.
          expect(userEntries(node), `${program}: init has used its memory`).toBeGreaterThan(0);
          expect(stale(node), `${program} begins`).toEqual([]);
        });
        if (typeof stdout === "string") expect(out).toBe(stdout);
        else expect(out).toMatch(stdout);
        bench.until(() => false, 100_000);
        expect(stale(node), `after ${program}`).toEqual([]);
        expect(userEntries(node), `after ${program}: idle cores hold nothing of it`).toBe(0);
      }
    });
  });

  it("a core with a stale translation of the program's own pages drops it before a thread runs there", () => {
    withBench({ nodes: 1, cores: CORES, root }, (bench) => {
      const node = bench.node(1);
      const wrong = 0x20_0000;
      const out = runThrough(bench, install("threads"), ["identities"], () => {
        // As if an earlier job had left them on the cores that are now idle: the program's first page maps another
        // frame.
        for (const core of node.engine.cores.slice(1)) {
          const state = core.save();
          const entry = {
            virtual: PROGRAM,
            physical: wrong,
            bytes: 4096,
            permissions: 7,
            user: true,
            global: false,
            dirty: true,
          };
          core.restore({ ...state, tlb: [...state.tlb, entry] });
        }
        expect(stale(node), "the test sees them").toHaveLength(CORES - 1);
      });
      expect(out).toMatch(/^threads: \d+ checks passed\n$/);
      expect(stale(node)).toEqual([]);
    });
  });

  it("a hot loop over text, data, heap and stack takes no miss after its first pass, and few entries", () => {
    const source = path.join(packageRoot, "tests/kernel/programs/hot.c");
    const built = spawnSync("gcc", ["-O1", "-static", LARGE_PAGES, "-o", path.join(root, "hot"), source], {
      encoding: "utf8",
    });
    expect(built.stderr).toBe("");
    withBench({ nodes: 1, cores: 1, root, memBytes: 256 << 20 }, (bench) => {
      const id = bench.submit({ program: "/hot", args: ["6"] });
      const passes: ReturnType<typeof entries>[] = [];
      for (let pass = 1; pass <= 6; pass++) {
        bench.until(() => bench.events.filter((e) => e.kind === EventKind.MARK).length >= pass);
        passes.push(entries(bench.node(1)));
      }
      expect(bench.finish(id).result).toMatchObject({ kind: "exited", waitStatus: 0 });
      const [first, ...later] = passes;
      // The TLB never evicts: an entry more would be a miss.
      for (const next of later) expect(next).toEqual(first);
      const large = first!.filter((entry) => entry.bytes > 4096);
      console.log(`tests/kernel/tlb: 52 MB in ${large.length} large and ${first!.length - large.length} small entries`);
      // A processor has 32 or more of each (Skylake: 64 small, 32 large).
      expect(large.length).toBeLessThanOrEqual(32);
      expect(first!.length - large.length).toBeLessThanOrEqual(64);
    });
  });

  it("without the IPIs stale translations stay, and are seen", () => {
    withBench({ nodes: 1, cores: CORES, append: "tlb_ipi=off" }, (bench) => {
      const node = bench.node(1);
      let most = 0;
      const id = bench.submit({ program: "shootdown", args: ["20"] });
      bench.until(() => {
        most = Math.max(most, stale(node).length);
        return bench.events.some((e) => e.kind === EventKind.JOB_EXIT);
      });
      expect(bench.finish(id).result).toMatchObject({ kind: "exited", waitStatus: 0 });
      expect(most).toBeGreaterThan(0);
    });
  });
});
