/**
 * `.debug_frame`, DWARF 5 section 6.4: how to find a function's caller at each instruction. There are two common
 * entries, for ordinary functions and for signal frames (the interrupted function is looked up at its exact counter,
 * not one byte before). Then follows one entry per function, which encodes only the changes from row to row; functions
 * that return from interrupts have several (`towards`), and assembly has one from each label that is called to the
 * next: lldb takes the rules of a whole function from the entry at its start (debug-functions.ts has the same pieces).
 * Both common entries start with the state after a call: CFA = rsp + 8, the return address below it.
 */
import { CallFrame, CIE_ID, CIE_VERSION, DWARF_RETURN_ADDRESS, DWARF_RFLAGS, Operation } from "../lib/dwarf.ts";
import type { FrameRow } from "./debug.ts";
import type { PlacedChunk } from "./layout.ts";
import type { ChunkFrame } from "./object.ts";
import { ByteWriter } from "./writer.ts";

/** Offsets from the CFA are divided by this when written. */
const DATA_ALIGN = -8;
/** Bytes of augmentation data, which lldb expects of every augmentation, as if all had a z. */
const NO_DATA = 0;
const RSP = 7;
const RCX = 2;
const R11 = 11;
const START: FrameRow = { offset: 0, cfaRegister: RSP, cfaOffset: 8, saved: new Map([[DWARF_RETURN_ADDRESS, -8]]) };

/** A row to write. A row before an exit may have more fields (`towards`). */
interface Row extends FrameRow {
  /** The return address is this constant, not a value in the frame. */
  readonly returnsTo?: bigint;
  /** rsp is the CFA plus this. */
  readonly stack?: number;
}

/** Functions without frame rows get no entry. */
export function debugFrame(chunks: readonly PlacedChunk[]): Uint8Array {
  const out = new ByteWriter();
  const commons = new Map<boolean, number>();
  const entry = (signal: boolean, start: bigint, end: bigint, rows: readonly Row[]): void => {
    let common = commons.get(signal);
    if (common === undefined) {
      common = commonEntry(out, signal);
      commons.set(signal, common);
    }
    const at = out.length;
    out.u32(0);
    out.u32(common);
    out.u64(start);
    out.u64(end - start);
    if (signal) out.uleb(NO_DATA);
    let before: Row = START;
    for (const row of rows) {
      advance(out, row.offset - before.offset);
      change(out, before, row);
      before = row;
    }
    close(out, at);
  };
  for (const { chunk, address } of chunks) {
    if (!chunk.isFunction || chunk.size === 0 || chunk.frame === undefined || chunk.frame.rows.length === 0) continue;
    const entries = (chunk.labels ?? []).filter(({ called }) => called).map(({ offset }) => offset);
    const part = (signal: boolean, start: number, end: number, rows: readonly Row[]): void => {
      const cuts = [start, ...entries.filter((at) => at > start && at < end), end];
      for (let i = 0; i + 1 < cuts.length; i++)
        entry(
          signal,
          address + BigInt(cuts[i]!),
          address + BigInt(cuts[i + 1]!),
          clipped(rows, cuts[i]!, cuts[i + 1]!),
        );
    };
    const { rows, signal, exits = [] } = chunk.frame;
    const steps = rows.map((row) => towards(row, exits, address));
    if (!signal || steps.includes(null)) {
      part(signal, 0, chunk.size, rows);
      continue;
    }
    // An exit begins one byte early, in the end of the instruction before it, because debuggers look up callers there;
    // lldb also takes the rules from there.
    let from = 0;
    for (const { start, end } of exits) {
      part(false, from, start - 1, steps as Row[]);
      entry(true, address + BigInt(start - 1), address + BigInt(end), clipped(rows, start, end));
      from = end;
    }
    if (from < chunk.size) part(false, from, chunk.size, steps as Row[]);
  }
  return out.take();
}

/** The rows that apply from `start` to `end`, with offsets relative to `start`. */
function clipped(rows: readonly Row[], start: number, end: number): Row[] {
  const first = rows.findLastIndex(({ offset }) => offset <= start);
  return rows
    .slice(Math.max(first, 0))
    .filter(({ offset }) => offset < end)
    .map((row) => ({ ...row, offset: Math.max(row.offset - start, 0) }));
}

const IRET_FRAME_BYTES = 40;
/**
 * A row for code of an interrupt or a system call. A debugger shows no source for signal frames and does not stop in
 * them while stepping; but only the caller of a signal frame is looked up at its exact counter. So
 * this code is described as an ordinary function, called by a signal frame at the iretq or sysretq with the registers
 * that it will have there. Its rules are those of the interrupted context, moved to where the exit takes the registers
 * from. null: there is no such exit.
 */
function towards(row: FrameRow, exits: NonNullable<ChunkFrame["exits"]>, address: bigint): Row | null {
  const { saved, held = new Map<number, number>() } = row;
  // Outermost while the return address is unknown.
  if (!saved.has(DWARF_RETURN_ADDRESS) && !held.has(DWARF_RETURN_ADDRESS)) return row;
  const pushed = saved.get(DWARF_RETURN_ADDRESS) === -IRET_FRAME_BYTES && saved.get(RSP) === 24 - IRET_FRAME_BYTES;
  const kind = pushed ? "iretq" : "sysretq";
  const possible = exits.filter((exit) => exit.kind === kind);
  const exit = possible.find(({ start }) => start >= row.offset) ?? possible.at(-1);
  if (exit === undefined) return null;
  // No two frames have the same CFA.
  const shift = pushed ? IRET_FRAME_BYTES : -8;
  const special = [DWARF_RETURN_ADDRESS, DWARF_RFLAGS, RSP];
  const now = new Map([...saved].flatMap(([r, at]) => (special.includes(r) ? [] : [[r, at + shift] as const])));
  const nowHeld = new Map([...held].filter(([r]) => !special.includes(r)));
  const moved = (from: number, to: number): void => {
    const at = saved.get(from);
    const holder = held.get(from);
    if (at !== undefined) now.set(to, at + shift);
    else if (holder !== undefined && holder !== to) nowHeld.set(to, holder);
  };
  if (!pushed) {
    moved(DWARF_RETURN_ADDRESS, RCX);
    moved(DWARF_RFLAGS, R11);
    moved(RSP, RSP);
  }
  return {
    offset: row.offset,
    cfaRegister: row.cfaRegister,
    cfaOffset: row.cfaOffset - shift,
    saved: now,
    held: nowHeld,
    returnsTo: address + BigInt(exit.start),
    ...(pushed || now.has(RSP) ? {} : { stack: shift }),
  };
}

/** Returns the offset of the entry. */
function commonEntry(out: ByteWriter, signal: boolean): number {
  const start = out.length;
  out.u32(0);
  out.u32(CIE_ID);
  out.u8(CIE_VERSION);
  out.string(signal ? "zS" : "");
  out.u8(8);
  out.u8(0);
  out.uleb(1);
  out.sleb(DATA_ALIGN);
  out.uleb(DWARF_RETURN_ADDRESS);
  if (signal) out.uleb(NO_DATA);
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

function change(out: ByteWriter, from: Row, to: Row): void {
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
  const registers = new Set([...rules(from).keys(), ...rules(to).keys()]);
  for (const register of [...registers].sort((a, b) => a - b)) {
    const rule = rules(to).get(register);
    if (rule === rules(from).get(register)) continue;
    const offset = to.saved.get(register);
    const holder = to.held?.get(register);
    if (register === DWARF_RETURN_ADDRESS && to.returnsTo !== undefined) {
      out.u8(CallFrame.VAL_EXPRESSION);
      out.uleb(register);
      out.uleb(9);
      out.u8(Operation.ADDR);
      out.u64(to.returnsTo);
    } else if (register === RSP && to.stack !== undefined) {
      out.u8(CallFrame.VAL_OFFSET_SF);
      out.uleb(register);
      out.sleb(to.stack / DATA_ALIGN);
    } else if (offset !== undefined) saved(out, register, offset);
    else if (holder !== undefined) {
      out.u8(CallFrame.REGISTER);
      out.uleb(register);
      out.uleb(holder);
    } else unruled(out, register);
  }
}
/** By register: a text that is equal if and only if the rule is. */
function rules({ saved: at, held, returnsTo, stack }: Row): ReadonlyMap<number, string> {
  return new Map([
    ...[...at].map(([r, offset]) => [r, `at ${offset}`] as const),
    ...[...(held ?? [])].map(([r, holder]) => [r, `in ${holder}`] as const),
    ...(returnsTo === undefined ? [] : [[DWARF_RETURN_ADDRESS, `is ${returnsTo}`] as const]),
    ...(stack === undefined ? [] : [[RSP, `is CFA + ${stack}`] as const]),
  ]);
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

/** Restores the rule of the common entry: unchanged. Only a return address can be missing. */
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
