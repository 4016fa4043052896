/** A substitute for the node around a device: a clock that the test sets, and records of the device's actions. */
import type { DeviceHost, Dma, InterruptLine } from "../../emulator/devices/device.ts";
import { type LapicBus, LocalApic } from "../../emulator/devices/lapic.ts";

export class TestHost implements DeviceHost {
  now = 0;
  readonly reports: string[] = [];
  report(text: string): void {
    this.reports.push(text);
  }
}

export class TestLine implements InterruptLine {
  level = false;
  edges = 0;
  set(level: boolean): void {
    if (level && !this.level) this.edges++;
    this.level = level;
  }
}

export class TestDma implements Dma {
  readonly ram: Uint8Array;
  readonly view: DataView;
  constructor(bytes: number) {
    this.ram = new Uint8Array(bytes);
    this.view = new DataView(this.ram.buffer);
  }
  offset(address: number, bytes: number): number {
    return address + bytes <= this.ram.length ? address : -1;
  }
  written(offset: number, bytes: number): void {
    if (offset < 0 || offset + bytes > this.ram.length)
      throw new Error(`device wrote outside RAM: ${offset}, ${bytes}`);
  }
}

export class TestLapicBus extends TestHost implements LapicBus {
  readonly lapics: LocalApic[] = [];
  readonly sent: { source: number; targets: readonly number[]; mode: number; vector: number }[] = [];
  readonly broadcasts: number[] = [];
  readonly ended: number[] = [];
  constructor(cores: number) {
    super();
    for (let i = 0; i < cores; i++) this.lapics.push(new LocalApic(i, this));
  }
  sendInterprocessor(source: number, targets: readonly number[], mode: number, vector: number): void {
    this.sent.push({ source, targets, mode, vector });
  }
  broadcastEoi(vector: number): void {
    this.broadcasts.push(vector);
  }
  reschedule(): void {}
  endOfInterrupt(_core: number, vector: number): void {
    this.ended.push(vector);
  }
}
