/**
 * Four-level page tables, accessed through the direct map. Source: Intel SDM vol. 3A, 4.5. This file flushes no TLB and
 * takes no lock: the owning address space does. Several cores may add tables at once; a leaf entry has one writer at a
 * time.
 */
import { PAGE_BYTES } from "../abi/memory.ts";
import { PTE_NX, Pte } from "../abi/x86.ts";
import { allocateFrame, freeFrames, physical } from "./frames.ts";

export class PageTable {
  entries!: arr<u64, 512>;
}
/**
 * Software bit of a leaf: the page has a frame, whether or not it is accessible now (PROT_NONE clears P and keeps the
 * frame).
 */
export const PTE_OWNED: u64 = 0x200;
/**
 * Software bit of a leaf: no longer present, but cores may still have it in their TLBs; the frame is freed only after
 * all have flushed.
 */
export const PTE_LEAVING: u64 = 0x400;

/** Software bit of a leaf: the frame is a page of a shared file (views.ts). Unmapping does not free it. */
export const PTE_FILE: u64 = 0x800;

/**
 * Result of a walk: the leaf entry and the page's size. If a table is missing: no entry, and the span of that table.
 */
export class Leaf {
  entry: ptr<u64> | null = null;
  /** The entry where the walk ended: the leaf, or the one without a table. */
  last: ptr<u64> | null = null;
  pageBytes: u64 = 0;
}

export function entryAddress(entry: u64): u64 {
  return entry & Pte.ADDRESS;
}
export function isLarge(entry: u64): boolean {
  return (entry & Pte.PS) !== 0;
}

/**
 * Returns the table of `level` (1: entries are 4 KB pages, 2: of 2 MB) on the way to `address`. Missing tables are
 * created if `owner` is not 0. Null: no table, or no memory for one.
 */
function tableOf(root: u64, address: u64, level: u64, owner: u16): ptr<PageTable> | null {
  let table = physical<PageTable>(root);
  for (let at: u64 = 4; at > level; at--) {
    const slot = addr(table.entries[(address >> (3 + 9 * at)) & 511]);
    if (isLarge(slot[0])) return null;
    if ((slot[0] & Pte.P) === 0) {
      if (owner === 0) return null;
      const frame: u64 = allocateFrame(owner);
      if (frame === 0) return null;
      // The leaf gives the permissions; user tables lie below the middle of the address space.
      const entry: u64 = frame | Pte.P | Pte.W | (address >> 47 === 0 ? Pte.U : 0);
      // Another core was faster.
      if (atomicCompareExchange(slot, 0, entry) !== 0) freeFrames(frame, 1, owner);
    }
    table = physical<PageTable>(entryAddress(slot[0]));
  }
  return table;
}

/**
 * The table of the 4 KB page at `address`, created if it is missing; null: no memory, or a large page is in the way.
 */
export function smallPageTable(root: u64, address: u64, owner: u16): ptr<PageTable> | null {
  return tableOf(root, address, 1, owner);
}
/** Sets the leaf of a 4 KB page. False: no memory for a table, or a large page is in the way. */
export function setPage(root: u64, address: u64, entry: u64, owner: u16): boolean {
  const table = tableOf(root, address, 1, owner);
  if (table === null) return false;
  table.entries[(address >> 12) & 511] = entry;
  return true;
}
/** Sets the leaf of a 2 MB page; there must be no table of small pages. */
export function setLargePage(root: u64, address: u64, entry: u64, owner: u16): boolean {
  const table = tableOf(root, address, 2, owner);
  if (table === null) return false;
  const slot = addr(table.entries[(address >> 21) & 511]);
  if ((slot[0] & Pte.P) !== 0 && !isLarge(slot[0])) return false;
  slot[0] = entry | Pte.PS;
  return true;
}

/** Whether all 512 entries of a table, from its first one on, are zero. */
export function tableIsEmpty(first: ptr<u64>): boolean {
  for (let i: u64 = 0; i < 512; i++) if (first[i] !== 0) return false;
  return true;
}
/**
 * Sets the leaf of a 2 MB page where an empty table of small pages is; returns the table's frame. It may be freed when
 * all cores have flushed the address: until then they may still walk through it (Intel SDM vol. 3A, 4.10.3.1).
 */
export function replaceEmptyTable(root: u64, address: u64, entry: u64): u64 {
  const directory = tableOf(root, address, 2, 0);
  if (directory === null) return 0;
  const slot = addr(directory.entries[(address >> 21) & 511]);
  return entryAddress(atomicExchange(slot, entry | Pte.PS));
}

/** Finds the leaf entry of `address`; `leaf.entry` is null if a table is missing on the way. */
export function findLeaf(root: u64, address: u64, leaf: ptr<Leaf>): void {
  let table = physical<PageTable>(root);
  let shift: u64 = 39;
  for (;;) {
    const slot = addr(table.entries[(address >> shift) & 511]);
    leaf.entry = slot;
    leaf.last = slot;
    leaf.pageBytes = u64(1) << shift;
    if (shift === 12 || isLarge(slot[0])) return;
    if ((slot[0] & Pte.P) === 0) {
      leaf.entry = null;
      return;
    }
    table = physical<PageTable>(entryAddress(slot[0]));
    shift -= 9;
  }
}

/**
 * Moves `leaf` to the next leaf, at `next`, which is the end of the current one. Usually it is the next entry of the
 * same table.
 */
export function nextLeaf(root: u64, next: u64, leaf: ptr<Leaf>): void {
  const last = leaf.last;
  if (last === null || (next & (leaf.pageBytes * 512 - 1)) === 0) {
    findLeaf(root, next, leaf);
    return;
  }
  const entry: u64 = last[1];
  const isLeaf: boolean = leaf.pageBytes === PAGE_BYTES || isLarge(entry);
  if (!isLeaf && entry !== 0) {
    findLeaf(root, next, leaf);
    return;
  }
  leaf.last = addr(last[1]);
  leaf.entry = isLeaf ? addr(last[1]) : null;
}

/** Turns the 2 MB page at `address` into 512 small ones with the same frames and permissions. False: no memory. */
export function splitLargePage(root: u64, address: u64, owner: u16): boolean {
  const directory = tableOf(root, address, 2, 0);
  if (directory === null) return true;
  const slot = addr(directory.entries[(address >> 21) & 511]);
  if (!isLarge(slot[0])) return true;
  const frame: u64 = allocateFrame(owner);
  if (frame === 0) return false;
  const table = physical<PageTable>(frame);
  const large: u64 = slot[0];
  for (let i: u64 = 0; i < 512; i++) table.entries[i] = (large & ~u64(Pte.PS)) + i * PAGE_BYTES;
  slot[0] = frame | Pte.P | Pte.W | Pte.U;
  return true;
}

/** Physical address of `address` if a program may read (or, with `write`, write) there; 0 otherwise. */
export function translateUser(root: u64, address: u64, write: boolean): u64 {
  const leaf: Leaf = zeroed();
  findLeaf(root, address, addr(leaf));
  const slot = leaf.entry;
  if (slot === null) return 0;
  const entry: u64 = slot[0];
  if ((entry & (Pte.P | Pte.U)) !== (Pte.P | Pte.U)) return 0;
  if (write) {
    if ((entry & Pte.W) === 0) return 0;
    // The kernel writes past the processor, which would set the bit.
    if ((entry & (PTE_FILE | Pte.D)) === PTE_FILE) atomicOr(slot, Pte.D);
  }
  return (entry & Pte.ADDRESS & ~(leaf.pageBytes - 1)) | (address & (leaf.pageBytes - 1));
}

/** Entry bits of a user page with the given permissions. */
export function userBits(readable: boolean, writable: boolean, executable: boolean): u64 {
  let bits: u64 = PTE_OWNED;
  if (readable || writable || executable) bits |= Pte.P | Pte.U;
  if (writable) bits |= Pte.W;
  if (!executable) bits |= PTE_NX;
  return bits;
}
