/**
 * The model-specific registers that a core keeps itself, with the checks of WRMSR (Intel SDM vol. 4; AMD APM vol. 2,
 * 3.1). Others go to the bus.
 */
import { Cr0, Efer, Msr } from "../../abi/x86.ts";
import { SegmentIndex } from "./access.ts";
import type { PlainRegister, RegisterFile } from "./registers.ts";

const SYSENTER_CS = 0x174;
const SYSENTER_ESP = 0x175;
const SYSENTER_EIP = 0x176;

type Rule = "any" | "canonical" | "32 bits" | "low 32 bits" | "memory types";
/** Registers that only store what is written, and the allowed values. */
const plain: ReadonlyMap<number, { readonly name: PlainRegister; readonly rule: Rule }> = new Map([
  [SYSENTER_CS, { name: "sysenter_cs", rule: "low 32 bits" }],
  [SYSENTER_ESP, { name: "sysenter_esp", rule: "canonical" }],
  [SYSENTER_EIP, { name: "sysenter_eip", rule: "canonical" }],
  [Msr.PAT, { name: "pat", rule: "memory types" }],
  [Msr.STAR, { name: "star", rule: "any" }],
  [Msr.LSTAR, { name: "lstar", rule: "canonical" }],
  [Msr.CSTAR, { name: "cstar", rule: "canonical" }],
  [Msr.FMASK, { name: "fmask", rule: "32 bits" }],
  [Msr.KERNEL_GS_BASE, { name: "kernel_gs_base", rule: "canonical" }],
  [Msr.TSC_AUX, { name: "tsc_aux", rule: "32 bits" }],
]);

const isCanonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

/** undefined: the core does not keep this register. */
export function readOwnMsr(cpu: RegisterFile, index: number): bigint | undefined {
  const register = plain.get(index);
  if (register) return cpu.plain(register.name);
  switch (index) {
    case Msr.TSC:
      return cpu.timestamp;
    case Msr.EFER:
      return BigInt(cpu.efer);
    case Msr.FS_BASE:
      return cpu.segment(SegmentIndex.FS).base;
    case Msr.GS_BASE:
      return cpu.segment(SegmentIndex.GS).base;
  }
  return undefined;
}

/** False: the value is not allowed (#GP). undefined: the core does not keep the register. */
export function writeOwnMsr(cpu: RegisterFile, index: number, value: bigint): boolean | undefined {
  const register = plain.get(index);
  if (register) {
    if (!isAllowed(register.rule, value)) return false;
    cpu.setPlain(register.name, register.rule === "low 32 bits" ? value & 0xffff_ffffn : value);
    return true;
  }
  switch (index) {
    case Msr.TSC:
      cpu.timestamp = value;
      return true;
    case Msr.EFER:
      return writeEfer(cpu, value);
    case Msr.FS_BASE:
    case Msr.GS_BASE: {
      if (!isCanonical(value)) return false;
      const segment = index === Msr.FS_BASE ? SegmentIndex.FS : SegmentIndex.GS;
      cpu.setHiddenPart(segment, { ...cpu.segment(segment), base: value });
      return true;
    }
  }
  return undefined;
}

function isAllowed(rule: Rule, value: bigint): boolean {
  switch (rule) {
    case "canonical":
      return isCanonical(value);
    case "32 bits":
      return value >> 32n === 0n;
    case "memory types":
      return areMemoryTypes(value);
    default:
      return true;
  }
}

/** LMA is read-only; LME cannot change while paging is on. */
function writeEfer(cpu: RegisterFile, value: bigint): boolean {
  if (value & ~BigInt(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE)) return false;
  const previous = cpu.efer;
  const next = (Number(value) & ~Efer.LMA) | (previous & Efer.LMA);
  if ((previous ^ next) & Efer.LME && cpu.cr0 & Cr0.PG) return false;
  cpu.setPlain("efer", BigInt(next));
  if (cpu.mmu.flushForEfer(previous, next)) cpu.dropHostTlb();
  return true;
}

/** Eight entries of one byte each: 0, 1, 4 to 7. */
function areMemoryTypes(pat: bigint): boolean {
  for (let entry = 0n; entry < 8n; entry++) {
    const type = Number((pat >> (entry * 8n)) & 0xffn);
    if (type > 7 || type === 2 || type === 3) return false;
  }
  return true;
}
