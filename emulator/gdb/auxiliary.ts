/**
 * The auxiliary vector of a program, read from its stack: init places it just below random bytes and strings at the
 * stack's top (userland/init/stack.ts). Source: System V ABI, AMD64 supplement 3.4.3.
 */
import { PAGE_BYTES, USER_STRINGS_BYTES, USER_STACK_TOP } from "../abi/memory.ts";
import { Auxiliary, AuxiliaryEntry } from "../abi/process.ts";

/** Its second entry, and the type of the third; the first one depends on the processor. */
const SECOND = [BigInt(Auxiliary.PAGESZ), BigInt(PAGE_BYTES), BigInt(Auxiliary.CLKTCK)] as const;
const { SIZE } = AuxiliaryEntry;

/** Includes the terminating entry. Empty: there is none, as before init has built the stack. */
export function auxiliaryVector(read: (address: bigint, length: number) => Uint8Array): Uint8Array {
  let known: Uint8Array = new Uint8Array();
  for (let below = PAGE_BYTES; below <= USER_STRINGS_BYTES; below += PAGE_BYTES) {
    const page = read(BigInt(USER_STACK_TOP - below), PAGE_BYTES);
    if (page.length < PAGE_BYTES) break;
    known = Buffer.concat([page, known.subarray(0, 64 * SIZE)]);
    const view = new DataView(known.buffer, known.byteOffset, known.byteLength);
    for (let at = Math.min(PAGE_BYTES, known.length - SIZE - 8 * SECOND.length); at >= 0; at -= 8) {
      if (!SECOND.every((word, i) => view.getBigUint64(at + SIZE + 8 * i, true) === word)) continue;
      for (let end = at; end + SIZE <= known.length; end += SIZE)
        if (view.getBigUint64(end, true) === BigInt(Auxiliary.NULL)) return known.slice(at, end + SIZE);
    }
  }
  return new Uint8Array();
}
