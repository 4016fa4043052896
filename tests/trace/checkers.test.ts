/** Each checker accepts a good trace and catches a doctored one. */
import { describe, expect, it } from "vitest";
import { EventKind as K } from "../../emulator/abi/events.ts";
import { Operation } from "../../emulator/abi/net.ts";
import { checkTrace } from "../../emulator/trace/checkers.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";

const event = (
  nid: number,
  core: number,
  time: number,
  kind: number,
  ...words: (number | bigint | string)[]
): TraceEvent => ({
  nid,
  core,
  time,
  kind,
  words,
});
const SHOOTDOWN = 0xf1;
const timer = 0xe0;

/** Without the event at `index`. */
const without = (events: readonly TraceEvent[], index: number) => events.filter((_, i) => i !== index);

describe("one EOI per APIC interrupt and none for exceptions", () => {
  const good = [
    event(1, 0, 100, K.IRQ_DELIVER, 0x34),
    event(1, 0, 110, K.IRQ_ENTER, 0x34n),
    event(1, 0, 120, K.IRQ_DELIVER, timer),
    event(1, 0, 130, K.IRQ_ENTER, 0xe0n),
    event(1, 0, 140, K.IRQ_EOI, timer),
    event(1, 0, 150, K.IRQ_EXIT, 0xe0n),
    event(1, 0, 160, K.IRQ_EOI, 0x34),
    event(1, 0, 170, K.IRQ_EXIT, 0x34n),
    event(1, 0, 200, K.TRAP, 14n, 0n, 0n, 0n),
  ];
  it("accepts nesting and exceptions", () => expect(checkTrace(good, true)).toEqual([]));
  it("a missing EOI", () =>
    expect(checkTrace(without(good, 6), true)).toEqual([
      expect.stringMatching(/^IRQ_UART was handled without an EOI: 100 n1\.c0/),
    ]));
  it("a missing EOI at the very end", () =>
    expect(checkTrace(without(good, 6).slice(0, 7), true)).toEqual([
      expect.stringMatching(/^IRQ_UART was handled without an EOI/),
    ]));
  it("a second EOI", () =>
    expect(checkTrace([...good, event(1, 0, 300, K.IRQ_EOI, 0x34)], true)).toEqual([
      expect.stringMatching(/^EOI with no interrupt in service/),
    ]));
  it("an EOI for an exception", () =>
    expect(checkTrace([good[8], event(1, 0, 210, K.IRQ_EOI, 14)], true)).toEqual([
      expect.stringMatching(/^EOI with no interrupt in service/),
    ]));
  it("an EOI out of order", () =>
    expect(checkTrace([...good.slice(0, 4), event(1, 0, 140, K.IRQ_EOI, 0x34)], true)[0]).toMatch(
      /^EOI of IRQ_UART while LAPIC_TIMER is in service/,
    ));
  it("an EOI on another core", () =>
    expect(checkTrace([good[0], event(1, 1, 120, K.IRQ_EOI, 0x34)], true)[0]).toMatch(
      /^EOI with no interrupt in service/,
    ));
  it("an interrupt that the end of the trace cuts off is no fault", () =>
    expect(checkTrace(good.slice(0, 2), false)).toEqual([]));
});

describe("every shootdown acknowledged before its frame is reused", () => {
  const good = [
    event(1, 0, 10_000, K.IPI_SEND, 1n, BigInt(SHOOTDOWN), 5n),
    event(1, 0, 10_010, K.IPI_SEND, 2n, BigInt(SHOOTDOWN), 5n),
    event(1, 1, 11_000, K.TLB_FLUSH, 5n, 1n),
    event(1, 2, 11_500, K.TLB_FLUSH, 5n, 1n),
    event(1, 0, 12_000, K.IPI_ACKED, 5n),
    event(1, 0, 12_100, K.FRAME_FREE, 5n, 1n),
  ];
  it("accepts a whole one, and frames that no other core had", () =>
    expect(checkTrace([...good, event(1, 0, 13_000, K.FRAME_FREE, 0n, 4n)], true)).toEqual([]));
  it("accepts a flush that is late by the skew between cores", () => {
    const skewed = [...without(good, 3), event(1, 2, 12_900, K.TLB_FLUSH, 5n, 1n)];
    expect(checkTrace(skewed, true)).toEqual([]);
  });
  it("frames freed before the acknowledgement", () =>
    expect(checkTrace(without(good, 4), true)).toContainEqual(
      expect.stringMatching(/^frames freed before shootdown 5 was acknowledged/),
    ));
  it("a target that never flushed", () =>
    expect(checkTrace(without(good, 3), true)).toContainEqual(
      expect.stringMatching(/^frames freed by shootdown 5, but c2 has not flushed/),
    ));
  it("a flush that comes later than any skew", () => {
    const late = [...without(good, 3), event(1, 2, 20_000, K.TLB_FLUSH, 5n, 1n)];
    expect(checkTrace(late, true)).toContainEqual(
      expect.stringMatching(/^shootdown 5 counts as acknowledged, but c2 has not flushed/),
    );
  });
  it("a shootdown that was never sent", () =>
    expect(checkTrace(good.slice(5), true)).toEqual([
      expect.stringMatching(/^frames freed by shootdown 5, which was never sent/),
    ]));
  it("a shootdown without end", () =>
    expect(checkTrace(good.slice(0, 4), true)).toEqual([expect.stringMatching(/^shootdown never acknowledged/)]));
  it("another node's acknowledgement does not count", () => {
    const doctored = good.map((e, i) => (i === 4 ? { ...e, nid: 2 } : e));
    expect(checkTrace(doctored, true)).toContainEqual(expect.stringMatching(/^frames freed before shootdown 5/));
  });
});

describe("every message delivered once", () => {
  const send = (time: number, match: number) =>
    event(1, 0, time, K.MSG_SEND, BigInt(Operation.PUT), 2n, 8n, BigInt(match));
  const receive = (time: number, match: number) =>
    event(2, 0, time, K.MSG_RECEIVE, BigInt(Operation.PUT), 1n, 8n, BigInt(match));
  const good = [send(1000, 1), send(5000, 2), receive(6500, 1), receive(6600, 2)];
  it("accepts them in order; link-level acknowledgements do not count", () => {
    expect(
      checkTrace([...good, event(2, 0, 7000, K.MSG_SEND, BigInt(Operation.ACKNOWLEDGE), 1n, 0n, 0n)], true),
    ).toEqual([]);
  });
  it("a lost one", () =>
    expect(checkTrace(without(good, 3), true)).toEqual([
      expect.stringMatching(/^message never delivered: 5000 n1\.c0/),
    ]));
  it("is under way if the run was cut", () => expect(checkTrace(without(good, 3), false)).toEqual([]));
  it("one received twice", () =>
    expect(checkTrace([...good, receive(9000, 2)], true)).toEqual([
      expect.stringMatching(/^message received that nobody sent, or received twice/),
    ]));
  it("one that overtook another", () =>
    expect(checkTrace([good[0], good[1], receive(6500, 2), receive(6600, 1)], true)).toEqual([
      expect.stringMatching(/^message overtook the one sent at 1000/),
    ]));
  it("two cores that sent within the skew may go either way", () =>
    expect(checkTrace([send(5000, 1), send(5300, 2), receive(7000, 2), receive(7100, 1)], true)).toEqual([]));
  it("one that arrived changed", () => {
    const changed = good.map((e, i) => (i === 3 ? { ...e, words: [BigInt(Operation.PUT), 1n, 9n, 2n] } : e));
    expect(checkTrace(changed, true).length).toBe(2);
  });
});

describe("every load answered", () => {
  const good = [
    event(0, -1, 100, K.SERVICE_LOAD, 1, 1, 5000, 2),
    event(0, -1, 100, K.MSG_SEND, Operation.LOAD, 1, 5000, 0n),
    event(1, 0, 3000, K.MSG_RECEIVE, BigInt(Operation.LOAD), 0n, 5000n, 0n),
    event(1, 0, 4000, K.MSG_SEND, BigInt(Operation.LOAD_REPLY), 0n, 0n, 0n),
    event(0, -1, 6000, K.MSG_RECEIVE, Operation.LOAD_REPLY, 1, 0, 0n),
    event(0, -1, 6000, K.SERVICE_REPLY, 1, 1, 0, 1),
  ];
  it("accepts it", () => expect(checkTrace(good, true)).toEqual([]));
  it("no reply", () =>
    expect(checkTrace(good.slice(0, 3), true)).toEqual([
      expect.stringMatching(/^load never answered/),
      expect.stringMatching(/^load never answered/),
    ]));
  it("a reply to nothing", () =>
    expect(checkTrace([...good, event(0, -1, 9000, K.SERVICE_REPLY, 1, 2, 0, 1)], true)).toEqual([
      expect.stringMatching(/^answer to a load that is not open/),
    ]));
});

it("a device error is a violation", () => {
  expect(checkTrace([event(1, 0, 5, K.DEVICE_ERROR, "lapic: EOI with nothing in service (n1.c0, f)")], true)).toEqual([
    expect.stringMatching(/^device error: .*EOI with nothing in service/),
  ]);
});
