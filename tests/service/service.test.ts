/**
 * Proves: the service node's state machine, from READY to the exit notice, and every way in which a load can be
 * refused.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Errno } from "../../emulator/abi/errno.ts";
import { INIT_MAGIC, InitHeader, InitMatch, JobParameters } from "../../emulator/abi/job.ts";
import { Cause, MessageFlag, Operation, SERVICE_NID, SERVICE_PID } from "../../emulator/abi/net.ts";
import { message } from "../../emulator/fabric/message.ts";
import { buildLoadBody } from "../../emulator/service/image.ts";
import {
  buildParameters,
  ParameterError,
  parseParameters,
  type Parameters,
} from "../../emulator/service/parameters.ts";
import { refusalText } from "../../emulator/service/refusal.ts";
import { type JobRequest, type JobResult, type JobState, ServiceNode } from "../../emulator/service/service.ts";
import { Random } from "../fabric/random.ts";
import { type Behaviour, ModelFabric, modelInit } from "./model.ts";

interface Rig {
  readonly fabric: ModelFabric;
  readonly service: ServiceNode;
  readonly results: JobResult[];
  readonly states: JobState[];
  readonly events: number[][];
}
function rig(nodes: number, behaviours: Readonly<Record<number, Behaviour>> = {}): Rig {
  const results: JobResult[] = [];
  const states: JobState[] = [];
  const events: number[][] = [];
  const trace = {
    enabled: true,
    emit: (_n: number, _c: number, _t: number, kind: number, words: readonly unknown[]) =>
      void events.push([kind, ...words.map(Number)]),
  };
  const fabric = new ModelFabric(nodes, behaviours, trace, { retryLimit: 5 });
  const service = new ServiceNode(
    fabric.host,
    { jobEnded: (r) => results.push(r), jobState: (_id, s) => states.push(s) },
    trace,
  );
  fabric.boot();
  fabric.run();
  return { fabric, service, results, states, events };
}
const request = (nodes: number, change: Partial<JobRequest> = {}): JobRequest => ({
  nids: Array.from({ length: nodes }, (_, i) => i + 1),
  programs: ["/margay/bin/hello"],
  argv: ["hello"],
  envp: ["A=b"],
  userId: 1000,
  fanout: 2,
  cores: 0,
  initImage: modelInit(),
  ...change,
});
const exitsWith = (nodes: number, status: number): Record<number, Behaviour> =>
  Object.fromEntries(Array.from({ length: nodes }, (_, i) => [i + 1, { exits: status }]));
const serviceEvents = (r: Rig): number[][] =>
  r.events.filter(([k]) => k! >= EventKind.SERVICE_LOAD && k! <= EventKind.SERVICE_KILL);

describe("a job", () => {
  for (const [nodes, fanout] of [
    [1, 1],
    [2, 1],
    [4, 4],
    [8, 2],
    [13, 3],
  ] as const) {
    it(`loads ${nodes} ranks in a tree of degree ${fanout} and ends with one notice`, () => {
      const r = rig(nodes, exitsWith(nodes, 0));
      expect(r.service.nodes.size).toBe(nodes);
      const id = r.service.submit(request(nodes, { fanout }), r.fabric.now);
      r.fabric.run();
      expect(r.results).toEqual([{ kind: "exited", jobId: id, waitStatus: 0, rank: 0, count: nodes }]);
      expect(r.states).toEqual(["loading", "initialising", "running", "ended"]);
      expect(r.fabric.loads.sort((a, b) => a - b)).toEqual(request(nodes).nids);
      expect(serviceEvents(r).map(([k]) => k)).toEqual([
        EventKind.SERVICE_LOAD,
        EventKind.SERVICE_REPLY,
        EventKind.SERVICE_STATUS,
        EventKind.SERVICE_GO,
        EventKind.SERVICE_EXIT,
      ]);
    });
  }
  it("ends with the status of the lowest rank that failed", () => {
    const r = rig(4, { ...exitsWith(4, 0), 3: { exits: 7 << 8 }, 4: { exits: 9 } });
    r.service.submit(request(4), r.fabric.now);
    r.fabric.run();
    expect(r.results).toEqual([{ kind: "exited", jobId: 1, waitStatus: 7 << 8, rank: 2, count: 4 }]);
  });
  it("goes where its nid map says, and the nodes take the next job afterwards", () => {
    const r = rig(4, exitsWith(4, 0));
    r.service.submit(request(4, { nids: [3, 1] }), r.fabric.now);
    r.fabric.run();
    r.service.submit(request(4, { nids: [3, 1] }), r.fabric.now);
    r.fabric.run();
    expect(r.results.map((x) => x.kind)).toEqual(["exited", "exited"]);
    expect(r.fabric.loads).toEqual([3, 1, 3, 1]);
  });
});

describe("a load is refused", () => {
  const refused = (r: Rig): JobResult => {
    expect(r.results.length).toBe(1);
    return r.results[0]!;
  };
  const nobodyHasIt = (r: Rig): void => {
    for (const node of r.fabric.nodes.values()) {
      if (node.behaviour.dead) continue;
      expect(node.task, `nid ${node.nid}`).toBeNull();
      expect(node.killed, `nid ${node.nid}`).toContain(1);
    }
  };
  it("when rank 0 is busy", () => {
    const r = rig(3, { 1: { refuse: Cause.BUSY } });
    r.service.submit(request(3), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({ kind: "refused", cause: Cause.BUSY, nid: 1, rank: 0 });
    expect(r.fabric.loads).toEqual([1]);
  });
  it("when a node deep in the tree is busy", () => {
    const r = rig(7, { 6: { refuse: Cause.BUSY } });
    r.service.submit(request(7), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({
      kind: "refused",
      cause: Cause.BUSY,
      nid: 6,
      rank: 5,
      text: expect.stringContaining("nid 6"),
    });
    nobodyHasIt(r);
  });
  it("when the program is not there", () => {
    const r = rig(4, { 1: { fail: { cause: Cause.PROGRAM_OPEN, errno: Errno.ENOENT } } });
    r.service.submit(request(4, { programs: ["/x"] }), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({
      kind: "refused",
      errno: Errno.ENOENT,
      text: "program /x: no such file (ENOENT), nid 1",
    });
    nobodyHasIt(r);
  });
  it("with the first failure by rank, and with that rank's program", () => {
    const fail = { cause: Cause.PROGRAM_FORMAT, errno: Errno.ENOEXEC };
    const r = rig(7, { 7: { fail }, 3: { fail }, 4: { fail } });
    r.service.submit(request(7, { programs: ["/a", "/b"], programOfRank: [0, 0, 1, 0, 0, 0, 0] }), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({
      nid: 3,
      rank: 2,
      text: "program /b: no program of this machine (ENOEXEC), nid 3",
    });
    nobodyHasIt(r);
  });
  it("when init crashes on rank 0", () => {
    const r = rig(3, { 1: { initCrashes: true } });
    r.service.submit(request(3), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({
      kind: "refused",
      cause: Cause.KILLED,
      text: expect.stringContaining("wait status 11"),
    });
    nobodyHasIt(r);
  });
  it("when some init never reports", () => {
    const r = rig(3, { 3: { hangs: true } });
    r.service.submit(request(3), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({
      kind: "refused",
      cause: Cause.UNREACHABLE,
      text: expect.stringContaining("timed out"),
    });
    nobodyHasIt(r);
  });
  it("when nobody takes GO", () => {
    const r = rig(3, { ...exitsWith(3, 0), 1: { losesGo: true } });
    r.service.submit(request(3), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({ kind: "refused", cause: Cause.NO_MATCH, nid: 1 });
    nobodyHasIt(r);
  });
  it("when a node has died meanwhile", () => {
    const r = rig(3);
    Object.assign(r.fabric.nodes.get(1)!.behaviour, { dead: true });
    r.service.submit(request(3), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({ kind: "refused", cause: Cause.UNREACHABLE, nid: 1 });
    r.results.length = 0;
    r.service.submit(request(3), r.fabric.now);
    r.fabric.run();
    expect(refused(r)).toMatchObject({ kind: "refused", cause: Cause.UNREACHABLE, nid: 1 });
  });
  it("before it starts, when it cannot be sent", () => {
    const r = rig(2);
    const bad = (change: Partial<JobRequest>): void =>
      expect(() => r.service.submit(request(2, change), r.fabric.now)).toThrow(ParameterError);
    bad({ nids: [] });
    bad({ nids: [1, 1] });
    bad({ nids: [1, 9] });
    bad({ fanout: 0 });
    bad({ argv: [] });
    bad({ argv: ["a\0b"] });
    bad({ programs: [] });
    bad({ programs: ["/".repeat(5000)] });
    bad({ programOfRank: [0, 1] });
    bad({ argv: ["x".repeat(2 << 20)] });
    bad({ initImage: new Uint8Array(10) });
    bad({ initImage: new Uint8Array(100) });
    expect(r.fabric.loads).toEqual([]);
  });
});

describe("a kill", () => {
  it("ends a running job, 1 to n", () => {
    const r = rig(5);
    const id = r.service.submit(request(5), r.fabric.now);
    r.fabric.run();
    expect(r.states.at(-1)).toBe("running");
    expect(r.service.kill(id, r.fabric.now)).toBe(true);
    expect(r.service.kill(id, r.fabric.now)).toBe(false);
    r.fabric.run();
    expect(r.results).toEqual([{ kind: "killed", jobId: id }]);
    expect([...r.fabric.nodes.values()].map((n) => n.killed)).toEqual([[id], [id], [id], [id], [id]]);
  });
  it("at any moment of the load leaves no task behind", () => {
    const whole = rig(9);
    whole.service.submit(request(9), 0);
    let moments = 0;
    whole.fabric.run(() => {
      moments++;
      return whole.states.includes("running");
    });
    for (let at = 0; at < moments; at++) {
      const r = rig(9);
      const id = r.service.submit(request(9), r.fabric.now);
      let n = 0;
      r.fabric.run(() => n++ >= at);
      r.service.kill(id, r.fabric.now);
      r.fabric.run();
      expect(r.results, `killed after ${at} events`).toEqual([{ kind: "killed", jobId: id }]);
      for (const node of r.fabric.nodes.values())
        expect(node.task, `killed after ${at} events, nid ${node.nid}`).toBeNull();
    }
    expect(moments).toBeGreaterThan(20);
  });
  it("of no job is refused", () => {
    expect(rig(1).service.kill(5, 0)).toBe(false);
  });
});

describe("the service node", () => {
  it("asks for a node's status", () => {
    const r = rig(2);
    const texts: (string | null)[] = [];
    r.service.requestStatus(2, 0, (t) => texts.push(t), r.fabric.now);
    r.fabric.run();
    expect(texts).toEqual(["nid 2: idle"]);
    Object.assign(r.fabric.nodes.get(2)!.behaviour, { dead: true });
    r.service.requestStatus(2, 0, (t) => texts.push(t), r.fabric.now);
    r.fabric.run();
    expect(texts).toEqual(["nid 2: idle", null]);
  });
  it("survives any message from anybody, and answers what wants an answer", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Random(seed);
      const r = rig(2, exitsWith(2, 0));
      const id = r.service.submit(request(2), r.fabric.now);
      const stranger = r.fabric.nodes.get(2)!;
      for (let n = 0; n < 10; n++) {
        const m = message({
          operation: random.below(16),
          portalIndex: random.below(2),
          flags: random.below(2),
          jobId: random.below(3),
          sourceNid: 2,
          sourcePid: random.below(3),
          targetNid: SERVICE_NID,
          targetPid: random.below(4),
          requestId: BigInt(random.below(4)),
          cause: random.below(3),
          matchBits: BigInt(random.chance(50) ? InitMatch.STATUS : random.next()),
          remoteOffset: BigInt(random.below(2)),
          body: random.bytes(random.below(80)),
        });
        // Messages that only rank 0's kernel and init may send.
        expect(() => stranger.reliable.send(m, r.fabric.now), `seed ${seed}`).not.toThrow();
      }
      expect(() => r.fabric.run(), `seed ${seed}`).not.toThrow();
      expect(r.results.filter((x) => x.jobId === id).length, `seed ${seed}`).toBe(1);
    }
  });
  it("acknowledges a STATUS that asks for it, and no other PUT", () => {
    const r = rig(1);
    const causes: number[] = [];
    const node = r.fabric.nodes.get(1)!;
    const original = r.fabric.carry.bind(r.fabric);
    r.fabric.carry = (frame, time) => {
      if (frame[17] === Operation.PUT_ACK) causes.push(frame[16 + 68]!);
      original(frame, time);
    };
    for (const portalIndex of [0, 1]) {
      node.reliable.send(
        message({
          operation: Operation.PUT,
          portalIndex,
          flags: MessageFlag.ACK_WANTED,
          jobId: 9,
          sourceNid: 1,
          targetNid: 0,
          targetPid: SERVICE_PID,
          matchBits: 5n,
        }),
        r.fabric.now,
      );
    }
    r.fabric.run();
    expect(causes).toEqual([Cause.NO_MATCH, Cause.NO_MATCH]);
  });
});

describe("image and parameters", () => {
  const p: Parameters = {
    jobId: 3,
    userId: 1000,
    fanout: 4,
    nids: [5, 6, 7],
    programs: ["/a", "/b"],
    programOfRank: [0, 1, 0],
    argv: [
      ["a", "", "ü"],
      ["b", "2"],
    ],
    envp: ["X=y"],
  };
  it("say what was asked for", () => {
    expect(parseParameters(buildParameters(p))).toEqual(p);
    const crowded = { ...p, nids: [5, 6, 5], coresOfRank: [1n, 0xfn, 1n << 63n] };
    expect(parseParameters(buildParameters(crowded))).toEqual(crowded);
    const init = modelInit();
    const body = buildLoadBody(init, buildParameters(p), 2);
    const h = new InitHeader(new DataView(body.buffer));
    expect([h.magic, h.fileBytes, h.parametersOffset, h.cores]).toEqual([INIT_MAGIC, 1000n, 1024n, 2]);
    expect(parseParameters(body.subarray(1024))).toEqual(p);
    expect(init, "the init image itself stays as it is").toEqual(modelInit());
  });
  it("of garbage are refused and never throw", () => {
    const block = buildParameters(p);
    let refusedBlocks = 0;
    for (let seed = 1; seed <= 5000; seed++) {
      const random = new Random(seed);
      const bad = block.slice(0, random.chance(20) ? random.below(block.length + 1) : block.length);
      for (let n = 1 + random.below(4); n > 0 && bad.length > 0; n--) {
        // Mostly in the header, because it holds the offsets.
        const at = random.chance(80)
          ? random.below(Math.min(JobParameters.SIZE, bad.length))
          : random.below(bad.length);
        bad[at] = random.chance(50) ? 0xff : random.next();
      }
      let parsed: Parameters | null = null;
      expect(() => (parsed = parseParameters(bad)), `seed ${seed}: new Random(${seed})`).not.toThrow();
      if (parsed === null) refusedBlocks++;
    }
    expect(refusedBlocks).toBeGreaterThan(1000);
  });
  it("have a line for people for every cause", () => {
    for (const cause of Object.values(Cause)) {
      if (cause === Cause.OK) continue;
      const text = refusalText({ cause, errno: 0, nid: 3, rank: 2 }, "/x");
      expect(text).toMatch(/^[a-z][^\n]*, nid 3$/);
      expect(text, `cause ${cause}`).not.toMatch(/refused \(/);
    }
  });
});
