/**
 * Parallel copies as a sequence: a move is made when no other move still reads its target. Then only cycles remain: two
 * general registers are exchanged, vector registers use a reserved one, and cycles with memory use the stack. No flag
 * is changed.
 */
import { type FrameAddress, type Imm, RAX, type Sym, XMM0, XMM_SCRATCH } from "./machine.ts";
import { FIRST_SLOT } from "./regalloc-place.ts";

export type Remade = Imm | Sym | FrameAddress;
export interface ParallelMove {
  readonly to: number;
  /** A location, or a value to compute in the target. */
  readonly from: number | Remade;
  readonly isVector: boolean;
}
/** Writes single moves: locations are registers or slots. */
export interface MoveSink {
  move(to: number, from: number, isVector: boolean): void;
  exchange(a: number, b: number): void;
  push(location: number): void;
  pop(location: number): void;
  /** `to` is a general register. */
  make(to: number, value: Remade): void;
  /** To a slot; the value fits a sign-extended 32-bit immediate. */
  storeImmediate(slot: number, value: bigint): void;
}

/** A source that waits on the stack. */
const STACK = -1;
const isMemory = (location: number): boolean => location >= FIRST_SLOT;

export function sequentialise(moves: readonly ParallelMove[], sink: MoveSink): void {
  const pending: { to: number; from: number; isVector: boolean }[] = [];
  for (const { to, from, isVector } of moves)
    if (typeof from === "number" && from !== to) pending.push({ to, from, isVector });
  while (pending.length > 0) {
    const ready = pending.findIndex((m) => !pending.some((other) => other.from === m.to));
    if (ready >= 0) {
      const [{ to, from, isVector }] = pending.splice(ready, 1);
      if (from === STACK) sink.pop(to);
      else if (isMemory(to) && isMemory(from)) {
        sink.push(from);
        sink.pop(to);
      } else sink.move(to, from, isVector);
      continue;
    }
    const { to, from, isVector } = pending[0];
    if (isVector && to >= XMM0 && to < FIRST_SLOT) {
      sink.move(XMM_SCRATCH, to, true);
      for (const m of pending) if (m.from === to) m.from = XMM_SCRATCH;
    } else if (isMemory(to) || isMemory(from)) {
      sink.push(to);
      for (const m of pending) if (m.from === to) m.from = STACK;
    } else {
      sink.exchange(to, from);
      pending.shift();
      for (const m of pending) m.from = m.from === to ? from : m.from === from ? to : m.from;
      for (let i = pending.length - 1; i >= 0; i--) if (pending[i].from === pending[i].to) pending.splice(i, 1);
    }
  }
  for (const { to, from } of moves) {
    if (typeof from === "number") continue;
    if (!isMemory(to)) sink.make(to, from);
    else if (from.kind === "imm" && BigInt.asIntN(64, from.value) === BigInt.asIntN(32, from.value))
      sink.storeImmediate(to, BigInt.asIntN(64, from.value));
    else {
      sink.push(RAX);
      sink.make(RAX, from);
      sink.move(to, RAX, false);
      sink.pop(RAX);
    }
  }
}
