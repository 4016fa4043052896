/**
 * Split virtqueue, device side. Source: OASIS virtio 1.1, section 2.6. The guest writes the rings and may put anything
 * into them: every access is checked against RAM, chains are bounded, and a broken ring throws QueueError, which the
 * transport turns into NEEDS_RESET. No ring can make the host read or write outside the node's RAM.
 */
import {
  VIRTQ_AVAIL_NO_INTERRUPT,
  VirtqAvail,
  VirtqDesc,
  VirtqDescriptor,
  VirtqUsed,
  VirtqUsedElement,
} from "../abi/virtio.ts";
import type { Dma } from "./device.ts";

/** Largest queue that the device accepts, as in QEMU; the kernel's driver uses a smaller one (VIRTQ_MAX). */
export const QUEUE_SIZE_MAX = 1024;

/** The guest broke the rules of its ring. */
export class QueueError extends Error {}

/** One buffer of a chain: `bytes` at `offset` of RAM. */
export interface ChainPart {
  readonly offset: number;
  readonly bytes: number;
  readonly writable: boolean;
}
export interface Chain {
  readonly head: number;
  readonly parts: readonly ChainPart[];
}

const AVAIL_RING = VirtqAvail.OFFSETS.ring;
const USED_RING = VirtqUsed.OFFSETS.ring;

export class Virtqueue {
  /** Registers of the transport. */
  size = 0;
  ready = false;
  readonly desc = { low: 0, high: 0 };
  readonly driver = { low: 0, high: 0 };
  readonly device = { low: 0, high: 0 };
  /** Next available entry to take, next used entry to fill: 16-bit, free-running. */
  private nextAvail = 0;
  private nextUsed = 0;
  private descOffset = -1;
  private availOffset = -1;
  private usedOffset = -1;

  constructor(private readonly dma: Dma) {}

  reset(): void {
    this.size = 0;
    this.ready = false;
    for (const address of [this.desc, this.driver, this.device]) address.low = address.high = 0;
    this.nextAvail = this.nextUsed = 0;
  }

  /**
   * QUEUE_READY ← 1. The areas must be aligned (2.6) and in RAM. Their addresses are resolved once, because RAM does
   * not move.
   */
  enable(): void {
    if (this.size === 0 || this.size > QUEUE_SIZE_MAX || (this.size & (this.size - 1)) !== 0)
      throw new QueueError(`queue size ${this.size} is not a power of two up to ${QUEUE_SIZE_MAX}`);
    this.descOffset = this.area("descriptor table", this.desc, 16, VirtqDescriptor.SIZE * this.size);
    this.availOffset = this.area("driver area", this.driver, 2, AVAIL_RING + 2 * this.size);
    this.usedOffset = this.area("device area", this.device, 4, USED_RING + VirtqUsedElement.SIZE * this.size);
    this.nextAvail = this.nextUsed = 0;
    this.ready = true;
  }

  /** Number of chains that the driver has made available and the device has not taken. */
  get available(): number {
    if (!this.ready) return 0;
    const count =
      (this.dma.view.getUint16(this.availOffset + VirtqAvail.OFFSETS.index, true) - this.nextAvail) & 0xffff;
    if (count > this.size) throw new QueueError(`available index runs ${count} ahead in a queue of ${this.size}`);
    return count;
  }

  /** Takes the next available chain; undefined = none. */
  take(): Chain | undefined {
    if (this.available === 0) return undefined;
    const { view } = this.dma;
    const head = view.getUint16(this.availOffset + AVAIL_RING + 2 * (this.nextAvail & (this.size - 1)), true);
    const parts: ChainPart[] = [];
    let index = head;
    for (;;) {
      if (index >= this.size) throw new QueueError(`descriptor index ${index} in a queue of ${this.size}`);
      if (parts.length >= this.size) throw new QueueError(`descriptor chain from ${head} loops`);
      const at = this.descOffset + VirtqDescriptor.SIZE * index;
      const bytes = view.getUint32(at + VirtqDescriptor.OFFSETS.lengthBytes, true);
      const low = view.getUint32(at + VirtqDescriptor.OFFSETS.address, true);
      const high = view.getUint32(at + VirtqDescriptor.OFFSETS.address + 4, true);
      const flags = view.getUint16(at + VirtqDescriptor.OFFSETS.flags, true);
      if ((flags & ~(VirtqDesc.NEXT | VirtqDesc.WRITE)) !== 0)
        throw new QueueError(`descriptor ${index} with unknown flags 0x${flags.toString(16)}`);
      const writable = (flags & VirtqDesc.WRITE) !== 0;
      if (!writable && parts.at(-1)?.writable === true)
        throw new QueueError(`readable descriptor ${index} behind a writable one`);
      const offset = this.dma.offset(high * 0x1_0000_0000 + low, bytes);
      if (offset < 0)
        throw new QueueError(
          `descriptor ${index} lies outside RAM: 0x${(high * 0x1_0000_0000 + low).toString(16)}, ${bytes} bytes`,
        );
      parts.push({ offset, bytes, writable });
      if ((flags & VirtqDesc.NEXT) === 0) break;
      index = view.getUint16(at + VirtqDescriptor.OFFSETS.next, true);
    }
    this.nextAvail = (this.nextAvail + 1) & 0xffff;
    return { head, parts };
  }

  /** Undoes the last `take`. */
  untake(): void {
    this.nextAvail = (this.nextAvail - 1) & 0xffff;
  }

  /** Returns a chain, with `written` bytes filled, to the driver. True if the driver wants an interrupt for it. */
  put(chain: Chain, written: number): boolean {
    const { view } = this.dma;
    const at = this.usedOffset + USED_RING + VirtqUsedElement.SIZE * (this.nextUsed & (this.size - 1));
    view.setUint32(at + VirtqUsedElement.OFFSETS.id, chain.head, true);
    view.setUint32(at + VirtqUsedElement.OFFSETS.lengthBytes, written, true);
    this.dma.written(at, VirtqUsedElement.SIZE);
    this.nextUsed = (this.nextUsed + 1) & 0xffff;
    view.setUint16(this.usedOffset + VirtqUsed.OFFSETS.index, this.nextUsed, true);
    this.dma.written(this.usedOffset + VirtqUsed.OFFSETS.index, 2);
    return (view.getUint16(this.availOffset + VirtqAvail.OFFSETS.flags, true) & VIRTQ_AVAIL_NO_INTERRUPT) === 0;
  }

  state(): unknown {
    const { size, ready, desc, driver, device, nextAvail, nextUsed } = this;
    const areas = { desc: { ...desc }, driver: { ...driver }, device: { ...device } };
    // The offsets stay as they were when the queue was made ready, whatever is written to the registers afterwards.
    const { descOffset, availOffset, usedOffset } = this;
    return { size, ready, ...areas, descOffset, availOffset, usedOffset, nextAvail, nextUsed };
  }

  private area(name: string, at: { low: number; high: number }, alignment: number, bytes: number): number {
    const address = at.high * 0x1_0000_0000 + at.low;
    if (at.low % alignment !== 0)
      throw new QueueError(`${name} at 0x${address.toString(16)} is not aligned to ${alignment}`);
    const offset = this.dma.offset(address, bytes);
    if (offset < 0) throw new QueueError(`${name} at 0x${address.toString(16)}, ${bytes} bytes, lies outside RAM`);
    return offset;
  }
}
