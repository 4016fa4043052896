/**
 * Breakpoints by the debug registers. Intel SDM vol. 3B: 18.2 (registers), 18.3.1 (conditions), 18.3.1.1 (RF), 18.3.1.2
 * (data and ports), 18.3.1.3 (general detect), 18.3.1.4 (single step); vol. 3A: 6.8.3 (loads of SS), 6.15 (#DB).
 */
import { expect } from "./console.ts";
import { Sel } from "./descriptors.ts";
import { pageAt, resetPages } from "./pages.ts";
import { USER_ALIAS } from "./space.ts";
import { check, checkBytes, event, give } from "./trap.ts";

/** DR6 and DR7 with none of their bits. */
const NONE: u64 = 0xffff_0ff0;
const OFF: u64 = 0x400;
const RF: u64 = 0x1_0000;
const BD: u64 = 0x2000;
const BS: u64 = 0x4000;
const GD: u64 = 0x2000;
const DE: u64 = 8;
const PORT: u64 = 0x80;

/** R/W and LEN of DR7. */
const enum On {
  EXECUTE = 0,
  WRITE = 1,
  PORT = 2,
  ACCESS = 3,
  BYTES2 = 4,
  BYTES8 = 8,
  BYTES4 = 12,
}

function setControl(value: u64): void {
  asm({ in: { rax: value } })`mov dr7, rax`;
}
function control(): u64 {
  return asm<u64>`mov ${ret}, dr7`;
}
/** Enables breakpoint n, locally. */
function arm(n: u64, address: u64, on: u64): void {
  if (n === 0) asm({ in: { rax: address } })`mov dr0, rax`;
  if (n === 1) asm({ in: { rax: address } })`mov dr1, rax`;
  if (n === 2) asm({ in: { rax: address } })`mov dr2, rax`;
  if (n === 3) asm({ in: { rax: address } })`mov dr3, rax`;
  setControl(control() | (1 << (2 * n)) | (on << (16 + 4 * n)));
}
/** What DR6 holds, and RF of the frame; then no breakpoint is enabled. */
function status(bits: u64, rf: u64): void {
  setControl(OFF);
  expect(cstr("  dr6"), asm<u64>`mov ${ret}, dr6`, NONE | bits);
  asm({ in: { rax: NONE } })`mov dr6, rax`;
  expect(cstr("  rf"), event.rflags & RF, rf);
}

// ---- execution

/** Breakpoint RDX, or all of them (4), with RBX in DR7. */
function executeHere(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]; xor ecx, ecx; mov dr0, rcx; mov dr1, rcx; mov dr2, rcx; mov dr3, rcx; mov eax, edx; and eax, 3
    cmp eax, 0; jne 2f; mov dr0, r15
  2:
    cmp edx, 4; je 2f; cmp edx, 1; jne 3f
  2:
    mov dr1, r15
  3:
    cmp edx, 4; je 2f; cmp edx, 2; jne 3f
  2:
    mov dr2, r15
  3:
    cmp edx, 4; je 2f; cmp edx, 3; jne 3f
  2:
    mov dr3, r15
  3:
    mov dr7, rbx
  1:
    inc ecx
    int 0x80
  `;
}
function executeSecondByte(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f + 1]; mov dr0, r15; mov eax, 1; mov dr7, rax;  1: mov eax, 5; int 0x80`;
}
/** IRETQ with these flags to an instruction with a breakpoint, which comes back to it. */
function executeReturn(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]; mov dr0, r15; mov eax, 1; mov dr7, rax; xor ecx, ecx
    mov rdx, rsp; mov eax, ss; push rax; push rdx; pushfq; or [rsp], rbx; mov eax, cs; push rax; push r15; iretq
  1:
    inc ecx
    jmp 1b
  `;
}
function executeFault(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]; mov dr0, r15; mov eax, 1; mov dr7, rax
    mov rdx, rsp; mov eax, ss; push rax; push rdx; pushfq; or [rsp], rbx; mov eax, cs; push rax; push r15; iretq
  1:
    ud2
  `;
}
function executePopf(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]; mov dr0, r15; mov eax, 1; mov dr7, rax
    pushfq; or dword ptr [rsp], 0x10000; popfq
  1:
    int 0x80
  `;
}
function executeRepeat(): void {
  attr({ naked: true });
  asm`
    lea r15, [rip + 1f]; mov dr0, r15; mov eax, 1; mov dr7, rax; mov ecx, 3; mov rdi, rbx
    mov rdx, rsp; mov eax, ss; push rax; push rdx; pushfq; or dword ptr [rsp], 0x10000; mov eax, cs; push rax; push r15; iretq
  1:
    rep stosb
    int 0x80
  `;
}
function executeBehindStack(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov dr0, r15; mov ecx, 1; mov eax, ss; mov dr7, rcx; mov ss, eax;  1: nop; int 0x80`;
}
function executeBehindSti(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov dr0, r15; mov ecx, 1; mov dr7, rcx; sti;  1: cli; int 0x80`;
}
function user(): void {
  attr({ naked: true });
  asm`nop; int 0x80`;
}

function execution(): void {
  for (let n: u64 = 0; n < 4; n++) {
    give(0, 1 << (2 * n), 0, n);
    check(cstr("execute, local"), 0, executeHere);
    status(1 << n, 0);
    give(0, 2 << (2 * n), 0, n);
    check(cstr("execute, global"), 0, executeHere);
    status(1 << n, 0);
    expect(cstr("  before the instruction"), event.rcx, 0);
  }
  give(0, 0x55, 0, 4);
  check(cstr("execute, all four"), 0, executeHere);
  status(15, 0);
  give(0, 0x300, 0, 4);
  check(cstr("execute, none enabled"), 0, executeHere);
  status(0, 0);
  check(cstr("execute, second byte"), 0, executeSecondByte);
  status(0, 0);
  arm(1, cast<u64>(user) + USER_ALIAS, On.EXECUTE);
  check(cstr("cpl3 execute"), 3, user);
  status(2, 0);
  arm(1, cast<u64>(user) + USER_ALIAS, On.EXECUTE);
  check(cstr("cpl3-compat execute"), 4, user);
  status(2, 0);
  arm(1, cast<u64>(user) + USER_ALIAS + 1, On.EXECUTE);
  check(cstr("cpl3 execute, the next"), 3, user);
  status(2, 0);
  give(0, RF, 0, 0);
  check(cstr("iretq with rf"), 0, executeReturn);
  status(1, 0);
  expect(cstr("  the instruction was executed once"), event.rcx, 1);
  give(0, 0, 0, 0);
  check(cstr("iretq without rf"), 0, executeReturn);
  status(1, 0);
  expect(cstr("  the instruction was not executed"), event.rcx, 0);
  give(0, RF, 0, 0);
  check(cstr("a fault where rf is set"), 0, executeFault);
  status(0, RF);
  give(0, 0, 0, 0);
  check(cstr("a fault where a breakpoint is"), 0, executeFault);
  status(1, 0);
  check(cstr("popfq with rf"), 0, executePopf);
  status(1, 0);
  give(0, pageAt(0), 0, 0);
  check(cstr("rep stosb with rf"), 0, executeRepeat);
  status(0, 0);
  check(cstr("execute, behind mov ss"), 0, executeBehindStack);
  status(0, 0);
  check(cstr("execute, behind sti"), 0, executeBehindSti);
  status(1, 0);
}

// ---- data: RBX is the address

function write1(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov byte ptr [rbx], 1;  1: int 0x80`;
}
function write8(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov [rbx], rax;  1: int 0x80`;
}
function read1(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov al, [rbx];  1: int 0x80`;
}
function read8(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rax, [rbx];  1: int 0x80`;
}
function modify(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; lock inc dword ptr [rbx];  1: int 0x80`;
}
function write16(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; movups [rbx], xmm0;  1: int 0x80`;
}
function read16(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; movups xmm0, [rbx];  1: int 0x80`;
}
function pushed(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; lea rsp, [rbx + 8]; push rax;  1: int 0x80`;
}
function popped(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rsp, rbx; pop rax;  1: int 0x80`;
}
function repeated(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov ecx, 8; mov rdi, rbx;  1: rep stosb; int 0x80`;
}
function repeatedLast(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov ecx, 4; mov rdi, rbx; rep stosb;  1: int 0x80`;
}
function moved(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rsi, rbx; lea rdi, [rbx + 64]; movsb;  1: int 0x80`;
}
function twice(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov rsi, rbx; lea rdi, [rbx + 64]; movsq;  1: int 0x80`;
}
function stepped(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; pushfq; or dword ptr [rsp], 0x100; popfq; mov [rbx], eax;  1: int 0x80`;
}
function faulting(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov r14, 0xffff900000000000;  1: push qword ptr [r14]; int 0x80`;
}
function unrelated(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov [rbx + 256], rax; mov rax, [rbx + 256]; lea rax, [rbx];  1: int 0x80`;
}

/** An access at `address` with a breakpoint at `where`. */
function data(name: ptr<u8>, code: () => void, address: u64, where: u64, on: u64): void {
  arm(0, pageAt(0) + where, on);
  give(0, pageAt(0) + address, 0, 0);
  check(name, 3, code);
}

function accesses(): void {
  data(cstr("write"), write8, 0x100, 0x100, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("write, read"), read8, 0x100, 0x100, On.WRITE | On.BYTES8);
  status(0, 0);
  data(cstr("access, read"), read8, 0x100, 0x100, On.ACCESS | On.BYTES8);
  status(1, 0);
  data(cstr("access, write"), write8, 0x100, 0x100, On.ACCESS | On.BYTES8);
  status(1, 0);
  data(cstr("write, read-modify-write"), modify, 0x104, 0x100, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("8 bytes, the last"), write1, 0x107, 0x100, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("8 bytes, behind"), write1, 0x108, 0x100, On.WRITE | On.BYTES8);
  status(0, 0);
  data(cstr("8 bytes, before"), write1, 0xff, 0x100, On.WRITE | On.BYTES8);
  status(0, 0);
  data(cstr("8 bytes, low bits ignored"), write1, 0x100, 0x107, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("4 bytes, the last"), read1, 0x103, 0x100, On.ACCESS | On.BYTES4);
  status(1, 0);
  data(cstr("4 bytes, behind"), read1, 0x104, 0x100, On.ACCESS | On.BYTES4);
  status(0, 0);
  data(cstr("4 bytes, low bits ignored"), read1, 0x100, 0x103, On.ACCESS | On.BYTES4);
  status(1, 0);
  data(cstr("2 bytes, the last"), write1, 0x103, 0x102, On.WRITE | On.BYTES2);
  status(1, 0);
  data(cstr("2 bytes, behind"), write1, 0x104, 0x102, On.WRITE | On.BYTES2);
  status(0, 0);
  data(cstr("2 bytes, low bit ignored"), write1, 0x102, 0x103, On.WRITE | On.BYTES2);
  status(1, 0);
  data(cstr("1 byte within a wider write"), write8, 0x100, 0x103, On.WRITE);
  status(1, 0);
  data(cstr("1 byte within a wider read"), read8, 0x100, 0x107, On.ACCESS);
  status(1, 0);
  data(cstr("1 byte, beside"), write1, 0x102, 0x103, On.WRITE);
  status(0, 0);
  data(cstr("misaligned write, first part"), write8, 0x105, 0x100, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("misaligned write, second part"), write8, 0x105, 0x108, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("misaligned read, second part"), read8, 0x105, 0x10c, On.ACCESS);
  status(1, 0);
  data(cstr("misaligned read, behind"), read8, 0x105, 0x10d, On.ACCESS);
  status(0, 0);
  data(cstr("write across pages"), write8, 0xffc, 0x1000, On.WRITE | On.BYTES4);
  status(1, 0);
  data(cstr("read across pages"), read8, 0xffc, 0x1003, On.ACCESS);
  status(1, 0);
  data(cstr("sse write"), write16, 0x100, 0x108, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("sse read"), read16, 0x100, 0x10f, On.ACCESS);
  status(1, 0);
  arm(0, pageAt(0) + 0x109, On.WRITE);
  checkBytes(cstr("x87 write"), 3, 0x3bdb_e8d9, 4); // fld1; fstp tbyte [rbx]
  status(1, 0);
  arm(0, pageAt(0) + 0x103, On.ACCESS);
  checkBytes(cstr("x87 read"), 3, 0x03d9, 2); // fld dword [rbx]
  status(1, 0);
  data(cstr("push"), pushed, 0x100, 0x100, On.WRITE | On.BYTES8);
  status(1, 0);
  data(cstr("pop"), popped, 0x100, 0x100, On.ACCESS | On.BYTES8);
  status(1, 0);
  data(cstr("rep stosb, the third byte"), repeated, 0x100, 0x102, On.WRITE);
  expect(cstr("  iterations left"), event.rcx, 5);
  status(1, RF);
  data(cstr("rep stosb, the last byte"), repeatedLast, 0x100, 0x103, On.WRITE);
  expect(cstr("  iterations left"), event.rcx, 0);
  status(1, 0);
  data(cstr("movsb, source"), moved, 0x100, 0x100, On.ACCESS);
  status(1, 0);
  data(cstr("movsb, destination"), moved, 0x100, 0x140, On.WRITE);
  status(1, 0);
  arm(2, pageAt(0) + 0x140, On.WRITE);
  arm(3, pageAt(0) + 0x147, On.WRITE);
  data(cstr("three at once"), twice, 0x100, 0x100, On.ACCESS);
  status(13, 0);
  data(cstr("a write and a step"), stepped, 0x100, 0x100, On.WRITE);
  status(1 | BS, 0);
  data(cstr("other addresses"), unrelated, 0x100, 0x100, On.ACCESS | On.BYTES8);
  status(0, 0);
  arm(0, pageAt(0) + 0x100, On.ACCESS);
  check(cstr("an instruction that faults"), 0, faulting);
  status(0, RF);
  // DR6 keeps what it has.
  asm({ in: { rax: NONE | 8 } })`mov dr6, rax`;
  data(cstr("dr6 is not cleared"), write1, 0x100, 0x100, On.WRITE);
  status(9, 0);
}

/** SS is loaded from watched memory: the trap comes one instruction later. */
function loadStackSegment(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov ss, [rbx]; nop;  1: nop; int 0x80`;
}
function stackLoads(): void {
  cast<ptr<u64>>(pageAt(0) + 0x100)[0] = Sel.DATA0;
  arm(0, pageAt(0) + 0x100, On.ACCESS | On.BYTES2);
  give(0, pageAt(0) + 0x100, 0, 0);
  check(cstr("mov ss from watched memory"), 0, loadStackSegment);
  status(1, 0);
}

// ---- ports

function out8(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; out dx, al;  1: int 0x80`;
}
function in8(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; in al, dx;  1: int 0x80`;
}
function port(name: ptr<u8>, code: () => void, number: u64, where: u64, on: u64): void {
  arm(1, where, on);
  give(0, 0, 0, number);
  check(name, 0, code);
}
function ports(): void {
  const cr4: u64 = asm<u64>`mov ${ret}, cr4`;
  asm({ in: { rax: cr4 | DE } })`mov cr4, rax`;
  port(cstr("out"), out8, PORT, PORT, On.PORT);
  status(2, 0);
  port(cstr("in"), in8, PORT, PORT, On.PORT);
  status(2, 0);
  port(cstr("out, another port"), out8, PORT, PORT + 1, On.PORT);
  status(0, 0);
  port(cstr("out, second of two"), out8, PORT + 1, PORT, On.PORT | On.BYTES2);
  status(2, 0);
  port(cstr("out, low bits ignored"), out8, PORT, PORT + 3, On.PORT | On.BYTES4);
  status(2, 0);
  port(cstr("out, behind four"), out8, PORT + 4, PORT, On.PORT | On.BYTES4);
  status(0, 0);
  asm({ in: { rax: cr4 } })`mov cr4, rax`;
  port(cstr("out, without de"), out8, PORT, PORT, On.PORT);
  status(0, 0);
}

// ---- general detect, INT1

function readDebug(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov dr7, rbx;  1: mov rax, dr0; int 0x80`;
}
function writeDebug(): void {
  attr({ naked: true });
  asm`lea r15, [rip + 1f]; mov dr7, rbx;  1: mov dr2, rax; int 0x80`;
}
function detect(): void {
  give(0, GD, 0, 0);
  check(cstr("gd, mov from dr0"), 0, readDebug);
  expect(cstr("  gd is clear"), control(), OFF);
  status(BD, RF);
  give(0x1234, GD | 0x300, 0, 0);
  check(cstr("gd, mov to dr2"), 0, writeDebug);
  expect(cstr("  gd is clear, others stay"), control(), OFF | 0x300);
  status(BD, RF);
  expect(cstr("  dr2 is not written"), asm<u64>`mov ${ret}, dr2` === 0x1234 ? 1 : 0, 0);
  setControl(GD);
  give(0, 0, 0, 0);
  checkBytes(cstr("gd, cpl3 mov from dr0"), 3, 0xc0_210f, 3);
  give(0, 0, 0, 0);
  check(cstr("gd, mov from dr6"), 0, readDebugNow);
  status(BD, RF);
}
function readDebugNow(): void {
  attr({ naked: true });
  asm`mov rax, dr6; int 0x80`;
}
export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  resetPages();
  execution();
  accesses();
  stackLoads();
  ports();
  detect();
  checkBytes(cstr("int1"), 0, 0xf1, 1);
  status(0, 0);
}
