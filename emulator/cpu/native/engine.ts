/**
 * A node's processor by translation to host code. RAM starts at physical address 0; RAM that does not fit below
 * DEVICE_HOLE starts at 4 GB. All other addresses up to the physical address limit belong to the bus.
 */
import { DEVICE_HOLE, MAX_CPUS } from "../../abi/memory.ts";
import type { CreateEngine, Engine, EngineOptions, Place, WatchKind } from "../engine.ts";
import { StopTable } from "../x86/stops.ts";
import { translationCache } from "./cache.ts";
import { NativeCore } from "./core.ts";
import { Env, Environment } from "./environment.ts";
import { CodeFrames } from "./frames.ts";
import { selfTest } from "./selftest.ts";
import { allocate, discard, type HostMemory } from "./memory.ts";
import type { Node } from "./registers.ts";
import { Translator } from "./translate.ts";

export { NativeUnavailable } from "./memory.ts";

const FOUR_GB = 0x1_0000_0000;
const PAGE = 4096;

/** Throws NativeUnavailable if the host cannot run the engine, and RangeError for options that no node can have. */
export const createNativeEngine: CreateEngine = (options) => {
  if (!tested) selfTest(translationCache());
  tested = true;
  return new NativeEngine(options);
};
let tested = false;

/** Memory of closed engines, by size. Callers may still hold views of it, so it is never unmapped. */
const free = new Map<number, HostMemory[]>();
function acquire(bytes: number): HostMemory {
  return free.get(bytes)?.pop() ?? allocate(bytes);
}
function release(memory: HostMemory): void {
  discard(memory);
  const list = free.get(memory.bytes.length) ?? [];
  list.push(memory);
  free.set(memory.bytes.length, list);
}

class NativeEngine implements Engine {
  readonly name = "native";
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly cores: readonly NativeCore[];
  private readonly code: CodeFrames;
  private readonly stops = new StopTable();
  private readonly memory: HostMemory;
  private readonly environments: HostMemory;
  private closed = false;

  constructor({ ramBytes, cores, bus, tscBase = 0n }: EngineOptions) {
    if (!Number.isInteger(cores) || cores < 1 || cores > MAX_CPUS)
      throw new RangeError(`cores must be 1 to ${MAX_CPUS}, not ${cores}`);
    if (!Number.isInteger(ramBytes) || ramBytes < PAGE || ramBytes % PAGE || ramBytes > FOUR_GB)
      throw new RangeError(`RAM must be whole 4 KB pages, at most ${FOUR_GB} bytes, not ${ramBytes}`);
    const low = Math.min(ramBytes, DEVICE_HOLE);
    const high = ramBytes - low;
    const cache = translationCache();
    const translator = new Translator(cache);
    this.memory = acquire(ramBytes);
    this.environments = acquire(cores * Env.BYTES);
    this.ram = this.memory.bytes;
    this.view = this.memory.view;
    const code = new CodeFrames(ramBytes);
    this.code = code;
    const node: Node = {
      bus,
      memory: {
        words: new Uint32Array(this.ram.buffer, this.ram.byteOffset, ramBytes / 4),
        bytes: this.ram,
        view: this.view,
        address: this.memory.address,
        offsetOf: (physical: number): number => {
          if (physical < low) return physical;
          return physical >= FOUR_GB && physical < FOUR_GB + high ? physical - FOUR_GB + low : -1;
        },
        written: (offset: number): void => code.written(offset, 4),
      },
      code,
      stops: this.stops,
      tscBase,
    };
    this.cores = Array.from(
      { length: cores },
      (_, index) =>
        new NativeCore(index, new Environment(this.environments, index * Env.BYTES), node, cache, translator),
    );
    code.users.push(...this.cores);
  }

  invalidateCode(offset: number, length: number): void {
    if (offset < 0 || offset + length > this.ram.length)
      throw new RangeError(`invalidateCode: 0x${offset.toString(16)} + ${length} is not in RAM`);
    if (length > 0) this.code.written(offset, length);
  }

  addBreakpoint(where: Place): number {
    const id = this.stops.addBreakpoint(where);
    this.code.forgetAll();
    return id;
  }
  removeBreakpoint(id: number): void {
    if (this.stops.removeBreakpoint(id)) this.code.forgetAll();
  }
  addWatchpoint(where: Place, bytes: number, kind: WatchKind): number {
    const id = this.stops.addWatchpoint(where, bytes, kind);
    for (const core of this.cores) core.watchpointsChanged();
    return id;
  }
  removeWatchpoint(id: number): void {
    if (this.stops.removeWatchpoint(id)) for (const core of this.cores) core.watchpointsChanged(id);
  }

  flushCaches(): void {
    translationCache().drop();
    for (const core of this.cores) core.flushCaches();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    release(this.memory);
    release(this.environments);
  }
}
