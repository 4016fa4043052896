/**
 * Instructions that Unicorn leaves to us, or that we intercept (hooks.ts): CPUID, SYSCALL, RDTSC, MSRs, control
 * registers, ports. An exception is raised on the core, and the instruction changes nothing else.
 */
import { Cr0, Cr4, Exception } from "../../abi/x86.ts";
import { Fault } from "../x86/access.ts";
import { checkPort } from "../x86/ports.ts";
import { performSyscall } from "../x86/syscall.ts";
import { allowControlWrite, TIMESTAMP_DISABLE } from "../x86/control.ts";
import { readOwnMsr, writeOwnMsr } from "../x86/msr.ts";
import { opcodeLength } from "./decode.ts";
import { Env, Hflag } from "./environment.ts";
import type { Processor } from "./processor.ts";

export function cpuid(cpu: Processor): void {
  const { env } = cpu;
  const [eax, ebx, ecx, edx] = cpu.node.bus.cpuid(cpu.core, env.gpr32(0), env.gpr32(1));
  env.setGpr32(0, eax);
  env.setGpr32(3, ebx);
  env.setGpr32(1, ecx);
  env.setGpr32(2, edx);
}

/** Unicorn adds the instruction's length to RIP when the hook returns. */
export function syscall(cpu: Processor): void {
  const rip = cpu.rip;
  const length = BigInt(opcodeLength(cpu, rip, 0x05));
  cpu.rip = rip + length;
  try {
    performSyscall(cpu, cpu);
  } catch (fault) {
    cpu.rip = rip;
    if (!(fault instanceof Fault)) throw fault;
    cpu.raise(fault.vector, fault.errorCode);
    return;
  }
  cpu.rip = cpu.rip - length;
}

export function readTimestamp(cpu: Processor, withProcessor: boolean): void {
  const { env } = cpu;
  if (env.u32(Env.CR4) & TIMESTAMP_DISABLE && env.cpl !== 0 && cpu.cr0 & Cr0.PE) return cpu.raise(Exception.GP, 0);
  const value = cpu.timestamp;
  env.setGpr32(0, Number(value & 0xffff_ffffn));
  env.setGpr32(2, Number(value >> 32n));
  if (withProcessor) env.setGpr32(1, env.u32(Env.TSC_AUX));
}

export function rdmsr(cpu: Processor): void {
  const index = cpu.env.gpr32(1);
  const value = readOwnMsr(cpu, index) ?? cpu.node.bus.readMsr(cpu.core, index);
  if (value === undefined) return cpu.raise(Exception.GP, 0);
  cpu.env.setGpr32(0, Number(value & 0xffff_ffffn));
  cpu.env.setGpr32(2, Number((value >> 32n) & 0xffff_ffffn));
}

export function wrmsr(cpu: Processor): void {
  const index = cpu.env.gpr32(1);
  const value = (BigInt(cpu.env.gpr32(2)) << 32n) | BigInt(cpu.env.gpr32(0));
  if (!(writeOwnMsr(cpu, index, value) ?? cpu.node.bus.writeMsr(cpu.core, index, value))) cpu.raise(Exception.GP, 0);
}

/** MOV to a control register. True: Unicorn should write it. */
export function beforeControlWrite(cpu: Processor, index: number, value: bigint): boolean {
  if (index === 8 && !(value >> 4n)) {
    cpu.node.bus.writeTaskPriority(cpu.core, Number(value));
    return false;
  }
  if (allowControlWrite(cpu, index, value)) {
    if (index === 0) cpu.setOwnFlag(Hflag.ALIGNMENT, (value & BigInt(Cr0.AM)) !== 0n);
    if (index === 4) cpu.setOwnFlag(Hflag.UMIP, (value & BigInt(Cr4.UMIP)) !== 0n);
    return true;
  }
  cpu.raise(Exception.GP, 0);
  return false;
}

export function readControl(cpu: Processor, index: number): number | bigint {
  if (index === 8) return cpu.node.bus.readTaskPriority(cpu.core) & 15;
  return cpu.env.u64(Env.CR0 + 8 * index);
}

/** MOV to a debug register. Unicorn's own implementation would drop all translated code, including the running code. */
export function writeDebug(cpu: Processor, index: number, value: bigint): void {
  raising(cpu, () => cpu.debug.write(cpu, index, value));
}
export function readDebug(cpu: Processor, index: number): bigint {
  let value = 0n;
  raising(cpu, () => (value = cpu.debug.read(cpu, index)));
  return value;
}

function raising(cpu: Processor, action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    cpu.raise(fault.vector, fault.errorCode, fault.address);
    return false;
  }
}

/**
 * Unicorn does not check the right to use a port. False: the port is closed to the program, and the instruction faults.
 */
function portOpen(cpu: Processor, port: number, size: number): boolean {
  if (cpu.env.cpl !== 0 && !raising(cpu, () => checkPort(cpu, port, size))) return false;
  if (cpu.debug.accessedPort(port, size, cpu.cr4)) cpu.endRun();
  return true;
}

export function readPort(cpu: Processor, port: number, size: number): number {
  return portOpen(cpu, port, size) ? cpu.node.bus.readPort(cpu.core, port, size) >>> 0 : 0;
}

export function writePort(cpu: Processor, port: number, size: number, value: number): void {
  if (!portOpen(cpu, port, size)) return;
  cpu.node.bus.writePort(cpu.core, port, size, size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff));
}
