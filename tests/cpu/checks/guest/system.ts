/**
 * System registers: values that the processor refuses, UMIP, the APIC's global enable, and near branches out of the
 * canonical addresses. Intel SDM vol. 2: LGDT, LTR, LLDT, MOV to debug registers, FXRSTOR, JMP, CALL, RET; vol. 3A:
 * 2.5 (UMIP), 10.4.3 (IA32_APIC_BASE), 17.2 (debug registers).
 */
import { Lapic } from "../../../../kernel/abi/lapic.ts";
import { LAPIC_BASE } from "../../../../kernel/abi/memory.ts";
import { Cr4, Msr } from "../../../../kernel/abi/x86.ts";
import { gdtPointer, pml4, variant } from "./boot.ts";
import { char, decimal, expect, text } from "./console.ts";
import { type DescriptorPointer, loadTables, Sel, setSystem } from "./descriptors.ts";
import { frame, OPEN, resetPages, setPage, testDirectory, testPdpt, testTable } from "./pages.ts";
import { attemptAt, check, checkBytes, event, give, IDT_VECTORS, idt, report } from "./trap.ts";

/** Variant of the run under --strict: any report of a device ends it. */
const STRICT: u8 = 0x73;
const NOT_CANONICAL: u64 = 0x8000_0000_0000;

const badPointer: DescriptorPointer = zeroed();
const idtPointer: DescriptorPointer = zeroed();
/** @align 16 */
const image: arr<u8, 512> = zeroed();

/** RAX: the invalid pointer, RBX: the valid one, in case the invalid one is accepted. */
function loadGdt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: lgdt [rax]; lgdt [rbx]; int 0x80`;
}
function loadIdt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: lidt [rax]; lidt [rbx]; int 0x80`;
}
function tables(): void {
  idtPointer.limit = u16(IDT_VECTORS * 16 - 1);
  idtPointer.base = cast<u64>(addr(idt));
  badPointer.limit = 0xffff;
  for (let i: u64 = 0; i < 2; i++) {
    badPointer.base = i === 0 ? NOT_CANONICAL : 0xffff_0000_0000_0000;
    give(cast<u64>(addr(badPointer)), cast<u64>(addr(gdtPointer)), 0, 0);
    check(cstr("lgdt, base not canonical"), 0, loadGdt);
    give(cast<u64>(addr(badPointer)), cast<u64>(addr(idtPointer)), 0, 0);
    check(cstr("lidt, base not canonical"), 0, loadIdt);
  }
  badPointer.base = 0xffff_8000_0000_0000;
  give(cast<u64>(addr(badPointer)), cast<u64>(addr(gdtPointer)), 0, 0);
  check(cstr("lgdt, base in the upper half"), 0, loadGdt);

  setSystem(Sel.TSS, NOT_CANONICAL, 0x67, 0x89);
  give(Sel.TSS, 0, 0, 0);
  checkBytes(cstr("ltr, base not canonical"), 0, 0xd8_000f, 3);
  loadTables();
  setSystem(Sel.LDT, NOT_CANONICAL, 15, 0x82);
  give(Sel.LDT, 0, 0, 0);
  checkBytes(cstr("lldt, base not canonical"), 0, 0xd0_000f, 3);
  give(0, 0, 0, 0);
  checkBytes(cstr("lldt null"), 0, 0xd0_000f, 3);
}

function setCr4(value: u64): void {
  asm({ clobber: ["memory"] })`mov cr4, ${value}`;
}
function debugRegisters(): void {
  for (let i: u64 = 0; i < 2; i++) {
    give(i === 0 ? 0x1_0000_0000 : 0x8000_0000_0000_0000, 0, 0, 0);
    checkBytes(cstr("mov dr6, high bit"), 0, 0xf0_230f, 3);
    checkBytes(cstr("mov dr7, high bit"), 0, 0xf8_230f, 3);
    checkBytes(cstr("mov dr0, high bit"), 0, 0xc0_230f, 3);
  }
  asm({ in: { rax: 0x400 } })`mov dr7, rax`;
  asm({ in: { rax: 0 } })`mov dr6, rax`;
  expect(cstr("dr6 of zero"), asm<u64>`mov ${ret}, dr6`, 0xffff_0ff0);
  asm({ in: { rax: 0 } })`mov dr7, rax`;
  expect(cstr("dr7 of zero"), asm<u64>`mov ${ret}, dr7`, 0x400);
  asm({ in: { rax: 0x1234_5678 } })`mov dr3, rax`;
  expect(cstr("dr3"), asm<u64>`mov ${ret}, dr3`, 0x1234_5678);
  // Without CR4.DE, DR4 and DR5 are DR6 and DR7.
  give(0, 0, 0, 0);
  checkBytes(cstr("mov from dr4"), 0, 0xe0_210f, 3);
  expect(cstr("  is dr6"), event.rax, 0xffff_0ff0);
  const cr4: u64 = asm<u64>`mov ${ret}, cr4`;
  setCr4(cr4 | 8);
  checkBytes(cstr("mov from dr4, de"), 0, 0xe0_210f, 3);
  checkBytes(cstr("mov to dr5, de"), 0, 0xe8_230f, 3);
  setCr4(cr4);
}

/** RAX: an image. */
function restoreImage(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: fxrstor64 [rax]; int 0x80`;
}
function restoreImage32(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: fxrstor [rax]; int 0x80`;
}
function restores(): void {
  const at: u64 = cast<u64>(addr(image));
  asm({ clobber: ["memory"] })`fxsave64 [${at}]`;
  const mxcsr = cast<ptr<u32>>(at + 24);
  give(at, 0, 0, 0);
  check(cstr("fxrstor"), 0, restoreImage);
  for (let bit: u32 = 16; bit < 32; bit += 15) {
    mxcsr[0] = 0x1f80 | (u32(1) << bit);
    check(cstr("fxrstor64, reserved bit of mxcsr"), 0, restoreImage);
    check(cstr("fxrstor, reserved bit of mxcsr"), 0, restoreImage32);
  }
  mxcsr[0] = 0x1f80;
  check(cstr("fxrstor again"), 0, restoreImage32);
}

/** SGDT, SIDT, SLDT, STR, SMSW. */
function systemReads(ring: u64): void {
  give(0, 0, 0, 0);
  for (let which: u64 = 0; which < 6; which++) {
    text(cstr("cpl"));
    decimal(ring);
    char(32);
    // The memory forms write below the stack.
    if (which === 0) checkBytes(cstr("sgdt"), ring, 0xc0_2444_010f, 5);
    if (which === 1) checkBytes(cstr("sidt"), ring, 0xc0_244c_010f, 5);
    if (which === 2) checkBytes(cstr("sldt"), ring, 0xc0_000f, 3);
    if (which === 3) checkBytes(cstr("str"), ring, 0xc8_000f, 3);
    if (which === 4) checkBytes(cstr("smsw"), ring, 0xe0_010f, 3);
    if (which === 5) checkBytes(cstr("smsw to memory"), ring, 0xc0_2464_010f, 5);
  }
}
function userModeInstructionPrevention(): void {
  text(cstr("without umip"));
  char(10);
  systemReads(3);
  const cr4: u64 = asm<u64>`mov ${ret}, cr4`;
  setCr4(cr4 | Cr4.UMIP);
  text(cstr("with umip"));
  char(10);
  for (let ring: u64 = 0; ring < 4; ring++) systemReads(ring);
  setCr4(cr4);
  text(cstr("umip off again"));
  char(10);
  systemReads(3);
}

/** To RAX, with RBP = RSP before the branch. */
function jumpRegister(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rbp, rsp;  1: jmp rax; int 0x80`;
}
function jumpMemory(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; push rax; mov rbp, rsp;  1: jmp [rsp]; int 0x80`;
}
function callRegister(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rbp, rsp;  1: call rax; int 0x80`;
}
function callMemory(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; push rax; mov rbp, rsp;  1: call [rsp]; int 0x80`;
}
function returnNear(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; push rax; mov rbp, rsp;  1: ret; int 0x80`;
}
function returnAndRelease(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; push 0; push rax; mov rbp, rsp;  1: ret 8; int 0x80`;
}
function branch(name: ptr<u8>, ring: u64, target: u64, code: () => void): void {
  text(cstr("cpl"));
  decimal(ring);
  char(32);
  give(target, 0, 0, 0);
  check(name, ring, code);
  expect(cstr("  rsp stays"), event.rsp, event.rbp);
}
function branches(): void {
  for (let ring: u64 = 0; ring < 4; ring += 3) {
    for (let i: u64 = 0; i < 2; i++) {
      const target: u64 = i === 0 ? NOT_CANONICAL : 0xffff_7fff_ffff_ffff;
      branch(cstr("jmp rax, not canonical"), ring, target, jumpRegister);
      branch(cstr("jmp memory, not canonical"), ring, target, jumpMemory);
      branch(cstr("call rax, not canonical"), ring, target, callRegister);
      branch(cstr("call memory, not canonical"), ring, target, callMemory);
      branch(cstr("ret, not canonical"), ring, target, returnNear);
      branch(cstr("ret 8, not canonical"), ring, target, returnAndRelease);
    }
  }
}

const LAST_PAGE: u64 = 0x7fff_ffff_f000;
/** Up to 8 bytes of code at the end of the last canonical page of the lower half. */
function atTheEnd(name: ptr<u8>, bytes: u64, count: u64, offset: u64): void {
  const page = cast<ptr<u8>>(frame(0));
  for (let i: u64 = 0; i < count; i++) page[offset + i] = u8(bytes >> (8 * i));
  for (let ring: u64 = 0; ring < 4; ring += 3) {
    text(cstr("cpl"));
    decimal(ring);
    char(32);
    attemptAt(ring, LAST_PAGE + offset);
    report(name);
  }
}
function endOfTheLowerHalf(): void {
  resetPages();
  pml4[255] = cast<u64>(addr(testPdpt)) | OPEN;
  testPdpt[511] = cast<u64>(addr(testDirectory)) | OPEN;
  testDirectory[511] = cast<u64>(addr(testTable)) | OPEN;
  testTable[511] = frame(0) | OPEN;
  setPage(0, OPEN);
  give(0, 0, 1, 0);
  atTheEnd(cstr("int at the end"), 0x80cd, 2, 0xffe);
  atTheEnd(cstr("jmp rel8 beyond the end"), 0x7eeb, 2, 0xff0);
  atTheEnd(cstr("jmp rel32 beyond the end"), 0x1000_e9, 5, 0xff0);
  atTheEnd(cstr("call rel32 beyond the end"), 0x1000_e8, 5, 0xff0);
  atTheEnd(cstr("jrcxz not taken"), 0x80cd_7ee3, 4, 0xff0);
  atTheEnd(cstr("loop not taken"), 0x80cd_7ee2, 4, 0xff0);
  give(0, 0, 0, 0);
  atTheEnd(cstr("jrcxz beyond the end"), 0x80cd_7ee3, 4, 0xff0);
  atTheEnd(cstr("loop beyond the end"), 0x80cd_7ee2, 4, 0xff0);
  atTheEnd(cstr("jo not taken"), 0x80cd_7e70, 4, 0xff0);
  atTheEnd(cstr("jno beyond the end"), 0x80cd_7e71, 4, 0xff0);
  atTheEnd(cstr("jno rel32 beyond the end"), 0x1000_810f, 6, 0xff0);
}

/** CPUID reports neither TZCNT nor LZCNT: F3 before BSF and BSR is ignored (SDM vol. 2, TZCNT, LZCNT). */
function bitScan(name: ptr<u8>, source: u64, bytes: u64, count: u64, found: u64, zero: u64): void {
  give(0x1234_5678_9abc_def0, 0, source, 0);
  checkBytes(name, 3, bytes, count);
  expect(cstr("  result"), event.rax, found);
  expect(cstr("  zf"), (event.rflags >> 6) & 1, zero);
}
function bitScans(): void {
  const untouched: u64 = 0x1234_5678_9abc_def0;
  bitScan(cstr("f3 bsr rax, rcx"), 0x00f0_0000, 0xc1bd_0f48_f3, 5, 23, 0);
  bitScan(cstr("f3 bsf rax, rcx"), 0x00f0_0000, 0xc1bc_0f48_f3, 5, 20, 0);
  bitScan(cstr("f3 bsr rax, rcx, top bit"), 0x8000_0000_0000_0000, 0xc1bd_0f48_f3, 5, 63, 0);
  bitScan(cstr("f3 bsf rax, rcx, top bit"), 0x8000_0000_0000_0000, 0xc1bc_0f48_f3, 5, 63, 0);
  bitScan(cstr("f3 bsr eax, ecx"), 0xffff_ffff_0000_0100, 0xc1bd_0ff3, 4, 8, 0);
  bitScan(cstr("f3 bsr ax, cx"), 0xffff_0100, 0xc1bd_0ff3_66, 5, 0x1234_5678_9abc_0008, 0);
  bitScan(cstr("f3 bsf rax, rcx, zero"), 0, 0xc1bc_0f48_f3, 5, untouched, 1);
  bitScan(cstr("f3 bsr rax, rcx, zero"), 0, 0xc1bd_0f48_f3, 5, untouched, 1);
  bitScan(cstr("f3 bsr ax, cx, zero"), 0xffff_0000, 0xc1bd_0ff3_66, 5, untouched, 1);
}

function unknownMsrs(): void {
  for (let i: u64 = 0; i < 3; i++) {
    const index: u64 = i === 0 ? 0x1234_5678 : i === 1 ? 0xc001_9999 : 0x4000_0000;
    give(0, 0, index, 0);
    checkBytes(cstr("rdmsr unknown"), 0, 0x320f, 2);
    checkBytes(cstr("wrmsr unknown"), 0, 0x300f, 2);
  }
}

function apicBase(): u64 {
  return asm<u64>({ in: { rcx: Msr.APIC_BASE }, out: "rax", clobber: ["rdx"] })`rdmsr; shl rdx, 32; or rax, rdx`;
}
function setApicBase(value: u64): void {
  asm({ in: { rcx: Msr.APIC_BASE, rax: value & 0xffff_ffff, rdx: value >> 32 }, clobber: ["memory"] })`wrmsr`;
}
function cpuidApic(): u64 {
  const edx: u64 = asm<u64>({ in: { rax: 1, rcx: 0 }, out: "rdx", clobber: ["rax", "rbx", "rcx"] })`cpuid`;
  return (edx >> 9) & 1;
}
const ENABLE: u64 = 0x800;
function globalDisable(): void {
  const version = cast<ptr<u32>>(LAPIC_BASE + u64(Lapic.VERSION));
  const base: u64 = apicBase();
  expect(cstr("apic base"), base, LAPIC_BASE | 0x900);
  expect(cstr("cpuid.apic"), cpuidApic(), 1);
  expect(cstr("apic version"), u64(volatileRead(version)) & 0xff, 0x14);
  setApicBase(base & ~ENABLE);
  expect(cstr("apic base, disabled"), apicBase(), LAPIC_BASE | 0x100);
  expect(cstr("cpuid.apic, disabled"), cpuidApic(), 0);
  if (variant !== STRICT) expect(cstr("the window, disabled"), u64(volatileRead(version)), 0xffff_ffff);
  give(u64(base) & 0xffff_ffff, 0, Msr.APIC_BASE, 0x100_0000);
  checkBytes(cstr("wrmsr apic base, address too high"), 0, 0x300f, 2);
  give(base | 0x400, 0, Msr.APIC_BASE, 0);
  checkBytes(cstr("wrmsr apic base, x2apic"), 0, 0x300f, 2);
  give(base | 1, 0, Msr.APIC_BASE, 0);
  checkBytes(cstr("wrmsr apic base, reserved"), 0, 0x300f, 2);
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  tables();
  debugRegisters();
  restores();
  userModeInstructionPrevention();
  branches();
  endOfTheLowerHalf();
  bitScans();
  unknownMsrs();
  globalDisable();
}
