/** Selection of atomic operations and of inline assembly. */
import type { Asm, Instr } from "../../ir/ir.ts";
import { assembleInline } from "../inline.ts";
import {
  DEF,
  EARLY,
  imm,
  type MachineOperand,
  MEMORY_OK,
  RAX,
  RBP,
  RSP,
  reg,
  registerNumber,
  USE,
} from "../machine.ts";
import { addressOf, moveInto, zeroExtend } from "./operands.ts";
import type { Selector } from "./selector.ts";
import { bits, shortImmediate } from "./values.ts";

const LOCKED: Readonly<Record<string, string>> = { aadd: "add", aand: "and", aor: "or", axor: "xor" };

/** x86 orders all loads and stores except store → load: a sequentially consistent store is an xchg. */
export function lowerAtomic(s: Selector, instr: Instr): void {
  if (instr.op === "fence") {
    s.emit("mfence");
    return;
  }
  const [address, value] = instr.args;
  const width = bits(instr.op === "astore" ? value.type : instr.type);
  const target = addressOf(s, address, width);
  const narrow = width < 32;
  switch (instr.op) {
    case "aload":
      s.emit(narrow ? "movzx" : "mov", s.def(instr, narrow ? 32 : width), target);
      return;
    case "astore": {
      const t = s.temp();
      moveInto(s, t, value, 8);
      s.emit("xchg", target, reg(t, width, USE | DEF));
      return;
    }
    case "axchg":
    case "aadd": {
      if (instr.op === "aadd" && !s.wanted(instr)) break;
      const d = s.result(instr);
      moveInto(s, d, value, 8);
      if (instr.op === "axchg") s.emit("xchg", target, reg(d, width, USE | DEF));
      else s.emit("lock xadd", target, reg(d, width, USE | DEF));
      return;
    }
    case "cmpxchg": {
      const desired = s.use(instr.args[2]);
      const expected = s.rematOf(value);
      if (expected) s.materialise(RAX, expected);
      else s.emit("copy", reg(RAX, 64, DEF), reg(s.use(value), 64, USE | MEMORY_OK));
      const exchange = s.emit("lock cmpxchg", target, reg(desired, width, USE));
      exchange.uses = exchange.defs = 1 << RAX;
      if (s.wanted(instr)) s.emit("copy", s.def(instr, 64), reg(RAX, 64, USE));
      return;
    }
  }
  const operation = LOCKED[instr.op];
  if (!s.wanted(instr)) {
    const constant = shortImmediate(value);
    s.emit(`lock ${operation}`, target, constant !== null ? imm(constant) : s.useReg(value, width));
    return;
  }
  // The old value is needed: repeat the compare-and-exchange until no other write has intervened.
  const loop = s.emit("expand", target, s.useReg(value, width), reg(s.temp(), width, DEF | EARLY));
  loop.earlyDefs = 1 << RAX;
  loop.expand = ({ sink, name, memory, label }) => {
    const old = { kind: "register", name: narrow ? "eax" : width === 64 ? "rax" : "eax" } as const;
    const wide = width === 64 ? 64 : 32;
    sink.emit(narrow ? "movzx" : "mov", old, memory(0));
    sink.label(label);
    sink.emit("mov", { kind: "register", name: name(2, wide) }, old);
    sink.emit(operation, { kind: "register", name: name(2, wide) }, { kind: "register", name: name(1, wide) });
    sink.emit("lock");
    sink.emit("cmpxchg", memory(0), { kind: "register", name: name(2, width) });
    sink.emit("jne", { kind: "label", name: label });
  };
  s.emit("copy", s.def(instr, 64), reg(RAX, 64, USE));
}

/**
 * Inputs named in the text get registers that nothing else in the block uses. The result's register is written early,
 * so the block may write it before it has read all inputs. Fixed inputs arrive zero-extended. Flags are dead around
 * every instruction that does not set them.
 */
export function lowerAsm(s: Selector, instr: Asm): void {
  const block = instr.asm;
  if (block.pieces.some((text) => /\bcall\b/.test(text))) s.mf.hasCalls = true;
  const fixed = (name: string): number => {
    const r = registerNumber(name);
    if (r < 0) throw new Error(`asm: no register '${name}'`);
    return r;
  };
  const operands: MachineOperand[] = [];
  const place: number[] = [];
  const copies: MachineOperand[] = [];
  let uses = 0;
  instr.args.forEach((arg, i) => {
    const name = block.inputs[i] ?? null;
    if (name === null) {
      place[i] = operands.push(reg(s.use(arg), arg.type === "f64" ? 64 : bits(arg.type), USE)) - 1;
      return;
    }
    const r = fixed(name);
    if (r === RSP || r === RBP) throw new Error(`asm: ${name} holds the frame and cannot be an input`);
    uses |= 1 << r;
    if (arg.type === "i64" || s.rematOf(arg)) copies.push(reg(r, 64, DEF), s.copySource(arg));
    else if (arg.type !== "f64") {
      const t = s.temp();
      zeroExtend(s, t, arg);
      copies.push(reg(r, 64, DEF), reg(t, 64, USE | MEMORY_OK));
    } else {
      const t = s.temp();
      s.emit("movq", reg(t, 64, DEF), s.useReg(arg, 64));
      copies.push(reg(r, 64, DEF), reg(t, 64, USE | MEMORY_OK));
    }
  });
  let earlyDefs = 0;
  let savesFrame = false;
  for (const name of block.clobbers) {
    const r = fixed(name);
    if (r === RSP) throw new Error("asm: rsp cannot be clobbered");
    if (r === RBP) savesFrame = true;
    else earlyDefs |= 1 << r;
  }
  let ret = -1;
  let fixedResult = -1;
  if (instr.type !== "void") {
    if (block.out === null)
      ret = operands.push(reg(s.result(instr), instr.type === "f64" ? 64 : bits(instr.type), DEF | EARLY)) - 1;
    else {
      fixedResult = fixed(block.out);
      if (fixedResult === RSP || fixedResult === RBP)
        throw new Error(`asm: ${block.out} holds the frame and cannot be the result`);
      earlyDefs |= 1 << fixedResult;
    }
  }
  if (copies.length > 0) s.emit("parcopy", ...copies);
  const code = s.emit("expand", ...operands);
  code.uses = uses;
  code.earlyDefs = earlyDefs;
  code.expand = ({ sink, name, label }) => {
    const rbp = { kind: "register", name: "rbp" } as const;
    if (savesFrame) sink.emit("push", rbp);
    const widthOf = (type: Instr["type"]) => (type === "f64" ? 64 : bits(type));
    assembleInline(
      block,
      (i) => name(place[i], widthOf(instr.args[i].type)),
      ret < 0 ? null : name(ret, widthOf(instr.type)),
      sink,
      `${label}.`,
    );
    if (savesFrame) sink.emit("pop", rbp);
  };
  if (fixedResult >= 0 && s.wanted(instr)) {
    if (instr.type === "f64") s.emit("movq", s.def(instr, 64), reg(fixedResult, 64, USE));
    else s.emit("copy", s.def(instr, 64), reg(fixedResult, 64, USE));
  }
}
