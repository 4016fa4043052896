/**
 * The regions of an address space: which ranges a program has, and with which permissions. Ascending, not overlapping, never paged.
 * Whoever holds the address space's lock.
 */
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";

export class Region {
  start: u64 = 0;
  end: u64 = 0;
  protection: u64 = 0;
}
const REGIONS_MAX: u64 = 128;
export class RegionList {
  count: u64 = 0;
  items!: arr<Region, 128>;
}

/** Index of the first region that ends above `address`; `count` if none does. */
function regionAbove(list: ptr<RegionList>, address: u64): u64 {
  let i: u64 = 0;
  while (i < list.count && list.items[i].end <= address) i++;
  return i;
}
function insertAt(list: ptr<RegionList>, index: u64, start: u64, end: u64, protection: u64): boolean {
  if (list.count === REGIONS_MAX) return false;
  for (let i: u64 = list.count; i > index; i--) copy(addr(list.items[i]), addr(list.items[i - 1]));
  list.items[index].start = start;
  list.items[index].end = end;
  list.items[index].protection = protection;
  list.count++;
  return true;
}
/** The range is free. Joins a neighbour below with the same protection. False: the list is full. */
export function regionAdd(list: ptr<RegionList>, start: u64, end: u64, protection: u64): boolean {
  const index: u64 = regionAbove(list, start);
  if (index > 0 && list.items[index - 1].end === start && list.items[index - 1].protection === protection) {
    list.items[index - 1].end = end;
    return true;
  }
  return insertAt(list, index, start, end, protection);
}
/** Takes a range out of the list. False: the list is full (a region had to be split). */
export function regionCut(list: ptr<RegionList>, start: u64, end: u64): boolean {
  let i: u64 = regionAbove(list, start);
  while (i < list.count && list.items[i].start < end) {
    const r = addr(list.items[i]);
    if (r.start < start && r.end > end) {
      const tail: u64 = r.end;
      if (!insertAt(list, i + 1, end, tail, r.protection)) return false;
      r.end = start;
      return true;
    }
    if (r.start < start) {
      r.end = start;
      i++;
    } else if (r.end > end) {
      r.start = end;
      return true;
    } else {
      list.count--;
      for (let k: u64 = i; k < list.count; k++) copy(addr(list.items[k]), addr(list.items[k + 1]));
    }
  }
  return true;
}
/** No region meets the range. */
export function regionsAreAbsent(list: ptr<RegionList>, start: u64, end: u64): boolean {
  const i: u64 = regionAbove(list, start);
  return i === list.count || list.items[i].start >= end;
}
/** Regions cover all of the range. */
export function regionsCover(list: ptr<RegionList>, start: u64, end: u64): boolean {
  let at: u64 = start;
  for (let i: u64 = regionAbove(list, start); at < end; i++) {
    if (i === list.count || list.items[i].start > at) return false;
    at = list.items[i].end;
  }
  return true;
}
/** End of the highest region that starts below `address`; 0 if there is none. */
export function regionsEndBelow(list: ptr<RegionList>, address: u64): u64 {
  let end: u64 = 0;
  for (let i: u64 = 0; i < list.count && list.items[i].start < address; i++) end = list.items[i].end;
  return end;
}

/** Where mmap places ranges of this length. */
export function placedAt(address: u64, lengthBytes: u64): u64 {
  const align: u64 = lengthBytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : PAGE_BYTES;
  return (address + align - 1) & ~(align - 1);
}
/** Lowest free range from `from` (at least USER_MAP_BASE) on; 0 if there is none. */
export function findGap(list: ptr<RegionList>, from: u64, lengthBytes: u64): u64 {
  let at: u64 = from < USER_MAP_BASE ? USER_MAP_BASE : placedAt(from, lengthBytes);
  for (let i: u64 = regionAbove(list, at); i < list.count; i++) {
    if (list.items[i].start >= at + lengthBytes) return at;
    at = placedAt(list.items[i].end, lengthBytes);
  }
  return lengthBytes <= USER_END - at ? at : 0;
}
