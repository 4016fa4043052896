/**
 * Deliberate bugs, at least one for every pass, that the fixed seeds must detect (mutation.test.ts). Each is a typical
 * mistake for its pass: a condition left out, an operand or an edge mixed up, a bound off by one. When a source
 * changes, its row here must follow.
 */
import type { Mutation } from "./mutant.ts";

// biome-ignore format: a table
export const mutations: readonly Mutation[] = [
  // ---- cfg
  { pass: "cfg", file: "passes/cfg.ts", bug: "threads a constant condition to the wrong side",
    find: `targetFor(last, value.imm)`, replace: `targetFor(last, value.imm === 0n ? 1n : 0n)` },
  { pass: "cfg", file: "passes/cfg.ts", bug: "threads an edge though the target's phis need two values",
    find: `if (existing >= 0 && phis.some((phi) => phi.args[existing] !== phi.args[at])) continue;`, replace: `` },
  { pass: "cfg", file: "passes/cfg.ts", bug: "threads past phis that are used elsewhere",
    find: `if (!local) continue;`, replace: `` },
  { pass: "cfg", file: "passes/cfg.ts", bug: "merges a block that has another predecessor",
    find: `next.preds.length !== 1 || next`, replace: `next.preds.length > 2 || next` },

  // ---- inline
  { pass: "inline", file: "passes/inline.ts", bug: "gives the results of returns in the wrong order",
    find: `results.push(...old.args)`, replace: `results.unshift(...old.args)` },
  { pass: "inline", file: "ir/builder.ts", bug: "forgets the immediates of what it clones",
    find: `make.intConst(type, old.imm, loc)`, replace: `make.intConst(type, 0n, loc)` },

  // ---- sroa
  { pass: "sroa", file: "passes/sroa.ts", bug: "copies every part from the start of the source",
    find: `const delta = part.offset - access.offset;`, replace: `const delta = 0 * access.offset;` },
  { pass: "sroa", file: "passes/sroa.ts", bug: "splits what overlapping accesses share",
    find: `      if (covered[i]) return null;`, replace: `` },
  { pass: "sroa", file: "passes/sroa.ts", bug: "does not clear the last part",
    find: `p.offset < access.offset + accessing.size)`, replace: `p.offset + 8 < access.offset + accessing.size)` },

  // ---- mem2reg
  { pass: "mem2reg", file: "passes/mem2reg.ts", bug: "lets siblings of the dominator tree share their values",
    find: `i === all.length - 1 ? values : new Map(values)`, replace: `values` },
  { pass: "mem2reg", file: "passes/mem2reg.ts", bug: "does not iterate the dominance frontier",
    find: `      work.push(join);`, replace: `` },
  { pass: "mem2reg", file: "passes/mem2reg.ts", bug: "forgets that zero is a definition",
    find: `          values.set(variable, value);\n          out.push(value, `, replace: `          out.push(value, ` },

  // ---- fold
  { pass: "fold", file: "passes/fold.ts", bug: "subtracts a constant by adding it",
    find: `this.#const(type, -c)`, replace: `this.#const(type, c)` },
  { pass: "fold", file: "passes/fold.ts", bug: "divides negative numbers by shifting",
    find: `        return c === 1n ? a : null;\n      case "srem":`,
    replace: `        return c === 1n ? a : power !== null ? this.#become("ashr", [a, this.#const(type, power)]) : null;\n      case "srem":` },
  { pass: "fold", file: "passes/fold.ts", bug: "joins zext of sext",
    find: `if (inner.op === "sext" && op === "sext")`, replace: `if (inner.op === "sext")` },
  { pass: "fold", file: "passes/fold.ts", bug: "inverts a comparison without exchanging its operands",
    find: `a.op === "slt" ? "sle" : "ule", [a.args[1], a.args[0]]`, replace: `a.op === "slt" ? "sle" : "ule", [...a.args]` },
  { pass: "fold", file: "passes/fold.ts", bug: "compares a widened value with a constant that it cannot have",
    find: `if (c > ones(inner.type)) return this.#const("i8", op === "eq" ? 0n : 1n);`, replace: `` },

  // ---- gvn
  { pass: "gvn", file: "passes/gvn.ts", bug: "uses a value where it was not computed",
    find: `for (const key of top.leave) table.delete(key);`, replace: `` },
  { pass: "gvn", file: "passes/gvn.ts", bug: "takes a - b and b - a as equal",
    find: `opInfo(instr.op).commutative === true && a.id`, replace: `b !== undefined && c === undefined && a.id` },

  // ---- forward
  { pass: "forward", file: "passes/forward.ts", bug: "a store forgets nothing",
    find: `known = known.filter((k) => !mayOverlap(k, base, offset, BigInt(bytesOf(type)), captured));`, replace: `` },
  { pass: "forward", file: "passes/forward.ts", bug: "a copy forgets nothing",
    find: `known = known.filter((k) => !mayOverlap(k, base, offset, BigInt(instr.size), captured));`, replace: `` },
  { pass: "forward", file: "passes/forward.ts", bug: "a call forgets nothing",
    find: `} else if (opInfo(instr.op).writesMemory) known = known.filter(keepPrivate);`, replace: `}` },
  { pass: "forward", file: "passes/forward.ts", bug: "a joining block takes over what its first predecessor knows",
    find: `block.preds.length === 1 ?`, replace: `block.preds.length >= 1 ?` },
  { pass: "forward", file: "passes/forward.ts", bug: "a wide store is taken for one byte",
    find: `BigInt(bytesOf(type)), captured)`, replace: `1n, captured)` },

  // ---- intervals
  { pass: "intervals", file: "passes/intervals.ts", bug: "x <= c is x < c",
    find: `isLeft ? between(lowest, c + 1n) : between(c, lowest)`, replace: `isLeft ? between(lowest, c) : between(c, lowest)` },
  { pass: "intervals", file: "passes/intervals.ts", bug: "takes the second test as it stands on either side",
    find: `at === 1 ? b.interval : complement(b.interval, width)`, replace: `b.interval` },

  // ---- promote, and its questions to alias.ts
  { pass: "promote", file: "passes/promote.ts", bug: "does not see other accesses that may reach the place",
    find: `isSame(b) || !mayShare(place, b.place, module, captured)`, replace: `isSame(b) || place !== b.place` },
  { pass: "promote", file: "passes/promote.ts", bug: "never marks the place as written",
    find: `block.instrs.splice(block.instrs.indexOf(at) + 1, 0, one, mark);`, replace: `block.instrs.splice(block.instrs.indexOf(at) + 1, 0, one);` },
  { pass: "promote", file: "passes/promote.ts", bug: "forgets one way out",
    find: `for (const exit of exits) {\n    const [test`, replace: `for (const exit of exits.slice(1)) {\n    const [test` },
  { pass: "promote", file: "passes/alias.ts", bug: "takes the interval of offsets for its lowest one",
    find: `return a.low < b.high + b.bytes && b.low < a.high + a.bytes;`, replace: `return a.low < b.low + b.bytes && b.low < a.low + a.bytes;` },

  // ---- licm, preheaders
  { pass: "licm", file: "passes/licm.ts", bug: "moves loads, whatever the loop writes",
    find: `effects.every((e) => !mayShare(place, e, module, captured)) && (`, replace: `(` },
  { pass: "licm", file: "passes/licm.ts", bug: "moves what has one operand from outside",
    find: `instr.args.every(outside)`, replace: `instr.args.some(outside)` },
  { pass: "preheaders", file: "passes/preheaders.ts", bug: "gives a phi the value of another",
    find: `phi.args.push(values[i])`, replace: `phi.args.push(values[values.length - 1 - i])` },
  { pass: "preheaders", file: "passes/preheaders.ts", bug: "leads the loop's own edges through the preheader",
    find: `const outside = header.preds.filter((p) => !blocks.has(p));\n  const at`, replace: `const outside = [...header.preds];\n  const at` },

  // ---- sccp
  { pass: "sccp", file: "passes/sccp.ts", bug: "does not look at phis again when another edge is taken",
    find: `if (this.reached.has(to)) for (const phi of phisOf(to)) this.#visit(phi);`, replace: `if (this.reached.has(to)) return;` },
  { pass: "sccp", file: "passes/sccp.ts", bug: "keeps the first constant of a phi",
    find: `(same !== undefined && !isSame(same, value))) return UNKNOWN;`, replace: `(same !== undefined && !isSame(same, value) && block.preds.length > 2)) return UNKNOWN;` },

  // ---- thread, rotate, and their SSA repair
  { pass: "thread", file: "passes/thread.ts", bug: "takes the false side for the true one",
    find: `targetFor(last, value);`, replace: `targetFor(last, value === 0n ? 1n : 0n);` },
  { pass: "thread", file: "passes/duplicate.ts", bug: "does not see that a copy defines the value too",
    find: `for (const [copy, values] of copies) definitions.set(copy, values.get(value) as Instr);`, replace: `` },
  { pass: "rotate", file: "passes/rotate.ts", bug: "exchanges the guard's ways",
    find: `test.targets = [...last.targets];`, replace: `test.targets = [...last.targets].reverse();` },
  { pass: "rotate", file: "passes/duplicate.ts", bug: "takes the first phi for its first operand",
    find: `const same = samePhi(phi);`,
    replace: `const same = samePhi(phi) ?? (this.#same.size === 0 ? (phi.args.find((a) => a !== phi) ?? null) : null);` },

  // ---- dse
  { pass: "dse", file: "passes/dse.ts", bug: "a load forgets nothing",
    find: `if (instr.op === "load") doomed = this.#without(doomed, placeOf(instr.args[0], instr.type));`, replace: `` },
  { pass: "dse", file: "passes/dse.ts", bug: "a copy reads nothing",
    find: `if (read) doomed = this.#without(doomed, read);`, replace: `` },
  { pass: "dse", file: "passes/dse.ts", bug: "calls see nothing",
    find: `if (instr.op === "load" || isVolatile(instr)) return isVolatile(instr);`,
    replace: `if (instr.op === "load" || instr.op === "call" || isVolatile(instr)) return isVolatile(instr);` },
  { pass: "dse", file: "passes/dse.ts", bug: "a store that covers a part will do",
    find: `if (a.base === b.base) return a.offset >= b.offset && a.offset + a.place.bytes <= end;`,
    replace: `if (a.base === b.base) return a.offset >= b.offset && a.offset < end;` },
  { pass: "dse", file: "passes/dse.ts", bug: "one way on which it is overwritten is enough",
    find: `lists.every((other) => isAmong(d, other))`, replace: `lists.some((other) => isAmong(d, other))` },

  // ---- induction
  { pass: "induction", file: "passes/induction.ts", bug: "takes what is subtracted for added",
    find: `value.op === "add" ? 1n : -1n`, replace: `value.op === "add" ? 1n : 1n` },
  { pass: "induction", file: "passes/induction.ts", bug: "steps an address as the counter, not as its product",
    find: `counter.step * scale`, replace: `counter.step` },
  { pass: "induction", file: "passes/induction.ts", bug: "forgets the constant part",
    find: `if (constant !== 0n) address =`, replace: `if (constant > 8n) address =` },

  // ---- dce
  { pass: "dce", file: "passes/dce.ts", bug: "takes the source of a copy for one of its targets",
    find: `use.args.lastIndexOf(address) === 0`, replace: `true` },
  { pass: "dce", file: "passes/rewrite.ts", bug: "removes calls whose result nobody uses",
    find: `return instr.op === "alloca" ||`, replace: `return instr.op === "alloca" || instr.op === "call" ||` },

  // ---- leaves
  { pass: "leaves", file: "passes/leaves.ts", bug: "takes a phi's operands for those of another edge",
    find: `const pred = block.preds[i];`, replace: `const pred = block.preds[block.preds.length - 1 - i];` },
  { pass: "leaves", file: "passes/leaves.ts", bug: "forgets the offset of a symbol",
    find: `clone(leaf, [], [])`, replace: `clone(leaf.op === "symbol" ? { ...leaf, imm: 0n } : leaf, [], [])` },

  // ---- selection and allocation
  { pass: "back end", file: "x64/select/divide.ts", bug: "rounds a signed division by 2^k down",
    find: `  s.emit("add", reg(q, w, RW), reg(x, w, USE | MEMORY_OK));\n  s.emit("sar", reg(q, w, RW), imm(k));`,
    replace: `  copy(s, q, x);\n  s.emit("sar", reg(q, w, RW), imm(k));` },
  { pass: "back end", file: "x64/select/divide.ts", bug: "a reciprocal that is too small by one",
    find: `if (multiplier * divisor - power <= 1n << BigInt(shift)) return { multiplier, shift };`,
    replace: `if (multiplier * divisor - power <= 1n << BigInt(shift)) return { multiplier: multiplier - 1n, shift };` },
  { pass: "back end", file: "x64/select/values.ts", bug: "takes sums of narrow numbers as zero-extended",
    find: `return instr.op === "load";`, replace: `return instr.op === "load" || instr.op === "add";` },
  { pass: "back end", file: "x64/parallel.ts", bug: "moves into a location that is still read",
    find: `!pending.some((other) => other.from === m.to)`, replace: `m.to >= 0` },
  { pass: "back end", file: "x64/liveness.ts", bug: "a use reaches back to its block only, not into a second round",
    find: `if (grew) {`, replace: `if (false) {` },
  { pass: "back end", file: "x64/regalloc-coalesce.ts", bug: "joins registers that live at the same time",
    find: `if (overlap(x.ranges, y.ranges)) continue;`, replace: `` },
  { pass: "back end", file: "x64/regalloc-place.ts", bug: "shares a spill slot one value too early",
    find: `busyUntil.findIndex((until) => until <= start)`, replace: `busyUntil.findIndex((until) => until <= start + 400)` },
];
