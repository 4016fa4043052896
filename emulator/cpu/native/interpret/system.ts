/** System instructions (Intel SDM vol. 2; AMD APM vol. 3). Their effects on TLB and modes are in cpu/x86. */
import { Cr0, Cr4, Efer, Exception, Rflags } from "../../../abi/x86.ts";
import { Fault, SegmentIndex } from "../../x86/access.ts";
import { allowControlWrite, TIMESTAMP_DISABLE } from "../../x86/control.ts";
import { checkPort } from "../../x86/ports.ts";
import {
  farCall,
  farJump,
  farReturn,
  interruptReturn,
  loadAccessRights,
  loadSegment,
  loadSegmentLimit,
  loadSystemSegment,
  performSysret,
  verifySegment,
} from "../../x86/segments.ts";
import { performSyscall } from "../../x86/syscall.ts";
import type { Instruction } from "../decode.ts";
import { Env } from "../environment.ts";
import { readOwnMsr, writeOwnMsr } from "../../x86/msr.ts";
import { Flag } from "../table.ts";
import { type Interpreter, type Machine, memoryAddress, readRm, writeRm } from "./operands.ts";

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const canonical = (value: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, value)) === value;

const protectedMode = (cpu: Machine): boolean => (cpu.cr0 & Cr0.PE) !== 0;
function privileged(cpu: Machine): void {
  if (cpu.cpl !== 0) throw new Fault(Exception.GP, 0);
}
function undefinedUnless(condition: boolean): void {
  if (!condition) throw new Fault(Exception.UD, 0);
}
const setZero = (cpu: Machine, zero: boolean): void => {
  cpu.statusFlags = (cpu.statusFlags & ~Flag.z) | (zero ? Flag.z : 0);
};

/** Writes CR0, CR3 or CR4 after the checks, with all consequences. */
export function writeControl(cpu: Machine, index: number, value: bigint): void {
  if (index === 8) {
    if (value >> 4n) throw new Fault(Exception.GP, 0);
    cpu.taskPriority = Number(value);
    return;
  }
  if (!allowControlWrite(cpu, index, value)) throw new Fault(Exception.GP, 0);
  if (index === 0) {
    cpu.cr0 = (Number(value) | Cr0.ET) >>> 0;
    const long = (cpu.efer & Efer.LME) !== 0 && (cpu.cr0 & Cr0.PG) !== 0;
    cpu.efer = long ? cpu.efer | Efer.LMA : cpu.efer & ~Efer.LMA;
  } else if (index === 2) {
    cpu.cr2 = value;
    return;
  } else if (index === 3) {
    cpu.cr3 = Number(value);
  } else {
    cpu.cr4 = Number(value);
  }
  cpu.updateMode();
  cpu.dropHostTlb();
}

const control: Interpreter = (cpu, insn) => {
  privileged(cpu);
  const bytes = cpu.is64Bit ? 8 : 4;
  const { reg, rm } = insn;
  const toRegister = insn.opcode < 0x122;
  if (insn.opcode & 1) {
    undefinedUnless(reg < 8);
    if (toRegister) cpu.writeGpr(rm, bytes, cpu.debug.read(cpu, reg));
    else cpu.debug.write(cpu, reg, cpu.readGpr(rm, bytes));
    return;
  }
  undefinedUnless(reg === 0 || reg === 2 || reg === 3 || reg === 4 || reg === 8);
  if (!toRegister) return writeControl(cpu, reg, cpu.readGpr(rm, bytes));
  const value =
    reg === 0
      ? BigInt(cpu.cr0)
      : reg === 2
        ? cpu.cr2
        : reg === 3
          ? BigInt(cpu.cr3)
          : reg === 4
            ? BigInt(cpu.cr4)
            : BigInt(cpu.taskPriority & 15);
  cpu.writeGpr(rm, bytes, value);
};

const storeSelector = (cpu: Machine, insn: Instruction, selector: number): void =>
  writeRm(cpu, insn, insn.hasMemory ? 2 : insn.operandBytes, BigInt(selector));

function storeTable(cpu: Machine, insn: Instruction, table: { base: bigint; limit: number }): void {
  const bytes = cpu.is64Bit ? 8 : 4;
  const address = memoryAddress(cpu, insn, 2 + bytes, true);
  const image = new Uint8Array(2 + bytes);
  const view = new DataView(image.buffer);
  view.setUint16(0, table.limit, true);
  if (bytes === 8) view.setBigUint64(2, table.base, true);
  else view.setUint32(2, Number(table.base & 0xffff_ffffn), true);
  cpu.writeBytes(address, image, cpu.privilege);
}
function loadTable(cpu: Machine, insn: Instruction): { base: bigint; limit: number } {
  privileged(cpu);
  const bytes = cpu.is64Bit ? 8 : 4;
  const image = new Uint8Array(2 + bytes);
  cpu.readBytes(memoryAddress(cpu, insn, 2 + bytes, false), image, cpu.privilege);
  const view = new DataView(image.buffer);
  let base = bytes === 8 ? view.getBigUint64(2, true) : BigInt(view.getUint32(2, true));
  if (bytes === 4 && insn.operandBytes === 2) base &= 0xff_ffffn;
  if (!canonical(base)) throw new Fault(Exception.GP, 0);
  return { base, limit: view.getUint16(0, true) };
}

const systemByName: Readonly<Record<string, Interpreter>> = {
  SLDT: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    storeSelector(cpu, insn, cpu.segment(SegmentIndex.LDTR).selector);
  },
  STR: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    storeSelector(cpu, insn, cpu.segment(SegmentIndex.TR).selector);
  },
  LLDT: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    privileged(cpu);
    loadSystemSegment(cpu, SegmentIndex.LDTR, Number(readRm(cpu, insn, 2)));
  },
  LTR: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    privileged(cpu);
    loadSystemSegment(cpu, SegmentIndex.TR, Number(readRm(cpu, insn, 2)));
  },
  VERR: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    setZero(cpu, verifySegment(cpu, Number(readRm(cpu, insn, 2)), false));
  },
  VERW: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    setZero(cpu, verifySegment(cpu, Number(readRm(cpu, insn, 2)), true));
  },
  LAR: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    const rights = loadAccessRights(cpu, Number(readRm(cpu, insn, 2)));
    if (rights !== undefined) cpu.writeGpr(insn.reg, insn.operandBytes, BigInt(rights));
    setZero(cpu, rights !== undefined);
  },
  LSL: (cpu, insn) => {
    undefinedUnless(protectedMode(cpu));
    const limit = loadSegmentLimit(cpu, Number(readRm(cpu, insn, 2)));
    if (limit !== undefined) cpu.writeGpr(insn.reg, insn.operandBytes, BigInt(limit));
    setZero(cpu, limit !== undefined);
  },
  SGDT: (cpu, insn) => storeTable(cpu, insn, cpu.gdtr),
  SIDT: (cpu, insn) => storeTable(cpu, insn, cpu.idtr),
  LGDT: (cpu, insn) => {
    cpu.gdtr = loadTable(cpu, insn);
  },
  LIDT: (cpu, insn) => {
    cpu.idtr = loadTable(cpu, insn);
  },
  SMSW: (cpu, insn) => {
    const bytes = insn.hasMemory ? 2 : insn.operandBytes;
    writeRm(cpu, insn, bytes, BigInt.asUintN(bytes * 8, BigInt(cpu.cr0)));
  },
  LMSW: (cpu, insn) => {
    privileged(cpu);
    const value = Number(readRm(cpu, insn, 2)) & 15;
    // PE can be set but not cleared.
    writeControl(cpu, 0, BigInt(((cpu.cr0 & ~14) | value) >>> 0));
  },
  INVLPG: (cpu, insn) => {
    privileged(cpu);
    const address = memoryAddress(cpu, insn, 1, false);
    cpu.invalidatePage(address);
  },
  CLAC: (cpu) => {
    undefinedUnless(cpu.cpl === 0 && (cpu.cr4 & Cr4.SMAP) !== 0);
    cpu.rflags &= ~BigInt(Rflags.AC);
  },
  STAC: (cpu) => {
    undefinedUnless(cpu.cpl === 0 && (cpu.cr4 & Cr4.SMAP) !== 0);
    cpu.rflags |= BigInt(Rflags.AC);
  },
  CLTS: (cpu) => {
    privileged(cpu);
    cpu.cr0 = (cpu.cr0 & ~Cr0.TS) >>> 0;
    cpu.updateMode();
  },
  INVD: privileged,
  WBINVD: privileged,
  WRMSR: (cpu) => {
    privileged(cpu);
    const index = cpu.env.gpr32(RCX);
    const value = (BigInt(cpu.env.gpr32(RDX)) << 32n) | BigInt(cpu.env.gpr32(RAX));
    if (!(writeOwnMsr(cpu, index, value) ?? cpu.node.bus.writeMsr(cpu.core, index, value)))
      throw new Fault(Exception.GP, 0);
  },
  RDMSR: (cpu) => {
    privileged(cpu);
    const index = cpu.env.gpr32(RCX);
    const value = readOwnMsr(cpu, index) ?? cpu.node.bus.readMsr(cpu.core, index);
    if (value === undefined) throw new Fault(Exception.GP, 0);
    cpu.env.setGpr32(RAX, Number(value & 0xffff_ffffn));
    cpu.env.setGpr32(RDX, Number((value >> 32n) & 0xffff_ffffn));
  },
  CPUID: (cpu) => {
    const [eax, ebx, ecx, edx] = cpu.node.bus.cpuid(cpu.core, cpu.env.gpr32(RAX), cpu.env.gpr32(RCX));
    cpu.env.setGpr32(RAX, eax);
    cpu.env.setGpr32(RBX, ebx);
    cpu.env.setGpr32(RCX, ecx);
    cpu.env.setGpr32(RDX, edx);
  },
};

/** UMIP hides the addresses of the kernel's tables from programs. */
const underUmip = new Set(["SGDT", "SIDT", "SLDT", "STR", "SMSW"]);

const system: Interpreter = (cpu, insn) => {
  if (cpu.cpl !== 0 && cpu.cr4 & Cr4.UMIP && underUmip.has(insn.name)) throw new Fault(Exception.GP, 0);
  systemByName[insn.name](cpu, insn);
};

const rdtsc: Interpreter = (cpu, insn) => {
  if (cpu.cr4 & TIMESTAMP_DISABLE && cpu.cpl !== 0 && protectedMode(cpu)) throw new Fault(Exception.GP, 0);
  const value = cpu.timestamp;
  cpu.env.setGpr32(RAX, Number(value & 0xffff_ffffn));
  cpu.env.setGpr32(RDX, Number(value >> 32n));
  if (insn.name === "RDTSCP") cpu.env.setGpr32(RCX, Number(cpu.tscAux & 0xffff_ffffn));
};

const cli: Interpreter = (cpu) => {
  checkInterruptFlag(cpu);
  cpu.env.setU32(Env.SYSTEM_FLAGS, cpu.env.u32(Env.SYSTEM_FLAGS) & ~Rflags.IF);
};
const sti: Interpreter = (cpu) => {
  checkInterruptFlag(cpu);
  cpu.env.setU32(Env.SYSTEM_FLAGS, cpu.env.u32(Env.SYSTEM_FLAGS) | Rflags.IF);
  cpu.interruptShadow = true;
};
function checkInterruptFlag(cpu: Machine): void {
  const iopl = (cpu.env.u32(Env.SYSTEM_FLAGS) & Rflags.IOPL) >>> 12;
  if (protectedMode(cpu) && cpu.cpl > iopl) throw new Fault(Exception.GP, 0);
}

const hlt: Interpreter = (cpu) => {
  privileged(cpu);
  cpu.halt();
};

const swapgs: Interpreter = (cpu) => {
  privileged(cpu);
  const gs = cpu.segment(SegmentIndex.GS);
  const { kernelGsBase } = cpu;
  cpu.kernelGsBase = gs.base;
  cpu.setHiddenPart(SegmentIndex.GS, { ...gs, base: kernelGsBase });
};

const fsgsbase: Interpreter = (cpu, insn) => {
  undefinedUnless((cpu.cr4 & Cr4.FSGSBASE) !== 0);
  const segment = insn.extension & 1 ? SegmentIndex.GS : SegmentIndex.FS;
  const bytes = insn.rex & 8 ? 8 : 4; // 66 has no effect
  if (insn.extension < 2) {
    cpu.writeGpr(insn.rm, bytes, BigInt.asUintN(bytes * 8, cpu.segment(segment).base));
    return;
  }
  const base = cpu.readGpr(insn.rm, bytes);
  if (!canonical(base)) throw new Fault(Exception.GP, 0);
  cpu.setHiddenPart(segment, { ...cpu.segment(segment), base });
};

const movtoseg: Interpreter = (cpu, insn) => {
  undefinedUnless(insn.extension < 6 && insn.extension !== 1);
  loadSegment(cpu, insn.extension as SegmentIndex, Number(readRm(cpu, insn, 2)));
  if (insn.extension === SegmentIndex.SS) cpu.interruptShadow = true;
};
const movfromseg: Interpreter = (cpu, insn) => {
  undefinedUnless(insn.extension < 6);
  storeSelector(cpu, insn, cpu.segment(insn.extension as SegmentIndex).selector);
};

/**
 * Reads the far pointer from memory. Its offset has at most 32 bits on AMD's processors, also with REX.W (APM vol. 3,
 * JMP far, CALL far, LFS).
 */
function farPointer(cpu: Machine, insn: Instruction): { selector: number; offset: bigint } {
  const bytes = Math.min(insn.operandBytes, 4);
  const image = new Uint8Array(bytes + 2);
  cpu.readBytes(memoryAddress(cpu, insn, bytes + 2, false), image, cpu.privilege);
  const view = new DataView(image.buffer);
  const offset = BigInt(bytes === 4 ? view.getUint32(0, true) : view.getUint16(0, true));
  return { selector: view.getUint16(bytes, true), offset };
}

const loadfarSegments: Readonly<Record<string, SegmentIndex>> = { LES: 0, LSS: 2, LDS: 3, LFS: 4, LGS: 5 };
const loadfar: Interpreter = (cpu, insn) => {
  const { selector, offset } = farPointer(cpu, insn);
  const index = loadfarSegments[insn.name];
  loadSegment(cpu, index, selector);
  if (index === SegmentIndex.SS) cpu.interruptShadow = true;
  cpu.writeGpr(insn.reg, insn.operandBytes, offset);
};

/** Instructions that change CS and RIP together. The functions for them expect RIP after the instruction. */
function transfer(cpu: Machine, action: () => void): void {
  const rip = cpu.rip;
  cpu.rip = cpu.nextRip;
  try {
    action();
    cpu.nextRip = cpu.rip;
  } catch (error) {
    cpu.rip = rip;
    throw error;
  }
  cpu.rip = rip;
}

const far: Interpreter = (cpu, insn) => {
  const bytes = insn.operandBytes;
  switch (insn.opcode) {
    case 0xca:
      return transfer(cpu, () => farReturn(cpu, bytes, insn.immediate & 0xffff));
    case 0xcb:
      return transfer(cpu, () => farReturn(cpu, bytes, 0));
    case 0xcf:
      return transfer(cpu, () => {
        cpu.resumes = interruptReturn(cpu, bytes);
        cpu.nmiBlocked = false;
      });
  }
  const isDirect = insn.opcode !== 0xff;
  const { selector, offset } = isDirect
    ? { selector: insn.immediate2, offset: BigInt.asUintN(bytes * 8, BigInt(insn.immediate)) }
    : farPointer(cpu, insn);
  const isCall = isDirect ? insn.opcode === 0x9a : insn.extension === 3;
  transfer(cpu, () => (isCall ? farCall(cpu, selector, offset, bytes) : farJump(cpu, selector, offset)));
};

const syscall: Interpreter = (cpu) => transfer(cpu, () => performSyscall(cpu, cpu));
const sysret: Interpreter = (cpu, insn) => transfer(cpu, () => performSysret(cpu, cpu.star, (insn.rex & 8) !== 0));

const int: Interpreter = (cpu, insn) => {
  switch (insn.opcode) {
    case 0xcc:
      return cpu.interrupt(Exception.BP, "software");
    case 0xce:
      if (cpu.statusFlags & Rflags.OF) cpu.interrupt(Exception.OF, "software");
      return;
    case 0xf1:
      return cpu.interrupt(Exception.DB, "exception");
  }
  cpu.interrupt(insn.immediate & 0xff, "software");
};

const ud: Interpreter = () => {
  throw new Fault(Exception.UD, 0);
};

const port: Interpreter = (cpu, insn) => {
  const { opcode } = insn;
  const bytes = opcode & 1 ? Math.min(insn.operandBytes, 4) : 1;
  const number = opcode >= 0xec ? Number(cpu.gpr(RDX) & 0xffffn) : insn.immediate & 0xff;
  checkPort(cpu, number, bytes);
  if (opcode & 2) cpu.outPort(number, bytes, Number(cpu.readGpr(RAX, bytes)));
  else cpu.writeGpr(RAX, bytes, BigInt(cpu.inPort(number, bytes)));
};

export const systemInterpreters: Readonly<Record<string, Interpreter>> = {
  system,
  control,
  rdtsc,
  cli,
  sti,
  hlt,
  swapgs,
  fsgsbase,
  movtoseg,
  movfromseg,
  loadfar,
  far,
  syscall,
  sysret,
  int,
  ud,
  port,
};
