/**
 * virtio network card. Source: OASIS virtio 1.1, section 5.1. Features MAC and VERSION_1: 12-byte header, no offloads,
 * no merged buffers. A sent frame goes to the fabric at the time of the notification. Up to WAITING_FRAMES frames wait
 * in the card while no buffer is free. A frame that does not fit its buffer is dropped, as in QEMU, and reported.
 */
import {
  VIRTIO_F_VERSION_1_BIT,
  VIRTIO_NET_F_MAC_BIT,
  VirtioDevice,
  VirtioNetHeader,
  VirtioNetQueue,
} from "../abi/virtio.ts";
import type { Dma } from "./device.ts";
import { QueueError } from "./virtqueue.ts";
import type { VirtioFunction, VirtioMmioSlot } from "./virtio-mmio.ts";

/** Most frames that wait in the card for a receive buffer. */
export const WAITING_FRAMES = 1024;
/** Longest frame that the card sends: QEMU's stream backend accepts 64 KB and some headers. */
export const MAX_FRAME_BYTES = 69_632;
const MIN_FRAME_BYTES = 14;

export interface NetworkPort {
  send(frame: Uint8Array): void;
  /** The card lost a frame; the driver made no mistake. */
  lost(text: string): void;
}

export class VirtioNet implements VirtioFunction {
  readonly deviceId = VirtioDevice.NET;
  readonly name = "virtio-net";
  readonly features: readonly [number, number] = [1 << VIRTIO_NET_F_MAC_BIT, 1 << (VIRTIO_F_VERSION_1_BIT - 32)];
  readonly queueCount = 2;
  readonly config: Uint8Array;
  private readonly waiting: Uint8Array[] = [];
  private readonly header = new Uint8Array(VirtioNetHeader.SIZE);

  constructor(
    private readonly slot: VirtioMmioSlot,
    private readonly dma: Dma,
    mac: Uint8Array,
    private readonly port: NetworkPort,
  ) {
    // MAC address, then the link status word, which reads 0 because its feature is not offered.
    this.config = new Uint8Array(8);
    this.config.set(mac);
    new VirtioNetHeader(new DataView(this.header.buffer)).bufferCount = 1;
  }

  /** A frame arrives from the fabric. */
  receive(frame: Uint8Array): void {
    if (!this.slot.running) {
      this.port.lost(`virtio-net: frame of ${frame.length} bytes before the driver is ready`);
      return;
    }
    if (this.waiting.length >= WAITING_FRAMES) {
      this.port.lost(`virtio-net: frame of ${frame.length} bytes, ${WAITING_FRAMES} wait already`);
      return;
    }
    this.waiting.push(frame);
    this.slot.guarded(() => this.fillBuffers());
  }

  notify(index: number): void {
    if (index === VirtioNetQueue.TRANSMIT) this.transmit();
    else this.fillBuffers();
  }

  reset(): void {
    this.waiting.length = 0;
  }

  state(): unknown {
    return { waiting: this.waiting.map((frame) => [...frame]) };
  }

  private transmit(): void {
    const queue = this.slot.queues[VirtioNetQueue.TRANSMIT];
    let interrupt = false;
    for (;;) {
      const chain = queue.take();
      if (chain === undefined) break;
      let total = 0;
      for (const part of chain.parts) {
        if (part.writable) throw new QueueError("writable descriptor in the transmit queue");
        total += part.bytes;
      }
      if (total < VirtioNetHeader.SIZE + MIN_FRAME_BYTES || total > VirtioNetHeader.SIZE + MAX_FRAME_BYTES)
        throw new QueueError(`transmit chain of ${total} bytes`);
      const frame = new Uint8Array(total - VirtioNetHeader.SIZE);
      let skip = VirtioNetHeader.SIZE;
      let at = 0;
      for (const part of chain.parts) {
        const skipped = Math.min(skip, part.bytes);
        skip -= skipped;
        frame.set(this.dma.ram.subarray(part.offset + skipped, part.offset + part.bytes), at);
        at += part.bytes - skipped;
      }
      interrupt = queue.put(chain, 0) || interrupt;
      this.port.send(frame);
    }
    if (interrupt) this.slot.interrupt();
  }

  private fillBuffers(): void {
    const queue = this.slot.queues[VirtioNetQueue.RECEIVE];
    let interrupt = false;
    while (this.waiting.length > 0) {
      if (queue.available === 0) break;
      const frame = this.waiting[0];
      const chain = queue.take()!;
      let room = 0;
      for (const part of chain.parts) {
        if (!part.writable) throw new QueueError("readable descriptor in the receive queue");
        room += part.bytes;
      }
      this.waiting.shift();
      if (room < this.header.length + frame.length) {
        // The buffer stays available, because the next frame may fit.
        queue.untake();
        this.port.lost(`virtio-net: frame of ${frame.length} bytes does not fit a receive buffer of ${room}`);
        continue;
      }
      let from = 0;
      for (const part of chain.parts) from += this.scatter(frame, from, part.offset, part.bytes);
      interrupt = queue.put(chain, this.header.length + frame.length) || interrupt;
    }
    if (interrupt) this.slot.interrupt();
  }

  /** Copies the bytes of header + frame that belong into one part; returns their number. */
  private scatter(frame: Uint8Array, from: number, offset: number, room: number): number {
    const bytes = Math.min(room, this.header.length + frame.length - from);
    if (bytes <= 0) return 0;
    let at = offset;
    if (from < this.header.length) {
      const part = this.header.subarray(from, Math.min(from + bytes, this.header.length));
      this.dma.ram.set(part, at);
      at += part.length;
    }
    const start = Math.max(0, from - this.header.length);
    this.dma.ram.set(frame.subarray(start, start + bytes - (at - offset)), at);
    this.dma.written(offset, bytes);
    return bytes;
  }
}
