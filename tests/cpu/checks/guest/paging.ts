/**
 * Page faults: error code, CR2 and RIP for every access, ring and kind of page, at every level; accessed and dirty
 * bits; large pages. Intel SDM vol. 3A: 4.5 (4-level paging), 4.6 (access rights), 4.7 (page-fault exceptions), 4.8
 * (accessed and dirty flags).
 */
import { Cr0, Cr4, Msr, Pte, Rflags } from "../../../../kernel/abi/x86.ts";
import { TEST_BASE, USER_ALIAS } from "./space.ts";
import { char, decimal, expect, text } from "./console.ts";
import {
  accessed,
  flush,
  frame,
  frames,
  NO_EXECUTE,
  OPEN,
  pageAt,
  resetPages,
  setLevel,
  setPage,
  testDirectory,
  testPdpt,
  testTable,
} from "./pages.ts";
import { attempt, attemptBytes, check, event, give, giveFlags, report, start } from "./trap.ts";

// All of these take the address in RAX. R15, R14: where the fault is expected.
function readAt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, rax;  1: mov rcx, [rax]; int 0x80`;
}
function writeAt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, rax;  1: mov [rax], rcx; int 0x80`;
}
function executeAt(): void {
  attr({ naked: true });
  asm`mov r15, rax; mov r14, rax; jmp rax`;
}
function addAt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, rax;  1: add [rax], rcx; int 0x80`;
}
function pushAt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; lea r14, [rax - 8]; mov rsp, rax;  1: push rcx; int 0x80`;
}
function callFrom(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; lea r14, [rax - 8]; mov rsp, rax;  1: call 2f;  2: int 0x80`;
}
/** RCX iterations, RDI, RSI. */
function repeatAt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, rbx; cld; mov rdi, rax;  1: rep stosb; int 0x80`;
}
function exchangeAt(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, rax;  1: lock cmpxchg [rax], rcx; int 0x80`;
}

function access(kind: u64, ring: u64, address: u64): void {
  give(address, 0, 0, 0);
  frames[0] = 0xcd; // int DONE
  frames[1] = 0x80;
  if (kind === 0) attempt(ring, readAt);
  else if (kind === 1) attempt(ring, writeAt);
  else attempt(ring, executeAt);
}
function kindName(kind: u64): ptr<u8> {
  return kind === 0 ? cstr("read ") : kind === 1 ? cstr("write ") : cstr("fetch ");
}
/**
 * `cpl3 write NAME: …` for each access, in rings 0, 3 and perhaps 1: ring 1's code is in user pages, which SMEP
 * forbids.
 */
function matrix(name: ptr<u8>, address: u64, ring1: boolean): void {
  for (let ring: u64 = 0; ring < 4; ring++) {
    if (ring === 2 || (ring === 1 && !ring1)) continue;
    for (let kind: u64 = 0; kind < 3; kind++) {
      access(kind, ring, address);
      text(cstr("cpl"));
      decimal(ring);
      char(32);
      text(kindName(kind));
      report(name);
    }
  }
}

function levels(): void {
  for (let level: u64 = 4; level > 0; level--) {
    // biome-ignore format: a table
    const name: ptr<u8> = level === 4 ? cstr("pml4e ") : level === 3 ? cstr("pdpte ") : level === 2 ? cstr("pde ") : cstr("pte ");
    setLevel(level, OPEN - Pte.P);
    access(1, 3, TEST_BASE);
    text(name);
    report(cstr("not present, cpl3 write"));
    setLevel(level, OPEN - Pte.W);
    access(1, 3, TEST_BASE);
    text(name);
    report(cstr("read-only, cpl3 write"));
    setLevel(level, OPEN - Pte.U);
    access(0, 3, TEST_BASE);
    text(name);
    report(cstr("supervisor, cpl3 read"));
    setLevel(level, OPEN | NO_EXECUTE);
    access(2, 3, TEST_BASE);
    text(name);
    report(cstr("no-execute, cpl3 fetch"));
    setLevel(level, OPEN | (1 << 51));
    access(1, 0, TEST_BASE);
    text(name);
    report(cstr("bit 51, cpl0 write"));
    setLevel(level, OPEN | (1 << 40));
    access(0, 3, TEST_BASE);
    text(name);
    report(cstr("bit 40, cpl3 read"));
  }
  setLevel(4, OPEN | Pte.PS);
  access(0, 0, TEST_BASE);
  report(cstr("pml4e bit 7, cpl0 read"));
  setLevel(2, OPEN);
  testDirectory[0] = OPEN | Pte.PS | 0x2000;
  flush();
  access(0, 0, TEST_BASE);
  report(cstr("2 MB page bit 13, cpl0 read"));
  testDirectory[0] = OPEN | Pte.PS;
  flush();
  access(0, 0, TEST_BASE + 0x10_0000);
  report(cstr("2 MB page, cpl0 read"));
  testDirectory[0] = Pte.P | Pte.W | Pte.PS;
  flush();
  access(1, 3, TEST_BASE + 0x10_0123);
  report(cstr("2 MB page supervisor, cpl3 write"));
  testPdpt[0] = Pte.P | Pte.U | Pte.PS;
  flush();
  access(1, 3, TEST_BASE + 0x10_0123);
  report(cstr("1 GB page read-only, cpl3 write"));
  testPdpt[0] = OPEN | Pte.PS | 0x2000;
  flush();
  access(0, 3, TEST_BASE);
  report(cstr("1 GB page bit 13, cpl3 read"));
  resetPages();
}

function accessedAndDirty(): void {
  resetPages();
  access(0, 3, pageAt(0));
  expect(cstr("read sets accessed"), accessed(testTable[0]), 1);
  expect(cstr("read sets accessed above"), accessed(testDirectory[0]), 1);
  access(1, 3, pageAt(0));
  expect(cstr("write sets dirty"), accessed(testTable[0]), 3);
  expect(cstr("write sets no dirty above"), accessed(testDirectory[0]), 1);
  setPage(1, OPEN - Pte.W);
  access(1, 3, pageAt(1));
  expect(cstr("refused write sets no dirty"), accessed(testTable[1]) & 2, 0);
  setPage(2, Pte.P);
  access(0, 3, pageAt(2));
  setPage(3, OPEN);
  access(2, 3, pageAt(3) + 0x10);
  expect(cstr("fetch sets accessed"), accessed(testTable[3]), 1);
}

/** Accesses across a page's end: the first page is mapped, the second is not. */
function straddling(): void {
  resetPages();
  setPage(1, OPEN - Pte.P);
  give(pageAt(1) - 4, 0, 0x1122_3344_5566_7788, 0);
  attempt(3, writeAt);
  event.r14 = pageAt(1);
  report(cstr("straddling write"));
  expect(cstr("  the first page is untouched"), cast<ptr<u32>>(frame(1) - 4)[0], 0);
  attempt(3, readAt);
  event.r14 = pageAt(1);
  report(cstr("straddling read"));
  // mov eax, imm32 with its immediate on the next page.
  frames[4094] = 0x90;
  frames[4095] = 0xb8;
  access(2, 3, pageAt(1) - 2);
  event.r14 = pageAt(1);
  event.r15 = pageAt(1) - 1;
  report(cstr("straddling instruction"));
  give(pageAt(1) - 5, pageAt(1), 9, 0);
  attempt(3, repeatAt);
  report(cstr("rep stosb into the page"));
  expect(cstr("  rcx"), event.rcx, 4);
  expect(cstr("  rdi"), event.rdi, pageAt(1));
  give(pageAt(1), 0, 0, 0);
  check(cstr("push, stack at the page's start"), 3, pushAt);
  give(pageAt(1) + 8, 0, 0, 0);
  check(cstr("push, stack in the page"), 3, pushAt);
  expect(cstr("  rsp unchanged"), event.rsp, pageAt(1) + 8);
  check(cstr("call, stack in the page"), 3, callFrom);
  give(pageAt(1) + 0x18, 0, 0, 0);
  check(cstr("read-modify-write of a missing page"), 3, addAt);
  check(cstr("lock cmpxchg of a missing page"), 3, exchangeAt);
  setPage(1, OPEN - Pte.W);
  check(cstr("read-modify-write of a read-only page"), 3, addAt);
  check(cstr("lock cmpxchg of a read-only page"), 3, exchangeAt);
  for (let i: u64 = 0; i < 4096; i++) frames[i] = 0;
}

function protection(): void {
  const cr0: u64 = asm<u64>`mov ${ret}, cr0`;
  const cr4: u64 = asm<u64>`mov ${ret}, cr4`;
  resetPages();
  setPage(0, Pte.P | Pte.U);
  matrix(cstr("user read-only"), TEST_BASE, true);
  setPage(0, Pte.P);
  matrix(cstr("supervisor read-only"), TEST_BASE, true);
  setPage(0, Pte.P | Pte.W);
  matrix(cstr("supervisor writable"), TEST_BASE, true);
  setPage(0, OPEN);
  matrix(cstr("user writable"), TEST_BASE, true);
  setPage(0, OPEN | NO_EXECUTE);
  matrix(cstr("user no-execute"), TEST_BASE, true);
  setPage(0, Pte.P | Pte.W | NO_EXECUTE);
  matrix(cstr("supervisor no-execute"), TEST_BASE, true);
  setPage(0, OPEN - Pte.P);
  matrix(cstr("missing"), TEST_BASE, true);
  asm({ clobber: ["memory"], in: { rax: cr0 & ~Cr0.WP } })`mov cr0, rax`;
  setPage(0, Pte.P | Pte.U);
  matrix(cstr("user read-only, wp off"), TEST_BASE, true);
  asm({ clobber: ["memory"], in: { rax: cr0 } })`mov cr0, rax`;

  asm({ clobber: ["memory"], in: { rax: cr4 | Cr4.SMEP } })`mov cr4, rax`;
  setPage(0, OPEN);
  matrix(cstr("user writable, smep"), TEST_BASE, false);
  setPage(0, Pte.P | Pte.W);
  matrix(cstr("supervisor writable, smep"), TEST_BASE, false);
  asm({ clobber: ["memory"], in: { rax: cr4 } })`mov cr4, rax`;

  // The code and stacks of the outer rings are in user pages: with SMAP only ring 0 takes part.
  setPage(0, OPEN);
  asm({ clobber: ["memory"], in: { rax: cr4 | Cr4.SMAP } })`mov cr4, rax`;
  access(0, 0, TEST_BASE);
  report(cstr("smap, cpl0 read user"));
  access(1, 0, TEST_BASE + 8);
  report(cstr("smap, cpl0 write user"));
  access(2, 0, TEST_BASE);
  report(cstr("smap, cpl0 fetch user"));
  giveFlags(Rflags.AC);
  access(0, 0, TEST_BASE);
  report(cstr("smap, cpl0 read user, ac"));
  access(1, 0, TEST_BASE + 8);
  report(cstr("smap, cpl0 write user, ac"));
  giveFlags(0);
  access(0, 3, TEST_BASE);
  report(cstr("smap, cpl3 read user"));
  asm({ clobber: ["memory"], in: { rax: cr4 } })`mov cr4, rax`;

  // Without EFER.NXE bit 63 is reserved, and a fetch is not distinguished from a read.
  writeEfer(0x501);
  setPage(0, OPEN | NO_EXECUTE);
  access(0, 3, TEST_BASE);
  report(cstr("nxe off, no-execute set, cpl3 read"));
  setPage(0, OPEN - Pte.P);
  access(2, 3, TEST_BASE);
  report(cstr("nxe off, missing, cpl3 fetch"));
  asm({ clobber: ["memory"], in: { rax: cr4 | Cr4.SMEP } })`mov cr4, rax`;
  access(2, 3, TEST_BASE);
  report(cstr("nxe off, smep, missing, cpl3 fetch"));
  asm({ clobber: ["memory"], in: { rax: cr4 } })`mov cr4, rax`;
  writeEfer(0xd01);
}
function writeEfer(low: u64): void {
  asm({ clobber: ["memory"], in: { rcx: Msr.EFER, rax: low, rdx: 0 } })`wrmsr`;
}

/** Changes of the tables take effect after INVLPG and after MOV to CR3; a page that was missing needs neither. */
function invalidation(): void {
  resetPages();
  access(0, 0, pageAt(4));
  testTable[4] = 0;
  asm({ clobber: ["memory"], in: { rax: pageAt(4) } })`invlpg [rax]`;
  access(0, 0, pageAt(4));
  report(cstr("removed, invlpg"));
  testTable[4] = frame(4) | OPEN;
  access(0, 0, pageAt(4));
  report(cstr("added, no flush"));
  testTable[4] = 0;
  flush();
  access(0, 0, pageAt(4));
  report(cstr("removed, mov cr3"));
  resetPages();
  cast<ptr<u64>>(frame(5))[0] = 0x5555;
  cast<ptr<u64>>(frame(6))[0] = 0x6666;
  give(pageAt(5), 0, 0, 0);
  attempt(3, readAt);
  expect(cstr("before"), event.rcx, 0x5555);
  testTable[5] = frame(6) | OPEN;
  asm({ clobber: ["memory"], in: { rax: pageAt(5) } })`invlpg [rax]`;
  attempt(3, readAt);
  expect(cstr("moved, invlpg"), event.rcx, 0x6666);
  resetPages();
}
/** Compatibility mode, code at its first byte: mov eax, [eax] / mov [eax], eax. */
function compatibility(): void {
  resetPages();
  // Above 4 GB nothing can be named: the identity map is the supervisor's.
  give(cast<u64>(addr(frames)), 0, 0, 0);
  start.r14 = cast<u64>(addr(frames));
  attemptCompat(0x008b);
  report(cstr("cpl3-compat read supervisor"));
  attemptCompat(0x0089);
  report(cstr("cpl3-compat write supervisor"));
  give(0xa000_0000, 0, 0, 0);
  start.r14 = 0xa000_0000;
  attemptCompat(0x0089);
  report(cstr("cpl3-compat write missing"));
  give(USER_ALIAS + cast<u64>(addr(frames)), 0, 0, 0);
  attemptCompat(0x008b);
  report(cstr("cpl3-compat read user"));
  start.r14 = 0;
}
function attemptCompat(bytes: u64): void {
  attemptBytes(4, bytes, 2);
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  protection();
  levels();
  frames[0x3010] = 0xcd;
  frames[0x3011] = 0x80;
  accessedAndDirty();
  straddling();
  invalidation();
  compatibility();
}
