/**
 * The wire: hostile frames that pass every check of the link. The real kernel under a running job, and strangers that
 * answer nothing. Who may send what: kernel/net/README.md. `make frames N=1000000` sends more random frames than CI has
 * time for.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { IoReply } from "../../emulator/abi/io.ts";
import { InitMatch } from "../../emulator/abi/job.ts";
import { Cause, INBOUND_SILENCE_NS, MessageFlag, Operation } from "../../emulator/abi/net.ts";
import { PORTAL_INIT, PORTAL_USER } from "../../emulator/abi/portals.ts";
import { Vector } from "../../emulator/abi/vectors.ts";
import { buildLoadBody } from "../../emulator/service/image.ts";
import { Random } from "../fabric/random.ts";
import { programImage } from "../kernel/rig.ts";
import { temporaryFolder } from "./command.ts";
import { Bench, type BenchOptions, initImage, type JobSpec } from "./jobs.ts";
import { FrameFuzzer, Stranger } from "./strangers.ts";

const root = temporaryFolder();
afterAll(() => fs.rmSync(root, { recursive: true }));
fs.writeFileSync(path.join(root, "wire"), programImage("wire"), { mode: 0o755 });

/** The size of the machine is unknown, so any nid may exist. */
const boundless = { cores: 1, root, append: "nodes=0" };
function on<T>(o: Partial<BenchOptions>, use: (bench: Bench) => T): T {
  const bench = new Bench({ nodes: 1, ...boundless, ...o });
  try {
    const result = use(bench.boot());
    expect(bench.console).not.toMatch(/panic|leak/);
    return result;
  } finally {
    bench.close();
  }
}
/** The body of a LOAD that a kernel accepts. */
const loadBody = (): Uint8Array => buildLoadBody(initImage(), new Uint8Array(64), 0);
const job = (mode: string): JobSpec => ({ program: "/wire", args: [mode] });
const refusals = (bench: Bench): number[] =>
  bench.events.filter((e) => e.kind === EventKind.JOB_REFUSE).map((e) => Number(e.words[2]));
const sent = (bench: Bench, operation: number, to: number): number =>
  bench.events.filter(
    (e) => e.kind === EventKind.MSG_SEND && Number(e.words[0]) === operation && Number(e.words[1]) === to,
  ).length;
/** Pid of the first task of a node. */
const pidOn = (bench: Bench, nid: number): number =>
  Number(bench.events.find((e) => e.kind === EventKind.JOB_RUN_USER && e.nid === nid)!.words[1]);
function startedWith(bench: Bench, mode: string): number {
  const id = bench.submit(job(mode));
  bench.until(() => bench.outputOf(id).includes("ready"));
  return id;
}
function good(bench: Bench, program: string): void {
  expect(bench.run({ program }).result, bench.console).toMatchObject({ kind: "exited", waitStatus: 0 });
}

describe("a fragment belongs to a message only if every field that names the message agrees", () => {
  it("a PUT to init that goes on as a LOAD is dropped, and the job runs", () => {
    on({}, (bench) => {
      const id = bench.submit({ program: "hello" });
      bench.until(() => bench.events.some((e) => e.kind === EventKind.JOB_RUN_USER));
      const stranger = new Stranger(50, 1, bench.inject);
      const common = {
        jobId: id,
        targetPid: pidOn(bench, 1),
        portalIndex: PORTAL_INIT,
        matchBits: BigInt(InitMatch.STATUS),
        requestId: 5n,
        body: new Uint8Array(12),
      };
      stranger.fragment({ operation: Operation.PUT, ...common }, { totalBytes: 24 });
      stranger.fragment({ operation: Operation.LOAD, ...common }, { totalBytes: 24, fragmentOffset: 12 });
      expect(bench.finish(id).result).toMatchObject({ kind: "exited", waitStatus: 0 });
    });
  });
});

describe("an unfinished message", () => {
  it("LOAD: gives its cores back when nothing more comes", () => {
    on({}, (bench) => {
      const first = { operation: Operation.LOAD, jobId: 99, requestId: 1n, body: loadBody().slice(0, 8192) };
      new Stranger(50, 1, bench.inject).fragment(first, { totalBytes: loadBody().length });
      bench.until(() => bench.events.some((e) => e.kind === EventKind.JOB_LOAD), 1e9);
      expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "refused", cause: Cause.BUSY });
      bench.until(() => false, INBOUND_SILENCE_NS + 1e6);
      good(bench, "hello");
    });
  });
  it("LOAD: gives its cores back when another message begins", () => {
    on({}, (bench) => {
      const stranger = new Stranger(50, 1, bench.inject);
      const first = { operation: Operation.LOAD, jobId: 99, requestId: 1n, body: loadBody().slice(0, 8192) };
      stranger.fragment(first, { totalBytes: loadBody().length });
      stranger.send({ operation: Operation.GET, requestId: 2n });
      bench.until(() => false, 1e6);
      good(bench, "hello");
    });
  });
});

describe("an entry with a message in it", () => {
  const put = (id: number, pid: number) => ({
    operation: Operation.PUT,
    jobId: id,
    targetPid: pid,
    portalIndex: PORTAL_USER,
    matchBits: 1n,
    requestId: 9n,
    body: new Uint8Array(12).fill(1),
  });
  const BUSY = -16;
  const GONE = -22;
  it("cannot be unlinked while a PUT arrives, and can when it has", () => {
    on({}, (bench) => {
      const id = startedWith(bench, "entry");
      const stranger = new Stranger(50, 1, bench.inject);
      stranger.fragment(put(id, pidOn(bench, 1)), { totalBytes: 24 });
      bench.until(() => bench.outputOf(id).includes("unlink"));
      stranger.fragment(put(id, pidOn(bench, 1)), { totalBytes: 24, fragmentOffset: 12 });
      const { stdout } = bench.finish(id);
      expect(stdout).toBe(`ready 0\nunlink ${BUSY}\nevent 1 cause 0 bytes 24\nunlink 0\nunlink ${GONE}\n`);
    });
  });
  it.each(["entry", "once"])("%s: is free again when the rest of the PUT does not come", (mode) => {
    on({}, (bench) => {
      const id = startedWith(bench, mode);
      new Stranger(50, 1, bench.inject).fragment(put(id, pidOn(bench, 1)), { totalBytes: 24 });
      const after = mode === "once" ? GONE : 0;
      expect(bench.finish(id).stdout).toBe(
        `ready 0\nunlink ${BUSY}\nevent 1 cause ${Cause.UNREACHABLE} bytes 0\nunlink ${after}\nunlink ${GONE}\n`,
      );
    });
  });
  it("cannot be unlinked while a GET reads it, and is free again when its reader is given up", () => {
    on({}, (bench) => {
      const id = startedWith(bench, "get");
      const { body: _, ...get } = put(id, pidOn(bench, 1));
      new Stranger(50, 1, bench.inject).send({ ...get, operation: Operation.GET, headerData: 65536n });
      expect(bench.finish(id).stdout).toBe(
        `ready 0\nunlink ${BUSY}\nevent 2 cause ${Cause.UNREACHABLE} bytes 65536\nunlink 0\nunlink ${GONE}\n`,
      );
    });
  });
  it("without memory behind it refuses the PUT, and says so at both ends", () => {
    on({}, (bench) => {
      const id = startedWith(bench, "hole");
      new Stranger(50, 1, bench.inject).send({ ...put(id, pidOn(bench, 1)), flags: MessageFlag.ACK_WANTED });
      expect(bench.finish(id).stdout).toBe(
        `ready 0\nevent 1 cause ${Cause.BAD_REQUEST} bytes 0\nunlink 0\nunlink ${GONE}\n`,
      );
      expect(sent(bench, Operation.PUT_ACK, 50)).toBe(1);
    });
  });
  it("of a task that ends meanwhile leaves nothing, and the rest of the PUT is answered", () => {
    on({}, (bench) => {
      const id = startedWith(bench, "exit");
      const pid = pidOn(bench, 1);
      const stranger = new Stranger(50, 1, bench.inject);
      const acknowledged = { ...put(id, pid), flags: MessageFlag.ACK_WANTED };
      stranger.fragment(acknowledged, { totalBytes: 24 });
      expect(bench.finish(id).result).toMatchObject({ kind: "exited", waitStatus: 0 });
      stranger.fragment(acknowledged, { totalBytes: 24, fragmentOffset: 12 });
      bench.until(() => false, 1e6);
      expect(sent(bench, Operation.PUT_ACK, 50)).toBe(1);
      good(bench, "hello");
    });
  });
});

describe("nids that do not exist", () => {
  it("are refused at once where the machine's size is known", () => {
    on({ append: "" }, (bench) => {
      expect(bench.run(job("flood")).stdout).toBe("refused 300\nissued or again 0\n");
    });
  });
  it("take no more than their share where it is not: the program writes on, and the node serves the next job", () => {
    on({}, (bench) => {
      const { stdout, result } = bench.run(job("flood"));
      expect(stdout).toBe("refused 0\nissued or again 300\n");
      expect(result).toMatchObject({ kind: "exited", waitStatus: 0 });
      good(bench, "files");
    });
  });
  it("that ask and never acknowledge the answers do not make a node deaf", () => {
    on({ nodes: 2 }, (bench) => {
      for (let nid = 100; nid < 500; nid++)
        new Stranger(nid, 1, bench.inject).send({ operation: Operation.GET, requestId: 1n });
      bench.until(() => false, 5e6);
      good(bench, "ring");
    });
  });
});

describe("thousands of peers", () => {
  it("do not make a hold of the network's lock longer: strict would end the machine", () => {
    on({ traced: false }, (bench) => {
      for (let nid = 100; nid < 2100; nid++) {
        new Stranger(nid, 1, bench.inject).send({ operation: Operation.ACKNOWLEDGE });
        if (nid % 50 === 0) bench.until(() => false, 200_000);
      }
      // Its end looks whether anything of it is under way to one of them.
      good(bench, "hello");
      expect(bench.machine.longestInterruptsOff!.ns).toBeLessThanOrEqual(20_000);
    });
  });
});

describe("an answer counts only from who was asked", () => {
  it("replies from another nid, with every request number, change nothing", () => {
    on({ nodes: 2 }, (bench) => {
      const id = bench.submit({ program: "files" });
      bench.until(() => bench.events.some((e) => e.kind === EventKind.JOB_START));
      const stranger = new Stranger(50, 1, bench.inject);
      const body = new Uint8Array(IoReply.SIZE);
      new IoReply(new DataView(body.buffer)).result = -5n;
      for (let n = 1; n < 120; n++) {
        const to = { jobId: id, sourcePid: 2, targetPid: pidOn(bench, 1) };
        stranger.send({ ...to, operation: Operation.IO_REPLY, requestId: BigInt(1 + n * 256), body });
        if (n % 30 === 0) bench.until(() => false, 20_000);
      }
      const { result, stdout } = bench.finish(id);
      expect(result).toMatchObject({ kind: "exited", waitStatus: 0 });
      expect(stdout.match(/29 checks passed/g)).toHaveLength(2);
    });
  });
});

describe("a request that may not be", () => {
  it("LOAD for job 0 is refused as BAD_REQUEST", () => {
    on({}, (bench) => {
      new Stranger(50, 1, bench.inject).send({ operation: Operation.LOAD, body: loadBody() });
      bench.until(() => false, 1e6);
      expect(refusals(bench)).toEqual([Cause.BAD_REQUEST]);
      good(bench, "hello");
    });
  });
  it("LOAD for a job that is there is refused as BUSY", () => {
    on({ cores: 2 }, (bench) => {
      const id = startedWith(bench, "serve");
      new Stranger(50, 1, bench.inject).send({ operation: Operation.LOAD, jobId: id, body: loadBody() });
      bench.until(() => refusals(bench).length > 0, 1e7);
      expect(refusals(bench)).toEqual([Cause.BUSY]);
    });
  });
  it.each([
    ["GET", Operation.GET, Operation.GET_REPLY],
    ["KILL", Operation.KILL, Operation.KILL_REPLY],
    ["STATUS", Operation.STATUS, Operation.STATUS_REPLY],
  ])("%s with a body of several fragments is answered once", (_, operation, reply) => {
    on({}, (bench) => {
      new Stranger(50, 1, bench.inject).send({ operation, jobId: 1, requestId: 3n, body: new Uint8Array(20000) });
      bench.until(() => false, 1e6);
      expect(sent(bench, reply, 50)).toBe(1);
    });
  });
});

describe("the retransmission timer", () => {
  it("never fires on a sound network: it is off while nothing is outstanding, and late enough while something is", () => {
    on({ nodes: 2, cores: 2, append: "" }, (bench) => {
      good(bench, "ring");
      const timers = bench.events.filter(
        (e) => e.kind === EventKind.IRQ_DELIVER && Number(e.words[0]) === Vector.LAPIC_TIMER && e.core === 0,
      );
      expect(timers.map((e) => `${e.nid}.${e.core} ${e.time}`)).toEqual([]);
      expect(bench.events.filter((e) => e.kind === EventKind.MSG_RESEND)).toEqual([]);
    });
  });
});

const FEW = 1500;
const frames = Number(process.env["FRAMES"] ?? FEW);
const firstSeed = Number(process.env["FRAME_SEED"] ?? 1);
/** Frames per machine; then a new machine is used. */
const PER_MACHINE = 20_000;

describe("random frames", () => {
  it(`${frames} to a kernel under a running job: it goes on, and nothing is left`, {
    timeout: 60_000 + frames * 20,
  }, () => {
    let done = 0;
    for (let seed = firstSeed; done < frames; seed++) {
      const count = Math.min(PER_MACHINE, frames - done);
      const replay = `seed ${seed}: make frames N=${count} SEED=${seed}`;
      on({ cores: 2, traced: false }, (bench) => {
        const id = bench.submit(job("serve"));
        bench.until(() => bench.outputOf(id).includes("ready"), 1e9);
        const fuzzer = new FrameFuzzer(new Random(seed), {
          target: 1,
          nids: Array.from({ length: 12 }, (_, i) => 2 + i),
          framesOfNid: 100,
          jobs: [id, id, 7],
          pids: [0, 1, 2, 3],
          bodies: [loadBody().slice(0, 8192)],
        });
        for (let n = 0; n < count; n += 32) {
          for (let i = 0; i < 32; i++) bench.inject(fuzzer.next());
          const reason = bench.until(() => false, 60_000);
          expect([reason, bench.machine.fault?.text], `${replay}\n${bench.console}`).toEqual(["limit", undefined]);
        }
        // Incomplete messages are discarded, then the job ends when told to.
        bench.until(() => false, 2 * INBOUND_SILENCE_NS);
        expect(bench.service.kill(id, Math.max(bench.now, bench.machine.time)), replay).toBe(true);
        expect(bench.finish(id).result, `${replay}\n${bench.console}`).toMatchObject({ kind: "killed" });
        expect(bench.run({ program: "hello" }).result, replay).toMatchObject({ kind: "exited", waitStatus: 0 });
      });
      done += count;
    }
    if (frames > FEW)
      console.log(`${frames} frames to kernels under running jobs: no panic, no lost node, nothing left`);
  });
});
