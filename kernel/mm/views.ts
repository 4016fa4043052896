/**
 * Views: what the regions of mapped files show. A region that was made by mmap of a file carries the number of a view
 * in its attributes; the view says which file, and where in it an address lies. The parts of one mapping have the same
 * number, so they merge and split like other regions. A shared file is a tree of pages, by offset, that all its views
 * in the task show; a page table of its own serves as the tree. Frames of a shared file have PTE_FILE in every entry
 * that maps them, and belong to the file, not to the mapping.
 *
 * `lockFiles` is held by whoever makes views, or changes files; before the address space's lock and before claims.
 */
import { Pte } from "../abi/x86.ts";
import { admitInterrupts, cpuIndex } from "../arch/percpu.ts";
import { serveRequests } from "../arch/crosscall.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { type AddressSpace, pass } from "./addressspace.ts";
import { allocateFrame, physical } from "./frames.ts";
import { findLeaf, type Leaf } from "./pagetable.ts";
import { regionAbove } from "./regions.ts";

/** Attributes of regions: bits from here on are a view's number, 0: none. */
const VIEW_SHIFT: u64 = 16;

export class SharedFile {
  /** At the I/O node; 0: this record is free. */
  handle: u64 = 0;
  /** Root of the tree of pages. Pte.D in an entry: the I/O node does not have these contents. */
  root: u64 = 0;
  /** 1: some entry has Pte.D. */
  dirty: u32 = 0;
  /** 1: a call works on this one (msync). */
  chosen: u32 = 0;
  views: u64 = 0;
}
export class View {
  /** Address less offset in the file, modulo 2^64. */
  delta: u64 = 0;
  /** Null: the pages are the task's own copy. */
  file: ptr<SharedFile> | null = null;
  /** The I/O node's number of the file's name; 0: none. */
  name: u32 = 0;
  used: u16 = 0;
  mayWrite: u16 = 0;
  reserved: u64 = 0;
}
const VIEWS_PER_FRAME: u64 = 128;
const VIEW_FRAMES: u64 = 16;
const VIEWS_MAX: u64 = VIEWS_PER_FRAME * VIEW_FRAMES;
const FILES_MAX: u64 = 128;

/** Admits interrupts. Not for holders of locks and claims. */
export function lockFiles(space: ptr<AddressSpace>): void {
  while (atomicCompareExchange(addr(space.filesOwner), 0, cpuIndex() + 1) !== 0) {
    serveRequests();
    admitInterrupts();
  }
}
export function unlockFiles(space: ptr<AddressSpace>): void {
  atomicStore(addr(space.filesOwner), 0);
}

// ---- views ----------------------------------------------------------------------------------------------------------
function viewAt(space: ptr<AddressSpace>, index: u64): ptr<View> {
  return addr(physical<View>(space.viewFrames[index / VIEWS_PER_FRAME])[index % VIEWS_PER_FRAME]);
}
/** Of a region with these attributes; null: it shows no file. */
export function viewOf(space: ptr<AddressSpace>, attributes: u64): ptr<View> | null {
  const number: u64 = attributes >> VIEW_SHIFT;
  return number === 0 ? null : viewAt(space, number - 1);
}
/** The shared file that a region shows. */
export function fileOf(space: ptr<AddressSpace>, attributes: u64): ptr<SharedFile> | null {
  const view = viewOf(space, attributes);
  return view === null ? null : view.file;
}
/** Attribute bits of a new view; 0: there is no memory for one, or too many are in use. With `lockFiles`. */
export function newView(space: ptr<AddressSpace>, file: ptr<SharedFile> | null, name: u32, mayWrite: boolean): u64 {
  let number: u64 = freeView(space);
  if (number === 0) {
    reapViews(space);
    number = freeView(space);
  }
  if (number === 0) return 0;
  const view = viewAt(space, number - 1);
  zero(view);
  view.file = file;
  view.name = name;
  view.mayWrite = u16(mayWrite);
  view.used = 1;
  if (file !== null) file.views++;
  return number << VIEW_SHIFT;
}
function freeView(space: ptr<AddressSpace>): u64 {
  for (let i: u64 = space.viewHint; i < VIEWS_MAX; i++) {
    if (i % VIEWS_PER_FRAME === 0 && space.viewFrames[i / VIEWS_PER_FRAME] === 0) {
      const frame: u64 = allocateFrame(space.owner);
      if (frame === 0) return 0;
      space.viewFrames[i / VIEWS_PER_FRAME] = frame;
    }
    if (viewAt(space, i).used === 0) {
      space.viewHint = i + 1;
      return i + 1;
    }
    if (i % 64 === 63) admitInterrupts();
  }
  return 0;
}
/** Forgets the views that no region shows any more. With `lockFiles`, while no new view is without its region. */
export function reapViews(space: ptr<AddressSpace>): void {
  const live: arr<u64, 32> = zeroed();
  const flags: u64 = lock(addr(space.lock));
  let at: u64 = 0;
  for (let looks: u64 = 1; ; looks++) {
    const region = regionAbove(addr(space.regions), at);
    if (region === null) break;
    const number: u64 = region.attributes >> VIEW_SHIFT;
    if (number !== 0) live[(number - 1) / 64] |= u64(1) << ((number - 1) % 64);
    at = region.end;
    if (looks % 4 === 0) pass(space);
  }
  unlock(addr(space.lock), flags);
  for (let i: u64 = 0; i < VIEWS_MAX; i++) {
    if (space.viewFrames[i / VIEWS_PER_FRAME] === 0) break;
    const view = viewAt(space, i);
    if (i % 64 === 63) admitInterrupts();
    if (view.used === 0 || ((live[i / 64] >> (i % 64)) & 1) !== 0) continue;
    const file = view.file;
    if (file !== null) file.views--;
    view.used = 0;
  }
  space.viewHint = 0;
}

// ---- shared files ---------------------------------------------------------------------------------------------------
/** The file with this handle, or a free record for it, which the caller fills in; null: no memory, or too many. */
export function sharedFile(space: ptr<AddressSpace>, handle: u64): ptr<SharedFile> | null {
  if (space.files === 0) space.files = allocateFrame(space.owner);
  if (space.files === 0) return null;
  let free: ptr<SharedFile> | null = null;
  for (let i: u64 = 0; i < FILES_MAX; i++) {
    const file = fileAt(space, i);
    if (file.handle === handle) return file;
    if (file.handle === 0 && free === null) free = file;
  }
  return free;
}
export function fileAt(space: ptr<AddressSpace>, index: u64): ptr<SharedFile> {
  return addr(physical<SharedFile>(space.files)[index]);
}
/** Number of records; 0: the task has never shared a file. */
export function fileCount(space: ptr<AddressSpace>): u64 {
  return space.files === 0 ? 0 : FILES_MAX;
}
/** The entry of the file's page at `offset`; null or 0: it is not there. */
export function fileEntry(file: ptr<SharedFile>, offset: u64): ptr<u64> | null {
  const leaf: Leaf = zeroed();
  findLeaf(file.root, offset, addr(leaf));
  return leaf.entry;
}
export function frameOfEntry(entry: u64): u64 {
  return entry & Pte.ADDRESS;
}
