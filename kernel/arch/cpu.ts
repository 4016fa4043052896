/** Processor instructions that the language cannot express: ports, MSRs, control registers, flags, time stamp, halt. */
import { Msr, Rflags } from "../abi/x86.ts";

export function portWrite8(port: u16, value: u8): void {
  asm({ in: { rdx: port, rax: value } })`out dx, al`;
}
export function portWrite16(port: u16, value: u16): void {
  asm({ in: { rdx: port, rax: value } })`out dx, ax`;
}
export function portRead8(port: u16): u8 {
  return asm<u8>({ in: { rdx: port }, out: "rax" })`in al, dx`;
}

export function readMsr(msr: u32): u64 {
  return asm<u64>({ in: { rcx: msr }, out: "rax", clobber: ["rdx"] })`
    rdmsr
    shl rdx, 32
    or rax, rdx
  `;
}
export function writeMsr(msr: u32, value: u64): void {
  asm({ in: { rcx: msr, rax: value, rdx: value >> 32 }, clobber: ["memory"] })`wrmsr`;
}

/** EBX of leaf 7, with ECX in the upper half; 0 if the processor has no such leaf. */
export function cpuidFeatures7(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rbx", "rcx", "rdx"] })`
    xor eax, eax
    cpuid
    cmp eax, 7
    mov eax, 0
    jb 1f
    mov eax, 7
    xor ecx, ecx
    cpuid
    mov eax, ebx
    shl rcx, 32
    or rax, rcx
  1:
  `;
}

export function readCr0(): u64 {
  return asm<u64>`mov ${ret}, cr0`;
}
export function writeCr0(value: u64): void {
  asm({ clobber: ["memory"] })`mov cr0, ${value}`;
}
export function readCr2(): u64 {
  return asm<u64>`mov ${ret}, cr2`;
}
export function readDr6(): u64 {
  return asm<u64>`mov ${ret}, dr6`;
}
export function writeDr6(value: u64): void {
  asm`mov dr6, ${value}`;
}
export function readCr3(): u64 {
  return asm<u64>`mov ${ret}, cr3`;
}
/** Switches the address space and flushes all TLB entries except global ones. */
export function writeCr3(value: u64): void {
  asm({ clobber: ["memory"] })`mov cr3, ${value}`;
}
export function readCr4(): u64 {
  return asm<u64>`mov ${ret}, cr4`;
}
export function writeCr4(value: u64): void {
  asm({ clobber: ["memory"] })`mov cr4, ${value}`;
}
export function invalidatePage(address: u64): void {
  asm({ clobber: ["memory"] })`invlpg [${address}]`;
}

/** Ticks of 1 ns: on our machine virtual time, and on QEMU with -icount shift=0. */
export function readTsc(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rdx"] })`
    rdtsc
    shl rdx, 32
    or rax, rdx
  `;
}

export function pause(): void {
  asm`pause`;
}
/** Disables interrupts; returns the flags for `restoreInterrupts`. */
export function disableInterrupts(): u64 {
  return asm<u64>({ clobber: ["memory"] })`
    pushfq
    pop ${ret}
    cli
  `;
}
export function restoreInterrupts(flags: u64): void {
  if ((flags & Rflags.IF) !== 0) asm({ clobber: ["memory"] })`sti`;
}
/**
 * Enables interrupts and halts, with no gap between the two: an interrupt that is already pending wakes the core.
 * Interrupts are off again on return.
 */
export function waitForInterrupt(): void {
  asm({ clobber: ["memory"] })`
    sti
    hlt
    cli
  `;
}
/** Stops this core for good: only an NMI or INIT gets through. */
export function haltForever(): never {
  for (;;) asm`cli; hlt`;
}

export function setFsBase(address: u64): void {
  writeMsr(Msr.FS_BASE, address);
}
/** Sets the program's GS base: while the kernel runs, swapgs has put it into KERNEL_GS_BASE. */
export function setUserGsBase(address: u64): void {
  writeMsr(Msr.KERNEL_GS_BASE, address);
}
