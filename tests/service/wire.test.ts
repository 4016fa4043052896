/**
 * nid 0 on a hostile wire: who may answer, how much memory other nodes can occupy, and random frames that are valid
 * down to the CRC. The rules: kernel/net/README.md. `make frames N=1000000` sends more than CI has time for.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { IoRequest } from "../../emulator/abi/io.ts";
import { CoreReport, ExitNotice, InitMatch, LoadStatus } from "../../emulator/abi/job.ts";
import {
  Cause,
  DropReason,
  INBOUND_SILENCE_NS,
  IO_PID,
  KERNEL_PID,
  Operation,
  SERVICE_PID,
} from "../../emulator/abi/net.ts";
import { Personality } from "../../emulator/abi/personality.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { JobDebugLink } from "../../emulator/service/jobdebug.ts";
import { type JobResult, ServiceNode } from "../../emulator/service/service.ts";
import { Random } from "../fabric/random.ts";
import { type Fields, FrameFuzzer, Stranger } from "../system/strangers.ts";
import { modelInit } from "./model.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "margay-wire-"));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

function bytesOf<T>(Codec: { SIZE: number; new (view: DataView): T }, fill: (value: T) => void): Uint8Array {
  const bytes = new Uint8Array(Codec.SIZE);
  fill(new Codec(new DataView(bytes.buffer)));
  return bytes;
}
const readyOf = (nid: number): Uint8Array => bytesOf(Personality, (p) => (p.nid = nid));
const ioRequest = (call: number, data = new Uint8Array(0), ...words: bigint[]): Uint8Array => {
  const head = bytesOf(IoRequest, (r) => {
    r.call = call;
    r.dataBytes = data.length;
    words.forEach((word, i) => {
      r.view.setBigUint64(IoRequest.OFFSETS.arguments + 8 * i, word, true);
    });
  });
  return Uint8Array.from([...head, ...data]);
};

/** The host with eight nodes; tests send frames from any nid and see what each nid receives. */
class HostRig {
  now = 0;
  readonly ready: number[] = [];
  readonly results: JobResult[] = [];
  readonly dropped: number[] = [];
  sentFrames = 0;
  sees: (frame: Uint8Array) => void = () => {};
  readonly host: FabricHost;
  readonly service: ServiceNode;
  readonly io: IoNode;
  readonly nodes = new Map<number, Stranger>();

  constructor() {
    const exists = (nid: number): boolean => nid >= 1 && nid <= 8;
    const send = (frame: Uint8Array): void => {
      this.sentFrames++;
      this.sees(frame);
    };
    this.host = new FabricHost(send, undefined, { exists });
    this.service = new ServiceNode(this.host, {
      ready: (nid) => this.ready.push(nid),
      jobEnded: (r) => this.results.push(r),
    });
    this.io = new IoNode(this.host, { root, builtIn: root, onOutput: () => {}, quotaBytes: 1 << 20 });
    for (let nid = 1; nid <= 8; nid++) this.nodes.set(nid, new Stranger(nid, 0, (frame) => this.receive(frame)));
  }
  receive(frame: Uint8Array): void {
    this.now += 5000;
    if (this.host.nextTimer <= this.now) this.host.tick(this.now);
    this.host.receive(frame, this.now);
  }
  pass(ns: number): void {
    const end = this.now + ns;
    for (let next = this.host.nextTimer; next <= end; next = this.host.nextTimer) {
      this.now = Math.max(this.now, next);
      this.host.tick(this.now);
    }
    this.now = end;
  }
  from(nid: number, fields: Fields): void {
    this.nodes.get(nid)!.send(fields);
  }
  boot(): this {
    for (const nid of this.nodes.keys())
      this.from(nid, { operation: Operation.READY, sourcePid: KERNEL_PID, targetPid: SERVICE_PID, body: readyOf(nid) });
    return this;
  }
  submit(...nids: number[]): number {
    return this.service.submit(
      {
        nids,
        programs: ["/p"],
        argv: ["p"],
        envp: [],
        userId: 1000,
        fanout: 2,
        cores: 0,
        initImage: modelInit(),
      },
      this.now,
    );
  }
  end(): void {
    this.io.shutDown();
  }
}
function on(use: (rig: HostRig) => void): void {
  const rig = new HostRig();
  try {
    use(rig.boot());
  } finally {
    rig.end();
  }
}

describe("READY", () => {
  it("counts once for each node of the machine, whoever else says it", () => {
    on((rig) => {
      const stranger = new Stranger(50, 0, (frame) => rig.receive(frame));
      stranger.send({ operation: Operation.READY, targetPid: SERVICE_PID, body: readyOf(50) });
      rig.from(3, { operation: Operation.READY, targetPid: SERVICE_PID, body: readyOf(3) });
      rig.from(3, { operation: Operation.READY, targetPid: SERVICE_PID, body: readyOf(4) });
      expect(rig.ready).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(rig.host.reliable.counters.dropped[DropReason.NID]).toBe(1);
      expect(() => rig.submit(50)).toThrow("nid 50 is not ready");
    });
  });
});

describe("a job", () => {
  /** Loaded, with its rank 0 as pid 4 on nid 1. */
  function loaded(rig: HostRig): number {
    const id = rig.submit(1, 2);
    rig.from(1, { operation: Operation.LOAD_REPLY, targetPid: SERVICE_PID, jobId: id, requestId: 1n, headerData: 4n });
    return id;
  }
  it("takes each answer only from the nid and pid that were asked, and for its own job", () => {
    on((rig) => {
      const id = loaded(rig);
      const status = bytesOf(LoadStatus, (s) => (s.readyCount = 2));
      const put = {
        operation: Operation.PUT,
        targetPid: SERVICE_PID,
        jobId: id,
        matchBits: BigInt(InitMatch.STATUS),
        body: Uint8Array.from([...status, ...new Uint8Array(8)]),
      };
      const states: string[] = [];
      (rig.service as unknown as { hooks: { jobState: (id: number, state: string) => void } }).hooks.jobState = (
        _,
        s,
      ) => void states.push(s);
      rig.from(2, { ...put, sourcePid: 4 });
      rig.from(1, { ...put, sourcePid: 5 });
      rig.from(1, { ...put, sourcePid: 4, jobId: id + 1 });
      rig.from(1, { ...put, sourcePid: 4, body: put.body.subarray(4) });
      expect(states).toEqual([]);
      rig.from(1, { ...put, sourcePid: 4 });
      expect(states).toEqual(["running"]);
      const notice = (jobId: number): Uint8Array =>
        bytesOf(ExitNotice, (n) => {
          n.jobId = jobId;
          n.count = 2;
        });
      const exit = { operation: Operation.EXIT_NOTICE, targetPid: SERVICE_PID, jobId: id, body: notice(id) };
      rig.from(2, exit);
      rig.from(1, { ...exit, sourcePid: 4 });
      rig.from(1, { ...exit, jobId: id + 1 });
      // The loss of a node that the job does not use does not matter to the job.
      rig.from(2, { ...exit, cause: Cause.UNREACHABLE, headerData: 7n });
      expect(rig.results).toEqual([]);
      rig.from(1, exit);
      expect(rig.results).toMatchObject([{ kind: "exited", waitStatus: 0, count: 2 }]);
    });
  });
  it("ends by KILL_REPLYs to what was asked, not by others", () => {
    on((rig) => {
      const id = loaded(rig);
      expect(rig.service.kill(id, rig.now)).toBe(true);
      const reply = { operation: Operation.KILL_REPLY, targetPid: SERVICE_PID, jobId: id, cause: Cause.NO_SUCH_JOB };
      for (const nid of [1, 2]) for (const requestId of [0n, 1n, 9n]) rig.from(nid, { ...reply, requestId });
      expect(rig.results).toEqual([]);
      rig.from(1, { ...reply, requestId: 2n });
      rig.from(2, { ...reply, requestId: 3n });
      expect(rig.results).toMatchObject([{ kind: "killed" }]);
    });
  });
});

describe("what strangers can make nid 0 keep", () => {
  const request = (pid: number, jobId: number, body: Uint8Array) => ({
    operation: Operation.IO_REQUEST,
    sourcePid: pid,
    targetPid: IO_PID,
    jobId,
    body,
  });
  it("no descriptor table for a task that was not loaded, one for each that was", () => {
    on((rig) => {
      const id = rig.submit(1, 2);
      for (let pid = 1; pid < 500; pid++)
        for (const [nid, job] of [
          [1, id],
          [2, id],
          [3, id],
          [1, id + 1],
        ] as const)
          rig.from(nid, request(pid, job, ioRequest(Syscall.LSEEK)));
      expect(rig.io.taskCount).toBe(2);
    });
  });
  it("no body that is longer than its operation may be; it is refused once", () => {
    on((rig) => {
      const before = rig.host.reliable.counters.dropped[DropReason.OPERATION] ?? 0;
      const long = { operation: Operation.GET, targetPid: SERVICE_PID, body: new Uint8Array(8192) };
      rig.nodes.get(1)!.fragment(long, { totalBytes: 16 << 20 });
      rig.nodes.get(1)!.fragment(long, { totalBytes: 16 << 20, fragmentOffset: 8192 });
      expect(rig.host.reliable.counters.dropped[DropReason.OPERATION]).toBe(before + 1);
    });
  });
  it("no unfinished message for longer than its time", () => {
    on((rig) => {
      const timer = (): number => rig.host.nextTimer;
      const id = rig.submit(1);
      rig.pass(1e9);
      rig.nodes.get(2)!.fragment(request(1, id, new Uint8Array(500)), { totalBytes: 20000 });
      expect(timer()).toBeLessThan(rig.now + INBOUND_SILENCE_NS + 1);
      rig.pass(INBOUND_SILENCE_NS);
      rig.nodes.get(2)!.fragment(request(1, id, new Uint8Array(500)), { totalBytes: 20000, fragmentOffset: 500 });
      expect(rig.host.reliable.counters.dropped[DropReason.FRAGMENT]).toBe(1);
    });
  });
  it("no more than 8 MB of replies that a node does not take; the others are served on", () => {
    on((rig) => {
      fs.writeFileSync(path.join(root, "big"), new Uint8Array(65536));
      const id = rig.submit(1, 2);
      const name = Buffer.from("big\0");
      for (const nid of [1, 2]) rig.from(nid, request(1, id, ioRequest(Syscall.OPEN, name)));
      const read = ioRequest(Syscall.PREAD64, undefined, 3n, 0n, 65536n);
      for (let n = 0; n < 2000; n++) rig.from(1, request(1, id, read));
      // The first frame without room for its answer waits; one window after it is held, and the rest is dropped as out
      // of order.
      const { dropped } = rig.host.reliable.counters;
      expect([dropped[DropReason.NO_ROOM], dropped[DropReason.OUT_OF_ORDER]! > 1500]).toEqual([1, true]);
      expect(rig.host.reliable.pendingFrames * 8304).toBeLessThan(10 << 20);
      const sent = rig.sentFrames;
      rig.from(2, request(1, id, read));
      expect(rig.sentFrames).toBeGreaterThan(sent + 2);
    });
  });
});

describe("the mailbox", () => {
  it("of a wrong length, with any bytes in it, is dropped", () => {
    const random = new Random(1);
    const link = new JobDebugLink(() => {});
    const pending = link.request(1, { jobId: 1, operation: 1 });
    for (let n = 0; n < 2000; n++) link.receive(1, random.bytes(random.below(300)), 0);
    expect([link.events, pending.reply]).toEqual([[], undefined]);
  });
});

const FEW = 10_000;
const frames = Number(process.env["FRAMES"] ?? FEW);
const firstSeed = Number(process.env["FRAME_SEED"] ?? 1);
const PER_HOST = 20_000;
const MEMORY_MAX = 512 << 20;

describe("random frames", () => {
  it(`${frames} to the service node and the I/O node: nothing throws, and memory stays bounded`, {
    timeout: 60_000 + frames,
  }, () => {
    let most = 0;
    const counts = { refused: 0, dropped: 0 };
    for (let seed = firstSeed, done = 0; done < frames; seed++) {
      const count = Math.min(PER_HOST, frames - done);
      const replay = `seed ${seed}: make frames N=${count} SEED=${seed}`;
      on((rig) => {
        const id = rig.submit(1, 2, 3);
        const bodies = [
          readyOf(1),
          bytesOf(ExitNotice, (n) => (n.jobId = id)),
          bytesOf(LoadStatus, (s) => (s.readyCount = 3)),
          bytesOf(CoreReport, (r) => (r.jobId = id)),
          ...[Syscall.READ, Syscall.LSEEK, Syscall.FSTAT, Syscall.PREAD64, Syscall.CLOSE].map((call) =>
            ioRequest(call, undefined, 3n, 0n, 65536n),
          ),
          ...["big\0", "/\0", "a/../b\0"].map((name) => ioRequest(Syscall.OPEN, Buffer.from(name), 0n, 0x42n, 0x1a4n)),
          ioRequest(Syscall.WRITE, Buffer.from("text"), 1n, 0n, 4n),
        ];
        const fuzzer = new FrameFuzzer(new Random(seed), {
          target: 0,
          nids: [1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 50],
          jobs: [id, id, id + 1],
          pids: [0, 1, 2],
          bodies,
        });
        rig.sees = (frame) => fuzzer.sent(frame);
        for (let n = 0; n < count; n++) {
          const frame = fuzzer.next();
          try {
            rig.receive(frame);
          } catch (error) {
            throw new Error(`${replay}: frame ${n}: ${String(error)}`, { cause: error });
          }
          if (n % 1000 === 0) most = Math.max(most, process.memoryUsage().rss);
        }
        const c = rig.host.reliable.counters;
        // The link accepted the others: they were messages or fragments of messages.
        const taken = [DropReason.FRAGMENT, DropReason.OPERATION] as number[];
        counts.dropped += c.dropped.reduce(
          (sum, count, reason) => (taken.includes(reason) ? sum : sum + (count ?? 0)),
          0,
        );
        counts.refused += taken.reduce((sum, reason) => sum + (c.dropped[reason] ?? 0), 0);
        rig.pass(60e9);
        expect(rig.host.reliable.pendingFrames, replay).toBe(0);
      });
      done += count;
    }
    expect(most).toBeLessThan(MEMORY_MAX);
    // They reached code where they could do harm.
    expect(counts.dropped / frames).toBeLessThan(0.5);
    expect((frames - counts.dropped - counts.refused) / frames).toBeGreaterThan(0.1);
    if (frames > FEW)
      console.log(
        `${frames} frames to nid 0, ${counts.dropped} dropped by the link, ${counts.refused} refused as messages: nothing thrown, at most ${most >> 20} MB resident`,
      );
  });
});
