/**
 * The auxiliary vector of a program, out of its stack: init puts it right below random bytes and strings at the stack's
 * top (userland/init/execute.ts). Source: System V ABI, AMD64 supplement 3.4.3.
 */
import { PAGE_BYTES, USER_STACK_BYTES, USER_STACK_TOP } from "../abi/memory.ts";
import { Auxiliary, AuxiliaryEntry } from "../abi/process.ts";

/** How it begins: init's first entry, and the type of the second. */
const FIRST = [BigInt(Auxiliary.PAGESZ), BigInt(PAGE_BYTES), BigInt(Auxiliary.ENTRY)] as const;
const { SIZE } = AuxiliaryEntry;

/** With the entry that ends it. Empty: there is none, as before init has built the stack. */
export function auxiliaryVector(read: (address: bigint, length: number) => Uint8Array): Uint8Array {
  let known: Uint8Array = new Uint8Array();
  // Arguments and environment take half of the stack at most.
  for (let below = PAGE_BYTES; below <= USER_STACK_BYTES / 2; below += PAGE_BYTES) {
    const page = read(BigInt(USER_STACK_TOP - below), PAGE_BYTES);
    if (page.length < PAGE_BYTES) break;
    known = Buffer.concat([page, known.subarray(0, 64 * SIZE)]);
    const view = new DataView(known.buffer, known.byteOffset, known.byteLength);
    for (let at = Math.min(PAGE_BYTES, known.length - 8 * FIRST.length); at >= 0; at -= 8) {
      if (!FIRST.every((word, i) => view.getBigUint64(at + 8 * i, true) === word)) continue;
      for (let end = at; end + SIZE <= known.length; end += SIZE)
        if (view.getBigUint64(end, true) === BigInt(Auxiliary.NULL)) return known.slice(at, end + SIZE);
    }
  }
  return new Uint8Array();
}
