/**
 * virtio over MMIO, version 2: one slot's register window. Source: OASIS virtio 1.1, 4.2.2 (registers), 2.1 (status),
 * 3.1 (initialisation). A slot without a device shows only DeviceID 0. A mistake of the driver (wrong order, out of
 * bounds) is reported; in a queue it also sets NEEDS_RESET. Left out: version 1 (legacy), shared memory regions,
 * indirect and event-index features.
 */
import {
  VIRTIO_MAGIC,
  VIRTIO_VENDOR_QEMU,
  VirtioDevice,
  VirtioInterrupt,
  VirtioMmio,
  VirtioMmioNames,
  VirtioStatus,
} from "../abi/virtio.ts";
import { type DeviceHost, type Dma, hex, type InterruptLine } from "./device.ts";
import { QUEUE_SIZE_MAX, QueueError, Virtqueue } from "./virtqueue.ts";

/** A virtio device behind its transport. */
export interface VirtioFunction {
  readonly deviceId: number;
  /** For diagnostics. */
  readonly name: string;
  /** Offered feature bits: words 0 (bits 0–31) and 1 (bits 32–63). */
  readonly features: readonly [number, number];
  readonly queueCount: number;
  readonly config: Uint8Array;
  /** The driver notified queue `index`. May throw QueueError. */
  notify(index: number): void;
  reset(): void;
  state(): unknown;
}

const VERSION_1 = 1;

export class VirtioMmioSlot {
  private function: VirtioFunction | undefined;
  queues: readonly Virtqueue[] = [];
  private status = 0;
  private interruptStatus = 0;
  private deviceFeaturesSelect = 0;
  private driverFeaturesSelect = 0;
  private readonly driverFeatures = [0, 0];
  private queueSelect = 0;

  constructor(
    private readonly host: DeviceHost,
    private readonly dma: Dma,
    private readonly line: InterruptLine,
  ) {}

  attach(device: VirtioFunction): void {
    this.function = device;
    this.queues = Array.from({ length: device.queueCount }, () => new Virtqueue(this.dma));
  }

  /** The driver has finished its set-up and the device is not broken. */
  get running(): boolean {
    return (this.status & (VirtioStatus.DRIVER_OK | VirtioStatus.NEEDS_RESET)) === VirtioStatus.DRIVER_OK;
  }

  /** Used buffers were added and the driver wants an interrupt. */
  interrupt(): void {
    this.raise(VirtioInterrupt.USED_BUFFER);
  }

  /** Runs device work that accesses the rings; a broken ring stops the device, never the host. */
  guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof QueueError)) throw error;
      this.status |= VirtioStatus.NEEDS_RESET;
      this.host.report(`${this.name}: ${error.message}`);
      if ((this.status & VirtioStatus.DRIVER_OK) !== 0) this.raise(VirtioInterrupt.CONFIG_CHANGE);
    }
  }

  read(offset: number, size: number): number {
    const device = this.function;
    if (device !== undefined && offset >= VirtioMmio.CONFIG)
      return this.readConfig(device, offset - VirtioMmio.CONFIG, size);
    if (size !== 4 || (offset & 3) !== 0) {
      this.host.report(`${this.name}: read of ${size} bytes at ${hex(offset, 3)}: registers are 4 bytes`);
      return 0;
    }
    // biome-ignore format: one case a row
    switch (offset) {
      case VirtioMmio.MAGIC: return VIRTIO_MAGIC;
      case VirtioMmio.VERSION: return 2;
      case VirtioMmio.DEVICE_ID: return device?.deviceId ?? VirtioDevice.NONE;
      case VirtioMmio.VENDOR_ID: return VIRTIO_VENDOR_QEMU;
    }
    if (device !== undefined) {
      // biome-ignore format: one case a row
      switch (offset) {
        case VirtioMmio.DEVICE_FEATURES: return device.features[this.deviceFeaturesSelect] ?? 0;
        case VirtioMmio.QUEUE_NUM_MAX: return this.queueSelect < this.queues.length ? QUEUE_SIZE_MAX : 0;
        case VirtioMmio.QUEUE_READY: return this.queues[this.queueSelect]?.ready === true ? 1 : 0;
        case VirtioMmio.INTERRUPT_STATUS: return this.interruptStatus;
        case VirtioMmio.STATUS: return this.status;
        case VirtioMmio.CONFIG_GENERATION: return 0;
      }
    }
    const name = VirtioMmioNames.get(offset);
    this.host.report(
      `${this.name}: read of ${name === undefined ? "unknown register" : device === undefined ? name : `write-only ${name}`} ${hex(offset, 3)}`,
    );
    return 0;
  }

  write(offset: number, size: number, value: number): void {
    value >>>= 0;
    if (this.function === undefined || size !== 4 || (offset & 3) !== 0 || offset >= VirtioMmio.CONFIG) {
      this.host.report(
        `${this.name}: write of ${size} bytes to ${VirtioMmioNames.get(offset) ?? "unknown register"} ${hex(offset, 3)}`,
      );
      return;
    }
    // biome-ignore format: one case a row
    switch (offset) {
      case VirtioMmio.DEVICE_FEATURES_SEL: this.deviceFeaturesSelect = value; return;
      case VirtioMmio.DRIVER_FEATURES_SEL: this.driverFeaturesSelect = value; return;
      case VirtioMmio.DRIVER_FEATURES: this.writeFeatures(value); return;
      case VirtioMmio.QUEUE_SEL: this.queueSelect = value; return;
      case VirtioMmio.QUEUE_NOTIFY: this.notify(value); return;
      case VirtioMmio.INTERRUPT_ACK:
        this.interruptStatus &= ~value;
        this.line.set(this.interruptStatus !== 0);
        return;
      case VirtioMmio.STATUS: this.writeStatus(value & 0xff); return;
    }
    if (!this.writeQueue(offset, value)) {
      const name = VirtioMmioNames.get(offset);
      this.host.report(
        `${this.name}: write to ${name === undefined ? "unknown register" : `read-only ${name}`} ${hex(offset, 3)}`,
      );
    }
  }

  state(): unknown {
    const { status, interruptStatus, deviceFeaturesSelect, driverFeaturesSelect, driverFeatures, queueSelect } = this;
    const queues = this.queues.map((queue) => queue.state());
    return {
      status,
      interruptStatus,
      deviceFeaturesSelect,
      driverFeaturesSelect,
      driverFeatures,
      queueSelect,
      queues,
      device: this.function?.state(),
    };
  }

  private get name(): string {
    return this.function?.name ?? "virtio-mmio";
  }

  private raise(bit: number): void {
    this.interruptStatus |= bit;
    this.line.set(true);
  }

  private readConfig(device: VirtioFunction, at: number, size: number): number {
    if (at + size > device.config.length) {
      this.host.report(
        `${device.name}: read of ${size} bytes beyond the configuration space, at ${hex(VirtioMmio.CONFIG + at, 3)}`,
      );
      return 0;
    }
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + device.config[at + i];
    return value;
  }

  private writeFeatures(value: number): void {
    if (this.driverFeaturesSelect > 1) {
      if (value !== 0) this.host.report(`${this.name}: driver accepts features in word ${this.driverFeaturesSelect}`);
    } else if ((this.status & VirtioStatus.FEATURES_OK) !== 0)
      this.host.report(`${this.name}: write to DRIVER_FEATURES after FEATURES_OK`);
    else this.driverFeatures[this.driverFeaturesSelect] = value;
  }

  /**
   * 2.1 and 3.1.1: FEATURES_OK stays clear if the driver accepted a feature that was not offered, or did not accept
   * VERSION_1.
   */
  private writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    if ((this.status & ~value & ~VirtioStatus.NEEDS_RESET) !== 0)
      this.host.report(`${this.name}: STATUS write ${hex(value)} clears bits of ${hex(this.status)}`);
    if ((value & ~this.status & VirtioStatus.FEATURES_OK) !== 0 && !this.featuresAcceptable()) {
      this.host.report(
        `${this.name}: driver features ${hex(this.driverFeatures[1], 8)}:${hex(this.driverFeatures[0], 8)} are not acceptable`,
      );
      value &= ~VirtioStatus.FEATURES_OK;
    }
    this.status = value | (this.status & VirtioStatus.NEEDS_RESET);
  }

  private featuresAcceptable(): boolean {
    const offered = this.function!.features;
    return (
      (this.driverFeatures[0] & ~offered[0]) === 0 &&
      (this.driverFeatures[1] & ~offered[1]) === 0 &&
      (this.driverFeatures[1] & VERSION_1) !== 0
    );
  }

  private reset(): void {
    this.status = 0;
    this.interruptStatus = 0;
    this.driverFeatures.fill(0);
    this.deviceFeaturesSelect = this.driverFeaturesSelect = this.queueSelect = 0;
    for (const queue of this.queues) queue.reset();
    this.line.set(false);
    this.function!.reset();
  }

  private notify(index: number): void {
    if (index >= this.queues.length || !this.queues[index].ready || (this.status & VirtioStatus.DRIVER_OK) === 0) {
      this.host.report(`${this.name}: QUEUE_NOTIFY of queue ${index}, which is not ready`);
    } else if (this.running) this.guarded(() => this.function!.notify(index));
  }

  private writeQueue(offset: number, value: number): boolean {
    const queue = this.queues[this.queueSelect];
    // biome-ignore format: one case a row
    switch (offset) {
      case VirtioMmio.QUEUE_NUM: case VirtioMmio.QUEUE_READY:
      case VirtioMmio.QUEUE_DESC_LOW: case VirtioMmio.QUEUE_DESC_HIGH: case VirtioMmio.QUEUE_DRIVER_LOW:
      case VirtioMmio.QUEUE_DRIVER_HIGH: case VirtioMmio.QUEUE_DEVICE_LOW: case VirtioMmio.QUEUE_DEVICE_HIGH: break;
      default: return false;
    }
    if (queue === undefined) {
      this.host.report(
        `${this.name}: ${VirtioMmioNames.get(offset)} of queue ${this.queueSelect}, which does not exist`,
      );
      return true;
    }
    if (queue.ready && offset !== VirtioMmio.QUEUE_READY) {
      this.host.report(
        `${this.name}: write to ${VirtioMmioNames.get(offset)} of queue ${this.queueSelect}, which is in use`,
      );
      return true;
    }
    // biome-ignore format: one case a row
    switch (offset) {
      case VirtioMmio.QUEUE_NUM: queue.size = value; break;
      case VirtioMmio.QUEUE_READY:
        if ((value & 1) === 0) queue.ready = false;
        else this.guarded(() => queue.enable());
        break;
      case VirtioMmio.QUEUE_DESC_LOW: queue.desc.low = value; break;
      case VirtioMmio.QUEUE_DESC_HIGH: queue.desc.high = value; break;
      case VirtioMmio.QUEUE_DRIVER_LOW: queue.driver.low = value; break;
      case VirtioMmio.QUEUE_DRIVER_HIGH: queue.driver.high = value; break;
      case VirtioMmio.QUEUE_DEVICE_LOW: queue.device.low = value; break;
      case VirtioMmio.QUEUE_DEVICE_HIGH: queue.device.high = value; break;
    }
    return true;
  }
}
