/**
 * Pages of shared files (views.ts) in an address space: they are mapped, their dirty bits are collected, and those past
 * a new end of the file are taken away. All for system calls and the end of a task, with `lockFiles` where files
 * change; no function here reaches the I/O node (io/sharedfile.ts does).
 */
import { PAGE_BYTES } from "../abi/memory.ts";
import { Pte } from "../abi/x86.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { type AddressSpace, claim, endClaim, leave, lockRange, protectionBits, take } from "./addressspace.ts";
import { freeFrames, physical, zeroMemory } from "./frames.ts";
import { changePages, type Claim, flushClaimed, freePages } from "./pages.ts";
import {
  entryAddress,
  findLeaf,
  type Leaf,
  nextLeaf,
  type PageTable,
  PTE_FILE,
  PTE_LEAVING,
  PTE_OWNED,
  smallPageTable,
} from "./pagetable.ts";
import { type Region, regionAbove, regionAt } from "./regions.ts";
import { addToFlush, type FlushList } from "./shootdown.ts";
import { fileAt, fileCount, fileEntry, fileOf, type SharedFile, type View, viewOf } from "./views.ts";

/** Pages processed before interrupts are admitted. */
const LOOKS: u64 = 16;

/** Maps the pages that the file has for a region of its view. False: no memory for tables. */
export function mapFilePages(space: ptr<AddressSpace>, start: u64, bytes: u64): boolean {
  const end: u64 = start + bytes;
  const flags: u64 = lockRange(space, start, end);
  const region = regionAt(addr(space.regions), start);
  const view = region === null ? null : viewOf(space, region.attributes);
  const file = view === null ? null : view.file;
  // Another thread may have unmapped it.
  if (region === null || view === null || file === null || region.end < end) {
    unlock(addr(space.lock), flags);
    return true;
  }
  claim(space, start, end);
  const bits: u64 = protectionBits(region.attributes) | PTE_FILE;
  leave(space);
  let done: boolean = true;
  for (let at: u64 = start; at < end && done; at += PAGE_BYTES) {
    const entry = fileEntry(file, at - view.delta);
    if (entry !== null && entry[0] !== 0) {
      const table = smallPageTable(space.root, at, space.owner);
      if (table === null) done = false;
      else {
        const slot = addr(table.entries[(at / PAGE_BYTES) & 511]);
        if ((slot[0] & PTE_OWNED) === 0) slot[0] = entryAddress(entry[0]) | bits;
      }
    }
    if ((at / PAGE_BYTES) % LOOKS === 0) admitInterrupts();
  }
  take(space);
  endClaim(space);
  unlock(addr(space.lock), flags);
  return done;
}

/** Moves the dirty bits of a claimed part of a region to the file; lists the pages. */
function collect(c: ptr<Claim>, view: ptr<View>, file: ptr<SharedFile>, list: ptr<FlushList>): void {
  const leaf: Leaf = zeroed();
  let looks: u64 = 0;
  findLeaf(c.root, c.start, addr(leaf));
  for (let at: u64 = c.start; at < c.end; ) {
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & (PTE_FILE | Pte.D)) === (PTE_FILE | Pte.D)) {
      const entry = fileEntry(file, at - view.delta);
      if (entry !== null) {
        atomicOr(entry, Pte.D);
        file.dirty = 1;
      }
      // The processor may set the bit at the same time.
      atomicAnd(slot, ~u64(Pte.D));
      addToFlush(list, at);
    }
    at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
    if (at < c.end) nextLeaf(c.root, at, addr(leaf));
    looks++;
    if (looks % LOOKS === 0) admitInterrupts();
  }
}

/**
 * Before regions of a claimed range are cut: no core can write to the pages of shared files any more, and the files
 * know which are dirty. Releases the lock meanwhile. False: there are none.
 */
export function quiesceFiles(space: ptr<AddressSpace>, c: ptr<Claim>): boolean {
  assertHeld(addr(space.lock));
  if (fileCount(space) === 0) return false;
  let found: boolean = false;
  const part: Claim = uninitialized();
  copy(addr(part), c);
  for (let at: u64 = c.start; at < c.end; at = part.end) {
    const region = regionAbove(addr(space.regions), at);
    if (region === null || region.start >= c.end) break;
    part.start = region.start > at ? region.start : at;
    part.end = region.end < c.end ? region.end : c.end;
    const view = viewOf(space, region.attributes);
    const file = view === null ? null : view.file;
    leave(space);
    if (view !== null && file !== null) {
      found = true;
      const list: FlushList = uninitialized();
      list.count = 0;
      changePages(addr(part), PTE_OWNED, addr(list));
      flushClaimed(addr(part), addr(list));
      collect(addr(part), view, file, addr(list));
    }
    admitInterrupts();
    take(space);
  }
  if (found) space.filesChanged = 1;
  return found;
}

/** What `eachPart` does to the part of a region that shows a file, in a claim. */
type Work = (c: ptr<Claim>, view: ptr<View>, file: ptr<SharedFile>, argument: u64) => void;

/** Calls `work` for each region of a chosen file. */
function eachPart(space: ptr<AddressSpace>, work: Work, argument: u64): void {
  let at: u64 = 0;
  for (;;) {
    const first: u64 = lock(addr(space.lock));
    const region = regionAbove(addr(space.regions), at);
    const end: u64 = region === null ? 0 : region.end;
    const start: u64 = region === null ? 0 : region.start;
    const isWanted: boolean = region !== null && isChosen(space, region);
    unlock(addr(space.lock), first);
    if (end === 0) return;
    at = end;
    admitInterrupts();
    if (!isWanted) continue;
    const flags: u64 = lockRange(space, start, end);
    // It may have become smaller; what has been cut off was collected then.
    const now = regionAt(addr(space.regions), start);
    const view = now === null ? null : viewOf(space, now.attributes);
    const file = view === null ? null : view.file;
    if (now !== null && view !== null && file !== null && file.chosen !== 0) {
      const c = claim(space, start, now.end < end ? now.end : end);
      at = c.end;
      leave(space);
      work(c, view, file, argument);
      take(space);
      endClaim(space);
    }
    unlock(addr(space.lock), flags);
  }
}
function isChosen(space: ptr<AddressSpace>, region: ptr<Region>): boolean {
  const file = fileOf(space, region.attributes);
  return file !== null && file.chosen !== 0;
}

function collectPart(c: ptr<Claim>, view: ptr<View>, file: ptr<SharedFile>, _argument: u64): void {
  const list: FlushList = uninitialized();
  list.count = 0;
  collect(c, view, file, addr(list));
  // From here on a store sets the bit again; what is stored until then is part of what will be written.
  flushClaimed(c, addr(list));
}
/** The chosen files know which of their pages are dirty. */
export function collectFiles(space: ptr<AddressSpace>): void {
  eachPart(space, collectPart, 0);
}

function cutPart(c: ptr<Claim>, view: ptr<View>, _file: ptr<SharedFile>, end: u64): void {
  const from: u64 = view.delta + end;
  const part: Claim = uninitialized();
  copy(addr(part), c);
  if (from - c.start < c.end - c.start) part.start = from;
  else if (c.start - view.delta < end) return;
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(addr(part), PTE_LEAVING, addr(list));
  freePages(addr(part), flushClaimed(addr(part), addr(list)));
}
/** The chosen file has shrunk: its pages past the end are gone, and the rest of its last page reads as zeros. */
export function cutFile(space: ptr<AddressSpace>, file: ptr<SharedFile>, bytes: u64): void {
  const end: u64 = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
  eachPart(space, cutPart, end);
  freePagesFrom(space, file, end);
  if (bytes === end) return;
  const entry = fileEntry(file, bytes);
  if (entry !== null && entry[0] !== 0) zeroMemory(entryAddress(entry[0]) + (bytes & (PAGE_BYTES - 1)), end - bytes);
}
function freePagesFrom(space: ptr<AddressSpace>, file: ptr<SharedFile>, from: u64): void {
  const leaf: Leaf = zeroed();
  let looks: u64 = 0;
  for (let at: u64 = from; at < FILE_END; ) {
    findLeaf(file.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot !== null && slot[0] !== 0) {
      freeFrames(entryAddress(slot[0]), 1, space.owner);
      slot[0] = 0;
    }
    at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
    looks++;
    if (looks % LOOKS === 0) admitInterrupts();
  }
}
/** Offsets of pages lie below. */
export const FILE_END: u64 = 0x8000_0000_0000;

/** The file has no views: its pages and its tree are free. */
export function freeFile(space: ptr<AddressSpace>, file: ptr<SharedFile>): void {
  freeTree(file.root, 4, space.owner);
  zero(file);
}
function freeTree(root: u64, level: u64, owner: u16): void {
  const table = physical<PageTable>(root);
  for (let i: u64 = 0; i < 512; i++) {
    const entry: u64 = table.entries[i];
    if (entry === 0) continue;
    if (level > 1) freeTree(entryAddress(entry), level - 1, owner);
    else freeFrames(entryAddress(entry), 1, owner);
    if (i % LOOKS === 0) admitInterrupts();
  }
  admitInterrupts();
  freeFrames(root, 1, owner);
}

/** Chooses the files that regions of the range show. */
export function chooseFiles(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  let found: boolean = false;
  for (let i: u64 = 0; i < fileCount(space); i++) fileAt(space, i).chosen = 0;
  for (let at: u64 = start; at < end; ) {
    const flags: u64 = lock(addr(space.lock));
    const region = regionAbove(addr(space.regions), at);
    const file = region === null || region.start >= end ? null : fileOf(space, region.attributes);
    at = region === null ? end : region.end;
    unlock(addr(space.lock), flags);
    if (file !== null) {
      file.chosen = 1;
      found = true;
    }
    admitInterrupts();
  }
  return found;
}
/** Whether a region of the range shows a file that the task may not write. */
export function isReadOnlyFile(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  let found: boolean = false;
  for (let at: u64 = start; at < end && !found && fileCount(space) !== 0; ) {
    const flags: u64 = lock(addr(space.lock));
    const region = regionAbove(addr(space.regions), at);
    const view = region === null || region.start >= end ? null : viewOf(space, region.attributes);
    found = view !== null && view.file !== null && view.mayWrite === 0;
    at = region === null ? end : region.end;
    unlock(addr(space.lock), flags);
    admitInterrupts();
  }
  return found;
}
