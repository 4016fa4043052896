/**
 * TLB shootdown. After mappings were removed or restricted, the cores on which the address space is active, and only
 * those, flush its entries. The caller waits for all of them and frees the frames afterwards. A short list of pages is
 * flushed page by page, a longer one by reloading CR3. `tlb_ipi=off` (a boot parameter) omits the IPIs, so that a test
 * can show the consequences.
 */
import { EventKind } from "../abi/events.ts";
import { Vector } from "../abi/vectors.ts";
import { invalidatePage, readCr3, writeCr3 } from "../arch/cpu.ts";
import { crossCall } from "../arch/crosscall.ts";
import { record } from "../arch/trace.ts";

export const FLUSH_PAGES_MAX: u64 = 32;
export class FlushList {
  root: u64 = 0;
  /** Number of pages; more than FLUSH_PAGES_MAX: flush the whole address space. */
  count: u64 = 0;
  pages!: arr<u64, 32>;
}
class Switch {
  off: u32 = 0;
}
const ipis: Switch = new Switch();

export function disableShootdownIpis(): void {
  ipis.off = 1;
}

export function addToFlush(list: ptr<FlushList>, address: u64): void {
  if (list.count < FLUSH_PAGES_MAX) list.pages[list.count] = address;
  list.count++;
}

/**
 * Flushes here and on the other cores where the tables at `root` are active; `cpus` is the address space's mask of
 * those. Returns the request's id after all have flushed, 0 if no other core took part. Any number of cores may run
 * this at once.
 */
export function shootdown(list: ptr<FlushList>, root: u64, cpus: ptr<u64>): u64 {
  list.root = root;
  // The entries are changed before the mask is read. A core that sets its bit later loads CR3 after that, and so walks
  // the changed tables.
  fence();
  if (readCr3() === root) flush(list);
  if (ipis.off !== 0) return 0;
  return crossCall(atomicLoad(cpus), Vector.TLB_SHOOTDOWN, flushHere, cast<u64>(list));
}

function flushHere(argument: u64, id: u64): void {
  const list = cast<ptr<FlushList>>(argument);
  // If the core has left the address space since the request, its TLB holds none of its entries.
  if (readCr3() === list.root) flush(list);
  record(EventKind.TLB_FLUSH, id, list.count, 0, 0);
}

function flush(list: ptr<FlushList>): void {
  if (list.count > FLUSH_PAGES_MAX) {
    writeCr3(list.root);
    return;
  }
  for (let i: u64 = 0; i < list.count; i++) invalidatePage(list.pages[i]);
}
