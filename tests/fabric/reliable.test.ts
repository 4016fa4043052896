/** Proves: every message arrives exactly once, whole and in order, whatever the wire does; garbage never throws. */
import { describe, expect, it } from "vitest";
import {
  DropReason,
  MAX_FRAGMENT_BYTES,
  MessageHeader,
  Operation,
  RTO_INITIAL_NS,
  RTO_MAX_NS,
  RTO_MIN_NS,
  WINDOW_FRAMES,
} from "../../emulator/abi/net.ts";
import { crc32c } from "../../emulator/fabric/crc32c.ts";
import { fragment, HEADERS_BYTES, message, parse, Reassembly, seal } from "../../emulator/fabric/message.ts";
import { nextSequence, sequenceDistance } from "../../emulator/fabric/reliable.ts";
import { RoundTrip } from "../../emulator/fabric/roundtrip.ts";
import { LossyPair, noFaults } from "./lossy.ts";
import { Random } from "./random.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

describe("crc32c", () => {
  it("gives the vectors of RFC 3720 B.4", () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113fdb5c);
    expect(
      crc32c(hex("01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000")),
    ).toBe(0xd9963a56);
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
  });
  it("does not depend on how the bytes are split", () => {
    const bytes = new Random(1).bytes(1000);
    for (const cut of [0, 1, 7, 8, 9, 500, 999, 1000])
      expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(crc32c(bytes));
  });
});

describe("frames", () => {
  const sample = message({
    operation: Operation.PUT,
    portalIndex: 3,
    flags: 1,
    jobId: 7,
    userId: 1000,
    sourceNid: 1,
    targetNid: 2,
    sourcePid: 4,
    targetPid: 5,
    requestId: 0x1122334455667788n,
    matchBits: 0xffff_ffff_ffff_ffffn,
    remoteOffset: 9n,
    headerData: 10n,
    cause: 6,
    body: new Random(2).bytes(20000),
  });
  it("carry every field there and back", () => {
    const reassembly = new Reassembly();
    const frames = fragment(sample);
    expect(frames.length).toBe(Math.ceil(20000 / MAX_FRAGMENT_BYTES));
    frames.forEach((frame, i) => {
      seal(frame, i + 1, 0);
      const parsed = parse(frame, 2);
      if (typeof parsed === "number") throw new Error(`dropped, reason ${parsed}`);
      expect(reassembly.accept(parsed)).toEqual(i === frames.length - 1 ? sample : null);
    });
  });
  it("are refused for the reason that holds", () => {
    const make = (change: (h: MessageHeader) => void, ownNid = 2): unknown => {
      const frame = fragment(message({ ...sample, body: new Uint8Array(10) }))[0]!;
      const h = new MessageHeader(new DataView(frame.buffer), HEADERS_BYTES - MessageHeader.SIZE);
      change(h);
      seal(frame, 1, 0);
      return parse(frame, ownNid);
    };
    expect(make((h) => (h.version = 2))).toBe(DropReason.VERSION);
    expect(make((h) => (h.fragmentBytes = 11))).toBe(DropReason.LENGTHS);
    expect(make((h) => (h.totalBytes = 9))).toBe(DropReason.LENGTHS);
    expect(make((h) => (h.fragmentOffset = 1))).toBe(DropReason.LENGTHS);
    expect(make((h) => (h.fragmentOffset = 0xffff_ffff))).toBe(DropReason.LENGTHS);
    expect(make((h) => (h.totalBytes = 0xffff_ffff))).toBe(DropReason.LENGTHS);
    expect(make((h) => (h.sourceNid = 2))).toBe(DropReason.NID);
    expect(make(() => {}, 3)).toBe(DropReason.NID);
    expect(parse(new Uint8Array(HEADERS_BYTES - 1), 2)).toBe(DropReason.NOT_OURS);
    expect(parse(new Uint8Array(HEADERS_BYTES), 2)).toBe(DropReason.NOT_OURS);
  });
  it("with any one bit flipped are refused", () => {
    const frame = fragment(message({ ...sample, body: new Uint8Array(10) }))[0]!;
    seal(frame, 1, 0);
    // The CRC does not cover the Ethernet addresses and the padding.
    for (let bit = 16 * 8; bit < frame.length * 8; bit++) {
      const bad = frame.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      expect(parse(bad, 2), `bit ${bit}`).toBeTypeOf("number");
    }
  });
  it("of garbage never throw", () => {
    for (let seed = 0; seed < 3000; seed++) {
      const random = new Random(seed);
      const frame = fragment(message({ ...sample, body: random.bytes(random.below(64)) }))[0]!;
      for (let n = random.below(20); n > 0; n--) frame[random.below(frame.length)] = random.next();
      const cut = random.chance(20) ? frame.subarray(0, random.below(frame.length)) : frame;
      if (random.chance(50) && cut.length >= HEADERS_BYTES) seal(cut, random.next(), random.next());
      const pair = new LossyPair(new Random(0), noFaults);
      expect(() => pair.ends[1]!.receive(cut, 0), `seed ${seed}: new Random(${seed})`).not.toThrow();
      const parsed = parse(cut, 2);
      if (typeof parsed !== "number") expect(() => new Reassembly().accept(parsed)).not.toThrow();
    }
  });
  it("of two messages mixed are refused, and the next message is whole", () => {
    const reassembly = new Reassembly();
    const accept = (f: Uint8Array): unknown => {
      seal(f, 1, 0);
      const parsed = parse(f, 2);
      return typeof parsed === "number" ? parsed : reassembly.accept(parsed);
    };
    const [first] = fragment(sample);
    const [, second] = fragment(message({ ...sample, requestId: 5n }));
    expect(accept(first!)).toBeNull();
    expect(accept(second!)).toBe(DropReason.FRAGMENT);
    expect(fragment(sample).map(accept).at(-1)).toEqual(sample);
    // A sender that stops half-way, then another message.
    expect(accept(first!)).toBeNull();
    expect(fragment(sample).map(accept)).toEqual([null, null, sample]);
  });
});

describe("sequence numbers", () => {
  it("skip 0 when they wrap", () => {
    expect(nextSequence(0xffff_ffff)).toBe(1);
    expect(sequenceDistance(0xffff_ffff, 1)).toBe(1);
    expect(sequenceDistance(5, 5)).toBe(0);
    expect(sequenceDistance(2, 1)).toBe(0xffff_fffe);
  });
});

describe("the timeout (RFC 6298)", () => {
  it("is the smoothed round trip and four times its variance, within its bounds", () => {
    const trip = new RoundTrip();
    expect(trip.timeoutNs).toBe(RTO_INITIAL_NS);
    trip.sample(10e6);
    expect(trip.timeoutNs).toBe(30e6); // 10 + 4 · 5
    trip.sample(10e6);
    expect(trip.timeoutNs).toBe(25e6); // 10 + 4 · 3.75
    trip.sample(18e6);
    expect(trip.timeoutNs).toBe(11e6 + 4 * 4.8125e6); // SRTT 7/8 · 10 + 18/8, RTTVAR 3/4 · 3.75 + 8/4
    for (let n = 0; n < 100; n++) trip.sample(20_000);
    expect(trip.timeoutNs).toBe(RTO_MIN_NS);
  });
  it("is doubled by each timeout up to its limit, until something is measured again", () => {
    const trip = new RoundTrip();
    const doubled = Array.from({ length: 6 }, () => {
      trip.timedOut();
      return trip.timeoutNs;
    });
    expect(doubled).toEqual([4e6, 8e6, 16e6, 32e6, 32e6, 32e6]);
    trip.sample(1e6);
    expect(trip.timeoutNs).toBe(3e6);
    trip.sample(100e6);
    trip.timedOut();
    // The measured value exceeds the limit.
    expect(trip.timeoutNs).toBeGreaterThan(RTO_MAX_NS);
  });
});

describe("a pair", () => {
  function exchange(seed: number, faults: typeof noFaults, firstSequence = 1): LossyPair {
    const random = new Random(seed);
    const pair = new LossyPair(random, faults, { firstSequence });
    const sent: Uint8Array[][] = [[], []];
    for (let i = 0; i < 40; i++) {
      for (const from of [0, 1]) {
        const body = random.bytes(random.chance(20) ? random.below(40000) : random.below(100));
        sent[from]!.push(body);
        pair.send(from, BigInt(i), body);
      }
      if (random.chance(30)) pair.run(pair.now + random.below(30000));
    }
    pair.run();
    for (const from of [0, 1]) {
      const got = pair.delivered[1 - from]!;
      expect(
        got.map((m) => Number(m.requestId)),
        `seed ${seed}`,
      ).toEqual(sent[from]!.map((_, i) => i));
      got.forEach((m, i) => {
        expect(Buffer.compare(m.body, sent[from]![i]!), `seed ${seed}, message ${i}`).toBe(0);
      });
    }
    expect(pair.ends[0]!.pendingFrames + pair.ends[1]!.pendingFrames).toBe(0);
    return pair;
  }
  it("on a good wire sends nothing twice", () => {
    const pair = exchange(1, noFaults);
    expect(pair.ends[0]!.counters.resentFrames).toBe(0);
    expect(pair.ends[0]!.counters.dropped).toEqual([]);
  });
  for (const [name, faults] of [
    ["drops", { ...noFaults, dropPercent: 20 }],
    ["duplicates", { ...noFaults, duplicatePercent: 30 }],
    ["reorders", { ...noFaults, reorderPercent: 20 }],
    ["corrupts", { ...noFaults, corruptPercent: 20 }],
    ["does all of it", { dropPercent: 10, duplicatePercent: 10, reorderPercent: 10, corruptPercent: 10 }],
  ] as const) {
    it(`delivers exactly once and in order on a wire that ${name}`, () => {
      for (let seed = 1; seed <= 6; seed++) {
        const pair = exchange(seed, faults);
        const c = pair.ends[0]!.counters;
        expect(c.resentFrames + c.dropped.reduce((a, b) => a + b, 0), "the faults happened").toBeGreaterThan(0);
      }
    });
  }
  it("goes over the wrap of the sequence numbers", () => {
    exchange(3, { dropPercent: 10, duplicatePercent: 10, reorderPercent: 10, corruptPercent: 5 }, 0xffff_fff0);
  });
  it("keeps at most a window in flight", () => {
    const pair = new LossyPair(new Random(1), noFaults);
    pair.connected = false;
    pair.send(0, 1n, new Uint8Array(WINDOW_FRAMES * MAX_FRAGMENT_BYTES * 2));
    expect(pair.ends[0]!.counters.sentFrames).toBe(WINDOW_FRAMES);
    expect(pair.ends[0]!.nextTimer).toBe(RTO_INITIAL_NS);
  });
  it("sends again only what is missing, before its time is up", () => {
    const pair = new LossyPair(new Random(1), noFaults);
    pair.send(0, 1n, new Uint8Array(100));
    pair.run();
    for (const n of [4, 7]) pair.loses.add(n);
    pair.send(0, 2n, new Uint8Array(20 * MAX_FRAGMENT_BYTES));
    const start = pair.now;
    pair.run();
    expect(pair.delivered[1]!.map((m) => m.body.length)).toEqual([100, 20 * MAX_FRAGMENT_BYTES]);
    expect(pair.ends[0]!.counters.resentFrames).toBe(2);
    expect(pair.now - start).toBeLessThan(RTO_MIN_NS);
  });
  it("never gives up a peer that is slow, and soon stops sending twice", () => {
    const pair = new LossyPair(new Random(1), noFaults);
    pair.latencyNs = 15e6;
    for (let n = 0; n < 200; n++) {
      pair.send(0, BigInt(n), new Uint8Array(100));
      if (n === 20) pair.run();
    }
    const learned = pair.ends[0]!.counters.resentFrames;
    pair.run();
    expect([pair.lost, pair.delivered[1]!.length]).toEqual([[], 200]);
    expect(pair.ends[0]!.counters.resentFrames - learned).toBeLessThan(5);
    // Slower than the longest timeout; the transfer still succeeds.
    pair.latencyNs = 400e6;
    pair.send(0, 200n, new Uint8Array(100));
    pair.run();
    expect([pair.lost, pair.delivered[1]!.length]).toEqual([[], 201]);
  });
  it("says that a peer is gone, once, and survives a cut that heals", () => {
    const pair = new LossyPair(new Random(1), noFaults, { retryLimit: 5 });
    pair.connected = false;
    pair.send(0, 1n, new Uint8Array(10));
    pair.run(3 * RTO_INITIAL_NS);
    pair.connected = true;
    pair.run();
    expect(pair.delivered[1]!.length).toBe(1);
    pair.connected = false;
    pair.send(0, 2n, new Uint8Array(10));
    pair.run();
    expect(pair.lost).toEqual([1]);
    expect(pair.ends[0]!.nextTimer).toBe(Infinity);
  });
});
