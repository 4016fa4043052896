/**
 * Code that changes: written by the same core through its own address and through an alias, by the other core, or
 * replaced by new page tables. Intel SDM vol. 3A: 8.1.3 (self- and cross-modifying code; with a jump or a serialising
 * instruction between write and use where the manual requires it), 11.6 (self-modifying code), 4.10.4 (invalidation).
 */
import { expect } from "./console.ts";
import { frame, pageAt, resetPages, setPage, testTable } from "./pages.ts";
import { pause, startSecondCore } from "./smp.ts";
import { attempt, check, event, give } from "./trap.ts";

const ROUNDS: u64 = 100;

/** mov eax, imm32; ret at `code`. */
function writeFunction(code: u64, result: u64): void {
  const at = cast<ptr<u8>>(code);
  volatileWrite(addr(at[0]), 0xb8);
  volatileWrite(cast<ptr<u32>>(code + 1), u32(result));
  volatileWrite(addr(at[5]), 0xc3);
}
function run(code: u64): u64 {
  return asm<u64>({ in: { rcx: code }, out: "rax", clobber: ["memory"] })`call rcx`;
}
function serialise(): void {
  asm({ clobber: ["rax", "rbx", "rcx", "rdx", "memory"] })`xor eax, eax; cpuid`;
}

/** Stores into the running block, beyond a jump (8.1.3, option 1). */
function ahead(): void {
  attr({ naked: true });
  asm`
    lea rbx, [rip + 2f]
    mov dword ptr [rbx + 1], ecx
    jmp 2f
  2:
    mov eax, 0x11111111
    int 0x80
  `;
}
/** The same without the jump: processors of the P6 family and later detect it, too (11.6). */
function aheadAtOnce(): void {
  attr({ naked: true });
  asm`
    lea rbx, [rip + 2f]
    mov dword ptr [rbx + 1], ecx
  2:
    mov eax, 0x11111111
    int 0x80
  `;
}
/** A loop whose body increments its own operand. */
function loopOfItself(): void {
  attr({ naked: true });
  asm`
    xor eax, eax
    lea rbx, [rip + 2f]
    mov dword ptr [rbx + 1], 1
    mov ecx, 10
  1:
    jmp 2f
  2:
    add eax, 0x11111111
    inc dword ptr [rbx + 1]
    dec ecx
    jnz 1b
    int 0x80
  `;
}
/** `rep stosb` writes NOPs over the UD2 that follows it. */
function stringStore(): void {
  attr({ naked: true });
  asm`
    lea rdi, [rip + 2f]
    mov ecx, 2
    mov eax, 0x90
    cld
    rep stosb
    jmp 2f
  2:
    ud2
    mov byte ptr [rip + 2b], 0x0f
    mov byte ptr [rip + 2b + 1], 0x0b
    int 0x80
  `;
}

function own(): void {
  give(0, 0, 0x2222_2222, 0);
  attempt(0, ahead);
  expect(cstr("store ahead, jump"), event.rax, 0x2222_2222);
  give(0, 0, 0x3333_3333, 0);
  attempt(0, ahead);
  expect(cstr("store ahead, jump, again"), event.rax, 0x3333_3333);
  attempt(3, ahead);
  expect(cstr("store ahead, jump, ring 3"), event.rax, 0x3333_3333);
  give(0, 0, 0x4444_4444, 0);
  attempt(3, ahead);
  expect(cstr("store ahead, jump, ring 3, again"), event.rax, 0x4444_4444);
  attempt(0, aheadAtOnce);
  expect(cstr("store ahead, no jump"), event.rax, 0x4444_4444);
  give(0, 0, 0x5555_5555, 0);
  attempt(0, aheadAtOnce);
  expect(cstr("store ahead, no jump, again"), event.rax, 0x5555_5555);
  attempt(0, loopOfItself);
  expect(cstr("loop that changes itself"), event.rax, 55);
  attempt(3, loopOfItself);
  expect(cstr("loop that changes itself, ring 3"), event.rax, 55);
  check(cstr("rep stosb over an instruction"), 0, stringStore);
  check(cstr("rep stosb over an instruction, again"), 0, stringStore);
}

/** Frame 0 is executed at pageAt(0) and written through the identity map, and the reverse. */
function aliases(): void {
  resetPages();
  let wrong: u64 = 0;
  for (let i: u64 = 1; i <= ROUNDS; i++) {
    writeFunction(frame(0), i);
    serialise();
    if (run(pageAt(0)) !== i) wrong++;
  }
  expect(cstr("written at another address: stale runs"), wrong, 0);
  wrong = 0;
  for (let i: u64 = 1; i <= ROUNDS; i++) {
    writeFunction((i & 1) === 0 ? frame(0) : pageAt(0), i);
    serialise();
    if (run((i & 2) === 0 ? frame(0) : pageAt(0)) !== i) wrong++;
  }
  expect(cstr("written and run at either: stale runs"), wrong, 0);
  setPage(1, 5); // read-only, but its frame is not
  wrong = 0;
  for (let i: u64 = 1; i <= ROUNDS; i++) {
    writeFunction(frame(1), i);
    serialise();
    if (run(pageAt(1)) !== i) wrong++;
  }
  expect(cstr("read-only where it runs: stale runs"), wrong, 0);
  // Across a page's end.
  wrong = 0;
  for (let i: u64 = 1; i <= ROUNDS; i++) {
    writeFunction(frame(3) - 3, i * 0x0101_0101);
    serialise();
    if (run(pageAt(3) - 3) !== u64(u32(i * 0x0101_0101))) wrong++;
  }
  expect(cstr("over a page's end: stale runs"), wrong, 0);
}

/** Other frames at the same address. */
function remapped(): void {
  resetPages();
  writeFunction(frame(4), 44);
  writeFunction(frame(5), 55);
  let wrong: u64 = 0;
  for (let i: u64 = 0; i < ROUNDS; i++) {
    testTable[6] = frame(4 + (i & 1)) | 7;
    asm({ in: { rax: pageAt(6) }, clobber: ["memory"] })`invlpg [rax]`;
    if (run(pageAt(6)) !== ((i & 1) === 0 ? 44 : 55)) wrong++;
  }
  expect(cstr("mapped to other code: stale runs"), wrong, 0);
  resetPages();
}

class Shared {
  /** The function holds the code of this number … */
  written: u64 = 0;
  /** … and the other core has executed it, with this result. */
  ran: u64 = 0;
  result: u64 = 0;
}
const shared: Shared = zeroed();
const LAST: u64 = 0xffff_ffff;

/** 8.1.3, cross-modifying code: wait for the flag, serialise, run. */
export function second(): void {
  attr({ symbol: "secondCore", keep: true });
  let last: u64 = 0;
  for (;;) {
    const now: u64 = atomicLoad(addr(shared.written));
    if (now === LAST) return;
    if (now === last) {
      pause();
      continue;
    }
    last = now;
    serialise();
    shared.result = run((now & 1) === 0 ? frame(7) : pageAt(7));
    atomicStore(addr(shared.ran), now);
  }
}
function crossModifying(): void {
  resetPages();
  startSecondCore();
  let wrong: u64 = 0;
  let wrongHere: u64 = 0;
  for (let i: u64 = 1; i <= ROUNDS; i++) {
    writeFunction(frame(7), i * 3);
    atomicStore(addr(shared.written), i);
    while (atomicLoad(addr(shared.ran)) < i) pause();
    if (volatileRead(addr(shared.result)) !== i * 3) wrong++;
    if (run(frame(7)) !== i * 3) wrongHere++;
  }
  atomicStore(addr(shared.written), LAST);
  expect(cstr("cross-modifying code: stale runs of the other core"), wrong, 0);
  expect(cstr("cross-modifying code: stale runs of the writer"), wrongHere, 0);
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  own();
  aliases();
  remapped();
  crossModifying();
}
