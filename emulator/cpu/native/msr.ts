/**
 * The model-specific registers that the engine keeps itself, with the checks of WRMSR (Intel SDM vol. 4; AMD APM vol.
 * 2, 3.1). Others go to the bus.
 */
import { Cr0, Efer, Msr } from "../../abi/x86.ts";
import { SegmentIndex } from "../x86/access.ts";
import type { Machine } from "./interpret/operands.ts";

const SYSENTER_CS = 0x174;
const canonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

/** undefined: the engine does not keep it. */
export function readOwnMsr(cpu: Machine, index: number): bigint | undefined {
  switch (index) {
    case Msr.TSC:
      return cpu.timestamp;
    case Msr.EFER:
      return BigInt(cpu.efer);
    case Msr.PAT:
      return cpu.pat;
    case Msr.STAR:
      return cpu.star;
    case Msr.LSTAR:
      return cpu.lstar;
    case Msr.CSTAR:
      return cpu.cstar;
    case Msr.FMASK:
      return cpu.fmask;
    case Msr.KERNEL_GS_BASE:
      return cpu.kernelGsBase;
    case Msr.TSC_AUX:
      return cpu.tscAux;
    case Msr.FS_BASE:
      return cpu.segment(SegmentIndex.FS).base;
    case Msr.GS_BASE:
      return cpu.segment(SegmentIndex.GS).base;
    case SYSENTER_CS:
    case SYSENTER_CS + 1:
    case SYSENTER_CS + 2:
      return cpu.sysenter[index - SYSENTER_CS];
  }
  return undefined;
}

/** False: the value is not allowed (#GP). undefined: the engine does not keep the register. */
export function writeOwnMsr(cpu: Machine, index: number, value: bigint): boolean | undefined {
  const isAddress = [
    Msr.LSTAR,
    Msr.CSTAR,
    Msr.KERNEL_GS_BASE,
    Msr.FS_BASE,
    Msr.GS_BASE,
    SYSENTER_CS + 1,
    SYSENTER_CS + 2,
  ].includes(index as never);
  if (isAddress && !canonical(value)) return false;
  if ((index === Msr.FMASK || index === Msr.TSC_AUX) && value >> 32n) return false;
  switch (index) {
    case Msr.TSC:
      cpu.timestamp = value;
      return true;
    case Msr.EFER:
      return writeEfer(cpu, value);
    case Msr.PAT:
      return writePat(cpu, value);
    case Msr.STAR:
      cpu.star = value;
      return true;
    case Msr.LSTAR:
      cpu.lstar = value;
      return true;
    case Msr.CSTAR:
      cpu.cstar = value;
      return true;
    case Msr.FMASK:
      cpu.fmask = value;
      return true;
    case Msr.KERNEL_GS_BASE:
      cpu.kernelGsBase = value;
      return true;
    case Msr.TSC_AUX:
      cpu.tscAux = value;
      return true;
    case Msr.FS_BASE:
    case Msr.GS_BASE: {
      const segment = index === Msr.FS_BASE ? SegmentIndex.FS : SegmentIndex.GS;
      cpu.setHiddenPart(segment, { ...cpu.segment(segment), base: value });
      return true;
    }
    case SYSENTER_CS:
    case SYSENTER_CS + 1:
    case SYSENTER_CS + 2:
      cpu.sysenter[index - SYSENTER_CS] = index === SYSENTER_CS ? value & 0xffff_ffffn : value;
      return true;
  }
  return undefined;
}

/** LMA is read-only, LME cannot change while paging is on. */
function writeEfer(cpu: Machine, value: bigint): boolean {
  if (value & ~BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE)) return false;
  const previous = cpu.efer;
  const next = (Number(value) & ~Efer.LMA) | (previous & Efer.LMA);
  if ((previous ^ next) & Efer.LME && cpu.cr0 & Cr0.PG) return false;
  cpu.efer = next;
  if (cpu.mmu.flushForEfer(previous, next)) cpu.dropHostTlb();
  return true;
}

/** Eight memory types of a byte each: 0, 1, 4 to 7. */
function writePat(cpu: Machine, value: bigint): boolean {
  for (let entry = 0n; entry < 8n; entry++) {
    const type = Number((value >> (entry * 8n)) & 0xffn);
    if (type > 7 || type === 2 || type === 3) return false;
  }
  cpu.pat = value;
  return true;
}
