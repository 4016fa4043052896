/**
 * Loads that must fail, on the real kernel: each is refused at once with a cause and the nid that refuses, every rank
 * is torn down, and the next job runs on the same machine.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { InitHeader, InitMatch } from "../../emulator/abi/job.ts";
import { INIT_BASE } from "../../emulator/abi/memory.ts";
import { Cause, EthernetHeader, MessageHeader, Operation } from "../../emulator/abi/net.ts";
import { soundVerdict, type FaultInjector, type Verdict } from "../../emulator/fabric/faults.ts";
import { realEngine } from "../machine/guest.ts";
import { expectGolden } from "../system/cluster.ts";
import { packageRoot, temporaryFolder } from "../system/command.ts";
import { Bench, initImage, withBench } from "../system/jobs.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/refusals skipped: ${engine}`);
const here = typeof engine !== "string";
const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));

/** Every task is gone, and a job over all nodes runs; both far sooner than the load's time limit. */
function nothingIsLeft(bench: Bench, nodes: number): void {
  expect(bench.machine.time).toBeLessThan(1e9);
  const { result, stdout } = bench.run({ program: "hello" });
  expect(result, bench.console).toMatchObject({ kind: "exited", waitStatus: 0, count: nodes });
  expect(stdout.match(/^hello from rank \d+ of \d+/gm)).toHaveLength(nodes);
  expect(bench.io.taskCount).toBe(0);
  bench.until(() => false, 1e6);
  const count = (kind: number): number => bench.events.filter((e) => e.kind === kind).length;
  expect(count(EventKind.TASK_END)).toBe(
    count(EventKind.JOB_RUN_USER) +
      bench.events.filter((e) => e.kind === EventKind.JOB_REFUSE && Number(e.words[2]) === Cause.NO_MEMORY).length,
  );
}
const changed = (change: (image: Uint8Array, header: InitHeader) => void): Uint8Array => {
  const image = initImage().slice();
  change(image, new InitHeader(new DataView(image.buffer)));
  return image;
};

describe.skipIf(!here)("busy", () => {
  it("refuses a second job; the first one's output and status stay as they would be alone (golden)", async () => {
    const alone = withBench({ nodes: 2, cores: 1 }, (bench) => bench.run({ program: "ring" }));
    const golden = withBench({ nodes: 2, cores: 1 }, (bench) => {
      let second = 0;
      const first = bench.submit({ program: "ring" }, () => (second = bench.submit({ program: "hello", nids: [2] })));
      const done = bench.finish(first);
      expect(done.result).toEqual(alone.result);
      expect(done.stdout.replace(/\d+ ns/, "")).toBe(alone.stdout.replace(/\d+ ns/, ""));
      expect(bench.finish(second)).toMatchObject({
        result: { kind: "refused", cause: Cause.BUSY, nid: 2, rank: 0 },
        stdout: "",
      });
      expect((bench.finish(second).result as { text: string }).text).toMatch(/^busy: .*, nid 2$/);
      nothingIsLeft(bench, 2);
      const from = bench.events.find((e) => e.kind === EventKind.SERVICE_LOAD && Number(e.words[0]) === second)!.time;
      const until = bench.events.find((e) => e.kind === EventKind.SERVICE_EXIT)!.time;
      return bench.golden("ring", "service,job", (e) => e.time >= from && e.time <= until);
    });
    await expectGolden(golden, "busy.trace");
  });
});

describe.skipIf(!here)("a corrupt init image", () => {
  // biome-ignore format: table
  const images: readonly (readonly [what: string, image: () => Uint8Array, cause: number])[] = [
    ["entry behind the image",  () => changed((_, h) => { h.entry = BigInt(INIT_BASE) + 0x100_0000n; }), Cause.BAD_IMAGE],
    ["entry below the image",   () => changed((_, h) => { h.entry = 0x40_0000n; }),              Cause.BAD_IMAGE],
    ["more memory than allowed",() => changed((_, h) => { h.memoryBytes = 1n << 40n; }),         Cause.BAD_IMAGE],
    ["code overwritten",        () => changed((image, h) => { image.fill(0x0f, Number(h.entry) - Number(INIT_BASE)); }), Cause.KILLED],
    ["cut off in its code",     () => initImage().subarray(0, 0x400),                            Cause.KILLED],
  ];
  for (const [what, image, cause] of images) {
    it(`${what}: refused with nid and cause`, () => {
      withBench({ nodes: 3, cores: 1 }, (bench) => {
        const { result } = bench.run({ program: "hello", initImage: image() });
        expect(result).toMatchObject({ kind: "refused", cause, nid: 1 });
        nothingIsLeft(bench, 3);
      });
    });
  }
});

describe.skipIf(!here)("a bad program on one rank", () => {
  const hello = fs.readFileSync(path.join(packageRoot, "images/out/bin/hello"));
  const PT_LOAD = 1;
  const segment = Array.from(
    { length: hello.readUInt16LE(56) },
    (_, i) => Number(hello.readBigUInt64LE(32)) + 56 * i,
  ).find((at) => hello.readUInt32LE(at) === PT_LOAD)!;
  const patched = (offset: number, ...bytes: number[]): Buffer => {
    const copy = Buffer.from(hello);
    copy.set(bytes, offset);
    return copy;
  };
  // biome-ignore format: table
  const programs: readonly (readonly [name: string, content: Uint8Array])[] = [
    ["empty",     new Uint8Array(0)],
    ["text",      Buffer.from("no program\n".repeat(20))],
    ["header",    hello.subarray(0, 63)],
    ["truncated", hello.subarray(0, 4000)],
    ["machine",   patched(18, 0xb7)],
    ["class32",   patched(4, 1)],
    ["headers",   patched(32, 0xff, 0xff, 0xff, 0xff)],
    ["high",      patched(segment + 16, 0, 0, 0, 0, 0, 0, 0xff, 0xff)],
  ];
  for (const [name, content] of programs) {
    it(`${name}: the leaf is named, all ranks are torn down`, () => {
      fs.writeFileSync(path.join(dir, name), content, { mode: 0o755 });
      withBench({ nodes: 4, cores: 1, root: dir }, (bench) => {
        const { result, stdout } = bench.run({ program: ["hello", "hello", "hello", `/${name}`] });
        expect(result).toMatchObject({ kind: "refused", cause: Cause.PROGRAM_FORMAT, nid: 4, rank: 3 });
        expect(stdout).toBe("");
        nothingIsLeft(bench, 4);
      });
    });
  }
  it("the failed load on a leaf, from LOAD to the last KILL (golden)", async () => {
    fs.writeFileSync(path.join(dir, "leaf"), "no program\n".repeat(20), { mode: 0o755 });
    const golden = withBench({ nodes: 4, cores: 1, root: dir }, (bench) => {
      bench.run({ program: ["hello", "hello", "hello", "/leaf"] });
      return bench.golden("hello", "service,job");
    });
    await expectGolden(golden, "load-failed-leaf.trace");
  });
});

describe.skipIf(!here)("too little memory on one node of many", () => {
  it.each([1, 2, 4])("nid %i refuses by name, and the others are free again", (small) => {
    const nodes = 4;
    const big = Buffer.from(fs.readFileSync(path.join(packageRoot, "images/out/bin/hello")));
    const at = Number(big.readBigUInt64LE(32));
    const count = big.readUInt16LE(56);
    for (let i = 0; i < count; i++) {
      const header = at + 56 * i;
      // The writable segment takes 24 MB.
      if (big.readUInt32LE(header) === 1 && (big.readUInt32LE(header + 4) & 2) !== 0)
        big.writeBigUInt64LE(24n << 20n, header + 40);
    }
    fs.writeFileSync(path.join(dir, "big"), big, { mode: 0o755 });
    withBench({ nodes, cores: 1, root: dir, memBytes: (nid) => (nid === small ? 16 : 64) << 20 }, (bench) => {
      const { result, stdout } = bench.run({ program: "/big" });
      expect(result).toMatchObject({ kind: "refused", cause: Cause.NO_MEMORY, nid: small });
      expect((result as { text: string }).text).toMatch(new RegExp(`not enough memory.*, nid ${small}$`));
      expect(stdout).toBe("");
      nothingIsLeft(bench, nodes);
    });
  });
});

/** Cuts the link between two nodes for good, from the first frame of `operation` from `source` to `target` on. */
class CutAt implements FaultInjector {
  private broken = false;
  constructor(
    private readonly source: number,
    private readonly target: number,
    private readonly operation: number,
    private readonly matchBits: bigint,
  ) {}
  judge(source: number, target: number, frame: Uint8Array): Verdict {
    const forth = source === this.source && target === this.target;
    if (!forth && !(source === this.target && target === this.source)) return soundVerdict;
    const header = new MessageHeader(new DataView(frame.buffer, frame.byteOffset), EthernetHeader.SIZE);
    if (forth && header.operation === this.operation && header.matchBits === this.matchBits) this.broken = true;
    return this.broken ? { ...soundVerdict, lost: "cut", copies: 0 } : soundVerdict;
  }
  state(): unknown {
    return this.broken;
  }
}

describe.skipIf(!here)("a node that is lost", () => {
  it("while its parent loads it: the load is refused as unreachable, by its nid", () => {
    const faults = new CutAt(1, 2, Operation.LOAD, 0n);
    const bench = new Bench({ nodes: 2, cores: 1, faults });
    try {
      const { result } = bench.boot().run({ program: "hello" });
      expect(result).toMatchObject({ kind: "refused", cause: Cause.UNREACHABLE, nid: 2 });
      expect(bench.machine.time).toBeLessThan(2e9);
    } finally {
      bench.close();
    }
  });
  it("while the job runs: its parent's kernel says so, and the job is killed on all nodes", () => {
    // GO never arrives: rank 0 runs and ends, rank 1 waits for ever.
    const faults = new CutAt(1, 2, Operation.PUT, BigInt(InitMatch.GO));
    const bench = new Bench({ nodes: 2, cores: 1, faults });
    try {
      const { result } = bench.boot().run({ program: "hello" });
      expect(result).toMatchObject({ kind: "exited", waitStatus: 9, rank: 1, lostNid: 2 });
      const ended = bench.events.filter((e) => e.kind === EventKind.TASK_END).map((e) => e.nid);
      expect(ended).toEqual([1, 2]);
      expect(bench.machine.time).toBeLessThan(2e9);
      // The remaining node still works.
      expect(bench.run({ program: "hello", nids: [2] }).result).toMatchObject({ kind: "exited", waitStatus: 0 });
    } finally {
      bench.close();
    }
  });
});

describe.skipIf(!here)("an init that crashes", () => {
  it("on a leaf: its parent's init is told at once, and names it", () => {
    // Its code is overwritten while it arrives.
    withBench({ nodes: 3, cores: 1 }, (bench) => {
      const id = bench.submit({ program: "hello" });
      const segment = (): boolean => bench.events.some((e) => e.kind === EventKind.JOB_LOAD && e.nid === 3);
      bench.until(segment);
      bench.spoilInit(3);
      const { result } = bench.finish(id);
      expect(result).toMatchObject({ kind: "refused", cause: Cause.KILLED, nid: 3, rank: 2 });
      expect(bench.reports.map((r) => [r.nid, r.rank, r.report.isInit])).toEqual([[3, 2, 1]]);
      nothingIsLeft(bench, 3);
    });
  });
});
