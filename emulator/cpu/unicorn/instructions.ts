/**
 * Instructions that Unicorn leaves to us, or that we take from it (hooks.ts): CPUID, SYSCALL, RDTSC, MSRs, control registers, ports.
 * An exception is raised on the core and changes nothing else.
 */
import { Cr0, Exception } from "../../abi/x86.ts";
import { Fault } from "../x86/access.ts";
import { checkPort } from "../x86/ports.ts";
import { performSyscall } from "../x86/syscall.ts";
import { allowControlWrite, DEBUG_EXTENSIONS, TIMESTAMP_DISABLE } from "./control.ts";
import type { UnicornCore } from "./core.ts";
import { opcodeLength } from "./decode.ts";
import { Env } from "./environment.ts";
import { readOwnMsr, writeOwnMsr } from "./msr.ts";

/** Bits that always read as 1. */
const DR6_ONES = 0xffff_0ff0n;
const DR7_ONES = 0x400n;

export function cpuid(core: UnicornCore): void {
  const { env } = core;
  const [eax, ebx, ecx, edx] = core.node.bus.cpuid(core, env.gpr32(0), env.gpr32(1));
  env.setGpr32(0, eax);
  env.setGpr32(3, ebx);
  env.setGpr32(1, ecx);
  env.setGpr32(2, edx);
}

/** Unicorn adds the instruction's length to RIP when the hook returns. */
export function syscall(core: UnicornCore): void {
  const rip = core.rip;
  const length = BigInt(opcodeLength(core, rip, 0x05));
  core.rip = rip + length;
  try {
    performSyscall(core, core);
  } catch (fault) {
    core.rip = rip;
    if (!(fault instanceof Fault)) throw fault;
    core.raise(fault.vector, fault.errorCode);
    return;
  }
  core.rip = core.rip - length;
}

export function readTimestamp(core: UnicornCore, withProcessor: boolean): void {
  const { env } = core;
  if (env.u32(Env.CR4) & TIMESTAMP_DISABLE && env.cpl !== 0 && core.cr0 & Cr0.PE) return core.raise(Exception.GP, 0);
  const value = core.timestamp;
  env.setGpr32(0, Number(value & 0xffff_ffffn));
  env.setGpr32(2, Number(value >> 32n));
  if (withProcessor) env.setGpr32(1, env.u32(Env.TSC_AUX));
}

export function rdmsr(core: UnicornCore): void {
  const index = core.env.gpr32(1);
  const value = readOwnMsr(core, index) ?? core.node.bus.readMsr(core, index);
  if (value === undefined) return core.raise(Exception.GP, 0);
  core.env.setGpr32(0, Number(value & 0xffff_ffffn));
  core.env.setGpr32(2, Number((value >> 32n) & 0xffff_ffffn));
}

export function wrmsr(core: UnicornCore): void {
  const index = core.env.gpr32(1);
  const value = (BigInt(core.env.gpr32(2)) << 32n) | BigInt(core.env.gpr32(0));
  if (!(writeOwnMsr(core, index, value) ?? core.node.bus.writeMsr(core, index, value))) core.raise(Exception.GP, 0);
}

/** MOV to a control register. True: Unicorn is to write it. */
export function beforeControlWrite(core: UnicornCore, index: number, value: bigint): boolean {
  if (index === 8 && !(value >> 4n)) {
    core.node.bus.writeTaskPriority(core, Number(value));
    return false;
  }
  if (allowControlWrite(core, index, value)) return true;
  core.raise(Exception.GP, 0);
  return false;
}

export function readControl(core: UnicornCore, index: number): number | bigint {
  if (index === 8) return core.node.bus.readTaskPriority(core) & 15;
  return core.env.u64(Env.CR0 + 8 * index);
}

/**
 * MOV to a debug register (SDM vol. 3, 18.2). It is kept and breaks nowhere: Unicorn's own would drop all translated code, that which
 * is running too.
 */
export function writeDebug(core: UnicornCore, index: number, value: bigint): void {
  if ((index & ~1) === 4) {
    if (core.cr4 & DEBUG_EXTENSIONS) return core.raise(Exception.UD, 0);
    index += 2;
  }
  const ones = index === 6 ? DR6_ONES : index === 7 ? DR7_ONES : 0n;
  core.env.setDebugRegister(index, value | ones);
}

/** Unicorn lets everybody use the ports. False: closed to the program, and the instruction faults. */
function portOpen(core: UnicornCore, port: number, size: number): boolean {
  if (core.env.cpl === 0) return true;
  try {
    checkPort(core, port, size);
    return true;
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    core.raise(fault.vector, fault.errorCode, fault.address);
    return false;
  }
}

export function readPort(core: UnicornCore, port: number, size: number): number {
  return portOpen(core, port, size) ? core.node.bus.readPort(core, port, size) >>> 0 : 0;
}

export function writePort(core: UnicornCore, port: number, size: number, value: number): void {
  if (!portOpen(core, port, size)) return;
  core.node.bus.writePort(core, port, size, size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff));
}
