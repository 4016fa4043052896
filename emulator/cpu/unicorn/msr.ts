/**
 * The model-specific registers that the engine keeps itself, with the checks of WRMSR (Intel SDM vol. 4; AMD APM vol.
 * 2, 3.1). Others go to the bus.
 */
import { Cr0, Efer, Msr } from "../../abi/x86.ts";
import { SegmentIndex } from "../x86/access.ts";
import { Env } from "./environment.ts";
import type { Processor } from "./processor.ts";

const SYSENTER_CS = 0x174;
const SYSENTER_ESP = 0x175;
const SYSENTER_EIP = 0x176;

/** Registers that are one field of Unicorn's state: offset, and what a value must be. */
const inEnvironment: ReadonlyMap<number, { readonly offset: number; readonly rule: "any" | "canonical" | "32 bits" }> =
  new Map([
    [SYSENTER_ESP, { offset: Env.SYSENTER_ESP, rule: "canonical" }],
    [SYSENTER_EIP, { offset: Env.SYSENTER_EIP, rule: "canonical" }],
    [Msr.STAR, { offset: Env.STAR, rule: "any" }],
    [Msr.LSTAR, { offset: Env.LSTAR, rule: "canonical" }],
    [Msr.CSTAR, { offset: Env.CSTAR, rule: "canonical" }],
    [Msr.FMASK, { offset: Env.FMASK, rule: "32 bits" }],
    [Msr.KERNEL_GS_BASE, { offset: Env.KERNEL_GS_BASE, rule: "canonical" }],
    [Msr.TSC_AUX, { offset: Env.TSC_AUX, rule: "32 bits" }],
  ]);

const canonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

/** undefined: the engine does not keep it. */
export function readOwnMsr(cpu: Processor, index: number): bigint | undefined {
  const field = inEnvironment.get(index);
  if (field) return cpu.env.u64(field.offset);
  switch (index) {
    case Msr.TSC:
      return cpu.timestamp;
    case Msr.EFER:
      return BigInt(cpu.efer);
    case Msr.PAT:
      return cpu.pat;
    case Msr.FS_BASE:
      return cpu.segment(SegmentIndex.FS).base;
    case Msr.GS_BASE:
      return cpu.segment(SegmentIndex.GS).base;
    case SYSENTER_CS:
      return BigInt(cpu.env.u32(Env.SYSENTER_CS));
  }
  return undefined;
}

/** False: the value is not allowed (#GP). undefined: the engine does not keep the register. */
export function writeOwnMsr(cpu: Processor, index: number, value: bigint): boolean | undefined {
  const field = inEnvironment.get(index);
  if (field) {
    if (field.rule === "canonical" && !canonical(value)) return false;
    if (field.rule === "32 bits" && value >> 32n) return false;
    cpu.env.setU64(field.offset, value);
    return true;
  }
  switch (index) {
    case Msr.TSC:
      cpu.tscOffset = BigInt.asIntN(64, cpu.tscOffset + value - cpu.timestamp);
      return true;
    case Msr.EFER:
      return writeEfer(cpu, value);
    case Msr.PAT:
      return writePat(cpu, value);
    case Msr.FS_BASE:
    case Msr.GS_BASE: {
      if (!canonical(value)) return false;
      const segment = index === Msr.FS_BASE ? SegmentIndex.FS : SegmentIndex.GS;
      cpu.env.writeSegment(segment, { ...cpu.segment(segment), base: value });
      return true;
    }
    case SYSENTER_CS:
      cpu.env.setU32(Env.SYSENTER_CS, Number(value & 0xffff_ffffn));
      return true;
  }
  return undefined;
}

/** LMA is read-only, LME cannot change while paging is on. */
function writeEfer(cpu: Processor, value: bigint): boolean {
  if (value & ~BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE)) return false;
  const previous = cpu.efer;
  const next = (Number(value) & ~Efer.LMA) | (previous & Efer.LMA);
  if ((previous ^ next) & Efer.LME && cpu.cr0 & Cr0.PG) return false;
  cpu.env.setU64(Env.EFER, BigInt(next));
  cpu.eferChanged(previous, next);
  return true;
}

/** Eight memory types of a byte each: 0, 1, 4 to 7. */
function writePat(cpu: Processor, value: bigint): boolean {
  for (let entry = 0n; entry < 8n; entry++) {
    const type = Number((value >> (entry * 8n)) & 0xffn);
    if (type > 7 || type === 2 || type === 3) return false;
  }
  cpu.pat = value;
  return true;
}
