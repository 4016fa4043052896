/**
 * Unicorn instances, one per core. Opening one costs milliseconds, closing one leaks, and unmapping visits every page.
 * So a node's RAM and instances are kept together, and the next node of that size reuses them after the CPUs are reset.
 */
import {
  type Address,
  type Binding,
  binding,
  Control,
  CPU_MODEL_BROADWELL,
  HookedInstruction,
  HookType,
  TLB_VIRTUAL,
} from "./binding.ts";
import { BreakpointList } from "./breakpoints.ts";
import { Env, Environment } from "./environment.ts";
import { checkAlignment } from "./translator.ts";

/**
 * Size of an instance's translation buffer. Its pages are touched as code is translated; with the default size a flush
 * would touch 1 GB. The run loop flushes before the buffer could overflow, which would crash the process.
 */
export const TRANSLATION_BUFFER_BYTES = 32 << 20;
const PAGE = 4096;

/** C function pointers that an instance calls. */
export interface Callbacks {
  readonly tlbFill: Address;
  readonly interrupt: Address;
  readonly portIn: Address;
  readonly portOut: Address;
  readonly mmioRead: Address;
  readonly mmioWrite: Address;
  readonly cpuid: Address;
  readonly syscall: Address;
  readonly sysenter: Address;
}

export interface MemoryMap {
  /** Host address of the node's RAM. */
  readonly ram: Address;
  readonly ramBytes: number;
  /** The second part of RAM: its offset in RAM, and its physical address. The first part starts at 0. */
  readonly split: number;
  readonly splitPhysical: number;
  /** End of the physical address space. Addresses outside RAM go to the bus. */
  readonly end: number;
}

export class Instance {
  readonly env: Environment;
  readonly breakpoints: BreakpointList;
  private readonly pristine: Uint8Array;

  constructor(
    private readonly unicorn: Binding,
    readonly handle: Address,
    map: MemoryMap,
    callbacks: Callbacks,
  ) {
    // The order matters: buffer size and CPU model must be set before the CPU exists, and the first call of any other
    // kind creates it.
    unicorn.setOption(handle, Control.TCG_BUFFER_SIZE, TRANSLATION_BUFFER_BYTES);
    unicorn.setOption(handle, Control.CPU_MODEL, CPU_MODEL_BROADWELL);
    // If RAM is mapped in order, RAM offsets inside Unicorn equal offsets in the node's RAM.
    const high = map.ramBytes - map.split;
    unicorn.mapRam(handle, 0, map.split, map.ram);
    if (high) unicorn.mapRam(handle, map.splitPhysical, high, map.ram + map.split);
    const mapDevices = (physical: number, end: number): void =>
      // The callbacks get the offset in the range and its base. The base is in units of 4 KB, so that it fits every
      // integer type.
      unicorn.mapDevices(handle, physical, end - physical, callbacks.mmioRead, callbacks.mmioWrite, physical / 4096);
    mapDevices(map.split, map.splitPhysical);
    mapDevices(map.splitPhysical + high, map.end);
    this.env = new Environment(unicorn, handle);
    checkAlignment(this.env.cpuAddress, handle);
    this.breakpoints = new BreakpointList(unicorn, this.env);
    unicorn.setOption(handle, Control.USE_EXITS, 1); // and none given: no guest RIP ever ends a run
    unicorn.setOption(handle, Control.TLB_TYPE, TLB_VIRTUAL);
    unicorn.addHook(handle, HookType.TLB_FILL, callbacks.tlbFill);
    unicorn.addHook(handle, HookType.INTERRUPT, callbacks.interrupt);
    unicorn.addInstructionHook(handle, HookedInstruction.IN, callbacks.portIn);
    unicorn.addInstructionHook(handle, HookedInstruction.OUT, callbacks.portOut);
    unicorn.addInstructionHook(handle, HookedInstruction.CPUID, callbacks.cpuid);
    unicorn.addInstructionHook(handle, HookedInstruction.SYSCALL, callbacks.syscall);
    unicorn.addInstructionHook(handle, HookedInstruction.SYSENTER, callbacks.sysenter);
    this.env.initFpu();
    this.env.setU64(Env.CODE_PAGES, BigInt(unicorn.allocate(Math.ceil(map.ramBytes / PAGE / 8) + 8)));
    this.pristine = this.env.bytes.slice();
  }

  flushTranslations(): void {
    this.unicorn.flushTranslations(this.handle);
  }

  flushTlb(): void {
    this.unicorn.flushTlb(this.handle);
  }

  /**
   * Translated code stays. The engine has dropped the code of all known frames (CodeCoherence.dropAll), which costs
   * less than a flush.
   */
  reset(): void {
    this.env.bytes.set(this.pristine);
    this.flushTlb();
  }
}

/** RAM and the instances that map it. */
export interface Hardware {
  readonly map: MemoryMap;
  /** At least as many as were requested. */
  readonly instances: readonly Instance[];
}

const free: { map: MemoryMap; instances: Instance[] }[] = [];

/** Returns reset hardware with zeroed RAM. Throws UnicornUnavailable. */
export function acquireHardware(cores: number, layout: Omit<MemoryMap, "ram">, callbacks: Callbacks): Hardware {
  const unicorn = binding();
  const index = free.findIndex(({ map }) => map.ramBytes === layout.ramBytes);
  const hardware =
    index >= 0
      ? free.splice(index, 1)[0]
      : { map: { ...layout, ram: unicorn.allocate(layout.ramBytes) }, instances: [] };
  while (hardware.instances.length < cores)
    hardware.instances.push(new Instance(unicorn, unicorn.open(), hardware.map, callbacks));
  return hardware;
}

/** The RAM stays mapped: views of it stay valid, and read zeros until it is used again. */
export function releaseHardware(hardware: Hardware): void {
  for (const instance of hardware.instances) instance.reset();
  binding().discard(hardware.map.ram, hardware.map.ramBytes);
  free.push({ map: hardware.map, instances: [...hardware.instances] });
}
