/**
 * A node's hardware without its schedule: the processor package with its RAM, the devices of QEMU's microvm,acpi=off,
 * and the wires.
 */
import { IOAPIC_PINS } from "../abi/ioapic.ts";
import { Icr } from "../abi/lapic.ts";
import { MAILBOX_GSI } from "../abi/mailbox.ts";
import { KEYBOARD_GSI } from "../abi/platform.ts";
import { UART_GSI } from "../abi/uart.ts";
import { VIRTIO_MMIO_GSI, VIRTIO_MMIO_SLOTS } from "../abi/virtio.ts";
import type { CreateEngine, Engine } from "../cpu/engine.ts";
import { DebugExit } from "../devices/debugexit.ts";
import { type Dma, hex } from "../devices/device.ts";
import { FwCfg } from "../devices/fwcfg.ts";
import { KeyboardController } from "../devices/i8042.ts";
import { IoApic, type IoapicBus } from "../devices/ioapic.ts";
import { type LapicBus, LocalApic } from "../devices/lapic.ts";
import { MailboxDevice } from "../devices/mailbox.ts";
import { Uart16550 } from "../devices/uart.ts";
import { VirtioMmioSlot } from "../devices/virtio-mmio.ts";
import { VirtioNet } from "../devices/virtio-net.ts";
import { type Devices, NodeBus } from "./bus.ts";
import { ramOffset } from "./loader.ts";

export interface BoardOptions {
  readonly cores: number;
  readonly ramBytes: number;
  readonly keyboard: boolean;
  /** MAC address of the network card; undefined: no card. */
  readonly mac: Uint8Array | undefined;
  readonly createEngine: CreateEngine;
}

/** What the hardware needs from the node around it. */
export interface BoardHost {
  /** Virtual time of the current access or event, ns. */
  readonly now: number;
  /** The guest did something that a manual forbids. `rip`: where, if not at the running core's rip. */
  report(text: string, rip?: bigint): void;
  /** A message for a core's local APIC. The scheduler decides when it arrives. */
  post(core: number, mode: number, vector: number, level: boolean): void;
  reschedule(core: number): void;
  exit(why: string, status: number): void;
  consoleByte(byte: number): void;
  mail(message: Uint8Array): void;
  sendFrame(frame: Uint8Array): void;
  /** A frame arrived and the card had no buffer for it. */
  frameLost(text: string): void;
  // For observers only.
  interprocessor(source: number, target: number, mode: number, vector: number): void;
  endOfInterrupt(core: number, vector: number): void;
}

export class Board implements Devices, LapicBus, IoapicBus, Dma {
  readonly engine: Engine;
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly lapics: readonly LocalApic[];
  readonly ioapic: IoApic;
  readonly uart: Uart16550;
  readonly keyboard: KeyboardController;
  readonly fwcfg: FwCfg;
  readonly debugExit: DebugExit;
  readonly mailbox: MailboxDevice;
  readonly virtio: readonly VirtioMmioSlot[];
  readonly nic: VirtioNet | undefined;

  constructor(
    private readonly options: BoardOptions,
    private readonly host: BoardHost,
  ) {
    const { cores, ramBytes, mac } = options;
    // Before the cores: a core reads CPUID when it is created.
    this.lapics = Array.from({ length: cores }, (_, index) => new LocalApic(index, this));
    this.engine = options.createEngine({ ramBytes, cores, bus: new NodeBus(this, cores) });
    this.ram = this.engine.ram;
    this.view = this.engine.view;
    this.ioapic = new IoApic(this);
    this.fwcfg = new FwCfg(this, cores);
    this.debugExit = new DebugExit((status) => host.exit("debug exit", status));
    this.uart = new Uart16550(this, this.ioapic.line(UART_GSI), (byte) => host.consoleByte(byte));
    this.keyboard = new KeyboardController(options.keyboard, this, this.ioapic.line(KEYBOARD_GSI), () =>
      host.exit("reset", 0),
    );
    this.mailbox = new MailboxDevice(this, this.ioapic.line(MAILBOX_GSI), (message) => host.mail(message));
    this.virtio = Array.from({ length: VIRTIO_MMIO_SLOTS }, (_, index) => {
      if (VIRTIO_MMIO_GSI + index >= IOAPIC_PINS) throw new Error("virtio slots exceed the I/O APIC");
      return new VirtioMmioSlot(this, this, this.ioapic.line(VIRTIO_MMIO_GSI + index));
    });
    if (mac !== undefined) this.nic = this.attachNic(mac);
  }

  /** State of all devices, without the local APICs: their state belongs to the cores. */
  state(): unknown {
    return [this.ioapic, this.uart, this.keyboard, this.fwcfg, this.mailbox, ...this.virtio].map((device) =>
      device.state(),
    );
  }

  // ---- DeviceHost, LapicBus, IoapicBus, Dma

  get now(): number {
    return this.host.now;
  }

  report(text: string, rip?: bigint): void {
    this.host.report(text, rip);
  }

  sendInterprocessor(source: number, targets: readonly number[], mode: number, vector: number): void {
    for (const target of targets) {
      this.host.interprocessor(source, target, mode, vector);
      this.host.post(target, mode === Icr.LOWEST ? Icr.FIXED : mode, vector, false);
    }
  }

  broadcastEoi(vector: number): void {
    this.ioapic.endOfInterrupt(vector);
  }

  endOfInterrupt(core: number, vector: number): void {
    this.host.endOfInterrupt(core, vector);
  }

  reschedule(core: number): void {
    this.host.reschedule(core);
  }

  deliverExternal(destination: number, logical: boolean, mode: number, vector: number, level: boolean): void {
    let targets = this.lapics.filter((lapic) => lapic.matches(destination, logical));
    if (targets.length === 0)
      this.report(`ioapic: vector ${hex(vector)} to destination ${hex(destination)} that no core has`);
    if (mode === Icr.LOWEST && targets.length > 1) {
      targets = [targets.reduce((best, lapic) => (lapic.processorPriority < best.processorPriority ? lapic : best))];
    }
    if (mode !== Icr.FIXED && mode !== Icr.LOWEST && mode !== Icr.NMI) {
      this.report(`ioapic: unsupported delivery mode ${hex(mode)}`);
      return;
    }
    for (const { core } of targets) this.host.post(core, mode === Icr.NMI ? Icr.NMI : Icr.FIXED, vector, level);
  }

  offset(address: number, bytes: number): number {
    return ramOffset(this.options.ramBytes, address, bytes);
  }

  written(offset: number, bytes: number): void {
    this.engine.invalidateCode(offset, bytes);
  }

  private attachNic(mac: Uint8Array): VirtioNet {
    const slot = this.virtio[VIRTIO_MMIO_SLOTS - 1];
    const nic = new VirtioNet(slot, this, mac, {
      send: (frame) => this.host.sendFrame(frame),
      lost: (text) => this.host.frameLost(text),
    });
    slot.attach(nic);
    return nic;
  }
}
