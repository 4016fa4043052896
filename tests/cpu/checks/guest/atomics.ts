/**
 * Atomic operations: their effect on operands and flags, and that no update of two cores is lost. Intel SDM vol. 2
 * (CMPXCHG, CMPXCHG8B/16B, XADD, XCHG), vol. 3A: 8.1 (locked operations), 8.2.3 (memory ordering, examples 8-1, 8-3 and
 * 8-5).
 */
import { decimal, expect, line, text } from "./console.ts";
import { pause, startSecondCore } from "./smp.ts";
import { attempt, check, event, give } from "./trap.ts";

const ROUNDS: u64 = 2000;
const LITMUS_ROUNDS: u64 = 300;

class Shared {
  @align(4096) increments: u64 = 0;
  tickets: u64 = 0;
  ticketSum: u64 = 0;
  exchanged: u64 = 0;
  spinlock: u64 = 0;
  guarded: u64 = 0;
  bits: u64 = 0;
  bitsWon: u64 = 0;
  @align(16) pairLow: u64 = 0;
  pairHigh: u64 = 0;
  x: u64 = 0;
  y: u64 = 0;
  /** Rounds of a litmus test that each core has started, and the values it has read. */
  round!: arr<u64, 2>;
  seen!: arr<u64, 2>;
  phase: u64 = 0;
  finished: u64 = 0;
  /** Eight bytes across the end of a cache line, and of a page. */
  @align(4096) area!: arr<u8, 8192>;
}
const shared: Shared = zeroed();

function addAcross(offset: u64): void {
  asm({ clobber: ["memory"], in: { rax: cast<u64>(addr(shared.area)) + offset } })`lock add qword ptr [rax], 1`;
}
/** Executed by both cores at the same time. */
function work(): void {
  for (let i: u64 = 0; i < ROUNDS; i++) {
    asm({ clobber: ["memory"], in: { rax: addr(shared.increments) } })`lock inc qword ptr [rax]`;
    atomicAdd(addr(shared.ticketSum), atomicAdd(addr(shared.tickets), 1));
    for (;;) {
      const old: u64 = atomicLoad(addr(shared.exchanged));
      if (atomicCompareExchange(addr(shared.exchanged), old, old + 3) === old) break;
    }
    while (atomicExchange(addr(shared.spinlock), 1) !== 0) pause();
    const guarded: u64 = volatileRead(addr(shared.guarded));
    volatileWrite(addr(shared.guarded), guarded + 1);
    atomicStore(addr(shared.spinlock), 0);
    addAcross(60);
    addAcross(4092);
    addPair();
    const won: u64 = asm<u64>({ clobber: ["memory"], in: { rbx: addr(shared.bits), rcx: i & 63 }, out: "rax" })`
      xor eax, eax
      lock bts qword ptr [rbx], rcx
      setnc al
    `;
    atomicAdd(addr(shared.bitsWon), won);
    if (won !== 0)
      asm({ clobber: ["memory"], in: { rbx: addr(shared.bits), rcx: i & 63 } })`lock btr qword ptr [rbx], rcx`;
  }
}
/** A 128-bit counter by CMPXCHG16B: its halves stay equal. */
function addPair(): void {
  asm({ clobber: ["memory", "rax", "rbx", "rcx", "rdx"], in: { rsi: addr(shared.pairLow) } })`
    mov rax, [rsi]
    mov rdx, [rsi + 8]
  1:
    lea rbx, [rax + 1]
    lea rcx, [rdx + 1]
    lock cmpxchg16b [rsi]
    jnz 1b
  `;
}

/** Both cores start round `n` together. */
function meet(core: u64, n: u64): void {
  atomicStore(addr(shared.round[core]), n);
  while (atomicLoad(addr(shared.round[1 - core])) < n) pause();
}
/** Store, fence, load: at least one core sees the other's store (8.2.3.4 with MFENCE). */
function storeBuffering(core: u64): u64 {
  let both: u64 = 0;
  for (let n: u64 = 1; n <= LITMUS_ROUNDS; n++) {
    meet(core, 3 * n);
    if (core === 0) {
      volatileWrite(addr(shared.x), n);
      fence();
      shared.seen[0] = volatileRead(addr(shared.y));
    } else {
      volatileWrite(addr(shared.y), n);
      fence();
      shared.seen[1] = volatileRead(addr(shared.x));
    }
    meet(core, 3 * n + 1);
    if (volatileRead(addr(shared.seen[0])) < n && volatileRead(addr(shared.seen[1])) < n) both++;
    meet(core, 3 * n + 2);
  }
  return both;
}
/** Two stores are seen in order (8.2.3.2). */
function messagePassing(core: u64): u64 {
  let early: u64 = 0;
  const start: u64 = 4 * LITMUS_ROUNDS;
  for (let n: u64 = 1; n <= LITMUS_ROUNDS; n++) {
    meet(core, start + 2 * n);
    if (core === 0) {
      volatileWrite(addr(shared.x), start + n);
      volatileWrite(addr(shared.y), start + n);
    } else {
      const flag: u64 = volatileRead(addr(shared.y));
      if (volatileRead(addr(shared.x)) < flag) early++;
    }
    meet(core, start + 2 * n + 1);
  }
  shared.seen[core] = early;
  return early;
}

export function second(): void {
  attr({ symbol: "secondCore", keep: true });
  while (atomicLoad(addr(shared.phase)) < 1) pause();
  work();
  atomicStore(addr(shared.finished), 1);
  storeBuffering(1);
  messagePassing(1);
  atomicStore(addr(shared.finished), 2);
}

class Cell {
  @align(16) low: u64 = 0;
  high: u64 = 0;
}
const cell: Cell = zeroed();

/** RBX → RAX's result: the cell is at RSI. */
function compareExchange(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; lock cmpxchg [rsi], rcx; int 0x80`;
}
function compareExchange32(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; lock cmpxchg [rsi], ecx; int 0x80`;
}
function compareExchange8(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; lock cmpxchg [rsi], cl; int 0x80`;
}
function compareExchange8b(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; lock cmpxchg8b [rsi]; int 0x80`;
}
function compareExchange16b(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; lock cmpxchg16b [rsi]; int 0x80`;
}
function exchangeAdd(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; lock xadd [rsi], rcx; int 0x80`;
}
function exchangeAddSelf(): void {
  attr({ naked: true });
  asm`xadd rcx, rcx; int 0x80`;
}
function exchange32(): void {
  attr({ naked: true });
  asm`mov rsi, ${cell}; xchg [rsi], ecx; int 0x80`;
}
/** CF ZF AF PF SF OF of the event. */
function flags(wanted: u64): void {
  expect(cstr("  flags"), event.rflags & 0x8d5, wanted);
}
function single(): void {
  cell.low = 5;
  give(5, 0, 9, 0);
  check(cstr("cmpxchg, equal"), 0, compareExchange);
  expect(cstr("  memory"), cell.low, 9);
  expect(cstr("  rax"), event.rax, 5);
  flags(0x44);
  give(5, 0, 7, 0);
  check(cstr("cmpxchg, 5 against 9"), 0, compareExchange);
  expect(cstr("  memory"), cell.low, 9);
  expect(cstr("  rax"), event.rax, 9);
  flags(0x95); // 5 − 9: CF PF AF SF
  cell.low = 0x1_0000_0002;
  give(0x7_0000_0003, 0, 1, 0);
  check(cstr("cmpxchg, 32 bits, not equal"), 0, compareExchange32);
  expect(cstr("  rax"), event.rax, 2);
  expect(cstr("  memory"), cell.low, 0x1_0000_0002);
  cell.low = 0xaabb;
  give(0x12bb, 0, 0xcc, 0);
  check(cstr("cmpxchg, 8 bits, equal"), 0, compareExchange8);
  expect(cstr("  memory"), cell.low, 0xaacc);
  cell.low = 0x2222_2222_1111_1111;
  give(0x9_1111_1111, 0x3333_3333, 0x4444_4444, 0x9_2222_2222);
  check(cstr("cmpxchg8b, equal"), 0, compareExchange8b);
  expect(cstr("  memory"), cell.low, 0x4444_4444_3333_3333);
  expect(cstr("  zf alone"), event.rflags & 0x8d5, 0x40);
  give(0xffff_ffff_0000_0001, 1, 1, 0xffff_ffff_0000_0002);
  check(cstr("cmpxchg8b, not equal"), 0, compareExchange8b);
  expect(cstr("  eax"), event.rax, 0x3333_3333);
  expect(cstr("  edx"), event.rdx, 0x4444_4444);
  expect(cstr("  zf"), event.rflags & 0x40, 0);
  cell.low = 1;
  cell.high = 2;
  give(1, 3, 4, 2);
  check(cstr("cmpxchg16b, equal"), 0, compareExchange16b);
  expect(cstr("  low"), cell.low, 3);
  expect(cstr("  high"), cell.high, 4);
  give(3, 8, 8, 9);
  check(cstr("cmpxchg16b, not equal"), 0, compareExchange16b);
  expect(cstr("  low"), cell.low, 3);
  expect(cstr("  rdx"), event.rdx, 4);
  cell.low = 0x7fff_ffff_ffff_ffff;
  give(0, 0, 1, 0);
  check(cstr("xadd"), 0, exchangeAdd);
  expect(cstr("  memory"), cell.low, 0x8000_0000_0000_0000);
  expect(cstr("  rcx"), event.rcx, 0x7fff_ffff_ffff_ffff);
  flags(0x894); // OF SF AF PF
  give(0, 0, 21, 0);
  check(cstr("xadd with itself"), 0, exchangeAddSelf);
  expect(cstr("  rcx"), event.rcx, 42);
  cell.low = 0xffff_ffff_1234_5678;
  give(0, 0, 0xffff_ffff_ffff_ffff, 0);
  attempt(0, exchange32);
  expect(cstr("xchg, 32 bits: rcx"), event.rcx, 0x1234_5678);
  expect(cstr("xchg, 32 bits: memory"), cell.low, 0xffff_ffff_ffff_ffff);
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  single();
  startSecondCore();
  atomicStore(addr(shared.phase), 1);
  work();
  while (atomicLoad(addr(shared.finished)) < 1) pause();
  const total: u64 = 2 * ROUNDS;
  expect(cstr("two cores: lock inc"), shared.increments, total);
  expect(cstr("two cores: xadd tickets"), shared.tickets, total);
  expect(cstr("two cores: every ticket once"), shared.ticketSum, (total * (total - 1)) >> 1);
  expect(cstr("two cores: cmpxchg loop"), shared.exchanged, 3 * total);
  expect(cstr("two cores: xchg spinlock"), shared.guarded, total);
  expect(cstr("two cores: lock add over a cache line's end"), cast<ptr<u64>>(addr(shared.area[60]))[0], total);
  expect(cstr("two cores: lock add over a page's end"), cast<ptr<u64>>(addr(shared.area[4092]))[0], total);
  expect(cstr("two cores: cmpxchg16b, low"), shared.pairLow, total);
  expect(cstr("two cores: cmpxchg16b, high"), shared.pairHigh, total);
  expect(cstr("two cores: bts and btr leave nothing"), shared.bits, 0);
  const both: u64 = storeBuffering(0);
  expect(cstr("store, mfence, load: both missed"), both, 0);
  messagePassing(0);
  while (atomicLoad(addr(shared.finished)) < 2) pause();
  expect(cstr("stores seen out of order"), shared.seen[1], 0);
  text(cstr("rounds: "));
  decimal(ROUNDS);
  line();
}
