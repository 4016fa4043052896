/**
 * Registers by name, for debugger and tests. A write goes where the guest's would go, without its checks, and what follows from it
 * follows: TLB entries leave, the code segment decides the mode, a selector brings its descriptor.
 */
import { Cr0, Efer, Msr } from "../../abi/x86.ts";
import { gprNames, type SegmentName } from "../engine.ts";
import { Fault, SegmentIndex } from "../x86/access.ts";
import { isPresent, loadedSegment, readDescriptor, SegmentFlag } from "../x86/descriptors.ts";
import type { UnicornCore } from "./core.ts";
import { Env } from "./environment.ts";
import { readOwnMsr } from "./msr.ts";

/** Throws RangeError for a name that no register has. */
export function readRegister(core: UnicornCore, name: string): bigint {
  const access = namedRegisters.get(name);
  return access ? access.get(core) : core.gpr(gprNumber(name));
}
export function writeRegister(core: UnicornCore, name: string, value: bigint): void {
  const access = namedRegisters.get(name);
  if (access) access.set(core, BigInt.asUintN(64, value));
  else core.setGpr(gprNumber(name), value);
}

function gprNumber(name: string): number {
  const index = (gprNames as readonly string[]).indexOf(name);
  if (index < 0) throw new RangeError(`no register is called ${name}`);
  return index;
}

interface NamedRegister {
  get(core: UnicornCore): bigint;
  set(core: UnicornCore, value: bigint): void;
}

const field = (offset: number): NamedRegister => ({
  get: ({ env }) => env.u64(offset),
  set: ({ env }, value) => env.setU64(offset, value),
});

/** `flush`: what leaves the architectural TLB, by the old and the new value. The engine's own is dropped in any case. */
const pagingRegister = (
  offset: number,
  flush: (core: UnicornCore, previous: number, next: number) => void,
): NamedRegister => ({
  get: ({ env }) => env.u64(offset),
  set: (core, value) => {
    const previous = core.env.u32(offset);
    core.env.setU64(offset, value);
    followMode(core);
    flush(core, previous, core.env.u32(offset));
    core.dropHostTlb();
  },
});

/** EFER.LMA is LME while paging is on; the mode that code is translated for comes from all of them. */
function followMode(core: UnicornCore): void {
  const efer = core.efer & ~Efer.LMA;
  const isLong = (efer & Efer.LME) !== 0 && (core.cr0 & Cr0.PG) !== 0;
  core.env.setU64(Env.EFER, BigInt(isLong ? efer | Efer.LMA : efer));
  core.env.updateHflags(core.cpl);
}

const segments: readonly (readonly [SegmentName, SegmentIndex])[] = [
  ["es", SegmentIndex.ES],
  ["cs", SegmentIndex.CS],
  ["ss", SegmentIndex.SS],
  ["ds", SegmentIndex.DS],
  ["fs", SegmentIndex.FS],
  ["gs", SegmentIndex.GS],
  ["ldtr", SegmentIndex.LDTR],
  ["tr", SegmentIndex.TR],
];

const segmentBase = (index: SegmentIndex): NamedRegister => ({
  get: (core) => core.segment(index).base,
  set: (core, value) => core.setHiddenPart(index, { ...core.segment(index), base: value }),
});

const selector = (index: SegmentIndex): NamedRegister => ({
  get: (core) => BigInt(core.segment(index).selector),
  set: (core, value) => loadSelector(core, index, Number(value & 0xffffn)),
});

/** Code and data segments only: LDTR and TR keep their hidden parts. So does every segment whose selector names no descriptor of its kind. */
function loadSelector(core: UnicornCore, index: SegmentIndex, value: number): void {
  const plain = { ...core.segment(index), selector: value };
  if (index >= SegmentIndex.LDTR) return core.setHiddenPart(index, plain);
  if (!(core.cr0 & Cr0.PE)) return core.setHiddenPart(index, { ...plain, base: BigInt(value << 4) });
  try {
    const descriptor = value & 0xfffc ? readDescriptor(core, value, 0, 0) : undefined;
    const fits = descriptor && isPresent(descriptor.flags) && descriptor.flags & SegmentFlag.NON_SYSTEM;
    if (fits && (index === SegmentIndex.CS) === ((descriptor.flags & SegmentFlag.CODE) !== 0)) {
      core.setSegment(index, loadedSegment(value, descriptor));
      return;
    }
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
  }
  core.setHiddenPart(index, plain);
}

const table = (offset: typeof Env.GDTR | typeof Env.IDTR, part: "base" | "limit"): NamedRegister => ({
  get: ({ env }) => BigInt(env.table(offset)[part]),
  set: ({ env }, value) => {
    const { base, limit } = env.table(offset);
    if (part === "base") env.setTable(offset, value, limit);
    else env.setTable(offset, base, Number(value & 0xffffn));
  },
});

const namedRegisters: ReadonlyMap<string, NamedRegister> = new Map<string, NamedRegister>([
  ["rip", { get: (core) => core.rip, set: (core, value) => void (core.rip = value) }],
  ["rflags", { get: (core) => core.rflags, set: (core, value) => void (core.rflags = value) }],
  ["cr0", pagingRegister(Env.CR0, (core, previous, next) => core.mmu.flushForCr0(previous, next))],
  ["cr2", field(Env.CR2)],
  ["cr3", pagingRegister(Env.CR3, (core) => core.mmu.tlb.flushNonGlobal())],
  ["cr4", pagingRegister(Env.CR4, (core, previous, next) => core.mmu.flushForCr4(previous, next))],
  [
    "cr8",
    {
      get: (core) => BigInt(core.node.bus.readTaskPriority(core) & 15),
      set: (core, value) => core.node.bus.writeTaskPriority(core, Number(value & 15n)),
    },
  ],
  ["efer", pagingRegister(Env.EFER, (core, previous, next) => core.mmu.flushForEfer(previous, next))],
  ["star", field(Env.STAR)],
  ["lstar", field(Env.LSTAR)],
  ["cstar", field(Env.CSTAR)],
  ["fmask", field(Env.FMASK)],
  ["kernel_gs_base", field(Env.KERNEL_GS_BASE)],
  ["tsc_aux", field(Env.TSC_AUX)],
  ["pat", { get: (core) => core.pat, set: (core, value) => void (core.pat = value) }],
  [
    "tsc",
    {
      get: (core) => readOwnMsr(core, Msr.TSC) as bigint,
      set: (core, value) => void (core.tscOffset = BigInt.asIntN(64, core.tscOffset + value - core.timestamp)),
    },
  ],
  ["gdtr_base", table(Env.GDTR, "base")],
  ["gdtr_limit", table(Env.GDTR, "limit")],
  ["idtr_base", table(Env.IDTR, "base")],
  ["idtr_limit", table(Env.IDTR, "limit")],
  ...segments.map(([name, index]): [string, NamedRegister] => [name, selector(index)]),
  ...segments.map(([name, index]): [string, NamedRegister] => [`${name}_base`, segmentBase(index)]),
]);
