/**
 * SYSCALL, SYSRET, SWAPGS and the base registers. AMD APM vol. 3 (SYSCALL, SYSRET, SWAPGS) and Intel SDM vol. 2; where
 * the two makers differ (SYSCALL from compatibility mode, SYSRET to an address that is not canonical) CPUID says
 * AuthenticAMD.
 */
import { Cr4, Efer, Msr } from "../../../../kernel/abi/x86.ts";
import { expect } from "./console.ts";
import { Sel } from "./descriptors.ts";
import { attempt, check, checkBytes, event, give, giveFlags, rawCode, report, start } from "./trap.ts";

function writeMsr(msr: u64, to: u64): void {
  asm({ clobber: ["memory"], in: { rcx: msr, rax: to, rdx: to >> 32 } })`wrmsr`;
}
function readMsr(msr: u64): u64 {
  return asm<u64>({ in: { rcx: msr }, out: "rax", clobber: ["rdx"] })`rdmsr; shl rdx, 32; or rax, rdx`;
}

/** Target of SYSCALL: ring 0 on the caller's stack. */
function entry64(): void {
  attr({ naked: true });
  asm`mov ebx, 64; int 0x80`;
}
function entryCompat(): void {
  attr({ naked: true });
  asm`mov ebx, 32; int 0x80`;
}
function call(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; lea r12, [rip + 2f];  1: syscall;  2: int 0x80`;
}
function callStepping(): void {
  attr({ naked: true });
  asm`lea r12, [rip + 2f]; pushfq; or dword ptr [rsp], 0x100; popfq; syscall;  2: int 0x80`;
}
/** Returns to ring 3 at RCX, with RFLAGS R11 = RAX. */
function back64(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r11, rax; mov r14, rcx;  1: sysretq; int 0x80`;
}
function back32(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r11, rax;  1: sysret; int 0x80`;
}
function done(): void {
  attr({ naked: true });
  asm`int 0x80`;
}

function landing(): u64 {
  return cast<u64>(done) + 0x4000_0000;
}

function calls(): void {
  writeMsr(Msr.STAR, 0x0020_0008_0000_0000);
  writeMsr(Msr.LSTAR, cast<u64>(entry64));
  writeMsr(Msr.CSTAR, cast<u64>(entryCompat));
  writeMsr(Msr.FMASK, 0);
  giveFlags(0x202);
  check(cstr("cpl3 syscall"), 3, call);
  expect(cstr("  arrives at lstar"), event.rbx, 64);
  expect(cstr("  rcx"), event.rcx, event.r12);
  expect(cstr("  r11"), event.r11, 0x202);
  expect(cstr("  cs"), event.cs, Sel.CODE0);
  expect(cstr("  ss"), event.ss, Sel.DATA0);
  expect(cstr("  rflags"), event.rflags, 0x202);
  expect(cstr("  rsp stays"), event.rsp, start.rsp);
  writeMsr(Msr.FMASK, 0x4_7700);
  giveFlags(0x4_4ed7 - 0x100 + 0x100);
  attempt(3, call);
  report(cstr("cpl3 syscall, masked"));
  expect(cstr("  r11"), event.r11, 0x4_4ed7);
  expect(cstr("  rflags"), event.rflags, 0x8d7);
  writeMsr(Msr.FMASK, 0xffff_ffff);
  attempt(3, call);
  expect(cstr("all masked: rflags"), event.rflags, 2);
  giveFlags(0);
  writeMsr(Msr.FMASK, 0x100);
  attempt(3, callStepping);
  report(cstr("cpl3 syscall with tf, masked"));
  expect(cstr("  r11 has tf"), event.r11 & 0x100, 0x100);
  writeMsr(Msr.FMASK, 0);
  attempt(0, call);
  report(cstr("cpl0 syscall"));
  expect(cstr("  arrives at lstar"), event.rbx, 64);
  attempt(1, call);
  report(cstr("cpl1 syscall"));
  expect(cstr("  cs"), event.cs, Sel.CODE0);
  writeMsr(Msr.STAR, 0x0023_000b_0000_0000);
  attempt(3, call);
  expect(cstr("star with rpl: cs"), event.cs, Sel.CODE0);
  expect(cstr("star with rpl: ss"), event.ss, Sel.DATA0);
  writeMsr(Msr.STAR, 0x0020_0008_0000_0000);
  // Compatibility mode: syscall; int DONE.
  checkBytes(cstr("cpl3-compat syscall"), 4, 0x050f, 2);
  expect(cstr("  arrives at cstar"), event.rbx, 32);
  expect(cstr("  rcx"), event.rcx, cast<u64>(addr(rawCode)) + 0x4000_0002);
}

function returns(): void {
  give(0x202, 0, landing(), 0);
  check(cstr("sysretq"), 0, back64);
  expect(cstr("  rip"), event.rip, landing() + 2);
  expect(cstr("  cs"), event.cs, Sel.CODE3);
  expect(cstr("  ss"), event.ss, Sel.DATA3);
  expect(cstr("  rflags"), event.rflags, 0x202);
  expect(cstr("  rsp stays"), event.rsp, start.rsp);
  give(0x3_4ed7 + 0x24_0000, 0, landing(), 0);
  check(cstr("sysretq, many flags"), 0, back64);
  expect(cstr("  rf, vm and reserved bits are not taken"), event.rflags, 0x24_4ed7);
  give(0x2, 0, landing(), 0);
  check(cstr("sysret to compatibility mode"), 0, back32);
  expect(cstr("  cs"), event.cs, Sel.CODE3_32);
  expect(cstr("  ss"), event.ss, Sel.DATA3);
  give(2, 0, landing(), 0);
  check(cstr("cpl3 sysretq"), 3, back64);
  check(cstr("cpl1 sysretq"), 1, back64);
  give(2, 0, 0x8000_0000_0000, 0);
  attempt(0, back64);
  event.r15 = 0x8000_0000_0000;
  report(cstr("sysretq, rcx not canonical"));
  expect(cstr("  faults in ring 3"), event.cs, Sel.CODE3);
}

function switchedOff(): void {
  writeMsr(Msr.EFER, Efer.LME | Efer.LMA | Efer.NXE);
  check(cstr("sce off, syscall"), 3, call);
  give(2, 0, landing(), 0);
  check(cstr("sce off, sysretq"), 0, back64);
  writeMsr(Msr.EFER, Efer.LME | Efer.LMA | Efer.NXE | Efer.SCE);
}

function swap(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: swapgs; int 0x80`;
}
function readThroughFs(): void {
  attr({ naked: true });
  asm`mov rbx, fs:[8]; mov rcx, gs:[16]; int 0x80`;
}
function readBases(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: rdfsbase rbx; rdgsbase rcx; int 0x80`;
}
function writeBase(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: wrgsbase rax; rdgsbase rcx; int 0x80`;
}
function writeBase32(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: wrfsbase eax; rdfsbase rcx; int 0x80`;
}
class Words {
  word!: arr<u64, 8>;
}
const words: Words = zeroed();

function bases(): void {
  writeMsr(Msr.GS_BASE, 0x1111_2222_3333);
  writeMsr(Msr.KERNEL_GS_BASE, 0xffff_8000_0000_5000);
  check(cstr("cpl3 swapgs"), 3, swap);
  expect(cstr("  gs base stays"), readMsr(Msr.GS_BASE), 0x1111_2222_3333);
  check(cstr("cpl0 swapgs"), 0, swap);
  expect(cstr("  gs base"), readMsr(Msr.GS_BASE), 0xffff_8000_0000_5000);
  expect(cstr("  kernel gs base"), readMsr(Msr.KERNEL_GS_BASE), 0x1111_2222_3333);
  for (let i: u64 = 0; i < 8; i++) words.word[i] = 0x100 + i;
  writeMsr(Msr.FS_BASE, cast<u64>(addr(words)) + 0x4000_0000);
  writeMsr(Msr.GS_BASE, cast<u64>(addr(words)) + 0x4000_0008);
  check(cstr("cpl3 reads through fs and gs"), 3, readThroughFs);
  expect(cstr("  fs:[8]"), event.rbx, 0x101);
  expect(cstr("  gs:[16]"), event.rcx, 0x103);
  check(cstr("rdfsbase, fsgsbase off"), 3, readBases);
  const cr4: u64 = asm<u64>`mov ${ret}, cr4`;
  asm({ clobber: ["memory"], in: { rax: cr4 | Cr4.FSGSBASE } })`mov cr4, rax`;
  check(cstr("rdfsbase"), 3, readBases);
  expect(cstr("  fs base"), event.rbx, cast<u64>(addr(words)) + 0x4000_0000);
  expect(cstr("  gs base"), event.rcx, cast<u64>(addr(words)) + 0x4000_0008);
  give(0x7fff_ffff_f000, 0, 0, 0);
  check(cstr("wrgsbase"), 3, writeBase);
  expect(cstr("  gs base"), event.rcx, 0x7fff_ffff_f000);
  give(0x8000_0000_0000, 0, 0, 0);
  check(cstr("wrgsbase not canonical"), 3, writeBase);
  give(0xffff_ffff_8000_0001, 0, 0, 0);
  check(cstr("wrfsbase, 32 bits"), 3, writeBase32);
  expect(cstr("  fs base"), event.rcx, 0x8000_0001);
  checkBytes(cstr("cpl3-compat rdfsbase"), 4, 0xc0_ae0f_f3, 4);
  asm({ clobber: ["memory"], in: { rax: cr4 } })`mov cr4, rax`;
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  calls();
  returns();
  switchedOff();
  bases();
}
