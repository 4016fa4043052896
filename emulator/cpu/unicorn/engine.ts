/**
 * A node's processor on Unicorn: RAM, one instance per core, and the address map. RAM starts at physical address 0; RAM
 * that does not fit below DEVICE_HOLE starts at 4 GB. All other addresses up to the physical address limit belong to
 * the bus.
 */
import { DEVICE_HOLE, MAX_CPUS } from "../../abi/memory.ts";
import type { CreateEngine, Engine, EngineOptions, Place, WatchKind } from "../engine.ts";
import { PHYSICAL_ADDRESS_BITS } from "../x86/pagewalk.ts";
import { StopTable } from "../x86/stops.ts";
import { binding, viewMemory } from "./binding.ts";
import { CodeCoherence } from "./coherence.ts";
import { UnicornCore } from "./core.ts";
import { installHooks } from "./hooks.ts";
import { acquireHardware, type Hardware, releaseHardware } from "./instance.ts";
import { selfTest } from "./selftest.ts";
import { watchFilter } from "./watchfilter.ts";

export { UnicornUnavailable } from "./library.ts";

const FOUR_GB = 0x1_0000_0000;
const PHYSICAL_END = 2 ** PHYSICAL_ADDRESS_BITS;
const PAGE = 4096;
const RAM_LIMIT = FOUR_GB;

/** Throws UnicornUnavailable if the library is not available, and RangeError for options that no node can have. */
export const createUnicornEngine: CreateEngine = (options) => {
  if (!tested) {
    selfTest((testOptions) => new UnicornEngine(testOptions));
    tested = true;
  }
  return new UnicornEngine(options);
};
let tested = false;

class UnicornEngine implements Engine {
  readonly name = "unicorn 2.1.1";
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly cores: readonly UnicornCore[];
  private readonly coherence: CodeCoherence;
  private readonly stops = new StopTable();
  private readonly hardware: Hardware;
  private closed = false;

  constructor({ ramBytes, cores, bus, tscBase = 0n }: EngineOptions) {
    if (!Number.isInteger(cores) || cores < 1 || cores > MAX_CPUS)
      throw new RangeError(`cores must be 1 to ${MAX_CPUS}, not ${cores}`);
    if (!Number.isInteger(ramBytes) || ramBytes < PAGE || ramBytes % PAGE || ramBytes > RAM_LIMIT) {
      throw new RangeError(`RAM must be whole 4 KB pages, at most ${RAM_LIMIT} bytes, not ${ramBytes}`);
    }
    const low = Math.min(ramBytes, DEVICE_HOLE);
    const high = ramBytes - low;
    this.hardware = acquireHardware(
      cores,
      { ramBytes, split: low, splitPhysical: FOUR_GB, end: PHYSICAL_END },
      installHooks(),
    );
    const buffer = viewMemory(this.hardware.map.ram, ramBytes);
    const instances = this.hardware.instances.slice(0, cores);
    this.ram = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.coherence = new CodeCoherence(
      binding(),
      ramBytes,
      instances.map(({ handle }) => handle),
    );
    const memory = {
      words: new Uint32Array(buffer),
      view: this.view,
      offsetOf: (physical: number): number => {
        if (physical < low) return physical;
        return physical >= FOUR_GB && physical < FOUR_GB + high ? physical - FOUR_GB + low : -1;
      },
      written: (offset: number): void => this.coherence.written(offset, 4),
    };
    this.cores = instances.map(
      (instance, index) =>
        new UnicornCore(index, instance, { bus, memory, coherence: this.coherence, stops: this.stops, tscBase }),
    );
  }

  invalidateCode(offset: number, length: number): void {
    if (offset < 0 || offset + length > this.ram.length)
      throw new RangeError(`invalidateCode: 0x${offset.toString(16)} + ${length} is not in RAM`);
    if (length > 0) this.coherence.written(offset, length);
  }

  addBreakpoint(where: Place): number {
    const id = this.stops.addBreakpoint(where);
    for (const core of this.cores) core.breakpointChanged(where);
    return id;
  }
  removeBreakpoint(id: number): void {
    const where = this.stops.removeBreakpoint(id);
    if (where) for (const core of this.cores) core.breakpointChanged(where);
  }
  addWatchpoint(where: Place, bytes: number, kind: WatchKind): number {
    const id = this.stops.addWatchpoint(where, bytes, kind);
    this.watchpointsChanged();
    return id;
  }
  removeWatchpoint(id: number): void {
    if (this.stops.removeWatchpoint(id)) this.watchpointsChanged(id);
  }
  private watchpointsChanged(removed?: number): void {
    watchFilter().publish(this, [...this.stops.watchedOffsets()]);
    for (const core of this.cores) core.watchpointsChanged(removed);
  }

  flushCaches(): void {
    for (const core of this.cores) core.flushCaches();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    watchFilter().publish(this, []);
    for (const core of this.cores) core.close();
    this.coherence.dropAll();
    releaseHardware(this.hardware);
  }
}
