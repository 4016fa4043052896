/**
 * Store-to-load forwarding within each extended basic block: a load from an address that was just stored to or loaded
 * from gets that value. Calls, atomics, fences and asm invalidate everything except allocas whose address never leaves
 * the function; a store invalidates what it may overlap. Two addresses cannot overlap if they are different allocas, an
 * alloca and a symbol, or one base with distant offsets. Volatile loads are never replaced, and volatile accesses, too,
 * invalidate everything except private allocas: code that polls a flag by a volatile read expects the data to be read
 * afterwards.
 */
import type { Block, Func, Instr } from "../ir/ir.ts";
import { opInfo, type Type, widthOf } from "../ir/ops.ts";
import { isVolatile, Replacements, usesOf } from "./rewrite.ts";

interface Known {
  readonly base: Instr;
  readonly offset: bigint;
  readonly type: Type;
  readonly value: Instr;
}

const MAX_KNOWN = 48;

export function forward(func: Func): void {
  const replacements = new Replacements();
  const captured = capturedAllocas(func);
  const atEnd = new Map<Block, Known[]>();
  const visit = (block: Block, inherited: readonly Known[]): void => {
    let known = [...inherited];
    const keepPrivate = (k: Known): boolean => k.base.op === "alloca" && !captured.has(k.base);
    for (const instr of block.instrs) {
      for (let i = 0; i < instr.args.length; i++) instr.args[i] = replacements.resolve(instr.args[i]);
      if (isVolatile(instr)) known = known.filter(keepPrivate);
      if (instr.op === "load" && !instr.volatile) {
        const { base, offset } = split(instr.args[0]);
        const hit = known.find((k) => k.base === base && k.offset === offset && k.type === instr.type);
        if (hit) replacements.set(instr, hit.value);
        else known = remember(known, { base, offset, type: instr.type, value: instr });
      } else if (instr.op === "store") {
        const { base, offset } = split(instr.args[0]);
        const type = instr.args[1].type;
        known = known.filter((k) => !mayOverlap(k, base, offset, BigInt(bytesOf(type)), captured));
        if (!instr.volatile) known = remember(known, { base, offset, type, value: instr.args[1] });
      } else if (instr.op === "copy" || instr.op === "zero") {
        const { base, offset } = split(instr.args[0]);
        known = known.filter((k) => !mayOverlap(k, base, offset, BigInt(instr.size), captured));
      } else if (opInfo(instr.op).writesMemory) known = known.filter(keepPrivate);
    }
    atEnd.set(block, known);
  };
  // In layout order a block with one predecessor usually follows it; otherwise it starts with an empty list.
  for (const block of func.blocks) visit(block, (block.preds.length === 1 ? atEnd.get(block.preds[0]) : null) ?? []);
  replacements.apply(func);
}

/** Drops the oldest entry when there are too many, so that long blocks stay cheap. */
const remember = (known: Known[], next: Known): Known[] => [
  ...(known.length < MAX_KNOWN ? known : known.slice(1)),
  next,
];
const bytesOf = (type: Type): number => widthOf[type as "i64"] / 8;

function split(address: Instr): { base: Instr; offset: bigint } {
  let base = address;
  let offset = 0n;
  while (base.op === "add" && base.args[1].op === "const") {
    offset += BigInt.asIntN(64, base.args[1].imm);
    base = base.args[0];
  }
  return { base, offset };
}

function mayOverlap(k: Known, base: Instr, offset: bigint, size: bigint, captured: ReadonlySet<Instr>): boolean {
  if (k.base === base) return k.offset < offset + size && offset < k.offset + BigInt(bytesOf(k.type));
  const distinct = (a: Instr, b: Instr): boolean =>
    a.op === "alloca" && (b.op === "alloca" || b.op === "symbol" || b.op === "param" || !captured.has(a));
  return !distinct(k.base, base) && !distinct(base, k.base);
}

/** Allocas whose address has uses other than loads and stores at constant offsets. */
export function capturedAllocas(func: Func): Set<Instr> {
  const captured = new Set<Instr>();
  const uses = usesOf(func);
  for (const alloca of func.blocks[0].instrs) {
    if (alloca.op !== "alloca") continue;
    const work: Instr[] = [alloca];
    for (let address = work.pop(); address !== undefined; address = work.pop()) {
      for (const use of uses.get(address) ?? []) {
        if (use.op === "add" && use.args[1].op === "const") work.push(use);
        else if (
          use.op !== "load" &&
          use.op !== "copy" &&
          use.op !== "zero" &&
          !(use.op === "store" && use.args[1] !== address)
        )
          captured.add(alloca);
      }
    }
  }
  return captured;
}
