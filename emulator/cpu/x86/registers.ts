/**
 * Registers by name, for debugger and tests. A write is unchecked, but has the consequences of a guest's write: TLB
 * entries are dropped, the code segment sets the mode, and a selector loads its descriptor.
 */
import { Cr0, Efer } from "../../abi/x86.ts";
import { gprNames, type Segment, type SegmentName } from "../engine.ts";
import { type CpuAccess, Fault, SegmentIndex } from "./access.ts";
import { isPresent, loadedSegment, readDescriptor, SegmentFlag } from "./descriptors.ts";
import type { Mmu } from "./mmu.ts";

/** Registers that only store a value. */
export const plainRegisters = [
  "cr2",
  "star",
  "lstar",
  "cstar",
  "fmask",
  "kernel_gs_base",
  "tsc_aux",
  "pat",
  "sysenter_cs",
  "sysenter_esp",
  "sysenter_eip",
  "gdtr_base",
  "gdtr_limit",
  "idtr_base",
  "idtr_limit",
] as const;
export type PlainRegister = (typeof plainRegisters)[number];
/** Registers that control address translation and code decoding. */
export const pagingRegisters = ["cr0", "cr3", "cr4", "efer"] as const;
export type PagingRegister = (typeof pagingRegisters)[number];

/** DR4 and DR5 do not exist. */
const debugRegisters = [0, 1, 2, 3, 6, 7] as const;

/** All registers of a core: the interface of an engine to the engine-independent code. */
export interface RegisterFile extends CpuAccess {
  readonly mmu: Mmu;
  plain(name: PlainRegister | PagingRegister): bigint;
  /** Sets only the register. */
  setPlain(name: PlainRegister | PagingRegister, value: bigint): void;
  /** A paging register has changed: updates the mode and drops the engine's own TLB. */
  pagingChanged(): void;
  /** The engine's own TLB holds copies of architectural TLB entries that have been dropped. */
  dropHostTlb(): void;
  /** DR0 to DR7, by number. */
  debugRegister(index: number): bigint;
  setDebugRegister(index: number, value: bigint): void;
  /** Sets the hidden part without a load: the CPL does not change. */
  setHiddenPart(index: SegmentIndex, segment: Segment): void;
  taskPriority: number;
  /** RDTSC at the start of the current instruction; a write changes the offset. */
  timestamp: bigint;
}

/** Throws RangeError for an unknown name. */
export function readRegister(cpu: RegisterFile, name: string): bigint {
  const access = namedRegisters.get(name);
  return access ? access.get(cpu) : cpu.gpr(gprNumber(name));
}
export function writeRegister(cpu: RegisterFile, name: string, value: bigint): void {
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
  get(cpu: RegisterFile): bigint;
  set(cpu: RegisterFile, value: bigint): void;
}

/** Which entries a write drops from the architectural TLB, by the old and the new value. */
const flushes: Readonly<Record<PagingRegister, (mmu: Mmu, previous: number, next: number) => void>> = {
  cr0: (mmu, previous, next) => void mmu.flushForCr0(previous, next),
  cr3: (mmu) => mmu.tlb.flushNonGlobal(),
  cr4: (mmu, previous, next) => void mmu.flushForCr4(previous, next),
  efer: (mmu, previous, next) => void mmu.flushForEfer(previous, next),
};
const low32 = (value: bigint): number => Number(value & 0xffff_ffffn);

const pagingRegister = (name: PagingRegister): NamedRegister => ({
  get: (cpu) => cpu.plain(name),
  set: (cpu, value) => {
    const previous = cpu.plain(name);
    cpu.setPlain(name, value);
    // EFER.LMA equals LME while paging is on.
    const efer = cpu.plain("efer") & ~BigInt(Efer.LMA);
    const isLong = (efer & BigInt(Efer.LME)) !== 0n && (cpu.plain("cr0") & BigInt(Cr0.PG)) !== 0n;
    cpu.setPlain("efer", isLong ? efer | BigInt(Efer.LMA) : efer);
    flushes[name](cpu.mmu, low32(previous), low32(cpu.plain(name)));
    cpu.pagingChanged();
  },
});
const plainRegister = (name: PlainRegister): NamedRegister => ({
  get: (cpu) => cpu.plain(name),
  set: (cpu, value) => cpu.setPlain(name, name.endsWith("_limit") ? value & 0xffffn : value),
});
const debugRegister = (index: number): NamedRegister => ({
  get: (cpu) => cpu.debugRegister(index),
  set: (cpu, value) => cpu.setDebugRegister(index, value),
});

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
 * Code and data segments only: LDTR and TR keep their hidden parts. So does a segment whose selector names no
 * descriptor of its kind.
 */
function loadSelector(cpu: RegisterFile, index: SegmentIndex, value: number): void {
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

const namedRegisters: ReadonlyMap<string, NamedRegister> = new Map<string, NamedRegister>([
  ["rip", { get: (cpu) => cpu.rip, set: (cpu, value) => void (cpu.rip = value) }],
  ["rflags", { get: (cpu) => cpu.rflags, set: (cpu, value) => void (cpu.rflags = value) }],
  [
    "cr8",
    {
      get: (cpu) => BigInt(cpu.taskPriority & 15),
      set: (cpu, value) => void (cpu.taskPriority = Number(value & 15n)),
    },
  ],
  ["tsc", { get: (cpu) => cpu.timestamp, set: (cpu, value) => void (cpu.timestamp = value) }],
  ...plainRegisters.map((name): [string, NamedRegister] => [name, plainRegister(name)]),
  ...pagingRegisters.map((name): [string, NamedRegister] => [name, pagingRegister(name)]),
  ...debugRegisters.map((index): [string, NamedRegister] => [`dr${index}`, debugRegister(index)]),
  ...segments.map(([name, index]): [string, NamedRegister] => [name, selector(index)]),
  ...segments.map(([name, index]): [string, NamedRegister] => [`${name}_base`, segmentBase(index)]),
]);
