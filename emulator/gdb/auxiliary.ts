/**
 * Arguments, environment and auxiliary vector of a program, read from its stack: init places them just below random
 * bytes and strings at the stack's top (userland/init/stack.ts). Source: System V ABI, AMD64 supplement 3.4.1 and
 * 3.4.3.
 */
import { PAGE_BYTES, USER_STRINGS_BYTES, USER_STACK_TOP } from "../abi/memory.ts";
import { Auxiliary, AuxiliaryEntry, PROGRAM_LOWEST } from "../abi/process.ts";

type Read = (address: bigint, length: number) => Uint8Array;

/** Second entry of the vector, and the type of the third; the first one depends on the processor. */
const SECOND = [BigInt(Auxiliary.PAGESZ), BigInt(PAGE_BYTES), BigInt(Auxiliary.CLKTCK)] as const;
const { SIZE } = AuxiliaryEntry;

/** Includes the terminating entry. Empty: there is none, as before init has built the stack. */
export function auxiliaryVector(read: Read): Uint8Array {
  return find(read)?.vector ?? new Uint8Array();
}
function find(read: Read): { readonly address: bigint; readonly vector: Uint8Array } | undefined {
  let known: Uint8Array = new Uint8Array();
  for (let below = PAGE_BYTES; below <= USER_STRINGS_BYTES; below += PAGE_BYTES) {
    const page = read(BigInt(USER_STACK_TOP - below), PAGE_BYTES);
    if (page.length < PAGE_BYTES) break;
    known = Buffer.concat([page, known.subarray(0, 64 * SIZE)]);
    const view = new DataView(known.buffer, known.byteOffset, known.byteLength);
    for (let at = Math.min(PAGE_BYTES, known.length - SIZE - 8 * SECOND.length); at >= 0; at -= 8) {
      if (!SECOND.every((word, i) => view.getBigUint64(at + SIZE + 8 * i, true) === word)) continue;
      for (let end = at; end + SIZE <= known.length; end += SIZE)
        if (view.getBigUint64(end, true) === BigInt(Auxiliary.NULL))
          return { address: BigInt(USER_STACK_TOP - below + at), vector: known.slice(at, end + SIZE) };
    }
  }
  return undefined;
}

/** Strings as they are in memory now, each with its end; empty where the program has overwritten the words. */
export function initialStrings(read: Read): { readonly arguments: Uint8Array; readonly environment: Uint8Array } {
  const none = { arguments: new Uint8Array(), environment: new Uint8Array() };
  const found = find(read);
  if (found === undefined) return none;
  // Down from the vector: a null, the environment's pointers, a null, the arguments', and their count.
  const words: bigint[] = [];
  let nulls = 0;
  for (let at = found.address - 8n; ; at -= 8n) {
    const bytes = read(at, 8);
    if (bytes.length < 8 || words.length * 8 > USER_STRINGS_BYTES) return none;
    const word = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    words.push(word);
    if (word === 0n) nulls++;
    else if (word < BigInt(PROGRAM_LOWEST)) break;
  }
  const argumentCount = Number(words.at(-1)!);
  const environmentCount = words.length - 3 - argumentCount;
  const from = words.at(-2)!;
  const length = BigInt(USER_STACK_TOP) - from;
  if (nulls !== 2 || environmentCount < 0 || length < 0n || length > BigInt(USER_STRINGS_BYTES)) return none;
  const text = Buffer.from(read(from, Number(length)));
  const end = (start: number, count: number): number => {
    let at = start;
    for (let i = 0; i < count && at > -1; i++) at = text.indexOf(0, at) + 1 || text.length;
    return at;
  };
  const middle = end(0, argumentCount);
  return { arguments: text.subarray(0, middle), environment: text.subarray(middle, end(middle, environmentCount)) };
}
