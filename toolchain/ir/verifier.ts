/**
 * Checks that a module is well-formed IR; run after the frontend and, in tests, after every pass.
 *
 * A function: the entry has no predecessors and holds every param and alloca; each block ends in its only terminator,
 * phis first; `preds` agree with the terminators, edge by edge; types agree with the op table and the payload; every
 * use is dominated by its definition (except in unreachable blocks); ids are unique; a switch has no case twice. A
 * module: calls of its own functions agree with their parameters and result; data and relocations fit. Each message
 * names function, block and instruction.
 */
import { Dominators, isTerminator, successors } from "./cfg.ts";
import type { Block, Data, Func, Instr, Module } from "./ir.ts";
import { type OpInfo, opInfo, type Type, widthOf } from "./ops.ts";
import { printInstr } from "./printer.ts";

const MAX_MESSAGES = 20;

/** Throws with up to 20 messages, one per line. */
export function verify(module: Module): void {
  const messages: string[] = [];
  for (const [name, func] of module.functions) {
    if (name !== func.name) messages.push(`${func.name}: filed under ${name}`);
    messages.push(...verifyFunction(func, module));
  }
  for (const [name, data] of module.data) {
    if (name !== data.name) messages.push(`${data.name}: filed under ${name}`);
    if (module.functions.has(name)) messages.push(`${name}: both function and datum`);
    messages.push(...verifyData(data));
  }
  if (messages.length > 0) throw new Error(`invalid IR\n${messages.slice(0, MAX_MESSAGES).join("\n")}`);
}

/** One message per mistake; empty = well-formed. */
export function verifyFunction(func: Func, module: Module | null): string[] {
  const messages: string[] = [];
  const report = (block: Block | null, instr: Instr | null, what: string): void => {
    let shown = "";
    try {
      shown = instr === null ? "" : `: ${printInstr(instr)}`;
    } catch {
      shown = `: ${instr?.op} (unprintable)`;
    }
    messages.push(`${func.name}${block ? `: b${block.id}` : ""}${shown}: ${what}`);
  };
  if (func.blocks.length === 0) {
    report(null, null, "no blocks");
    return messages;
  }
  const known = new Set(func.blocks);
  if (known.size !== func.blocks.length) report(null, null, "a block is there twice");
  if (func.blocks[0].preds.length > 0) report(func.blocks[0], null, "the entry has predecessors");
  const blockIds = new Set<number>();
  const ids = new Set<number>();
  let structure = true;
  for (const block of func.blocks) {
    if (blockIds.has(block.id)) report(block, null, "block id is there twice");
    blockIds.add(block.id);
    let phis = true;
    block.instrs.forEach((instr, i) => {
      if (ids.has(instr.id)) report(block, instr, `id ${instr.id} is there twice`);
      if (instr.id >= func.nextId) report(block, instr, `id is not below nextId ${func.nextId}`);
      ids.add(instr.id);
      if (instr.block !== block) report(block, instr, "instruction points to another block");
      if (instr.op !== "phi") phis = false;
      else if (!phis) report(block, instr, "phi behind another instruction");
      if ((instr.op === "alloca" || instr.op === "param") && block !== func.blocks[0])
        report(block, instr, "only the entry block may hold it");
      const isLast = i === block.instrs.length - 1;
      if (isLast !== (opInfo(instr.op).terminator === true)) {
        structure = false;
        report(block, instr, isLast ? "block has no terminator" : "terminator within the block");
      }
      for (const target of isTerminator(instr) ? instr.targets : []) {
        if (known.has(target)) continue;
        structure = false;
        report(block, instr, `target b${target.id} is not in the function`);
      }
    });
    if (block.instrs.length === 0) {
      structure = false;
      report(block, null, "empty block");
    }
  }
  if (!structure) return messages;
  verifyEdges(func, report);
  for (const block of func.blocks)
    for (const instr of block.instrs) verifyInstr(func, module, instr, (what) => report(block, instr, what));
  if (messages.length === 0) verifyDominance(func, report);
  return messages;
}

type Report = (block: Block | null, instr: Instr | null, what: string) => void;

function verifyEdges(func: Func, report: Report): void {
  const edges = new Map<Block, Block[]>(func.blocks.map((b) => [b, []]));
  for (const block of func.blocks) for (const target of successors(block)) edges.get(target)?.push(block);
  for (const block of func.blocks) {
    const list = (blocks: readonly Block[]): string =>
      blocks
        .map((b) => `b${b.id}`)
        .sort()
        .join(", ");
    const actual = edges.get(block) as Block[];
    if (list(actual) !== list(block.preds))
      report(block, null, `preds are ${list(block.preds) || "none"}, edges come from ${list(actual) || "nowhere"}`);
  }
}

function verifyInstr(func: Func, module: Module | null, instr: Instr, report: (what: string) => void): void {
  const info: OpInfo = opInfo(instr.op);
  const types = instr.args.map((a) => a.type);
  if (info.operands >= 0 && types.length !== info.operands) return report(`${info.operands} operands wanted`);
  if (types.includes("void")) return report("operand without a value");
  const isInt = (t: Type): boolean => t !== "void" && t !== "f64";
  const want = (index: number, type: Type): void => {
    if (types[index] !== type) report(`operand ${index} is ${types[index]}, not ${type}`);
  };
  if (info.operandType === "int" && !types.every((t) => isInt(t) && t === types[0]))
    report(`operands of one integer type wanted, not ${types.join(", ")}`);
  if (info.operandType === "i64" || info.operandType === "f64")
    for (let i = 0; i < types.length; i++) want(i, info.operandType);
  if (info.result !== "explicit") {
    const result = info.result === "same" ? types[0] : info.result;
    if (instr.type !== result) report(`result is ${instr.type}, not ${result}`);
  }
  const size = (t: Type): number => (t === "void" ? 0 : widthOf[t]);
  const hasTargets = (n: number): void => {
    const count = isTerminator(instr) ? instr.targets.length : 0;
    if (count !== n) report(`${n} targets wanted, not ${count}`);
  };
  switch (instr.op) {
    case "const":
      if (!isInt(instr.type)) report("const of no integer type");
      else if (instr.imm !== BigInt.asUintN(size(instr.type), instr.imm)) report("value does not fit the type");
      break;
    case "symbol":
      if (instr.symbol === "") report("no symbol");
      if (instr.imm !== BigInt.asUintN(64, instr.imm)) report("addend is not in unsigned form");
      break;
    case "param":
      if (func.params[instr.index]?.type !== instr.type)
        report(`parameter ${instr.index} is ${func.params[instr.index]?.type ?? "not there"}`);
      break;
    case "undef":
    case "load":
      if (instr.type === "void") report("void value");
      break;
    case "aload":
    case "axchg":
    case "aadd":
    case "aand":
    case "aor":
    case "axor":
    case "cmpxchg":
    case "astore": {
      want(0, "i64");
      const value = instr.op === "astore" ? types[1] : instr.type;
      if (!isInt(value)) report("atomic of no integer type");
      for (let i = 1; i < types.length; i++) want(i, value);
      break;
    }
    case "store":
      want(0, "i64");
      break;
    case "sext":
    case "zext":
      if (!isInt(instr.type) || size(instr.type) <= size(types[0]))
        report(`${types[0]} to ${instr.type} does not widen`);
      break;
    case "trunc":
      if (!isInt(instr.type) || size(instr.type) >= size(types[0]))
        report(`${types[0]} to ${instr.type} does not narrow`);
      break;
    case "ftosi":
    case "ftoui":
      if (!isInt(instr.type)) report("result of no integer type");
      break;
    case "select":
      want(0, "i8");
      want(1, instr.type);
      want(2, instr.type);
      break;
    case "alloca":
    case "copy":
    case "zero":
      if (!Number.isSafeInteger(instr.size) || instr.size < 0) report(`size ${instr.size}`);
      if (instr.align < 1 || (instr.align & (instr.align - 1)) !== 0) report(`align ${instr.align}`);
      break;
    case "call": {
      const callee = module?.functions.get(instr.symbol);
      if (instr.symbol === "") report("no symbol");
      if (!callee) break;
      const wanted = callee.params.map((p) => p.type);
      if (wanted.join() !== types.join()) report(`${callee.name} takes (${wanted.join(", ")})`);
      if (instr.type !== callee.result) report(`${callee.name} gives ${callee.result}`);
      break;
    }
    case "icall":
      if (types.length < 1) report("no target");
      else want(0, "i64");
      break;
    case "asm":
      if (instr.asm.inputs.length !== types.length)
        report(`${instr.asm.inputs.length} inputs, ${types.length} operands`);
      break;
    case "phi": {
      const preds = instr.block?.preds ?? [];
      if (types.length !== preds.length) return report(`${types.length} operands for ${preds.length} predecessors`);
      for (let i = 0; i < types.length; i++) want(i, instr.type);
      const perPred = new Map<Block, Instr>();
      preds.forEach((pred, i) => {
        const before = perPred.get(pred);
        if (before !== undefined && before !== instr.args[i] && !equalConstants(before, instr.args[i]))
          report(`two values on the edges from b${pred.id}`);
        perPred.set(pred, instr.args[i]);
      });
      break;
    }
    case "dbg": {
      const { watched, indirect, offset, bytes } = instr.debug;
      if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(bytes) || bytes < 1)
        report(`bytes ${offset} + ${bytes}`);
      if (watched && (indirect ? watched.type !== "i64" : size(watched.type) < 8 * bytes))
        report(`${watched.type} for ${bytes} bytes`);
      break;
    }
    case "jump":
      hasTargets(1);
      break;
    case "branch":
      want(0, "i8");
      hasTargets(2);
      break;
    case "switch":
      hasTargets(instr.cases.length + 1);
      if (new Set(instr.cases).size !== instr.cases.length) report("a case is there twice");
      for (const c of instr.cases)
        if (isInt(types[0]) && c !== BigInt.asUintN(size(types[0]), c)) report(`case ${c} does not fit ${types[0]}`);
      break;
    case "ret":
      if (func.result === "void" ? types.length !== 0 : types.length !== 1 || types[0] !== func.result)
        report(`function gives ${func.result}`);
      break;
  }
}

const equalConstants = (a: Instr, b: Instr): boolean => a.op === "const" && b.op === "const" && a.imm === b.imm;

function verifyDominance(func: Func, report: Report): void {
  const dominators = new Dominators(func);
  const position = new Map<Instr, number>();
  for (const block of func.blocks) block.instrs.forEach((instr, i) => position.set(instr, i));
  for (const block of func.blocks) {
    for (const instr of block.instrs) {
      instr.args.forEach((arg, i) => {
        const home = arg.block;
        if (home === null || !position.has(arg))
          return report(block, instr, `operand %${arg.id} (${arg.op}) is not in the function`);
        const user = instr.op === "phi" ? block.preds[i] : block;
        if (!dominators.reachable(block) || !dominators.reachable(user)) return;
        const sameBlock = home === user && instr.op !== "phi";
        const fine = sameBlock
          ? (position.get(arg) as number) < (position.get(instr) as number)
          : dominators.reachable(home) && dominators.dominates(home, user);
        if (!fine) report(block, instr, `operand %${arg.id} does not dominate its use`);
      });
    }
  }
}

function verifyData(data: Data): string[] {
  const messages: string[] = [];
  if (data.bytes && data.bytes.length !== data.size)
    messages.push(`${data.name}: ${data.bytes.length} bytes, size ${data.size}`);
  if (data.align < 1 || (data.align & (data.align - 1)) !== 0) messages.push(`${data.name}: align ${data.align}`);
  for (const r of data.relocations) {
    if (data.bytes === null || r.offset < 0 || r.offset + 8 > data.size)
      messages.push(`${data.name}: relocation at ${r.offset} of ${data.size} bytes`);
  }
  return messages;
}
