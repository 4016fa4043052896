/**
 * Registers by name, for debugger and tests. A write goes where the guest's would go, without its checks, and what
 * follows from it follows: TLB entries leave, the code segment decides the mode, a selector brings its descriptor.
 */
import { Cr0, Efer, Msr } from "../../abi/x86.ts";
import { gprNames, type SegmentName } from "../engine.ts";
import { Fault, SegmentIndex } from "../x86/access.ts";
import { isPresent, loadedSegment, readDescriptor, SegmentFlag } from "../x86/descriptors.ts";
import { Env } from "./environment.ts";
import { readOwnMsr } from "./msr.ts";
import type { Processor } from "./processor.ts";

/** Throws RangeError for a name that no register has. */
export function readRegister(cpu: Processor, name: string): bigint {
  const access = namedRegisters.get(name);
  return access ? access.get(cpu) : cpu.gpr(gprNumber(name));
}
export function writeRegister(cpu: Processor, name: string, value: bigint): void {
  const access = namedRegisters.get(name);
  if (access) access.set(cpu, BigInt.asUintN(64, value));
  else cpu.setGpr(gprNumber(name), value);
}

function gprNumber(name: string): number {
  const index = (gprNames as readonly string[]).indexOf(name);
  if (index < 0) throw new RangeError(`no register is called ${name}`);
  return index;
}

interface NamedRegister {
  get(cpu: Processor): bigint;
  set(cpu: Processor, value: bigint): void;
}

const field = (offset: number): NamedRegister => ({
  get: ({ env }) => env.u64(offset),
  set: ({ env }, value) => env.setU64(offset, value),
});

/**
 * `flush`: what leaves the architectural TLB, by the old and the new value. The engine's own is dropped in any case.
 */
const pagingRegister = (
  offset: number,
  flush: (cpu: Processor, previous: number, next: number) => void,
): NamedRegister => ({
  get: ({ env }) => env.u64(offset),
  set: (cpu, value) => {
    const previous = cpu.env.u32(offset);
    cpu.env.setU64(offset, value);
    followMode(cpu);
    flush(cpu, previous, cpu.env.u32(offset));
    cpu.dropHostTlb();
  },
});

/** EFER.LMA is LME while paging is on; the mode that code is translated for comes from all of them. */
function followMode(cpu: Processor): void {
  const efer = cpu.efer & ~Efer.LMA;
  const isLong = (efer & Efer.LME) !== 0 && (cpu.cr0 & Cr0.PG) !== 0;
  cpu.env.setU64(Env.EFER, BigInt(isLong ? efer | Efer.LMA : efer));
  cpu.env.updateHflags(cpu.cpl);
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
  get: (cpu) => cpu.segment(index).base,
  set: (cpu, value) => cpu.setHiddenPart(index, { ...cpu.segment(index), base: value }),
});

const selector = (index: SegmentIndex): NamedRegister => ({
  get: (cpu) => BigInt(cpu.segment(index).selector),
  set: (cpu, value) => loadSelector(cpu, index, Number(value & 0xffffn)),
});

/**
 * Code and data segments only: LDTR and TR keep their hidden parts. So does every segment whose selector names no
 * descriptor of its kind.
 */
function loadSelector(cpu: Processor, index: SegmentIndex, value: number): void {
  const plain = { ...cpu.segment(index), selector: value };
  if (index >= SegmentIndex.LDTR) return cpu.setHiddenPart(index, plain);
  if (!(cpu.cr0 & Cr0.PE)) return cpu.setHiddenPart(index, { ...plain, base: BigInt(value << 4) });
  try {
    const descriptor = value & 0xfffc ? readDescriptor(cpu, value, 0, 0) : undefined;
    const fits = descriptor && isPresent(descriptor.flags) && descriptor.flags & SegmentFlag.NON_SYSTEM;
    if (fits && (index === SegmentIndex.CS) === ((descriptor.flags & SegmentFlag.CODE) !== 0)) {
      cpu.setSegment(index, loadedSegment(value, descriptor));
      return;
    }
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
  }
  cpu.setHiddenPart(index, plain);
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
  ["rip", { get: (cpu) => cpu.rip, set: (cpu, value) => void (cpu.rip = value) }],
  ["rflags", { get: (cpu) => cpu.rflags, set: (cpu, value) => void (cpu.rflags = value) }],
  ["cr0", pagingRegister(Env.CR0, (cpu, previous, next) => cpu.mmu.flushForCr0(previous, next))],
  ["cr2", field(Env.CR2)],
  ["cr3", pagingRegister(Env.CR3, (cpu) => cpu.mmu.tlb.flushNonGlobal())],
  ["cr4", pagingRegister(Env.CR4, (cpu, previous, next) => cpu.mmu.flushForCr4(previous, next))],
  [
    "cr8",
    {
      get: (cpu) => BigInt(cpu.node.bus.readTaskPriority(cpu.core) & 15),
      set: (cpu, value) => cpu.node.bus.writeTaskPriority(cpu.core, Number(value & 15n)),
    },
  ],
  ["efer", pagingRegister(Env.EFER, (cpu, previous, next) => cpu.mmu.flushForEfer(previous, next))],
  ["star", field(Env.STAR)],
  ["lstar", field(Env.LSTAR)],
  ["cstar", field(Env.CSTAR)],
  ["fmask", field(Env.FMASK)],
  ["kernel_gs_base", field(Env.KERNEL_GS_BASE)],
  ["tsc_aux", field(Env.TSC_AUX)],
  ["pat", { get: (cpu) => cpu.pat, set: (cpu, value) => void (cpu.pat = value) }],
  [
    "tsc",
    {
      get: (cpu) => readOwnMsr(cpu, Msr.TSC) as bigint,
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
