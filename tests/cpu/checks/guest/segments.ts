/**
 * Loads of segment registers, far transfers and IRETQ, in long mode. Intel SDM vol. 2: MOV, POP, LTR, LLDT, RET far,
 * JMP far, IRET, LAR, LSL, VERR, VERW; vol. 3A: 5.8 (control transfers), 5.8.3 (call gates), 3.4.2 (null selectors).
 */
import { expect } from "./console.ts";
import { gdt, loadTables, ringStackTop, Sel, setCallGate, setSystem, tss } from "./descriptors.ts";
import { attempt, check, checkBytes, event, give, giveFlags, rawCode, report } from "./trap.ts";

/** Loads AX into the segment register and reads it back into RBX. */
function loadDs(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: mov ds, eax; mov ebx, ds; int 0x80`;
}
function loadSs(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: mov ss, eax; mov ebx, ss; int 0x80`;
}
function loadFs(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: mov fs, eax; mov ebx, fs; int 0x80`;
}
function ds(name: ptr<u8>, ring: u64, selector: u64): void {
  give(selector, 0, 0, 0);
  check(name, ring, loadDs);
}
function ss(name: ptr<u8>, ring: u64, selector: u64): void {
  give(selector, 0, 0, 0);
  check(name, ring, loadSs);
}

function loads(): void {
  ds(cstr("ds null"), 3, 0);
  ds(cstr("ds null with rpl 3"), 3, 3);
  ds(cstr("ds data"), 3, Sel.DATA3);
  expect(cstr("  reads back"), event.rbx, Sel.DATA3);
  ds(cstr("ds data, rpl 0 at cpl 3"), 3, Sel.DATA3 - 3);
  ds(cstr("ds dpl 0 data at cpl 3"), 3, Sel.DATA0);
  ds(cstr("ds dpl 0 data, rpl 3 at cpl 0"), 0, Sel.DATA0 + 3);
  ds(cstr("ds dpl 1 data at cpl 2"), 2, Sel.DATA1);
  ds(cstr("ds dpl 2 data at cpl 1"), 1, Sel.DATA2);
  ds(cstr("ds beyond the gdt"), 3, Sel.BEYOND);
  ds(cstr("ds from the ldt, none loaded"), 3, 0xf);
  ds(cstr("ds not present"), 3, Sel.DATA_ABSENT);
  ds(cstr("ds read-only"), 3, Sel.READ_ONLY);
  ds(cstr("ds execute-only"), 3, Sel.EXECUTE_ONLY);
  ds(cstr("ds readable code"), 3, Sel.CODE3_32);
  ds(cstr("ds conforming code"), 3, Sel.CONFORMING);
  ds(cstr("ds system descriptor"), 3, Sel.TSS + 3);
  gdt[Sel.NOT_ACCESSED >> 3] = 0x00cf_f200_0000_ffff;
  ds(cstr("ds not accessed before"), 3, Sel.NOT_ACCESSED);
  expect(cstr("  accessed now"), gdt[Sel.NOT_ACCESSED >> 3], 0x00cf_f300_0000_ffff);

  ss(cstr("ss null at cpl 3"), 3, 3);
  ss(cstr("ss null at cpl 0"), 0, 0);
  ss(cstr("ss null, rpl 3 at cpl 0"), 0, 3);
  ss(cstr("ss data"), 3, Sel.DATA3);
  ss(cstr("ss rpl below cpl"), 3, Sel.DATA3 - 3);
  ss(cstr("ss rpl above cpl"), 0, Sel.DATA3);
  ss(cstr("ss dpl not cpl"), 3, Sel.DATA0 + 3);
  ss(cstr("ss read-only"), 3, Sel.READ_ONLY);
  ss(cstr("ss code"), 3, Sel.CODE3_32);
  ss(cstr("ss not present"), 3, Sel.DATA_ABSENT);
  ss(cstr("ss beyond the gdt"), 3, Sel.BEYOND + 3);

  give(Sel.FS_BASED, 0, 0, 0);
  check(cstr("fs with a base"), 3, loadFs);
  expect(
    cstr("  its base"),
    asm<u64>({ in: { rcx: 0xc000_0100 }, out: "rax", clobber: ["rdx"] })`rdmsr; shl rdx, 32; or rax, rdx`,
    0x1234_5678,
  );
  asm({ in: { rax: 0 } })`mov fs, eax`;
}

function task(): void {
  give(Sel.TSS, 0, 0, 0);
  checkBytes(cstr("ltr busy"), 0, 0xd8_000f, 3);
  give(0, 0, 0, 0);
  checkBytes(cstr("ltr null"), 0, 0xd8_000f, 3);
  loadTables(); // if the load is accepted
  give(Sel.DATA0, 0, 0, 0);
  checkBytes(cstr("ltr data"), 0, 0xd8_000f, 3);
  give(Sel.TSS_ABSENT, 0, 0, 0);
  checkBytes(cstr("ltr not present"), 0, 0xd8_000f, 3);
  give(Sel.BEYOND, 0, 0, 0);
  checkBytes(cstr("ltr beyond the gdt"), 0, 0xd8_000f, 3);
  give(Sel.TSS + 4, 0, 0, 0);
  checkBytes(cstr("ltr from the ldt"), 0, 0xd8_000f, 3);
  give(0, 0, 0, 0);
  checkBytes(cstr("lldt null"), 0, 0xd0_000f, 3);
  give(Sel.DATA0, 0, 0, 0);
  checkBytes(cstr("lldt data"), 0, 0xd0_000f, 3);
  give(Sel.LDT_ABSENT, 0, 0, 0);
  checkBytes(cstr("lldt not present"), 0, 0xd0_000f, 3);
  // An LDT whose entry 1 is data of DPL 3.
  setSystem(Sel.LDT, cast<u64>(addr(localTable)), 15, 0x82);
  give(Sel.LDT, 0, 0, 0);
  checkBytes(cstr("lldt"), 0, 0xd0_000f, 3);
  ds(cstr("ds from the ldt"), 3, 0xf);
  ds(cstr("ds beyond the ldt"), 3, 0x17);
  give(0, 0, 0, 0);
  checkBytes(cstr("lldt null again"), 0, 0xd0_000f, 3);
  ds(cstr("ds from the ldt that is gone"), 3, 0xf);
}
const localTable: arr<u64, 2> = [0, 0x00cf_f300_0000_ffff];

/** LAR, LSL, VERR, VERW of AX: bit 6 of RFLAGS says whether the selector is usable; ECX has the result. */
function question(name: ptr<u8>, ring: u64, selector: u64, bytes: u64, zero: u64, result: u64): void {
  give(selector, 0, 0, 0);
  checkBytes(name, ring, bytes, 3);
  expect(cstr("  zf"), (event.rflags >> 6) & 1, zero);
  // LAR leaves bits 16 … 19 undefined.
  expect(cstr("  result"), bytes === LAR ? event.rcx & 0xfff0_ffff : event.rcx, result);
}
const LAR: u64 = 0xc8_020f;
const LSL: u64 = 0xc8_030f;
const VERR: u64 = 0xe0_000f;
const VERW: u64 = 0xe8_000f;
function questions(): void {
  question(cstr("lar data"), 3, Sel.DATA3, LAR, 1, 0x00c0_f300);
  question(cstr("lar dpl 0 data at cpl 3"), 3, Sel.DATA0, LAR, 0, 0);
  question(cstr("lar null"), 0, 0, LAR, 0, 0);
  question(cstr("lar not present"), 3, Sel.DATA_ABSENT, LAR, 1, 0x00c0_7300);
  question(cstr("lar tss"), 0, Sel.TSS, LAR, 1, 0x8b00);
  question(cstr("lar beyond the gdt"), 0, Sel.BEYOND, LAR, 0, 0);
  question(cstr("lsl data"), 3, Sel.DATA3, LSL, 1, 0xffff_ffff);
  question(cstr("lsl tss"), 0, Sel.TSS, LSL, 1, 103);
  question(cstr("lsl call gate"), 0, Sel.CALL_GATE, LSL, 0, 0);
  question(cstr("verr data"), 3, Sel.DATA3, VERR, 1, 0);
  question(cstr("verr execute-only"), 3, Sel.EXECUTE_ONLY, VERR, 0, 0);
  question(cstr("verw read-only"), 3, Sel.READ_ONLY, VERW, 0, 0);
  question(cstr("verw data"), 3, Sel.DATA3, VERW, 1, 0);
  question(cstr("verw dpl 0 data at cpl 3"), 3, Sel.DATA0, VERW, 0, 0);
  question(cstr("verr code"), 3, Sel.CODE3, VERR, 1, 0);
}

/** Far return to AX:RBX, RDX = stack pointer and RCX = SS of an outer ring. */
function farReturn(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; push rcx; push rdx; push rax; push rbx;  1: lretq; int 0x80`;
}
function farJump(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; push rax; sub rsp, 4; mov dword ptr [rsp], ebx;  1: ljmp [rsp]; int 0x80`;
}
function done(): void {
  attr({ naked: true });
  asm`int 0x80`;
}
const ALIAS: u64 = 0x4000_0000;
function returnTo(name: ptr<u8>, ring: u64, cs: u64, rip: u64, stackSelector: u64): void {
  give(cs, rip, stackSelector, ringStackTop(2));
  check(name, ring, farReturn);
}
function far(): void {
  const here: u64 = cast<u64>(done);
  returnTo(cstr("lretq, same ring"), 0, Sel.CODE0, here, 0);
  returnTo(cstr("lretq to ring 3"), 0, Sel.CODE3, here + ALIAS, Sel.DATA3);
  expect(cstr("  cs"), event.cs, Sel.CODE3);
  expect(cstr("  ss"), event.ss, Sel.DATA3);
  expect(cstr("  rsp"), event.rsp, ringStackTop(2));
  returnTo(cstr("lretq to an inner ring"), 3, Sel.CODE0, here, Sel.DATA0);
  returnTo(cstr("lretq, cs null"), 0, 0, here, 0);
  returnTo(cstr("lretq, cs data"), 0, Sel.DATA0, here, 0);
  returnTo(cstr("lretq, cs not present"), 0, Sel.CODE_ABSENT, here, 0);
  returnTo(cstr("lretq, cs beyond the gdt"), 0, Sel.BEYOND, here, 0);
  returnTo(cstr("lretq, cs with l and d"), 0, Sel.LONG_AND_BIG, here, 0);
  returnTo(cstr("lretq to ring 3, ss null"), 0, Sel.CODE3, here + ALIAS, 3);
  returnTo(cstr("lretq to ring 3, ss of ring 0"), 0, Sel.CODE3, here + ALIAS, Sel.DATA0);
  returnTo(cstr("lretq to ring 3, ss not present"), 0, Sel.CODE3, here + ALIAS, Sel.DATA_ABSENT);
  returnTo(cstr("lretq, rip not canonical"), 0, Sel.CODE0, 0x8000_0000_0000, 0);

  give(Sel.CODE0, here, 0, 0);
  check(cstr("ljmp, same ring"), 0, farJump);
  give(0, here, 0, 0);
  check(cstr("ljmp null"), 0, farJump);
  give(Sel.DATA0, here, 0, 0);
  check(cstr("ljmp data"), 0, farJump);
  give(Sel.CODE_ABSENT, here, 0, 0);
  check(cstr("ljmp not present"), 0, farJump);
  give(Sel.LONG_AND_BIG, here, 0, 0);
  check(cstr("ljmp l and d"), 0, farJump);
  give(Sel.CODE0, here + ALIAS, 0, 0);
  check(cstr("cpl3 ljmp to dpl 0 code"), 3, farJump);
  give(Sel.CONFORMING + 3, here + ALIAS, 0, 0);
  check(cstr("cpl3 ljmp to conforming code"), 3, farJump);
  expect(cstr("  cs keeps cpl 3"), event.cs, Sel.CONFORMING + 3);
  give(Sel.TSS, here, 0, 0);
  check(cstr("ljmp tss"), 0, farJump);
}

/** Call gates: call far [rsp], FF 1C 24, with RSP at a far pointer. */
function throughGate(): void {
  attr({ naked: true });
  asm`push rax; sub rsp, 4; lea r15, [rip + 1f]; mov rbp, rsp;  1: jmp rbx; int 0x80`;
}
function gates(): void {
  // call far [rsp]; int DONE in the raw page; the code that makes the pointer jumps there.
  rawCode[0] = 0xff;
  rawCode[1] = 0x1c;
  rawCode[2] = 0x24;
  rawCode[3] = 0xcd;
  rawCode[4] = 0x80;
  const raw: u64 = cast<u64>(addr(rawCode));
  setCallGate(Sel.CALL_GATE - 3, cast<u64>(done), Sel.CODE0);
  callGate(cstr("cpl3 call gate"), 3, Sel.CALL_GATE);
  expect(cstr("  cs"), event.cs, Sel.CODE0);
  expect(cstr("  ss null"), event.ss, 0);
  expect(cstr("  rsp: four words on rsp0"), event.rsp, ringStackTop(0) - 32);
  const stack = cast<ptr<u64>>(ringStackTop(0) - 32);
  expect(cstr("  pushed rip"), stack[0], raw + ALIAS + 3);
  expect(cstr("  pushed cs"), stack[1], Sel.CODE3);
  expect(cstr("  pushed rsp"), stack[2], event.rbp);
  expect(cstr("  pushed ss"), stack[3], Sel.DATA3);
  callGate(cstr("cpl0 call gate"), 0, Sel.CALL_GATE);
  expect(cstr("  rsp: two words"), event.rsp, event.rbp - 16);
  setCallGate(Sel.GATE_TO_DATA - 3, cast<u64>(done), Sel.DATA0);
  callGate(cstr("call gate to data"), 3, Sel.GATE_TO_DATA);
  setCallGate(Sel.GATE_TO_DATA - 3, cast<u64>(done), 0);
  callGate(cstr("call gate, selector null"), 3, Sel.GATE_TO_DATA);
  setCallGate(Sel.GATE_TO_DATA - 3, cast<u64>(done), Sel.CODE0_32);
  callGate(cstr("call gate to 32-bit code"), 3, Sel.GATE_TO_DATA);
  setCallGate(Sel.GATE_TO_DATA - 3, cast<u64>(done), Sel.CODE0);
  gdt[(Sel.GATE_TO_DATA - 3) >> 3] = gdt[(Sel.GATE_TO_DATA - 3) >> 3] & 0xffff_7fff_ffff_ffff;
  callGate(cstr("call gate not present"), 3, Sel.GATE_TO_DATA);
  setCallGate(Sel.GATE_TO_DATA - 3, cast<u64>(done), Sel.CODE0);
  gdt[(Sel.GATE_TO_DATA - 3) >> 3] = gdt[(Sel.GATE_TO_DATA - 3) >> 3] & 0xffff_9fff_ffff_ffff;
  callGate(cstr("call gate of dpl 0 at cpl 3"), 3, Sel.GATE_TO_DATA);
  callGate(cstr("call far to dpl 0 code at cpl 3"), 3, Sel.CODE0);
}
function callGate(name: ptr<u8>, ring: u64, selector: u64): void {
  const raw: u64 = cast<u64>(addr(rawCode)) + (ring === 3 ? ALIAS : 0);
  give(selector, raw, 0, 0);
  attempt(ring, throughGate);
  event.r15 = raw;
  report(name);
}

/** IRETQ with SS = RDX, RSP, RFLAGS = RCX, CS = RAX, RIP = RBX. */
function iret(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]
    mov rbp, rsp
    push rdx
    push rbp
    push rcx
    push rax
    push rbx
  1:
    iretq
    int 0x80
  `;
}
function iretNested(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]
    push 16
    push rsp
    push 2
    push 8
    lea rax, [rip + 2f]
    push rax
    pushfq
    or dword ptr [rsp], 0x4000
    popfq
  1:
    iretq
  2:
    int 0x80
  `;
}
function iretTo(name: ptr<u8>, ring: u64, cs: u64, rip: u64, stackSelector: u64): void {
  give(cs, rip, 2, stackSelector);
  check(name, ring, iret);
}
function interruptReturns(): void {
  const here: u64 = cast<u64>(done);
  iretTo(cstr("iretq to ring 3"), 0, Sel.CODE3, here + ALIAS, Sel.DATA3);
  iretTo(cstr("iretq to compatibility mode"), 0, Sel.CODE3_32, here + ALIAS, Sel.DATA3);
  iretTo(cstr("iretq in ring 0, ss null"), 0, Sel.CODE0, here, 0);
  expect(cstr("  ss"), event.ss, 0);
  iretTo(cstr("iretq to ring 3, ss null"), 0, Sel.CODE3, here + ALIAS, 3);
  iretTo(cstr("iretq, cs null"), 0, 0, here, Sel.DATA0);
  iretTo(cstr("iretq, cs data"), 0, Sel.DATA0, here, Sel.DATA0);
  iretTo(cstr("iretq, cs not present"), 0, Sel.CODE_ABSENT, here, Sel.DATA0);
  iretTo(cstr("iretq, cs beyond the gdt"), 0, Sel.BEYOND, here, Sel.DATA0);
  iretTo(cstr("iretq to an inner ring"), 3, Sel.CODE0, here, Sel.DATA0);
  iretTo(cstr("iretq, cs's rpl not its dpl"), 0, Sel.CODE3 - 3, here, Sel.DATA0);
  iretTo(cstr("iretq to ring 3, ss of ring 0"), 0, Sel.CODE3, here + ALIAS, Sel.DATA0);
  iretTo(cstr("iretq to ring 3, ss not present"), 0, Sel.CODE3, here + ALIAS, Sel.DATA_ABSENT);
  iretTo(cstr("iretq to ring 3, ss read-only"), 0, Sel.CODE3, here + ALIAS, Sel.READ_ONLY);
  iretTo(cstr("iretq, rip not canonical"), 0, Sel.CODE0, 0x8000_0000_0000, Sel.DATA0);
  give(Sel.CODE3, here + ALIAS, 0x20_7ed7, Sel.DATA3);
  check(cstr("iretq with flags"), 0, iret);
  expect(cstr("  all of them"), event.rflags, 0x20_7ed7);
  // At CPL 3, IRETQ and POPF change neither IF nor IOPL.
  give(Sel.CODE3, here + ALIAS, 0x3202, Sel.DATA3);
  check(cstr("cpl3 iretq with if and iopl"), 3, iret);
  expect(cstr("  not taken"), event.rflags, 2);
  give(0x3202, 0, 0, 0);
  check(cstr("cpl3 popfq with if and iopl"), 3, popFlags);
  expect(cstr("  not taken"), event.rflags, 2);
  check(cstr("cpl0 popfq with if and iopl"), 0, popFlags);
  expect(cstr("  taken"), event.rflags, 0x3202);
  giveFlags(0x3000);
  check(cstr("cpl3 popfq, iopl 3"), 3, popFlags);
  expect(cstr("  if is taken"), event.rflags, 0x3202);
  giveFlags(0);
  check(cstr("iretq with nt"), 0, iretNested);
}
function popFlags(): void {
  attr({ naked: true });
  asm`push rax; popfq; int 0x80`;
}

/** MOV to SS delays the single-step trap by one instruction. */
function shadow(): void {
  attr({ naked: true });
  asm`
    mov eax, ss
    pushfq
    or dword ptr [rsp], 0x100
    lea r15, [rip + 1f]
    popfq
    mov ss, eax
    nop
  1:
    int 0x80
  `;
}
function steps(): void {
  attempt(0, shadow);
  report(cstr("single step over mov ss"));
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  loads();
  task();
  questions();
  far();
  gates();
  interruptReturns();
  steps();
  expect(cstr("rsp0 untouched"), tss.rsp[0], ringStackTop(0));
}
