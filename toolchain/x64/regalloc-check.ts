/**
 * Checks an allocation by following it, independently of how it was made. The checker propagates along the control flow
 * which virtual registers each location holds (at a join a location keeps what it holds on every edge). Every operand
 * must find its register in its assigned location. A physical register that is an operand holds "itself" from its write
 * to its read.
 */
import { forEachBit, forEachRegister, DEF, EARLY, instrText, MEMORY_OK, USE } from "./machine.ts";
import { FIRST_SLOT, type Placed, type PlacedFunction } from "./regalloc-place.ts";
import { ALLOCATABLE_INTEGER, ALLOCATABLE_VECTOR, INTEGER_ARGUMENTS, VECTOR_ARGUMENTS } from "./abi.ts";

/** By location: the registers whose value it holds. */
type State = Map<number, Set<number>>;

/** Errors, one line each; empty if the allocation is correct. */
export function checkAllocation(placed: PlacedFunction): string[] {
  const { f, blocks } = placed;
  const problems: string[] = [];
  const entries: (State | null)[] = blocks.map(() => null);
  const first: State = new Map();
  for (const r of [...INTEGER_ARGUMENTS, ...VECTOR_ARGUMENTS]) first.set(r, new Set([r]));
  entries[0] = first;
  const pending = [0];
  for (let b = pending.pop(); b !== undefined; b = pending.pop()) {
    const state = copyOf(entries[b]!);
    for (const p of blocks[b].code) step(placed, p, state, null);
    for (const succ of blocks[b].block.succs) {
      const known = entries[succ.index];
      const next = known === null ? copyOf(state) : intersection(known, state);
      if (known !== null && sameSize(known, next)) continue;
      entries[succ.index] = next;
      if (!pending.includes(succ.index)) pending.push(succ.index);
    }
  }
  blocks.forEach(({ block, code }, b) => {
    if (entries[b] === null) return;
    const state = copyOf(entries[b]!);
    for (const p of code)
      step(placed, p, state, (what) =>
        problems.push(`${f.name} ${block.label}: ${instrText(p.instr)} [${p.locations.join(" ")}]: ${what}`),
      );
  });
  return problems;
}

const copyOf = (state: State): State => new Map([...state].map(([location, held]) => [location, new Set(held)]));
const sameSize = (a: State, b: State): boolean =>
  a.size === b.size && [...a].every(([location, held]) => b.get(location)?.size === held.size);
function intersection(a: State, b: State): State {
  const result: State = new Map();
  for (const [location, held] of a) {
    const other = b.get(location);
    if (other === undefined) continue;
    const both = new Set([...held].filter((v) => other.has(v)));
    if (both.size > 0) result.set(location, both);
  }
  return result;
}

function step(
  placed: PlacedFunction,
  { instr, locations }: Placed,
  state: State,
  report: ((what: string) => void) | null,
): void {
  const { f } = placed;
  const isMove = instr.op === "copy" || instr.op === "parcopy" || instr.op === "shuffle";
  const pureDefs: { reg: number; location: number; early: boolean }[] = [];
  const early: number[] = [];
  const reads: number[] = [];
  let k = 0;
  forEachRegister(instr, ({ reg, role }) => {
    const location = locations[k++];
    if (location >= 0 && location < FIRST_SLOT && reg >= FIRST_SLOT) {
      const vector = f.isVector[reg - FIRST_SLOT];
      if (!(vector ? ALLOCATABLE_VECTOR : (ALLOCATABLE_INTEGER as readonly number[])).includes(location))
        report?.(`v${reg - FIRST_SLOT} may not be in register ${location}`);
    }
    if (location >= FIRST_SLOT && !(role & MEMORY_OK)) report?.(`v${reg - FIRST_SLOT} must be in a register`);
    if (role & USE && instr.op !== "shuffle") {
      const remade = location < 0 && reg >= FIRST_SLOT && f.remat[reg - FIRST_SLOT] !== null;
      if (!remade && !state.get(location)?.has(reg)) {
        const what = reg < FIRST_SLOT ? `physical register ${reg}` : `value v${reg - FIRST_SLOT}`;
        report?.(`${what} is not in ${location}`);
      }
      reads.push(location);
    }
    if (role & DEF) {
      pureDefs.push({ reg, location, early: (role & EARLY) !== 0 });
      if (role & EARLY) early.push(location);
    }
  });
  forEachBit(instr.uses, (r) => {
    if (!state.get(r)?.has(r)) report?.(`physical register ${r} does not hold its operand`);
  });
  forEachBit(instr.earlyDefs, (r) => early.push(r));
  for (const location of early)
    if (reads.includes(location)) report?.(`location ${location} is written before it is read`);
  const targets = pureDefs.map((d) => d.location);
  if (new Set(targets).size !== targets.length) report?.("two results in one location");
  if (!isMove) {
    const memories =
      locations.filter((l) => l >= FIRST_SLOT).length + instr.operands.filter((o) => o.kind === "mem").length;
    if (memories > 1) report?.("more than one memory operand");
  }
  // The values that moves carry, read before anything is written.
  const carried = new Map<number, Set<number>>();
  // If the source of a copy is also elsewhere (in its slot, say), so is the copy.
  const also: { reg: number; locations: number[] }[] = [];
  if (isMove) {
    k = 0;
    for (let i = 0; i < instr.operands.length; i += 2) {
      const to = locations[k++];
      const source = instr.operands[i + 1];
      const target = instr.operands[i];
      if (source.kind === "reg") {
        const held = new Set(state.get(locations[k++]) ?? []);
        carried.set(to, held);
        if (target.kind === "reg")
          also.push({
            reg: target.reg,
            locations: [...state].filter(([, set]) => set.has(source.reg)).map(([location]) => location),
          });
      } else if (instr.op === "shuffle" && target.kind === "reg") carried.set(to, new Set([target.reg]));
    }
  }
  forEachBit(instr.defs | instr.earlyDefs, (r) => state.set(r, new Set([r])));
  for (const { reg, location } of pureDefs) {
    if (instr.op === "shuffle") continue;
    for (const held of state.values()) held.delete(reg);
    for (const held of carried.values()) held.delete(reg);
    state.set(location, new Set());
  }
  for (const { reg, location } of pureDefs) {
    const held = new Set(carried.get(location) ?? []);
    if (instr.op !== "shuffle") held.add(reg);
    state.set(location, held);
  }
  if (instr.op !== "shuffle")
    for (const { reg, locations: same } of also)
      for (const location of same) if (!targets.includes(location)) state.get(location)?.add(reg);
  for (const [location, held] of state) if (held.size === 0) state.delete(location);
}
