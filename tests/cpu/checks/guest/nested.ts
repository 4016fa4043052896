/**
 * Delivery through the IDT: gates and stacks, faults inside a delivery up to #DF and shutdown. Intel SDM vol. 3A: 6.12
 * (handling), 6.13 (error code), 6.14 (64-bit mode: frames, IST), table 6-5 (double fault). Variants a … e each end in
 * shutdown.
 */
import { Exception } from "../../../../kernel/abi/x86.ts";
import { variant } from "./boot.ts";
import { expect, text } from "./console.ts";
import { istStackTop, resetStacks, ringStackTop, Sel, tss } from "./descriptors.ts";
import { pageAt, resetPages, setPage } from "./pages.ts";
import { check, event, GateType, giveFlags, idt, loadIdtLimit, resetGate, setGate, trapStubs } from "./trap.ts";

const NOT_CANONICAL: u64 = 0x8000_0000_0000;
const VECTOR: u64 = 0x82;

function software(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: int 0x82; int 0x80`;
}
function undefined2(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f];  1: ud2; int 0x80`;
}
function divide(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; xor ecx, ecx;  1: div ecx; int 0x80`;
}
function generalProtection(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rax, 0x800000000000;  1: mov rax, [rax]; int 0x80`;
}
function pageFault(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, 0xffff900000000000;  1: mov rax, [r14]; int 0x80`;
}
function misalignedStack(): void {
  attr({ naked: true });
  asm`sub rsp, 3; lea r15, [rip + 1f];  1: ud2; int 0x80`;
}

function stub(vector: u64): u64 {
  return cast<u64>(trapStubs) + (vector < 32 ? vector : vector - 96) * 5;
}
function absent(vector: u64): void {
  idt[vector].low = idt[vector].low & 0xffff_7fff_ffff_ffff;
}

function frames(): void {
  check(cstr("cpl0 ud2, no ist"), 0, undefined2);
  expect(cstr("  pushed on the same stack, aligned"), event.frameTop, event.rsp);
  expect(cstr("  cs"), event.cs, Sel.CODE0);
  expect(cstr("  ss"), event.ss, Sel.DATA0);
  expect(cstr("  handler's ss stays"), event.handlerSs, Sel.DATA0);
  check(cstr("cpl0 ud2, misaligned stack"), 0, misalignedStack);
  expect(cstr("  frame aligned to 16"), event.frameTop, event.rsp & ~15);
  for (let ring: u64 = 1; ring < 4; ring++) {
    check(cstr("outer ring ud2"), ring, undefined2);
    expect(cstr("  frame on rsp0"), event.frameTop, ringStackTop(0));
    expect(cstr("  cs"), event.cs, ring === 1 ? Sel.CODE1 : ring === 2 ? Sel.CODE2 : Sel.CODE3);
    expect(cstr("  ss"), event.ss, ring === 1 ? Sel.DATA1 : ring === 2 ? Sel.DATA2 : Sel.DATA3);
    expect(cstr("  handler's ss is null"), event.handlerSs, 0);
  }
  check(cstr("cpl3-compat done"), 4, software);
  expect(cstr("  cs"), event.cs, Sel.CODE3_32);
  tss.rsp[0] = ringStackTop(0) - 5;
  check(cstr("cpl3 ud2, rsp0 misaligned"), 3, undefined2);
  expect(cstr("  frame aligned to 16"), event.frameTop, ringStackTop(0) - 16);
  resetStacks();
  setGate(Exception.UD, stub(Exception.UD), Sel.CODE0, GateType.INTERRUPT, 1);
  check(cstr("cpl0 ud2, ist1"), 0, undefined2);
  expect(cstr("  frame on ist1"), event.frameTop, istStackTop(1));
  expect(cstr("  handler's ss stays"), event.handlerSs, Sel.DATA0);
  check(cstr("cpl3 ud2, ist1"), 3, undefined2);
  expect(cstr("  frame on ist1"), event.frameTop, istStackTop(1));
  expect(cstr("  handler's ss is null"), event.handlerSs, 0);
  tss.ist[0] = istStackTop(1) - 9;
  check(cstr("cpl3 ud2, ist1 misaligned"), 3, undefined2);
  expect(cstr("  frame aligned to 16"), event.frameTop, istStackTop(1) - 16);
  resetStacks();
  resetGate(Exception.UD);
}

/** RFLAGS in the frame and in the handler. */
function flags(): void {
  giveFlags(0x4602); // NT DF IF
  check(cstr("interrupt gate"), 3, undefined2);
  expect(cstr("  pushed flags, rf"), event.rflags, 0x1_4602);
  expect(cstr("  handler: if nt tf clear"), event.handlerFlags & 0x4700, 0x400);
  setGate(Exception.UD, stub(Exception.UD), Sel.CODE0, GateType.TRAP, 0);
  check(cstr("trap gate"), 3, undefined2);
  expect(cstr("  handler: if stays"), event.handlerFlags & 0x4700, 0x600);
  resetGate(Exception.UD);
  check(cstr("software interrupt"), 3, softwareAfter);
  expect(cstr("  pushed flags, no rf"), event.rflags, 0x4602);
  giveFlags(0);
}
function softwareAfter(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; int 0x82;  1: int 0x80`;
}

/** Valid gate types; INT n for EXT = 0, an exception for EXT = 1. */
function gates(): void {
  setGate(VECTOR, stub(VECTOR), 0, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate's selector null"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.BEYOND, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate's selector beyond the gdt"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.DATA0, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate to data"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.CODE_ABSENT, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate to absent code"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.CODE0_32, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate to 32-bit code"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.LONG_AND_BIG, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate to code with l and d"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.CODE3, GateType.INTERRUPT | 0x60, 0);
  check(cstr("cpl0 int, gate to dpl 3 code"), 0, software);
  setGate(VECTOR, NOT_CANONICAL, Sel.CODE0, GateType.INTERRUPT | 0x60, 0);
  check(cstr("int, gate's offset not canonical"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.CODE0, 0xe5, 0);
  check(cstr("int, task gate"), 3, software);
  setGate(VECTOR, stub(VECTOR), Sel.CODE0, 0xe6, 0);
  check(cstr("int, 16-bit gate"), 3, software);
  resetGate(VECTOR);
  setGate(Exception.UD, stub(Exception.UD), 0, GateType.INTERRUPT, 0);
  check(cstr("ud2, gate's selector null"), 3, undefined2);
  setGate(Exception.UD, stub(Exception.UD), Sel.CODE_ABSENT, GateType.INTERRUPT, 0);
  check(cstr("ud2, gate to absent code"), 3, undefined2);
  setGate(Exception.UD, stub(Exception.UD), Sel.DATA0, GateType.INTERRUPT, 0);
  check(cstr("ud2, gate to data"), 3, undefined2);
  resetGate(Exception.UD);
  absent(Exception.UD);
  check(cstr("ud2, gate not present"), 3, undefined2);
  resetGate(Exception.UD);
}

/** Table 6-5. The second fault is #NP of the first's gate, #SS or #PF of its stack. */
function doubleFaults(): void {
  absent(Exception.DE);
  check(cstr("de then np"), 3, divide);
  resetGate(Exception.DE);
  absent(Exception.GP);
  check(cstr("gp then np"), 3, generalProtection);
  resetGate(Exception.GP);
  absent(Exception.PF);
  check(cstr("pf then np"), 3, pageFault);
  resetGate(Exception.PF);
  expect(cstr("  frame on ist2"), event.frameTop, istStackTop(2));
  tss.rsp[0] = NOT_CANONICAL + 0x1000;
  check(cstr("gp then ss"), 3, generalProtection);
  check(cstr("pf then ss"), 3, pageFault);
  check(cstr("ud then ss, then ss again"), 3, undefined2);
  resetPages();
  setPage(0, 0);
  tss.rsp[0] = pageAt(0) + 0x800;
  check(cstr("pf then pf"), 3, pageFault);
  expect(cstr("  cr2 of the second"), event.cr2, pageAt(0) + 0x7f8);
  check(cstr("gp then pf, then pf again"), 3, generalProtection);
  // If only #PF has a valid stack: after a benign or contributory exception, #PF is handled serially.
  setGate(Exception.PF, stub(Exception.PF), Sel.CODE0, GateType.INTERRUPT, 1);
  check(cstr("gp then pf, served in turn"), 3, generalProtectionPage);
  check(cstr("ud then pf, served in turn"), 3, undefinedPage);
  check(cstr("int then pf"), 3, softwarePage);
  resetGate(Exception.PF);
  resetStacks();
  setGate(Exception.NP, stub(Exception.NP), Sel.CODE0, GateType.INTERRUPT, 1);
  absent(Exception.UD);
  check(cstr("ud then np"), 3, undefined2);
  resetGate(Exception.UD);
  resetGate(Exception.NP);
}
function generalProtectionPage(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rax, 0x800000000000; mov r14, 0x80000007f8;  1: mov rax, [rax]; int 0x80`;
}
function undefinedPage(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, 0x80000007f8;  1: ud2; int 0x80`;
}
function softwarePage(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, 0x80000007f8;  1: int 0x82; int 0x80`;
}

/** Each of them ends the machine. */
function shutdowns(): void {
  text(cstr("before"));
  text(cstr("\n"));
  if (variant === 97) {
    loadIdtLimit(4); // #UD, #GP and #DF are all beyond the limit
    check(cstr("a"), 3, undefined2);
  }
  if (variant === 98) {
    absent(Exception.DF);
    absent(Exception.GP);
    check(cstr("b"), 3, generalProtection);
  }
  if (variant === 99) {
    tss.rsp[0] = NOT_CANONICAL;
    setGate(Exception.DF, stub(Exception.DF), Sel.CODE0, GateType.INTERRUPT, 0);
    check(cstr("c"), 3, undefined2);
  }
  if (variant === 100) {
    resetPages();
    setPage(0, 0);
    tss.rsp[0] = pageAt(0) + 0x800;
    tss.ist[1] = pageAt(0) + 0x800;
    check(cstr("d"), 3, pageFault);
  }
  if (variant === 101) {
    setGate(Exception.DF, stub(Exception.DF), 0, GateType.INTERRUPT, 2);
    absent(Exception.PF);
    check(cstr("e"), 3, pageFault);
  }
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  if (variant >= 97 && variant <= 101) {
    shutdowns();
    return;
  }
  frames();
  flags();
  gates();
  doubleFaults();
}
