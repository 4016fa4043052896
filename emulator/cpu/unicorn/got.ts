/**
 * Interposition of Unicorn's own helper functions. It has no hooks for RDTSC, RDMSR, WRMSR, INVLPG and the control
 * registers, but its build exports the helpers that translated code calls for them, and takes their addresses from the
 * global offset table: so a slot there can be pointed at one of our callbacks. The slots belong to the whole process.
 */
import { readFileSync } from "node:fs";
import koffi from "koffi";
import { type Address, type CallbackKind, registerCallback, viewMemory } from "./binding.ts";
import { loadLibrary, UnicornUnavailable } from "./library.ts";

interface Slot {
  /** Address of the slot and value of the symbol, both relative to where the library is loaded. */
  readonly slot: number;
  readonly symbolValue: number;
}

// ELF64 (System V ABI, AMD64 supplement): what a relocation and a dynamic symbol look like.
const SECTION_RELA = 4;
const SECTION_DYNAMIC_SYMBOLS = 11;
const RELA_BYTES = 24;
const SYMBOL_BYTES = 24;
const R_X86_64_64 = 1;
const R_X86_64_GLOB_DAT = 6;
const R_X86_64_JUMP_SLOT = 7;

/** First letters of helper_…, do_interrupt_…, cpu_… and breakpoint_handler. */
const FIRST_LETTERS = [0x68, 0x64, 0x63, 0x62];

let slotsByName: Map<string, Slot[]> | undefined;

/** Relocated slots of the library by symbol name, of the functions that are replaced here; it has tens of thousands more. */
function readSlots(path: string): Map<string, Slot[]> {
  const bytes = readFileSync(path);
  const u64 = (offset: number): number => Number(bytes.readBigUInt64LE(offset));
  const sections = Array.from({ length: bytes.readUInt16LE(60) }, (_, index) => {
    const at = u64(40) + index * bytes.readUInt16LE(58);
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: u64(at + 24),
      size: u64(at + 32),
      link: bytes.readUInt32LE(at + 40),
    };
  });
  const symbols = sections.find((section) => section.type === SECTION_DYNAMIC_SYMBOLS);
  if (!symbols) throw new UnicornUnavailable(`${path} has no dynamic symbols`);
  const strings = sections[symbols.link];
  const slots = new Map<string, Slot[]>();
  for (const section of sections.filter(({ type }) => type === SECTION_RELA)) {
    for (let at = section.offset; at < section.offset + section.size; at += RELA_BYTES) {
      const type = bytes.readUInt32LE(at + 8);
      const symbol = bytes.readUInt32LE(at + 12);
      if (symbol === 0 || (type !== R_X86_64_64 && type !== R_X86_64_GLOB_DAT && type !== R_X86_64_JUMP_SLOT)) continue;
      const entry: number = symbols.offset + symbol * SYMBOL_BYTES;
      const nameAt: number = strings.offset + bytes.readUInt32LE(entry);
      if (!FIRST_LETTERS.includes(bytes[nameAt])) continue;
      const name = bytes.toString("latin1", nameAt, bytes.indexOf(0, nameAt));
      const list = slots.get(name) ?? [];
      list.push({ slot: u64(at), symbolValue: u64(entry + 8) });
      slots.set(name, list);
    }
  }
  return slots;
}

/** Points every slot of `symbol` at `callback`. Before the first instance is opened: it copies the addresses. */
export function interpose(symbol: string, kind: CallbackKind, callback: (...parameters: never[]) => unknown): void {
  interposeAddress(symbol, registerCallback(kind, callback));
}

/** As `interpose`, with a C function. */
export function interposeAddress(symbol: string, target: Address): void {
  const { path, handle } = loadLibrary();
  slotsByName ??= readSlots(path);
  const slots = slotsByName.get(symbol);
  if (!slots) throw new UnicornUnavailable(`${path} does not let ${symbol} be replaced (another build?)`);
  const mprotect = koffi.load("libc.so.6").func("int mprotect(uint64_t address, size_t bytes, int protection)");
  const symbolAddress: Address = Number(handle.symbol(symbol));
  for (const { slot, symbolValue } of slots) {
    const address = symbolAddress - symbolValue + slot;
    const readWrite = 3;
    if (mprotect(address - (address % 4096), 4096, readWrite) !== 0)
      throw new UnicornUnavailable(`cannot write the slot of ${symbol}`);
    new BigUint64Array(viewMemory(address, 8))[0] = BigInt(target);
  }
}
