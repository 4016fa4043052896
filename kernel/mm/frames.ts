/**
 * Physical memory in frames of 4 KB, each with an owner: the kernel, or the task (by pid) that must return it. There is
 * one bitmap of 512 bits for each 2 MB block, and two bitmaps over all blocks: those with a free frame, and those that
 * are wholly free. So a search reads at most a 64th of the blocks. Small requests take the lowest free frames, 2 MB
 * requests the highest free block, so that large pages stay available. Lock: `framesLock`, held for at most one block's
 * work and never while zeroing.
 */
import { DIRECT_MAP_BASE, LARGE_PAGE_BYTES, PAGE_BYTES, PAGE_SHIFT } from "../abi/memory.ts";
import { type PvhMemory, PvhMemoryType } from "../abi/platform.ts";
import { memset } from "../../toolchain/lib/rt/memory.ts";
import { assert, fatal } from "../arch/fatal.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";

export const OWNER_FREE: u16 = 0;
export const OWNER_KERNEL: u16 = 0xfffe;
/** Not RAM, or not available to the allocator. */
export const OWNER_RESERVED: u16 = 0xffff;
export const FRAMES_PER_BLOCK: u64 = 512;
const LARGE_SHIFT: u64 = 21;
const NO_LIMIT: u64 = 0x7fff_ffff_ffff_ffff;
const LOW_MEMORY_END: u64 = 0x10_0000;
/** Blocks searched for adjacent frames before a wholly free block is taken. */
const RUN_BLOCKS: u64 = 4;
/** Most bytes zeroed without admitting interrupts: 2,048 iterations. */
const ZERO_PAGES: u64 = 4;
const ZERO_BYTES: u64 = ZERO_PAGES * PAGE_BYTES;

class Block {
  used!: arr<u64, 8>;
  freeFrames: u64 = 0;
}
class State {
  blocks: ptr<Block> | null = null;
  blockCount: u64 = 0;
  /** By frame number. */
  owners: ptr<u16> | null = null;
  freeFrames: u64 = 0;
  /** Bit n: block n has at least one free frame; block n is wholly free. */
  someFree: ptr<u64> | null = null;
  allFree: ptr<u64> | null = null;
  /** All words of `someFree` below firstSome are 0, and so are all words of `allFree` from endAll on. */
  firstSome: u64 = 0;
  endAll: u64 = 0;
  /** End of the highest RAM. */
  top: u64 = 0;
  ramBytes: u64 = 0;
  /** All frames that the allocator manages: free ones and those on accounts. */
  managedFrames: u64 = 0;
}
const state: State = zeroed();
const framesLock: Lock = { owner: 0, rank: LockRank.FRAMES, next: 0, serving: 0 };

class Fault {
  /** Counts down to the allocation that fails; 0: none. */
  countdown: u64 = 0;
  /** Number of allocations while it counted. */
  asked: u64 = 0;
  /** Not 0: all later allocations fail, too, as if memory had run out for good. */
  lasting: u64 = 0;
}
/**
 * Tests set it from outside, too.
 * @symbol allocation_fault
 * @keep
 */
export const allocationFault: Fault = zeroed();

/** Number of frames of an owner, to check that all of them come back. */
class Account {
  /** OWNER_FREE: unused account. */
  owner: u16 = 0;
  frames: u64 = 0;
  /** The most that it may have. */
  limit: u64 = 0;
}
/**
 * Accounts of kernel, reserved frames, and each possible task.
 * @symbol frame_accounts
 */
const accounts: arr<Account, 72> = zeroed();

class LastAccount {
  index: u32 = 0;
}
const last: LastAccount = new LastAccount();

/** The last account that was asked for is asked for again most often. */
function accountOf(owner: u16): ptr<Account> {
  const recent = addr(accounts[last.index]);
  return recent.owner === owner ? recent : findAccount(owner);
}
function findAccount(owner: u16): ptr<Account> {
  attr({ inline: "never" });
  let free: ptr<Account> | null = null;
  for (let i: u32 = 0; i < accounts.length; i++) {
    const account = addr(accounts[i]);
    if (account.owner === owner) {
      last.index = i;
      return account;
    }
    if (account.owner === OWNER_FREE && free === null) free = account;
  }
  if (free === null) fatal(cstr("frames: more owners than accounts"), u64(owner));
  free.owner = owner;
  free.frames = 0;
  free.limit = NO_LIMIT;
  return free;
}
/**
 * Limits an owner without frames to one of `parts` equal parts of the memory that the kernel has not. A request beyond
 * the limit fails as if memory had run out.
 */
export function limitOwner(owner: u16, parts: u64): void {
  const flags: u64 = lock(addr(framesLock));
  accountOf(owner).limit = (state.managedFrames - accountOf(OWNER_KERNEL).frames) / parts;
  unlock(addr(framesLock), flags);
}
/** Number of frames that `owner` has. */
export function ownedFrameCount(owner: u16): u64 {
  for (let i: u32 = 0; i < accounts.length; i++) {
    if (accounts[i].owner === owner) return accounts[i].frames;
  }
  return 0;
}
/** Checks that every frame is either free or on an account. */
export function framesBalance(): boolean {
  const flags: u64 = lock(addr(framesLock));
  let sum: u64 = state.freeFrames;
  for (let i: u32 = 0; i < accounts.length; i++) sum += accounts[i].frames;
  const balanced: boolean = sum === state.managedFrames;
  unlock(addr(framesLock), flags);
  return balanced;
}

/**
 * Makes the `count`-th allocation from now on fail (`lasting`: and all later ones): frames, and whatever else calls
 * `allocationFails`. 0: none fails.
 */
export function failAllocation(count: u64, lasting: boolean): void {
  allocationFault.lasting = u64(lasting);
  allocationFault.countdown = count;
}
/** Each allocator calls this once for each allocation that may be refused. */
export function allocationFails(): boolean {
  if (volatileRead(addr(allocationFault.countdown)) === 0) return false;
  atomicAdd(addr(allocationFault.asked), 1);
  if (volatileRead(addr(allocationFault.lasting)) !== 0 && volatileRead(addr(allocationFault.countdown)) === 1)
    return true;
  return atomicAdd(addr(allocationFault.countdown), 0xffff_ffff_ffff_ffff) === 1;
}

/** The direct map's view of physical memory. */
export function physical<T>(address: u64): ptr<T> {
  return cast<ptr<T>>(address + DIRECT_MAP_BASE);
}
export function memoryTop(): u64 {
  return state.top;
}
/** Size of RAM: up to its end, with the firmware's small reserved holes. */
export function ramBytes(): u64 {
  return state.ramBytes;
}
export function freeFrameCount(): u64 {
  return state.freeFrames;
}

function blockAt(index: u64): ptr<Block> {
  const blocks = state.blocks;
  if (blocks === null) unreachable();
  return addr(blocks[index]);
}
function ownerSlot(frame: u64): ptr<u16> {
  const owners = state.owners;
  if (owners === null) unreachable();
  return addr(owners[frame]);
}
/** Must be called when the free frames of block `b` have changed. */
function noteFree(b: u64): void {
  const some = state.someFree;
  const all = state.allFree;
  if (some === null || all === null) unreachable();
  const word: u64 = b >> 6;
  const bit: u64 = u64(1) << (b & 63);
  const free: u64 = blockAt(b).freeFrames;
  if (free === 0) some[word] &= ~bit;
  else some[word] |= bit;
  if (free !== 0 && word < state.firstSome) state.firstSome = word;
  if (free === FRAMES_PER_BLOCK) all[word] |= bit;
  else all[word] &= ~bit;
  if (free === FRAMES_PER_BLOCK && word >= state.endAll) state.endAll = word + 1;
}
/** The lowest block from `from` on with a free frame; `blockCount`: none. */
function nextSome(from: u64): u64 {
  const some = state.someFree;
  if (some === null) unreachable();
  const words: u64 = (state.blockCount + 63) >> 6;
  while (state.firstSome < words && some[state.firstSome] === 0) state.firstSome++;
  let word: u64 = from >> 6;
  if (word < state.firstSome) word = state.firstSome;
  for (; word < words; word++) {
    let bits: u64 = some[word];
    if (word === from >> 6) bits &= ~u64(0) << (from & 63);
    if (bits !== 0) return word * 64 + u64(countTrailingZeros(bits));
  }
  return state.blockCount;
}
/** The highest wholly free block; `blockCount`: none. */
function lastAll(): u64 {
  const all = state.allFree;
  if (all === null) unreachable();
  while (state.endAll > 0 && all[state.endAll - 1] === 0) state.endAll--;
  if (state.endAll === 0) return state.blockCount;
  return state.endAll * 64 - 1 - u64(countLeadingZeros(all[state.endAll - 1]));
}

/**
 * Takes over the memory map. `imageEnd`: first free byte after the kernel's image, where the allocator's own tables are
 * placed. The first megabyte stays reserved. Runs on the boot page tables, which map the first gigabyte.
 */
export function framesStart(map: ptr<PvhMemory>, entries: u32, imageEnd: u64): void {
  for (let i: u32 = 0; i < entries; i++) {
    const m = addr(map[i]);
    const end: u64 = m.address + m.lengthBytes;
    if (m.type !== PvhMemoryType.RAM) continue;
    if (end > state.top) state.top = end;
    // Below 4 GB RAM counts up to its end; RAM above adds its size.
    if (m.address >= 0x1_0000_0000) state.ramBytes += m.lengthBytes;
    else if (end > state.ramBytes) state.ramBytes = end;
  }
  state.blockCount = (state.top + LARGE_PAGE_BYTES - 1) >> LARGE_SHIFT;
  const blocksAt: u64 = (imageEnd + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
  const ownersAt: u64 = blocksAt + state.blockCount * sizeof<Block>();
  const someAt: u64 = ownersAt + state.blockCount * FRAMES_PER_BLOCK * 2;
  const summaryBytes: u64 = ((state.blockCount + 63) >> 6) * 8;
  const tablesEnd: u64 = someAt + 2 * summaryBytes;
  state.blocks = physical<Block>(blocksAt);
  state.owners = physical<u16>(ownersAt);
  state.someFree = physical<u64>(someAt);
  state.allFree = physical<u64>(someAt + summaryBytes);
  memset(physical<u8>(blocksAt), 0xff, someAt - blocksAt);
  memset(physical<u8>(someAt), 0, 2 * summaryBytes);
  for (let b: u64 = 0; b < state.blockCount; b++) blockAt(b).freeFrames = 0;
  for (let i: u32 = 0; i < entries; i++) {
    const m = addr(map[i]);
    if (m.type !== PvhMemoryType.RAM) continue;
    let start: u64 = m.address < LOW_MEMORY_END ? LOW_MEMORY_END : m.address;
    start = (start + PAGE_BYTES - 1) >> u64(PAGE_SHIFT);
    const end: u64 = (m.address + m.lengthBytes) >> u64(PAGE_SHIFT);
    let frame: u64 = start;
    while (frame < end) {
      if ((frame & (FRAMES_PER_BLOCK - 1)) === 0 && end - frame >= FRAMES_PER_BLOCK) {
        putBackBlock(frame);
        frame += FRAMES_PER_BLOCK;
      } else {
        putBack(frame);
        frame++;
      }
    }
  }
  state.managedFrames = state.freeFrames;
  reserveFrames(LOW_MEMORY_END, tablesEnd - LOW_MEMORY_END, OWNER_KERNEL);
}

/** Removes a range from the free memory (image, modules). */
export function reserveFrames(address: u64, lengthBytes: u64, owner: u16): void {
  const end: u64 = (address + lengthBytes + PAGE_BYTES - 1) >> u64(PAGE_SHIFT);
  for (let frame: u64 = address >> u64(PAGE_SHIFT); frame < end; frame++) {
    if (frame < state.blockCount * FRAMES_PER_BLOCK && ownerSlot(frame)[0] === OWNER_FREE) {
      take(frame, owner);
      accountOf(owner).frames++;
    }
  }
}

function take(frame: u64, owner: u16): void {
  const b: u64 = frame >> 9;
  const block = blockAt(b);
  block.used[(frame >> 6) & 7] |= u64(1) << (frame & 63);
  block.freeFrames--;
  state.freeFrames--;
  ownerSlot(frame)[0] = owner;
  if (block.freeFrames === 0 || block.freeFrames === FRAMES_PER_BLOCK - 1) noteFree(b);
}
function putBack(frame: u64): void {
  const b: u64 = frame >> 9;
  const block = blockAt(b);
  block.used[(frame >> 6) & 7] &= ~(u64(1) << (frame & 63));
  block.freeFrames++;
  state.freeFrames++;
  ownerSlot(frame)[0] = OWNER_FREE;
  if (block.freeFrames === 1 || block.freeFrames === FRAMES_PER_BLOCK) noteFree(b);
}

/** The owner entries of four frames with the same owner. */
function four(owner: u16): u64 {
  return u64(owner) * 0x0001_0001_0001_0001;
}
/** Takes all 512 frames of a free block. */
function takeBlock(frame: u64, owner: u16): void {
  const block = blockAt(frame >> 9);
  for (let i: u64 = 0; i < 8; i++) block.used[i] = 0xffff_ffff_ffff_ffff;
  block.freeFrames = 0;
  state.freeFrames -= FRAMES_PER_BLOCK;
  const owners = cast<ptr<u64>>(ownerSlot(frame));
  for (let i: u64 = 0; i < FRAMES_PER_BLOCK / 4; i++) owners[i] = four(owner);
  noteFree(frame >> 9);
}
/** Frees all 512 frames of a block. */
function putBackBlock(frame: u64): void {
  const block = blockAt(frame >> 9);
  for (let i: u64 = 0; i < 8; i++) block.used[i] = 0;
  block.freeFrames = FRAMES_PER_BLOCK;
  state.freeFrames += FRAMES_PER_BLOCK;
  memset(cast<ptr<u8>>(ownerSlot(frame)), 0, FRAMES_PER_BLOCK * 2);
  noteFree(frame >> 9);
}
function ownsBlock(frame: u64, owner: u16): boolean {
  const owners = cast<ptr<u64>>(ownerSlot(frame));
  for (let i: u64 = 0; i < FRAMES_PER_BLOCK / 4; i++) if (owners[i] !== four(owner)) return false;
  return true;
}

/**
 * Physical address of `count` adjacent frames (at most 512, within one block), zeroed; 0: none. For more than one frame
 * it searches the first few blocks with enough free frames, then takes a wholly free block. So with fragmented memory
 * it may fail although a run exists.
 */
export function allocateFrames(count: u64, owner: u16): u64 {
  if (allocationFails()) return 0;
  const flags: u64 = lock(addr(framesLock));
  const account = accountOf(owner);
  const allowed: boolean = account.frames + count <= account.limit;
  let found: u64 = 0;
  let b: u64 = nextSome(0);
  for (let tries: u64 = 0; allowed && tries < RUN_BLOCKS && b < state.blockCount && found === 0; tries++) {
    if (blockAt(b).freeFrames >= count) found = findRun(b, count);
    b = nextSome(b + 1);
  }
  if (allowed && found === 0 && lastAll() < state.blockCount) found = lastAll() * FRAMES_PER_BLOCK;
  if (found !== 0) {
    for (let i: u64 = 0; i < count; i++) take(found + i, owner);
    account.frames += count;
  }
  unlock(addr(framesLock), flags);
  if (found === 0) return 0;
  const address: u64 = found << u64(PAGE_SHIFT);
  memset(physical<u8>(address), 0, count << u64(PAGE_SHIFT));
  return address;
}
export function allocateFrame(owner: u16): u64 {
  return allocateFrames(1, owner);
}

/**
 * Stores up to `count` single frames, the lowest ones, zeroed, to `to`; returns their number. Counts as one allocation
 * for `allocationFails`. Admits interrupts meanwhile: the caller holds no lock.
 */
export function allocateBatch(to: ptr<u64>, count: u64, owner: u16): u64 {
  if (allocationFails()) return 0;
  const flags: u64 = lock(addr(framesLock));
  const account = accountOf(owner);
  const rest: u64 = account.limit - account.frames;
  const most: u64 = count < rest ? count : rest;
  let got: u64 = 0;
  for (let b: u64 = nextSome(0); b < state.blockCount && got < most; b = nextSome(b)) {
    const block = blockAt(b);
    for (let w: u64 = 0; w < 8 && got < most && block.freeFrames !== 0; w++) {
      for (let free: u64 = ~block.used[w]; free !== 0 && got < most; free = free & (free - 1)) {
        const frame: u64 = b * FRAMES_PER_BLOCK + w * 64 + u64(countTrailingZeros(free));
        take(frame, owner);
        to[got++] = frame << u64(PAGE_SHIFT);
      }
    }
  }
  account.frames += got;
  unlock(addr(framesLock), flags);
  for (let i: u64 = 0; i < got; i++) {
    if (i % ZERO_PAGES === 0) admitInterrupts();
    memset(physical<u8>(to[i]), 0, PAGE_BYTES);
  }
  return got;
}

/**
 * First frame of a free run within block `b`, 0: none. A run of up to 64 frames lies within one word of the map: so the
 * search takes few instructions, and may miss a run that crosses words.
 */
function findRun(b: u64, count: u64): u64 {
  const block = blockAt(b);
  if (count === 1) {
    for (let w: u64 = 0; w < 8; w++) {
      const free: u64 = ~block.used[w];
      if (free !== 0) return b * FRAMES_PER_BLOCK + w * 64 + u64(countTrailingZeros(free));
    }
    return 0;
  }
  if (count <= 64) {
    for (let w: u64 = 0; w < 8; w++) {
      // Bit i stays as long as the frames from i on are free.
      let starts: u64 = ~block.used[w];
      for (let have: u64 = 1; have < count && starts !== 0; ) {
        const step: u64 = have < count - have ? have : count - have;
        starts &= starts >> step;
        have += step;
      }
      if (starts !== 0) return b * FRAMES_PER_BLOCK + w * 64 + u64(countTrailingZeros(starts));
    }
    return 0;
  }
  let run: u64 = 0;
  for (let i: u64 = 0; i < FRAMES_PER_BLOCK; i++) {
    const word: u64 = block.used[i >> 6];
    if ((i & 63) === 0 && word === 0xffff_ffff_ffff_ffff) {
      run = 0;
      i += 63;
      continue;
    }
    run = (word & (u64(1) << (i & 63))) === 0 ? run + 1 : 0;
    if (run === count) return b * FRAMES_PER_BLOCK + i + 1 - count;
  }
  return 0;
}

/** Physical address of a 2 MB frame, not zeroed; 0: none. */
export function allocateLargeFrame(owner: u16): u64 {
  if (allocationFails()) return 0;
  const flags: u64 = lock(addr(framesLock));
  const account = accountOf(owner);
  const b: u64 = lastAll();
  const allowed: boolean = b < state.blockCount && account.frames + FRAMES_PER_BLOCK <= account.limit;
  const found: u64 = allowed ? b * FRAMES_PER_BLOCK : 0;
  if (found !== 0) {
    takeBlock(found, owner);
    account.frames += FRAMES_PER_BLOCK;
  }
  unlock(addr(framesLock), flags);
  return found << u64(PAGE_SHIFT);
}
/** Zeroes physical memory. Admits interrupts meanwhile: the caller holds no lock. */
export function zeroMemory(address: u64, lengthBytes: u64): void {
  let done: u64 = 0;
  while (done < lengthBytes) {
    const bytes: u64 = lengthBytes - done < ZERO_BYTES ? lengthBytes - done : ZERO_BYTES;
    memset(physical<u8>(address + done), 0, bytes);
    done += bytes;
    admitInterrupts();
  }
}

/** Frees `count` adjacent frames, which must belong to `owner`: a whole block, or few. */
export function freeFrames(address: u64, count: u64, owner: u16): void {
  const flags: u64 = lock(addr(framesLock));
  const first: u64 = address >> u64(PAGE_SHIFT);
  if (count === FRAMES_PER_BLOCK && (first & (FRAMES_PER_BLOCK - 1)) === 0) {
    assert(ownsBlock(first, owner), cstr("frames: freed by another than its owner"), address);
    putBackBlock(first);
  } else {
    for (let frame: u64 = first; frame < first + count; frame++) {
      assert(ownerSlot(frame)[0] === owner, cstr("frames: freed by another than its owner"), frame << u64(PAGE_SHIFT));
      putBack(frame);
    }
  }
  accountOf(owner).frames -= count;
  unlock(addr(framesLock), flags);
}

/**
 * Frees all frames of `owner`, which must get no more meanwhile; returns their number. Works block by block and admits
 * interrupts in between: the caller holds no lock. Ends at the last frame of the account.
 */
export function freeOwnedFrames(owner: u16): u64 {
  const total: u64 = ownedFrameCount(owner);
  let count: u64 = 0;
  for (let b: u64 = 0; b < state.blockCount && count < total; b++) {
    if (blockAt(b).freeFrames !== FRAMES_PER_BLOCK) {
      const flags: u64 = lock(addr(framesLock));
      const freed: u64 = freeOwnedOf(b, owner);
      accountOf(owner).frames -= freed;
      count += freed;
      unlock(addr(framesLock), flags);
    }
    admitInterrupts();
  }
  const flags: u64 = lock(addr(framesLock));
  const account = accountOf(owner);
  assert(account.frames === 0, cstr("frames: an owner has other frames than on its account"), account.frames);
  account.owner = OWNER_FREE;
  unlock(addr(framesLock), flags);
  return count;
}
function freeOwnedOf(b: u64, owner: u16): u64 {
  const first: u64 = b * FRAMES_PER_BLOCK;
  if (ownsBlock(first, owner)) {
    putBackBlock(first);
    return FRAMES_PER_BLOCK;
  }
  const block = blockAt(b);
  let count: u64 = 0;
  for (let w: u64 = 0; w < 8; w++) {
    const owners = ownerSlot(first + w * 64);
    let freed: u64 = 0;
    for (let i: u64 = 0; i < 64; i++) {
      if (owners[i] !== owner) continue;
      owners[i] = OWNER_FREE;
      freed |= u64(1) << i;
      count++;
    }
    block.used[w] &= ~freed;
  }
  block.freeFrames += count;
  state.freeFrames += count;
  if (count !== 0) noteFree(b);
  return count;
}
