/**
 * mremap: a range becomes shorter, or longer in place, or moves. A range that moves is copied. For the caller this is
 * one change, since a program that uses a range while it moves has no defined result on Linux, either.
 */
import { Errno } from "../abi/errno.ts";
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { Pte } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { admitInterrupts, isEnding } from "../arch/percpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { type AddressSpace, lockRange, PROTECTIONS } from "./addressspace.ts";
import { touchPage } from "./fault.ts";
import { physical } from "./frames.ts";
import { findLeaf, type Leaf, PTE_OWNED } from "./pagetable.ts";
import { REGION_LAZY, regionAt } from "./regions.ts";
import { Placement, spaceAdvise, spaceMap, spaceUnmap } from "./space.ts";

export class Remap {
  from: u64 = 0;
  oldBytes: u64 = 0;
  newBytes: u64 = 0;
  mayMove: boolean = false;
  /** Not 0: the range moves there and replaces what is mapped there. */
  to: u64 = 0;
  /** The old range stays, with zeroed pages. */
  keepsOld: boolean = false;
}

/** Whole pages. Returns the new address; -EFAULT: the old range is not one region; -ENOMEM. */
export function spaceRemap(space: ptr<AddressSpace>, r: ptr<Remap>): i64 {
  const isShorter: boolean = r.newBytes < r.oldBytes;
  const attributes: i64 = attributesOf(space, r.from, isShorter && r.to === 0 ? r.newBytes : r.oldBytes);
  if (attributes < 0) return attributes;
  if (r.to !== 0 || r.keepsOld) return move(space, r, u64(attributes), r.to !== 0 ? Placement.FIXED : Placement.HINT);
  if (r.newBytes === r.oldBytes) return i64(r.from);
  if (isShorter) {
    const cut: i64 = spaceUnmap(space, r.from + r.newBytes, r.oldBytes - r.newBytes);
    return cut < 0 ? cut : i64(r.from);
  }
  const end: u64 = r.from + r.oldBytes;
  const more: u64 = r.newBytes - r.oldBytes;
  // The program's part of the address space may end before.
  const grown: i64 =
    more <= USER_END - end ? spaceMap(space, end, more, u64(attributes), Placement.NOREPLACE) : -i64(Errno.ENOMEM);
  if (grown === i64(end)) return i64(r.from);
  return r.mayMove ? move(space, r, u64(attributes), Placement.HINT) : -i64(Errno.ENOMEM);
}

/** Attributes of the region that contains the whole range, or -EFAULT. */
function attributesOf(space: ptr<AddressSpace>, start: u64, bytes: u64): i64 {
  const flags: u64 = lockRange(space, start, start + bytes);
  const region = regionAt(addr(space.regions), start);
  const found: i64 = region !== null && region.end - start >= bytes ? i64(region.attributes) : -i64(Errno.EFAULT);
  unlock(addr(space.lock), flags);
  return found;
}

function move(space: ptr<AddressSpace>, r: ptr<Remap>, attributes: u64, placement: u32): i64 {
  // A copy of a file is none any more.
  const to: i64 = spaceMap(space, r.to, r.newBytes, attributes & (PROTECTIONS | REGION_LAZY), placement);
  if (to < 0) return to;
  const kept: u64 = r.oldBytes < r.newBytes ? r.oldBytes : r.newBytes;
  for (let done: u64 = 0; done < kept && !isEnding(); done += PAGE_BYTES) {
    if (!copyPage(space, u64(to) + done, r.from + done)) {
      spaceUnmap(space, u64(to), r.newBytes);
      return -i64(Errno.ENOMEM);
    }
    admitInterrupts();
  }
  const gone: i64 = r.keepsOld ? spaceAdvise(space, r.from, r.oldBytes, true) : spaceUnmap(space, r.from, r.oldBytes);
  return gone < 0 ? gone : to;
}
/** Copies a page whatever its permissions. A page that was never touched is not copied. False: no memory. */
function copyPage(space: ptr<AddressSpace>, to: u64, from: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const source: u64 = frameOf(space, from);
  let copied: boolean = source === 0;
  if (!copied) {
    if (frameOf(space, to) === 0) touchPage(space, to, 0, 0);
    const target: u64 = frameOf(space, to);
    copied = target !== 0;
    if (copied) memcpy(physical<u8>(target), physical<u8>(source), PAGE_BYTES);
  }
  unlock(addr(space.lock), flags);
  return copied;
}
/** Physical address; 0: the page has no frame. */
function frameOf(space: ptr<AddressSpace>, address: u64): u64 {
  const leaf: Leaf = zeroed();
  findLeaf(space.root, address, addr(leaf));
  const slot = leaf.entry;
  if (slot === null || (slot[0] & PTE_OWNED) === 0) return 0;
  return (slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1)) | (address & (leaf.pageBytes - 1));
}
