/**
 * The centre of the checks: `attempt` runs code in a ring, and the first event of any kind ends it. Its handler records
 * everything that the processor did (vector, error code, frame, CR2, the registers, the handler's stack) in `event` and
 * returns to the caller of `attempt`. Code that completes executes `int DONE`.
 *
 * Conventions of checked code: R15 = expected RIP of the event, R14 = expected CR2 of a page fault.
 */
import { Exception } from "../../../../kernel/abi/x86.ts";
import { TEST_BASE, USER_ALIAS } from "./space.ts";
import { char, exit, hex, line, text } from "./console.ts";
import { type DescriptorPointer, Sel } from "./descriptors.ts";

/** "The code has completed": a gate of DPL 3. */
export const DONE: u32 = 0x80;
/** Software interrupts 0x81 … 0x87 belong to the checks. IDT_VECTORS and above are beyond the limit. */
export const IDT_VECTORS: u64 = 0x90;
export const IST_DOUBLE_FAULT: u64 = 2;

export class Event {
  rax: u64 = 0;
  rbx: u64 = 0;
  rcx: u64 = 0;
  rdx: u64 = 0;
  rsi: u64 = 0;
  rdi: u64 = 0;
  rbp: u64 = 0;
  r8: u64 = 0;
  r9: u64 = 0;
  r10: u64 = 0;
  r11: u64 = 0;
  r12: u64 = 0;
  r13: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
  vector: u64 = 0;
  error: u64 = 0;
  rip: u64 = 0;
  cs: u64 = 0;
  rflags: u64 = 0;
  rsp: u64 = 0;
  ss: u64 = 0;
  cr2: u64 = 0;
  /** Address after the frame: where the processor started to push. */
  frameTop: u64 = 0;
  /** On entry to the handler. */
  handlerSs: u64 = 0;
  handlerFlags: u64 = 0;
}
/** The event that ended the last attempt. */
export const event: Event = zeroed();

/** Initial state of the next attempt; the calls below set `code` and the ring's segments. */
export class Start {
  rip: u64 = 0;
  cs: u64 = 0;
  rflags: u64 = 0;
  rsp: u64 = 0;
  ss: u64 = 0;
  ds: u64 = 0;
  rax: u64 = 0;
  rbx: u64 = 0;
  rcx: u64 = 0;
  rdx: u64 = 0;
  rsi: u64 = 0;
  rdi: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
  /** Stack of the caller; 0 while no attempt runs. */
  back: u64 = 0;
}
export const start: Start = zeroed();

class Gate {
  low: u64 = 0;
  high: u64 = 0;
}
/** @align 4096 */
export const idt: arr<Gate, 256> = zeroed();
/** @align 16 */
const codeStack: arr<u8, 4096> = zeroed();
/** Instructions that the assembler does not know, or would not write. @align 64 */
export const rawCode: arr<u8, 64> = zeroed();

export const enum GateType {
  INTERRUPT = 0x8e,
  TRAP = 0x8f,
}
export function setGate(vector: u64, target: u64, selector: u64, type: u64, ist: u64): void {
  idt[vector].low =
    (target & 0xffff) | (selector << 16) | (ist << 32) | (type << 40) | (((target >> 16) & 0xffff) << 48);
  idt[vector].high = target >> 32;
}
/** Resets the gate to its default between two checks. */
export function resetGate(vector: u64): void {
  const user: u64 = vector === DONE || vector === Exception.BP || vector === 0x82 ? 0x60 : 0;
  const stub: u64 = vector < 32 ? vector : vector - 96;
  const ist: u64 = vector === Exception.DF ? IST_DOUBLE_FAULT : 0;
  setGate(vector, cast<u64>(trapStubs) + stub * 5, Sel.CODE0, GateType.INTERRUPT | user, ist);
}
export function loadIdtLimit(vectors: u64): void {
  const pointer: DescriptorPointer = zeroed();
  pointer.limit = u16(vectors * 16 - 1);
  pointer.base = cast<u64>(addr(idt));
  const at: u64 = cast<u64>(addr(pointer));
  asm({ clobber: ["memory"] })`lidt [${at}]`;
}
export function loadIdt(): void {
  for (let vector: u64 = 0; vector < 32; vector++) resetGate(vector);
  for (let vector: u64 = DONE; vector < IDT_VECTORS; vector++) resetGate(vector);
  idt[0x84].low = idt[0x84].low & 0xffff_7fff_ffff_ffff; // never present
  loadIdtLimit(IDT_VECTORS);
}

/** 0x00 … 0x1f, then 0x80 … 0x8f; five bytes each. */
export function trapStubs(): void {
  attr({ naked: true, align: 16 });
  asm`
    call plain;  call plain;  call plain;  call plain;  call plain;  call plain;  call plain;  call plain
    call coded;  call plain;  call coded;  call coded;  call coded;  call coded;  call coded;  call plain
    call plain;  call coded;  call plain;  call plain;  call plain;  call coded;  call plain;  call plain
    call plain;  call plain;  call plain;  call plain;  call plain;  call coded;  call coded;  call plain
    call plain;  call plain;  call plain;  call plain;  call plain;  call plain;  call plain;  call plain
    call plain;  call plain;  call plain;  call plain;  call plain;  call plain;  call plain;  call plain
  plain:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
  coded:
    push rax
    mov rax, ${event}
    mov [rax + ${offsetof<Event>("rbx")}], rbx
    mov [rax + ${offsetof<Event>("rcx")}], rcx
    mov [rax + ${offsetof<Event>("rdx")}], rdx
    mov [rax + ${offsetof<Event>("rsi")}], rsi
    mov [rax + ${offsetof<Event>("rdi")}], rdi
    mov [rax + ${offsetof<Event>("rbp")}], rbp
    mov [rax + ${offsetof<Event>("r8")}], r8
    mov [rax + ${offsetof<Event>("r9")}], r9
    mov [rax + ${offsetof<Event>("r10")}], r10
    mov [rax + ${offsetof<Event>("r11")}], r11
    mov [rax + ${offsetof<Event>("r12")}], r12
    mov [rax + ${offsetof<Event>("r13")}], r13
    mov [rax + ${offsetof<Event>("r14")}], r14
    mov [rax + ${offsetof<Event>("r15")}], r15
    lea rcx, [rsp + 64]
    mov [rax + ${offsetof<Event>("frameTop")}], rcx
    pushfq
    pop qword ptr [rax + ${offsetof<Event>("handlerFlags")}]
    xor ecx, ecx
    mov ecx, ss
    mov [rax + ${offsetof<Event>("handlerSs")}], rcx
    mov rcx, cr2
    mov [rax + ${offsetof<Event>("cr2")}], rcx
    pop qword ptr [rax + ${offsetof<Event>("rax")}]
    pop qword ptr [rax + ${offsetof<Event>("vector")}]
    pop qword ptr [rax + ${offsetof<Event>("error")}]
    pop qword ptr [rax + ${offsetof<Event>("rip")}]
    pop qword ptr [rax + ${offsetof<Event>("cs")}]
    pop qword ptr [rax + ${offsetof<Event>("rflags")}]
    pop qword ptr [rax + ${offsetof<Event>("rsp")}]
    pop qword ptr [rax + ${offsetof<Event>("ss")}]
    jmp ${comeBack}
  `;
}
/** On whatever stack the event used: returns to the caller of `attempt`. */
function comeBack(): void {
  attr({ naked: true });
  asm`
    mov eax, ${Sel.DATA0}
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov rax, ${start}
    mov rsp, [rax + ${offsetof<Start>("back")}]
    test rsp, rsp
    jnz 1f
    mov rsp, ${codeStack} + 4096
    push 2
    popfq
    call ${unexpected}
  1:
    mov qword ptr [rax + ${offsetof<Start>("back")}], 0
    push 2
    popfq
    pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
    ret
  `;
}
/** Enters the state in `start` by IRETQ. */
function enter(): void {
  attr({ naked: true });
  asm`
    push rbx; push rbp; push r12; push r13; push r14; push r15
    mov rax, ${start}
    mov [rax + ${offsetof<Start>("back")}], rsp
    mov ecx, [rax + ${offsetof<Start>("ds")}]
    mov ds, ecx
    mov es, ecx
    push qword ptr [rax + ${offsetof<Start>("ss")}]
    push qword ptr [rax + ${offsetof<Start>("rsp")}]
    push qword ptr [rax + ${offsetof<Start>("rflags")}]
    push qword ptr [rax + ${offsetof<Start>("cs")}]
    push qword ptr [rax + ${offsetof<Start>("rip")}]
    mov rbx, [rax + ${offsetof<Start>("rbx")}]
    mov rcx, [rax + ${offsetof<Start>("rcx")}]
    mov rdx, [rax + ${offsetof<Start>("rdx")}]
    mov rsi, [rax + ${offsetof<Start>("rsi")}]
    mov rdi, [rax + ${offsetof<Start>("rdi")}]
    mov r14, [rax + ${offsetof<Start>("r14")}]
    mov r15, [rax + ${offsetof<Start>("r15")}]
    mov rax, [rax + ${offsetof<Start>("rax")}]
    iretq
  `;
}
function unexpected(): void {
  attr({ keep: true, inline: "never" });
  event.vector = vectorOf(event.vector);
  text(cstr("unexpected event: "));
  what();
  text(cstr(" at "));
  hex(event.rip);
  line();
  exit(1);
}

/** Registers for this and later attempts. */
export function give(rax: u64, rbx: u64, rcx: u64, rdx: u64): void {
  start.rax = rax;
  start.rbx = rbx;
  start.rcx = rcx;
  start.rdx = rdx;
}
/** RFLAGS of later attempts, besides bit 1. */
export function giveFlags(flags: u64): void {
  start.rflags = flags | 2;
}

/**
 * Runs the code at `address` of the identity map: ring 0 there, other rings through the alias. 32: ring 3 in
 * compatibility mode.
 */
export function attemptAt(ring: u64, address: u64): void {
  const alias: u64 = ring === 0 || address >= TEST_BASE ? 0 : USER_ALIAS;
  // biome-ignore format: a table
  const code: u64 = ring === 0 ? Sel.CODE0 : ring === 1 ? Sel.CODE1 : ring === 2 ? Sel.CODE2 : ring === 3 ? Sel.CODE3 : Sel.CODE3_32;
  // biome-ignore format: a table
  const data: u64 = ring === 0 ? Sel.DATA0 : ring === 1 ? Sel.DATA1 : ring === 2 ? Sel.DATA2 : Sel.DATA3;
  start.rip = address + alias;
  start.r15 = start.rip;
  start.cs = code;
  start.ss = data;
  start.ds = data;
  start.rflags |= 2;
  start.rsp = cast<u64>(addr(codeStack)) + 4096 + (ring === 0 ? 0 : USER_ALIAS);
  event.vector = 0;
  event.error = 0;
  enter();
  event.vector = vectorOf(event.vector);
}
export function attempt(ring: u64, code: () => void): void {
  attemptAt(ring, cast<u64>(code));
}
/**
 * Up to 8 bytes of code, lowest first, followed by `int DONE`. R15 starts as the code's address, so rip=ok means "a
 * fault at its first byte".
 */
export function attemptBytes(ring: u64, bytes: u64, count: u64): void {
  for (let i: u64 = 0; i < count; i++) rawCode[i] = u8(bytes >> (8 * i));
  rawCode[count] = 0xcd;
  rawCode[count + 1] = u8(DONE);
  attemptAt(ring, cast<u64>(addr(rawCode)));
}

/** The stub's return address identifies the vector. */
function vectorOf(returnAddress: u64): u64 {
  const index: u64 = (returnAddress - cast<u64>(trapStubs)) / 5 - 1;
  return index < 32 ? index : index + 96;
}

/** Largest distance in bytes between two RIPs that is printed. */
const NEAR: u64 = 16;

const names: arr<u8, 64> = [
  0x44,
  0x45,
  0x44,
  0x42,
  0x4e,
  0x4d,
  0x42,
  0x50,
  0x4f,
  0x46,
  0x42,
  0x52,
  0x55,
  0x44,
  0x4e,
  0x4d, // DE DB NM BP OF BR UD NM
  0x44,
  0x46,
  0x2d,
  0x2d,
  0x54,
  0x53,
  0x4e,
  0x50,
  0x53,
  0x53,
  0x47,
  0x50,
  0x50,
  0x46,
  0x2d,
  0x2d, // DF -- TS NP SS GP PF --
  0x4d,
  0x46,
  0x41,
  0x43,
  0x4d,
  0x43,
  0x58,
  0x4d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d, // MF AC MC XM
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
  0x2d,
];
function pushesErrorCode(vector: u64): boolean {
  return vector === Exception.DF || (vector >= Exception.TS && vector <= Exception.PF) || vector === Exception.AC;
}
/** Prints the event: `#PF e=6 cr2=ok rip=ok`, `int 81 rip=ok` or `done`. */
export function what(): void {
  const vector: u64 = event.vector;
  if (vector === DONE) {
    text(cstr("done"));
    return;
  }
  if (vector < 32) {
    char(35);
    char(names[2 * vector]);
    char(names[2 * vector + 1]);
  } else {
    text(cstr("int "));
    hex(vector);
  }
  if (pushesErrorCode(vector)) {
    text(cstr(" e="));
    hex(event.error);
  }
  if (vector === Exception.PF) {
    text(cstr(" cr2="));
    if (event.cr2 === event.r14) text(cstr("ok"));
    else hex(event.cr2);
  }
  text(cstr(" rip="));
  if (event.rip === event.r15) {
    text(cstr("ok"));
  } else {
    const before: boolean = event.rip < event.r15;
    const distance: u64 = before ? event.r15 - event.rip : event.rip - event.r15;
    if (distance > NEAR) {
      text(cstr("elsewhere"));
    } else {
      char(before ? 45 : 43);
      hex(distance);
    }
  }
}
/** Prints the event as a line. */
export function report(name: ptr<u8>): void {
  text(name);
  text(cstr(": "));
  what();
  line();
}
export function check(name: ptr<u8>, ring: u64, code: () => void): void {
  attempt(ring, code);
  report(name);
}
export function checkBytes(name: ptr<u8>, ring: u64, bytes: u64, count: u64): void {
  attemptBytes(ring, bytes, count);
  report(name);
}
