/**
 * Two reliable state machines joined by a wire that drops, duplicates, reorders and corrupts from a seed. Test-only.
 */
import { message, type Message } from "../../emulator/fabric/message.ts";
import { Reliable, type ReliableOptions } from "../../emulator/fabric/reliable.ts";
import { Operation } from "../../emulator/abi/net.ts";
import type { Random } from "./random.ts";

export interface Faults {
  readonly dropPercent: number;
  readonly duplicatePercent: number;
  readonly reorderPercent: number;
  readonly corruptPercent: number;
}
export const noFaults: Faults = { dropPercent: 0, duplicatePercent: 0, reorderPercent: 0, corruptPercent: 0 };
const LATENCY_NS = 1000;

interface InFlight {
  readonly to: number;
  readonly frame: Uint8Array;
  readonly time: number;
  readonly order: number;
}
export class LossyPair {
  now = 0;
  readonly delivered: Message[][] = [[], []];
  readonly lost: number[] = [];
  readonly ends: Reliable[];
  private readonly wire: InFlight[] = [];
  private order = 0;
  /** False: the wire is cut. */
  connected = true;
  latencyNs = LATENCY_NS;
  /** Numbers of frames, in the order of sending, that are always lost. */
  readonly loses = new Set<number>();
  private sentCount = 0;

  constructor(
    private readonly random: Random,
    private readonly faults: Faults,
    options: ReliableOptions = {},
  ) {
    this.ends = [0, 1].map(
      (nid) =>
        new Reliable(
          nid,
          {
            send: (frame, time) => this.carry(1 - nid, frame, time),
            deliver: (m) => this.delivered[nid]!.push(m),
            unreachable: (to) => this.lost.push(to),
          },
          options,
        ),
    );
  }
  send(from: number, requestId: bigint, body: Uint8Array): void {
    this.ends[from]!.send(
      message({ operation: Operation.PUT, sourceNid: from, targetNid: 1 - from, requestId, body }),
      this.now,
    );
  }
  /** Runs until no frames and timers are left, or to the limit. */
  run(limitNs = 60e9): void {
    for (;;) {
      let next: InFlight | undefined;
      for (const f of this.wire)
        if (next === undefined || f.time < next.time || (f.time === next.time && f.order < next.order)) next = f;
      const timer = Math.min(this.ends[0]!.nextTimer, this.ends[1]!.nextTimer);
      const time = Math.min(next?.time ?? Infinity, timer);
      if (time === Infinity || time > limitNs) return;
      this.now = time;
      if (next !== undefined && next.time === time) {
        this.wire.splice(this.wire.indexOf(next), 1);
        this.ends[next.to]!.receive(next.frame, time);
      } else {
        for (const e of this.ends) if (e.nextTimer <= time) e.tick(time);
      }
    }
  }
  private carry(to: number, frame: Uint8Array, time: number): void {
    const { random, faults } = this;
    if (this.loses.has(this.sentCount++) || !this.connected || random.chance(faults.dropPercent)) return;
    const copies = random.chance(faults.duplicatePercent) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const bytes = frame.slice();
      if (random.chance(faults.corruptPercent)) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
      const extra = random.chance(faults.reorderPercent) ? random.below(20 * LATENCY_NS) : 0;
      this.wire.push({ to, frame: bytes, time: time + this.latencyNs + extra, order: this.order++ });
    }
  }
}
