/**
 * `.debug_frame`, DWARF 5 section 6.4: how to find a function's caller at each instruction. Two common entries, for ordinary functions and
 * for signal frames (what they interrupted is looked up at its counter, not before it), then one entry a function, which says only
 * what changes from row to row. Both commons start as a call leaves the stack: CFA = rsp + 8, the return address below it.
 */
import { CallFrame, CIE_ID, CIE_VERSION, DWARF_RETURN_ADDRESS } from "../lib/dwarf.ts";
import type { FrameRow } from "./debug.ts";
import type { PlacedChunk } from "./layout.ts";
import { ByteWriter } from "./writer.ts";

/** Offsets from the CFA are written divided by it. */
const DATA_ALIGN = -8;
const RSP = 7;
const START: FrameRow = { offset: 0, cfaRegister: RSP, cfaOffset: 8, saved: new Map([[DWARF_RETURN_ADDRESS, -8]]) };

/** Functions that say nothing of their frame get no entry. */
export function debugFrame(chunks: readonly PlacedChunk[]): Uint8Array {
  const out = new ByteWriter();
  const commons = new Map<boolean, number>();
  for (const { chunk, address } of chunks) {
    if (!chunk.isFunction || chunk.size === 0 || chunk.frame === undefined || chunk.frame.rows.length === 0) continue;
    const { rows, signal } = chunk.frame;
    let common = commons.get(signal);
    if (common === undefined) {
      common = commonEntry(out, signal);
      commons.set(signal, common);
    }
    const start = out.length;
    out.u32(0);
    out.u32(common);
    out.u64(address);
    out.u64(BigInt(chunk.size));
    let before = START;
    for (const row of rows) {
      advance(out, row.offset - before.offset);
      change(out, before, row);
      before = row;
    }
    close(out, start);
  }
  return out.take();
}

/** Offset of the entry. */
function commonEntry(out: ByteWriter, signal: boolean): number {
  const start = out.length;
  out.u32(0);
  out.u32(CIE_ID);
  out.u8(CIE_VERSION);
  out.string(signal ? "S" : "");
  out.u8(8);
  out.u8(0);
  out.uleb(1);
  out.sleb(DATA_ALIGN);
  out.uleb(DWARF_RETURN_ADDRESS);
  out.u8(CallFrame.DEF_CFA);
  out.uleb(START.cfaRegister);
  out.uleb(START.cfaOffset);
  for (const [register, offset] of START.saved) saved(out, register, offset);
  close(out, start);
  return start;
}

/** Entries are padded to the size of an address. */
function close(out: ByteWriter, start: number): void {
  while ((out.length - start - 4) % 8 !== 0) out.u8(CallFrame.NOP);
  out.patch32(start, out.length - start - 4);
}

function advance(out: ByteWriter, bytes: number): void {
  if (bytes === 0) return;
  if (bytes < 64) out.u8(CallFrame.ADVANCE_LOC | bytes);
  else if (bytes < 1 << 8) {
    out.u8(CallFrame.ADVANCE_LOC1);
    out.u8(bytes);
  } else if (bytes < 1 << 16) {
    out.u8(CallFrame.ADVANCE_LOC2);
    out.u16(bytes);
  } else {
    out.u8(CallFrame.ADVANCE_LOC4);
    out.u32(bytes);
  }
}

function change(out: ByteWriter, from: FrameRow, to: FrameRow): void {
  if (to.cfaRegister !== from.cfaRegister && to.cfaOffset !== from.cfaOffset) {
    out.u8(CallFrame.DEF_CFA);
    out.uleb(to.cfaRegister);
    out.uleb(to.cfaOffset);
  } else if (to.cfaRegister !== from.cfaRegister) {
    out.u8(CallFrame.DEF_CFA_REGISTER);
    out.uleb(to.cfaRegister);
  } else if (to.cfaOffset !== from.cfaOffset) {
    out.u8(CallFrame.DEF_CFA_OFFSET);
    out.uleb(to.cfaOffset);
  }
  const ruled = new Set([
    ...from.saved.keys(),
    ...(from.held?.keys() ?? []),
    ...to.saved.keys(),
    ...(to.held?.keys() ?? []),
  ]);
  for (const register of [...ruled].sort((a, b) => a - b)) {
    const offset = to.saved.get(register);
    const holder = to.held?.get(register);
    if (offset === from.saved.get(register) && holder === from.held?.get(register)) continue;
    if (offset !== undefined) saved(out, register, offset);
    else if (holder !== undefined) {
      out.u8(CallFrame.REGISTER);
      out.uleb(register);
      out.uleb(holder);
    } else unruled(out, register);
  }
}

function saved(out: ByteWriter, register: number, offset: number): void {
  const factored = offset / DATA_ALIGN;
  if (!Number.isInteger(factored))
    throw new Error(`register ${register} is saved at CFA ${offset}, which is no multiple of ${DATA_ALIGN}`);
  if (factored < 0) {
    out.u8(CallFrame.OFFSET_EXTENDED_SF);
    out.uleb(register);
    out.sleb(factored);
  } else {
    if (register < 64) out.u8(CallFrame.OFFSET | register);
    else {
      out.u8(CallFrame.OFFSET_EXTENDED);
      out.uleb(register);
    }
    out.uleb(factored);
  }
}

/** Back to the common entry's rule, which is: unchanged. Only a return address can be missing. */
function unruled(out: ByteWriter, register: number): void {
  if (register === DWARF_RETURN_ADDRESS) {
    out.u8(CallFrame.UNDEFINED);
    out.uleb(register);
  } else if (register < 64) out.u8(CallFrame.RESTORE | register);
  else {
    out.u8(CallFrame.RESTORE_EXTENDED);
    out.uleb(register);
  }
}
