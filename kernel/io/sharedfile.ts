/**
 * Shared mappings of files: the pages are read when they are mapped, all mappings of a file in a task show the same
 * pages, and what programs store there is written back at msync, when a mapping ends, and when the task ends, whatever
 * ends it. Between nodes nothing is shared: another node sees what was written back, when it maps or reads the file.
 * The handle at the I/O node (abi/io.ts) outlives the descriptor.
 */
import { Errno } from "../abi/errno.ts";
import type { MapReply } from "../abi/io.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Pte } from "../abi/x86.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { setGrowingFiles } from "../core/fault.ts";
import { currentTask, type Task } from "../core/task.ts";
import type { AddressSpace } from "../mm/addressspace.ts";
import { chooseFiles, collectFiles, cutFile, FILE_END, freeFile, mapFilePages } from "../mm/filepages.ts";
import { allocateFrame, allocateFrames, freeFrames, physical } from "../mm/frames.ts";
import { entryAddress, findLeaf, type Leaf, PTE_OWNED, setPage } from "../mm/pagetable.ts";
import { REGION_FILE, regionAt } from "../mm/regions.ts";
import type { Remap } from "../mm/remap.ts";
import { Placement, spaceMap, spaceUnmap } from "../mm/space.ts";
import {
  fileAt,
  fileCount,
  fileEntry,
  lockFiles,
  newView,
  reapViews,
  type SharedFile,
  sharedFile,
  unlockFiles,
  type View,
  viewOf,
} from "../mm/views.ts";
import { setSharedFiles } from "../syscall/memory.ts";
import { shipFor, type Shipment } from "./client.ts";

/** Most adjacent pages that are read or written at once. */
const RUN: u64 = 8;

export function sharedFilesStart(): void {
  setSharedFiles(mapShared, remapShared, syncRange, settle);
  setGrowingFiles(grow);
}

// ---- the I/O node ---------------------------------------------------------------------------------------------------
function move(task: ptr<Task>, call: u32, handle: u64, frame: u64, bytes: u64, offset: u64): i64 {
  const s: Shipment = zeroed();
  s.call = call;
  s.arguments[0] = handle;
  s.arguments[1] = 1;
  s.arguments[2] = bytes;
  s.arguments[3] = offset;
  if (call === Syscall.MSYNC) {
    s.data = cast<u64>(physical<u8>(frame));
    s.dataBytes = bytes;
    s.dataStaged = true;
  } else {
    s.buffer = cast<u64>(physical<u8>(frame));
    s.bufferBytes = bytes;
    s.bufferStaged = true;
  }
  return shipFor(task, addr(s));
}
function about(task: ptr<Task>, call: u32, handle: u64): i64 {
  const s: Shipment = zeroed();
  s.call = call;
  s.arguments[0] = handle;
  return shipFor(task, addr(s));
}
function roundUp(bytes: u64): u64 {
  return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

// ---- reading --------------------------------------------------------------------------------------------------------
/** The file has all of its pages in the range that lie before its end. 0 or -errno. */
function fill(task: ptr<Task>, file: ptr<SharedFile>, offset: u64, bytes: u64): i64 {
  if (offset >= FILE_END || bytes > FILE_END - offset) return -i64(Errno.EOVERFLOW);
  const length: i64 = about(task, Syscall.MINCORE, file.handle);
  if (length < 0) return length;
  const end: u64 = offset + bytes < roundUp(u64(length)) ? offset + bytes : roundUp(u64(length));
  for (let at: u64 = offset; at < end; ) {
    if (isThere(file, at)) {
      at += PAGE_BYTES;
      admitInterrupts();
      continue;
    }
    let pages: u64 = 1;
    while (pages < RUN && at + pages * PAGE_BYTES < end && !isThere(file, at + pages * PAGE_BYTES)) pages++;
    const result: i64 = fillRun(task, file, at, pages);
    if (result < 0) return result;
    at += u64(result) * PAGE_BYTES;
  }
  return 0;
}
function isThere(file: ptr<SharedFile>, offset: u64): boolean {
  const entry = fileEntry(file, offset);
  return entry !== null && entry[0] !== 0;
}
/** Returns the number of pages that were read. */
function fillRun(task: ptr<Task>, file: ptr<SharedFile>, offset: u64, most: u64): i64 {
  let pages: u64 = most;
  let frame: u64 = allocateFrames(pages, task.space.owner);
  if (frame === 0) {
    pages = 1;
    frame = allocateFrame(task.space.owner);
  }
  if (frame === 0) return -i64(Errno.ENOMEM);
  const result: i64 = move(task, Syscall.MREMAP, file.handle, frame, pages * PAGE_BYTES, offset);
  let set: u64 = 0;
  while (result >= 0 && set < pages) {
    const at: u64 = offset + set * PAGE_BYTES;
    if (!setPage(file.root, at, (frame + set * PAGE_BYTES) | PTE_OWNED, task.space.owner)) break;
    set++;
  }
  if (set < pages) freeFrames(frame + set * PAGE_BYTES, pages - set, task.space.owner);
  if (result < 0) return result;
  return set === 0 ? -i64(Errno.ENOMEM) : i64(set);
}

// ---- writing --------------------------------------------------------------------------------------------------------
/** Writes the file's dirty pages. 0 or -errno; pages that could not be written stay dirty. */
function writeBack(task: ptr<Task>, file: ptr<SharedFile>): i64 {
  if (file.dirty === 0) return 0;
  const leaf: Leaf = zeroed();
  let failed: i64 = 0;
  for (let at: u64 = 0; at < FILE_END; ) {
    findLeaf(file.root, at, addr(leaf));
    const entry = leaf.entry;
    if (entry === null || (entry[0] & Pte.D) === 0) {
      at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
      admitInterrupts();
      continue;
    }
    const frame: u64 = entryAddress(entry[0]);
    let pages: u64 = 1;
    // The rest of the run lies in the same table.
    while (pages < RUN && ((at / PAGE_BYTES) & 511) + pages < 512 && continues(entry, pages, frame)) pages++;
    const result: i64 = move(task, Syscall.MSYNC, file.handle, frame, pages * PAGE_BYTES, at);
    if (result < 0) failed = result;
    else for (let i: u64 = 0; i < pages; i++) atomicAnd(addr(entry[i]), ~u64(Pte.D));
    // The I/O node does not answer any more, or the task ends.
    if (result === -i64(Errno.EIO) || result === -i64(Errno.EINTR)) return result;
    at += pages * PAGE_BYTES;
  }
  if (failed === 0) file.dirty = 0;
  return failed;
}
function continues(entry: ptr<u64>, pages: u64, frame: u64): boolean {
  return (entry[pages] & Pte.D) !== 0 && entryAddress(entry[pages]) === frame + pages * PAGE_BYTES;
}

/** Writes back what was unmapped, and lets go of files that nothing shows any more. */
function settle(): void {
  const task = currentTask();
  const space = addr(task.space);
  if (space.filesChanged === 0) return;
  lockFiles(space);
  settleLocked(task);
  unlockFiles(space);
}
function settleLocked(task: ptr<Task>): void {
  const space = addr(task.space);
  space.filesChanged = 0;
  reapViews(space);
  for (let i: u64 = 0; i < fileCount(space); i++) {
    const file = fileAt(space, i);
    if (file.handle === 0) continue;
    writeBack(task, file);
    if (file.views !== 0) continue;
    about(task, Syscall.MUNMAP, file.handle);
    freeFile(space, file);
  }
}
/** msync of a range that is mapped. */
function syncRange(start: u64, end: u64): i64 {
  const task = currentTask();
  const space = addr(task.space);
  let result: i64 = 0;
  lockFiles(space);
  if (chooseFiles(space, start, end)) {
    collectFiles(space);
    for (let i: u64 = 0; i < fileCount(space); i++) {
      const file = fileAt(space, i);
      const written: i64 = file.chosen === 0 ? 0 : writeBack(task, file);
      if (written < 0) result = written;
    }
  }
  unlockFiles(space);
  return result;
}
function chooseAll(space: ptr<AddressSpace>): boolean {
  let found: boolean = false;
  for (let i: u64 = 0; i < fileCount(space); i++) {
    const file = fileAt(space, i);
    file.chosen = u32(file.handle !== 0);
    found = found || file.handle !== 0;
  }
  return found;
}
/** The task's last thread has ended; runs on its core, without a lock. */
export function writeBackAtEnd(task: ptr<Task>): void {
  const space = addr(task.space);
  if (!chooseAll(space)) return;
  collectFiles(space);
  for (let i: u64 = 0; i < fileCount(space); i++) if (fileAt(space, i).handle !== 0) writeBack(task, fileAt(space, i));
}

// ---- mappings -------------------------------------------------------------------------------------------------------
/** Maps the file of the reply. Returns the address or -errno. */
function mapShared(at: u64, bytes: u64, protection: u64, placement: u32, offset: u64, reply: ptr<MapReply>): i64 {
  const task = currentTask();
  const space = addr(task.space);
  lockFiles(space);
  const file = sharedFile(space, reply.handle);
  let result: i64 = -i64(Errno.ENOMEM);
  if (file !== null && prepare(space, file, reply.handle)) {
    result = fill(task, file, offset, bytes);
    if (result === 0)
      result = show(space, file, at, bytes, protection, placement, offset, reply.name, reply.mayWrite !== 0);
    if (file.views === 0) space.filesChanged = 1;
  } else about(task, Syscall.MUNMAP, reply.handle);
  if (space.filesChanged !== 0) settleLocked(task);
  unlockFiles(space);
  return result;
}
function prepare(space: ptr<AddressSpace>, file: ptr<SharedFile>, handle: u64): boolean {
  if (file.handle !== 0) return true;
  zero(file);
  file.root = allocateFrame(space.owner);
  if (file.root === 0) return false;
  file.handle = handle;
  return true;
}
/** A new view of the file. Returns its address or -errno. */
function show(
  space: ptr<AddressSpace>,
  file: ptr<SharedFile>,
  to: u64,
  bytes: u64,
  protection: u64,
  placement: u32,
  offset: u64,
  name: u32,
  mayWrite: boolean,
): i64 {
  const bits: u64 = newView(space, file, name, mayWrite);
  if (bits === 0) return -i64(Errno.ENOMEM);
  const view = viewOf(space, bits);
  const address: i64 = spaceMap(space, to, bytes, protection | REGION_FILE | bits, placement);
  if (view === null) unreachable();
  view.delta = u64(address) - offset;
  if (address < 0) {
    // reapViews finds it.
    space.filesChanged = 1;
    return address;
  }
  if (mapFilePages(space, u64(address), bytes)) return address;
  spaceUnmap(space, u64(address), bytes);
  return -i64(Errno.ENOMEM);
}
/** mremap of a range whose region shows a shared file; 1: it is no such range. */
function remapShared(r: ptr<Remap>): i64 {
  const task = currentTask();
  const space = addr(task.space);
  if (fileCount(space) === 0) return 1;
  lockFiles(space);
  const flags: u64 = lock(addr(space.lock));
  const region = regionAt(addr(space.regions), r.from);
  const attributes: u64 = region === null ? 0 : region.attributes;
  const room: u64 = region === null ? 0 : region.end - r.from;
  unlock(addr(space.lock), flags);
  const view = attributes === 0 ? null : viewOf(space, attributes);
  const file = view === null ? null : view.file;
  let result: i64 = 1;
  if (view !== null && file !== null) {
    const isShorter: boolean = r.newBytes < r.oldBytes;
    const needed: u64 = isShorter && r.to === 0 ? r.newBytes : r.oldBytes;
    result = needed > room ? -i64(Errno.EFAULT) : remapView(task, r, view, file, attributes);
  }
  if (space.filesChanged !== 0) settleLocked(task);
  unlockFiles(space);
  return result;
}
function remapView(task: ptr<Task>, r: ptr<Remap>, view: ptr<View>, file: ptr<SharedFile>, attributes: u64): i64 {
  const space = addr(task.space);
  const protection: u64 = attributes & 7;
  const offset: u64 = r.from - view.delta;
  if (r.to === 0 && !r.keepsOld && r.oldBytes !== 0) {
    if (r.newBytes === r.oldBytes) return i64(r.from);
    if (r.newBytes < r.oldBytes) {
      const cut: i64 = spaceUnmap(space, r.from + r.newBytes, r.oldBytes - r.newBytes);
      return cut < 0 ? cut : i64(r.from);
    }
  }
  const filled: i64 = fill(task, file, offset, r.newBytes);
  if (filled < 0) return filled;
  if (r.to === 0 && !r.keepsOld && r.oldBytes !== 0) {
    const end: u64 = r.from + r.oldBytes;
    const grown: i64 = spaceMap(space, end, r.newBytes - r.oldBytes, attributes, Placement.NOREPLACE);
    if (grown === i64(end)) return mapFilePages(space, end, r.newBytes - r.oldBytes) ? i64(r.from) : -i64(Errno.ENOMEM);
  }
  if (!r.mayMove) return -i64(Errno.ENOMEM);
  const placement: u32 = r.to !== 0 ? Placement.FIXED : Placement.HINT;
  const to: i64 = show(space, file, r.to, r.newBytes, protection, placement, offset, view.name, view.mayWrite !== 0);
  if (to < 0 || r.keepsOld || r.oldBytes === 0) return to;
  const gone: i64 = spaceUnmap(space, r.from, r.oldBytes);
  return gone < 0 ? gone : to;
}

// ---- files that change their length ---------------------------------------------------------------------------------
/** A program has touched a page past the end: the file may be longer now. True: the page is there. */
function grow(space: ptr<AddressSpace>, address: u64): boolean {
  const task = currentTask();
  const page: u64 = address & ~(PAGE_BYTES - 1);
  if (fileCount(space) === 0) return false;
  lockFiles(space);
  const flags: u64 = lock(addr(space.lock));
  const region = regionAt(addr(space.regions), page);
  const view = region === null ? null : viewOf(space, region.attributes);
  unlock(addr(space.lock), flags);
  const file = view === null ? null : view.file;
  let found: boolean = false;
  if (view !== null && file !== null && fill(task, file, page - view.delta, PAGE_BYTES) === 0)
    found = isThere(file, page - view.delta) && mapFilePages(space, page, PAGE_BYTES);
  unlockFiles(space);
  return found;
}
/** A call of the task has changed the length of a file: pages past the end of any are gone. */
export function filesTruncated(): void {
  const task = currentTask();
  const space = addr(task.space);
  if (fileCount(space) === 0) return;
  lockFiles(space);
  for (let i: u64 = 0; i < fileCount(space); i++) {
    const file = fileAt(space, i);
    if (file.handle === 0) continue;
    const length: i64 = about(task, Syscall.MINCORE, file.handle);
    if (length < 0) continue;
    for (let j: u64 = 0; j < fileCount(space); j++) fileAt(space, j).chosen = u32(j === i);
    cutFile(space, file, u64(length));
  }
  unlockFiles(space);
}
