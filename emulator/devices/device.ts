/**
 * What a device can see of the machine around it. Devices are passive: they act inside an access by a core or inside an
 * event of the node, and `now` is exact in both. Every device gives its state as plain data (hash, snapshot).
 */
export interface DeviceHost {
  /** Virtual time of the current access or event, ns. */
  readonly now: number;
  /**
   * The guest did something that the manual forbids: emits a DEVICE_ERROR trace event and stops a strict machine.
   * `text` starts with the device's name.
   */
  report(text: string): void;
}

/** An interrupt input of the I/O APIC. */
export interface InterruptLine {
  set(level: boolean): void;
}

/** Physical memory as bus masters see it. All accesses are checked: the result is -1 or false for anything but RAM. */
export interface Dma {
  readonly view: DataView;
  readonly ram: Uint8Array;
  /** Offset in `ram` of `bytes` bytes at physical `address`; -1 unless all of them are RAM. */
  offset(address: number, bytes: number): number;
  /** The device wrote `bytes` bytes at `ram[offset]`: translated code there is stale. */
  written(offset: number, bytes: number): void;
}

export const hex = (value: number, digits = 0): string => `0x${(value >>> 0).toString(16).padStart(digits, "0")}`;
