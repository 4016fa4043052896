/** A bus that records what cores do to it; tests override what they need. */
import type { Bus, Core } from "../../emulator/cpu/engine.ts";

export class RecordingBus implements Bus {
  output = "";
  readonly log: string[] = [];
  taskPriority = 0;

  readMemory(core: Core, address: number, size: number): number {
    this.log.push(`${core.time} read ${address.toString(16)} ${size}`);
    return 0xffff_ffff;
  }
  writeMemory(core: Core, address: number, size: number, value: number): void {
    this.log.push(`${core.time} write ${address.toString(16)} ${size} ${value.toString(16)}`);
  }
  readPort(core: Core, port: number, size: number): number {
    this.log.push(`${core.time} in ${port.toString(16)} ${size}`);
    return 0xffff_ffff;
  }
  writePort(_core: Core, port: number, _size: number, value: number): void {
    if (port === 0x3f8) this.output += String.fromCharCode(value);
  }
  readMsr(_core: Core, _index: number): bigint | undefined {
    return undefined;
  }
  writeMsr(_core: Core, _index: number, _value: bigint): boolean {
    return false;
  }
  cpuid(_core: Core, leaf: number, subleaf: number): readonly [number, number, number, number] {
    return [leaf + 0x100, subleaf, 0xdead_beef, 0x8000_0001];
  }
  readTaskPriority(): number {
    return this.taskPriority;
  }
  writeTaskPriority(_core: Core, value: number): void {
    this.taskPriority = value;
  }
}
