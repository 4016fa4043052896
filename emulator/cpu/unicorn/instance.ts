/**
 * Unicorn instances, one a core. Opening one costs milliseconds and closing leaks, so instances are kept and reused: on
 * release its memory is unmapped and its CPU set back to the image taken when it was new.
 */
import { type Address, type Binding, binding, Control, CPU_MODEL_BROADWELL, HookedInstruction, HookType, TLB_VIRTUAL } from "./binding.ts";
import { Environment } from "./environment.ts";
import { installHooks } from "./hooks.ts";

/**
 * Translation buffer of an instance. Its pages are touched as code is translated. Without this, a flush would touch 1 GB.
 * The run loop flushes before it could overflow, which would crash the process.
 */
const TRANSLATION_BUFFER_BYTES = 16 << 20;

/** Somewhere to map while the CPU is created: Unicorn wants its first RAM block before hooks. */
export interface MappedRange {
  readonly physical: number;
  readonly bytes: number;
}

export class Instance {
  readonly env: Environment;
  private readonly pristine: Uint8Array;
  private mapped: MappedRange[] = [];

  constructor(
    private readonly unicorn: Binding,
    readonly handle: Address,
  ) {
    const hooks = installHooks();
    // The order matters: buffer and model before the CPU exists, which the first call of any other kind creates.
    unicorn.setOption(handle, Control.TCG_BUFFER_SIZE, TRANSLATION_BUFFER_BYTES);
    unicorn.setOption(handle, Control.CPU_MODEL, CPU_MODEL_BROADWELL);
    this.env = new Environment(unicorn, handle);
    unicorn.setOption(handle, Control.USE_EXITS, 1); // and none given: no guest RIP ever ends a run
    unicorn.setOption(handle, Control.TLB_TYPE, TLB_VIRTUAL);
    unicorn.addHook(handle, HookType.TLB_FILL, hooks.tlbFill);
    unicorn.addHook(handle, HookType.INTERRUPT, hooks.interrupt);
    unicorn.addInstructionHook(handle, HookedInstruction.IN, hooks.portIn);
    unicorn.addInstructionHook(handle, HookedInstruction.OUT, hooks.portOut);
    unicorn.addInstructionHook(handle, HookedInstruction.CPUID, hooks.cpuid);
    unicorn.addInstructionHook(handle, HookedInstruction.SYSCALL, hooks.syscall);
    unicorn.addInstructionHook(handle, HookedInstruction.SYSENTER, hooks.sysenter);
    this.env.initFpu();
    this.pristine = this.env.bytes.slice();
  }

  mapRam(physical: number, bytes: number, pointer: Address): void {
    this.unicorn.mapRam(this.handle, physical, bytes, pointer);
    this.mapped.push({ physical, bytes });
  }

  /** Everything in the range goes to the bus. */
  mapDevices(physical: number, bytes: number): void {
    const hooks = installHooks();
    // The callbacks get the offset in the range and this base, in 4 KB units so that it fits every integer type.
    this.unicorn.mapDevices(this.handle, physical, bytes, hooks.mmioRead, hooks.mmioWrite, physical / 4096);
    this.mapped.push({ physical, bytes });
  }

  flushTranslations(): void {
    this.unicorn.flushTranslations(this.handle);
  }

  flushTlb(): void {
    this.unicorn.flushTlb(this.handle);
  }

  reset(): void {
    for (const { physical, bytes } of this.mapped) this.unicorn.unmap(this.handle, physical, bytes);
    this.mapped = [];
    this.env.bytes.set(this.pristine);
    this.flushTranslations();
    this.flushTlb();
  }
}

const free: Instance[] = [];

/** Throws UnicornUnavailable. */
export function acquireInstance(): Instance {
  const reused = free.pop();
  if (reused) return reused;
  const unicorn = binding();
  installHooks(); // replaces helpers: must come before the first instance copies their addresses
  return new Instance(unicorn, unicorn.open());
}

export function releaseInstance(instance: Instance): void {
  instance.reset();
  free.push(instance);
}

interface RamBlock {
  readonly address: Address;
  readonly bytes: number;
}
const freeRam: RamBlock[] = [];

/** Zeroed guest RAM. Blocks are never unmapped: views of a closed engine stay valid and read zeros. */
export function acquireRam(bytes: number): RamBlock {
  const index = freeRam.findIndex((block) => block.bytes === bytes);
  if (index >= 0) return freeRam.splice(index, 1)[0];
  return { address: binding().allocate(bytes), bytes };
}

export function releaseRam(block: RamBlock): void {
  binding().discard(block.address, block.bytes);
  freeRam.push(block);
}
