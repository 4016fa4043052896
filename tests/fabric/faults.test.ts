/**
 * Link faults: parsing, what the switch does with each verdict, and the reliable messages of nid 0 and its peers over a
 * faulty switch, for 200 seeds. Proves: every message arrives exactly once, whole, in order; verdicts depend only on
 * seed and traffic.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Operation } from "../../emulator/abi/net.ts";
import {
  type FaultInjector,
  FaultSpecError,
  LinkFaults,
  noLinkFaults,
  parseFaults,
  soundVerdict,
  type Verdict,
} from "../../emulator/fabric/faults.ts";
import { FabricHost, type SendMessage } from "../../emulator/fabric/host.ts";
import { macOf, message, type Message } from "../../emulator/fabric/message.ts";
import { Reliable } from "../../emulator/fabric/reliable.ts";
import { Switch } from "../../emulator/fabric/switch.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { noTrace } from "../../emulator/trace/sink.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";

describe("--faults SPEC", () => {
  it("reads every part, in any order", () => {
    expect(parseFaults("drop=1%,dup=2%,corrupt=0.5%,reorder=2%,delay=1%:50us")).toEqual({
      ...noLinkFaults,
      drop: 10_000,
      duplicate: 20_000,
      corrupt: 5_000,
      reorder: 20_000,
      delay: 10_000,
      delayNs: 50_000,
    });
    expect(parseFaults("delay=100%:2ms, reorder=0.0001%:500ns")).toMatchObject({
      delay: 1_000_000,
      delayNs: 2_000_000,
      reorder: 1,
      reorderNs: 500,
    });
    expect(parseFaults("cut=2:1ms:3ms,cut=7:0").cuts).toEqual([
      { nid: 2, fromNs: 1e6, untilNs: 3e6 },
      { nid: 7, fromNs: 0, untilNs: Number.MAX_SAFE_INTEGER },
    ]);
  });
  it.each([
    ["", /nothing given/],
    ["drop", /'drop' is not a fault/],
    ["drop=1%,", /'' is not a fault/],
    ["drop=1", /'drop=1': give a rate/],
    ["drop=101%", /from 0% to 100%/],
    ["drop=-1%", /from 0% to 100%/],
    ["drop=x%", /from 0% to 100%/],
    ["drop=1%,drop=2%", /'drop' given twice/],
    ["lose=1%", /unknown fault 'lose': there are drop, dup, corrupt, reorder, delay, cut/],
    ["drop=1%:5us", /drop takes a rate only/],
    ["delay=1%:soon", /'soon' is not a time/],
    ["delay=1%:0", /'0' is not a time/],
    ["delay=1%:5s", /up to 4s/],
    ["delay=1%:5us:6us", /takes a rate only/],
    ["cut=2", /give cut=NID:FROM/],
    ["cut=x:1ms", /give cut=NID:FROM/],
    ["cut=2:3ms:1ms", /ends before it begins/],
  ])("refuses '%s' in one line", (text, expected) => {
    expect(() => parseFaults(text)).toThrow(FaultSpecError);
    try {
      parseFaults(text);
    } catch (error) {
      expect((error as Error).message).toMatch(expected);
      expect((error as Error).message).not.toContain("\n");
    }
  });
});

describe("verdicts", () => {
  const spec = parseFaults("drop=10%,dup=10%,corrupt=10%,reorder=10%:9us,delay=10%:7us");
  const frame = new Uint8Array(200);
  const series = (faults: LinkFaults, nid: number, count: number): Verdict[] =>
    Array.from({ length: count }, () => faults.judge(nid, 9, frame, 0));

  it("follow from the seed, link by link: traffic on one link does not move another's", () => {
    const alone = series(new LinkFaults(spec, 7), 1, 500);
    const both = new LinkFaults(spec, 7);
    const mixed: Verdict[] = [];
    for (let i = 0; i < 500; i++) {
      both.judge(2, 1, frame, 0);
      mixed.push(both.judge(1, 2, frame, 0));
      both.judge(0, 1, frame, 0);
    }
    expect(mixed).toEqual(alone);
    expect(series(new LinkFaults(spec, 8), 1, 500)).not.toEqual(alone);
  });
  it("come as often as asked, and are counted", () => {
    const faults = new LinkFaults(spec, 1);
    const verdicts = series(faults, 1, 20_000);
    const { frames, dropped, cut, ...others } = faults.counts;
    expect([frames, cut]).toEqual([20_000, 0]);
    // 10 % of 20,000, within five standard deviations (42); the other faults apply to frames that are not dropped.
    expect(Math.abs(dropped - 2000)).toBeLessThan(215);
    for (const count of Object.values(others)) expect(Math.abs(count - 1800)).toBeLessThan(205);
    expect(verdicts.filter((v) => v.lost === "drop")).toHaveLength(dropped);
    expect(verdicts.filter((v) => v.copies === 2)).toHaveLength(others.duplicated);
    for (const { flips, holdNs, stallNs } of verdicts) {
      expect(new Set(flips).size).toBe(flips.length);
      expect(flips.length).toBeLessThanOrEqual(3);
      for (const bit of flips) expect(bit >= 0 && bit < 1600).toBe(true);
      expect(holdNs >= 0 && holdNs <= 9000 && (stallNs === 0 || stallNs === 7000)).toBe(true);
    }
  });
  it("a cut takes both directions of one link, for its time", () => {
    const faults = new LinkFaults(parseFaults("cut=2:1us:2us"), 0);
    const lost = (source: number, target: number, time: number) => faults.judge(source, target, frame, time).lost;
    expect([lost(1, 2, 999), lost(1, 2, 1000), lost(2, 1, 1999), lost(2, 1, 2000), lost(1, 3, 1500)]).toEqual([
      undefined,
      "cut",
      "cut",
      undefined,
      undefined,
    ]);
    expect(faults.summary()).toBe("5 frames: 2 cut");
  });
});

describe("the switch", () => {
  /** Judges frames by the list; later frames have no fault. */
  class Scripted implements FaultInjector {
    constructor(private readonly verdicts: Partial<Verdict>[]) {}
    judge(): Verdict {
      const next = this.verdicts.shift();
      return next === undefined ? soundVerdict : { ...soundVerdict, ...next };
    }
    state(): unknown {
      return this.verdicts.length;
    }
  }
  function setup(...verdicts: Partial<Verdict>[]) {
    const list = new EventList();
    const tracer = new Tracer([list]);
    // 1 byte per ns, so a frame of 20 bytes occupies its link for 20 ns.
    const fabric = new Switch([1, 2], tracer, { latencyNs: 1000, bytesPerNs: 1 }, new Scripted(verdicts));
    const send = (mark: number, time: number) => {
      const frame = new Uint8Array(20);
      frame.set(macOf(2));
      frame[19] = mark;
      fabric.send(1, frame, time);
    };
    const arrivals = () => {
      const got: [time: number, mark: number][] = [];
      for (let at = fabric.nextArrival(2); at !== Number.POSITIVE_INFINITY; at = fabric.nextArrival(2))
        got.push([at, fabric.take(2, at)[19]!]);
      return got;
    };
    const faults = () => {
      tracer.end();
      return list.events.filter((e) => e.kind === EventKind.LINK_FAULT).map((e) => e.words[0]);
    };
    return { fabric, send, arrivals, faults };
  }
  it("drops", () => {
    const { send, arrivals, faults } = setup({ lost: "drop", copies: 0 });
    send(1, 0);
    send(2, 0);
    // The dropped frame has occupied the sender's link.
    expect([arrivals(), faults()]).toEqual([[[1040, 2]], ["drop: to n2"]]);
  });
  it("duplicates: the copy takes the link once more, and the two share no bytes", () => {
    const { fabric, send, arrivals, faults } = setup({ copies: 2 });
    send(1, 0);
    send(2, 0);
    const first = fabric.take(2, 1020);
    first.fill(0);
    expect([arrivals(), faults()]).toEqual([
      [
        [1040, 1],
        [1060, 2],
      ],
      ["duplicate: to n2"],
    ]);
  });
  it("corrupts the copy on the wire, not the sender's bytes", () => {
    const { fabric, faults } = setup({ flips: [19 * 8, 19 * 8 + 7] });
    const frame = new Uint8Array(20);
    frame.set(macOf(2));
    const sent = frame.slice();
    fabric.send(1, frame, 0);
    expect(fabric.take(2, fabric.nextArrival(2))[19]).toBe(0x81);
    expect(frame).toEqual(sent);
    expect(faults()).toEqual(["corrupt: to n2"]);
  });
  it("reorders: later frames overtake", () => {
    const { send, arrivals } = setup({ holdNs: 100 });
    for (const mark of [1, 2, 3]) send(mark, 0);
    expect(arrivals().map(([, mark]) => mark)).toEqual([2, 3, 1]);
  });
  it("delays: the link is held up, the order stays", () => {
    const { send, arrivals } = setup({}, { stallNs: 500 });
    for (const mark of [1, 2, 3]) send(mark, 0);
    expect(arrivals()).toEqual([
      [1020, 1],
      [1540, 2],
      [1560, 3],
    ]);
  });
  it("never lets a frame arrive before its latency is over", () => {
    const fabric = new Switch(
      [1, 2],
      noTrace,
      undefined,
      new LinkFaults(parseFaults("drop=5%,dup=20%,corrupt=20%,reorder=20%,delay=20%:3us"), 3),
    );
    const random = new Prng(3);
    for (let i = 0, now = 0; i < 2000; i++) {
      now += random.below(3000);
      const frame = new Uint8Array(60);
      frame.set(macOf(2));
      new DataView(frame.buffer).setFloat64(20, now);
      const before = fabric.nextArrival(2);
      fabric.send(1, frame, now);
      const after = fabric.nextArrival(2);
      expect(after === before || after >= now + 1000).toBe(true);
      while (fabric.nextArrival(2) <= now) fabric.take(2, fabric.nextArrival(2));
    }
  });
});

/** nid 0 as in the machine (FabricHost with an echo service at pid 1) and two peers, over the faulty switch. */
class Cluster {
  readonly fabric: Switch;
  readonly faults: LinkFaults;
  readonly host: FabricHost;
  readonly peers = new Map<number, Reliable>();
  /** "from>to" → request ids in the order of delivery, with their bodies. */
  readonly delivered = new Map<string, Message[]>();
  now = 0;
  private readonly reply: SendMessage;

  constructor(spec: string, seed: number, nids: readonly number[]) {
    this.faults = new LinkFaults(parseFaults(spec), seed);
    this.fabric = new Switch([0, ...nids], noTrace, undefined, this.faults);
    this.host = new FabricHost((frame, time) => this.fabric.send(0, frame, time));
    this.reply = this.host.attach(1, {
      receive: (m, time) => {
        this.note(m);
        this.reply({ ...m, targetNid: m.sourceNid, targetPid: m.sourcePid, requestId: m.requestId + 1_000_000n }, time);
      },
      nextTimer: Number.POSITIVE_INFINITY,
      tick: () => {},
      unreachable: (nid) => expect.fail(`n${nid} was given up`),
    });
    for (const nid of nids) {
      const hooks = {
        send: (frame: Uint8Array, time: number) => this.fabric.send(nid, frame, time),
        deliver: (m: Message) => this.note(m),
      };
      this.peers.set(nid, new Reliable(nid, hooks));
    }
  }
  send(from: number, to: number, requestId: bigint, body: Uint8Array): void {
    this.peers
      .get(from)!
      .send(
        message({ operation: Operation.IO_REQUEST, sourceNid: from, targetNid: to, targetPid: 1, requestId, body }),
        this.now,
      );
  }
  run(until = Number.POSITIVE_INFINITY): void {
    const ends = [[0, this.host] as const, ...this.peers];
    for (;;) {
      let time = Number.POSITIVE_INFINITY;
      for (const [nid, end] of ends) time = Math.min(time, this.fabric.nextArrival(nid), end.nextTimer);
      if (time === Number.POSITIVE_INFINITY || time > until) return;
      this.now = Math.max(this.now, time);
      for (const [nid, end] of ends) {
        if (this.fabric.nextArrival(nid) <= time) end.receive(this.fabric.take(nid, time), this.now);
        else if (end.nextTimer <= time) end.tick(this.now);
      }
    }
  }
  private note(m: Message): void {
    const key = `${m.sourceNid}>${m.targetNid}`;
    this.delivered.set(key, [...(this.delivered.get(key) ?? []), m]);
  }
}

describe("reliable messages over it", () => {
  const SPEC = "drop=3%,dup=3%,corrupt=3%,reorder=4%,delay=2%:50us";
  const SEEDS = 200;
  function campaign(seed: number): Cluster {
    const replay = `seed ${seed}: campaign(${seed})`;
    const random = new Prng(seed, 1);
    const cluster = new Cluster(SPEC, seed, [1, 2]);
    const sent = new Map<string, Uint8Array[]>([
      ["1>0", []],
      ["2>0", []],
      ["1>2", []],
      ["2>1", []],
    ]);
    for (let i = 0; i < 12; i++) {
      for (const [key, bodies] of sent) {
        const [from, to] = key.split(">").map(Number) as [number, number];
        const body = random.bytes(random.chance(1, 4) ? random.below(30_000) : random.below(200));
        cluster.send(from, to, BigInt(bodies.length), body);
        bodies.push(body);
      }
      if (random.chance(1, 3)) cluster.run(cluster.now + random.below(100_000));
    }
    cluster.run();
    for (const [key, bodies] of sent) {
      const got = cluster.delivered.get(key) ?? [];
      expect(
        got.map((m) => Number(m.requestId)),
        `${replay}: ${key}`,
      ).toEqual(bodies.map((_, i) => i));
      got.forEach((m, i) => expect(Buffer.compare(m.body, bodies[i]!), `${replay}: ${key}, message ${i}`).toBe(0));
    }
    for (const nid of [1, 2]) {
      const echoed = cluster.delivered.get(`0>${nid}`) ?? [];
      const bodies = sent.get(`${nid}>0`)!;
      expect(
        echoed.map((m) => Number(m.requestId)),
        `${replay}: echoes to n${nid}`,
      ).toEqual(bodies.map((_, i) => 1_000_000 + i));
      echoed.forEach((m, i) => expect(Buffer.compare(m.body, bodies[i]!), `${replay}: echo ${i}`).toBe(0));
    }
    expect(cluster.host.reliable.pendingFrames, replay).toBe(0);
    return cluster;
  }
  it(`${SEEDS} seeds: exactly once, whole, in order, both ways`, () => {
    const totals: Record<string, number> = {};
    let resent = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const cluster = campaign(seed);
      for (const [what, count] of Object.entries(cluster.faults.counts)) totals[what] = (totals[what] ?? 0) + count;
      for (const end of [cluster.host.reliable, ...cluster.peers.values()]) resent += end.counters.resentFrames;
    }
    console.log(`${SEEDS} seeds, ${JSON.stringify(totals)}, ${resent} frames sent again: no violation`);
    for (const what of ["dropped", "duplicated", "corrupted", "reordered", "delayed"])
      expect(totals[what], what).toBeGreaterThan(SEEDS);
  });
  it("the same seed gives the same run, to the last time", () => {
    const runs = [1, 1, 2].map((seed) => campaign(seed));
    expect([runs[1]!.now, runs[1]!.faults.counts]).toEqual([runs[0]!.now, runs[0]!.faults.counts]);
    expect(runs[2]!.now).not.toBe(runs[0]!.now);
  });
  it("a link that is cut and heals loses nothing", () => {
    const cluster = new Cluster("cut=1:1us:20ms", 1, [1, 2]);
    for (let i = 0; i < 5; i++) cluster.send(1, 2, BigInt(i), new Uint8Array(9000));
    cluster.run();
    expect(cluster.delivered.get("1>2")!.map((m) => Number(m.requestId))).toEqual([0, 1, 2, 3, 4]);
    expect(cluster.now).toBeGreaterThan(20e6);
  });
});
