/** Registers by name, for debugger and tests. */
import { gprNames } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import { Env } from "./environment.ts";
import type { Processor } from "./processor.ts";

/** Throws RangeError for a name that no register has. */
export function readRegister(processor: Processor, name: string): bigint {
  const access = namedRegisters[name];
  return access ? access.get(processor) : processor.gpr(gprNumber(name));
}
export function writeRegister(processor: Processor, name: string, value: bigint): void {
  const access = namedRegisters[name];
  if (access) access.set(processor, BigInt.asUintN(64, value));
  else processor.setGpr(gprNumber(name), value);
}

function gprNumber(name: string): number {
  const index = (gprNames as readonly string[]).indexOf(name);
  if (index < 0) throw new RangeError(`no register is called ${name}`);
  return index;
}

interface NamedRegister {
  get(processor: Processor): bigint;
  set(processor: Processor, value: bigint): void;
}
/** A debugger's write goes where the guest's would, without its checks; what depends on it follows. */
const controlRegister = (offset: number, flushes: boolean): NamedRegister => ({
  get: (processor) => processor.env.u64(offset),
  set: (processor, value) => {
    processor.env.setU64(offset, value);
    processor.env.updateHflags(processor.cpl);
    if (flushes) {
      processor.mmu.tlb.flushAll();
      processor.flushCaches();
    }
  },
});
const segmentBase = (index: SegmentIndex): NamedRegister => ({
  get: (processor) => processor.segment(index).base,
  set: (processor, value) => processor.env.writeSegment(index, { ...processor.segment(index), base: value }),
});
const namedRegisters: { readonly [name: string]: NamedRegister | undefined } = {
  rip: {
    get: (processor) => processor.rip,
    set: (processor, value) => {
      processor.rip = value;
    },
  },
  rflags: {
    get: (processor) => processor.rflags,
    set: (processor, value) => {
      processor.rflags = value;
    },
  },
  cr0: controlRegister(Env.CR0, true),
  cr2: controlRegister(Env.CR2, false),
  cr3: controlRegister(Env.CR3, true),
  cr4: controlRegister(Env.CR4, true),
  efer: controlRegister(Env.EFER, true),
  kernel_gs_base: controlRegister(Env.KERNEL_GS_BASE, false),
  fs_base: segmentBase(SegmentIndex.FS),
  gs_base: segmentBase(SegmentIndex.GS),
};
