/**
 * Machine IR: x86-64 instructions over virtual registers, between selection and encoding.
 *
 * A register is a number: 0–15 general (in encoding order), 16–31 vector, from 32 on virtual. Virtual registers
 * may be written more than once (two-address forms, phis as copies); each holds 64 bits, of which those above the IR
 * type's width are undefined.
 *
 * Position p (even) of an instruction is where it reads, p + 1 where it writes. EARLY moves a write to p, so that it
 * shares no register with anything the instruction reads. Physical registers live only inside one block (parameters:
 * from the entry of the function).
 */
import type { DebugMark, DebugValue, Loc } from "../ir/ir.ts";
import type { Mark } from "./debug/told.ts";
import type { CodeSink, MemoryOperand } from "./operand.ts";
import { Class, registerName as generalName, registers } from "./registers.ts";

// biome-ignore format: numbers as in the encoding
export const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7;
// biome-ignore format: numbers as in the encoding
export const R8 = 8, R9 = 9, R10 = 10, R11 = 11, R12 = 12, R13 = 13, R14 = 14, R15 = 15;
export const XMM0 = 16;
/** Never allocated: breaks cycles of vector moves. */
export const XMM_SCRATCH = 31;
export const FIRST_VIRTUAL = 32;
export const NONE = -1;

export type Width = 8 | 16 | 32 | 64;

/** Name of a physical register, seen `width` bits wide. */
export function registerName(reg: number, width: Width): string {
  return reg >= XMM0 ? `xmm${reg - XMM0}` : generalName(reg, width);
}

/** Number of the 64-bit register called `name`; -1 if there is none. */
export function registerNumber(name: string): number {
  const register = registers.get(name);
  return register === undefined || register.width !== 64 || !(register.classes & Class.R64) ? NONE : register.number;
}

// ---- operands

export const USE = 1;
export const DEF = 2;
/** DEF: written before the instruction has read all its operands. */
export const EARLY = 4;
/** May be replaced by its spill slot in memory. */
export const MEMORY_OK = 8;

export interface Reg {
  readonly kind: "reg";
  reg: number;
  readonly width: Width;
  readonly role: number;
}
export interface Imm {
  readonly kind: "imm";
  readonly value: bigint;
}
/** What the displacement of a memory operand is relative to, besides base and index. */
export type Space = "none" | "object" | "incoming" | "outgoing";
export interface Mem {
  readonly kind: "mem";
  /** 0: not specified (lea). */
  readonly width: Width | 0;
  readonly base: Reg | null;
  readonly index: Reg | null;
  readonly scale: 1 | 2 | 4 | 8;
  readonly disp: number;
  /** RIP-relative; excludes base, index and space. */
  readonly symbol: string | null;
  readonly addend: bigint;
  /** object: frame object number `object`; incoming / outgoing: area of stack arguments. Excludes base. */
  readonly space: Space;
  readonly object: number;
}
/** Target of a call, or the address of a symbol in a parallel copy. */
export interface Sym {
  readonly kind: "sym";
  readonly name: string;
  readonly addend: bigint;
}
/** Address of a frame object in a parallel copy. */
export interface FrameAddress {
  readonly kind: "frame";
  readonly object: number;
  readonly disp: number;
}
/** Any value: a source of a parallel copy that needs no code. */
export interface Undefined {
  readonly kind: "undefined";
}
export type MachineOperand = Reg | Imm | Mem | Sym | FrameAddress | Undefined;

export const reg = (r: number, width: Width, role: number): Reg => ({ kind: "reg", reg: r, width, role });
/** A memory operand; omitted parts are absent. */
export const memOf = (width: Width | 0, parts: Partial<Omit<Mem, "kind" | "width">>): Mem => ({
  kind: "mem",
  width,
  base: null,
  index: null,
  scale: 1,
  disp: 0,
  symbol: null,
  addend: 0n,
  space: "none",
  object: 0,
  ...parts,
});
export const imm = (value: bigint | number): Imm => ({ kind: "imm", value: BigInt(value) });

// ---- instructions

/** Services for an expansion: register and memory of operand i, and a label that is unique in the function. */
export interface Expander {
  readonly sink: CodeSink;
  name(operand: number, width: Width): string;
  memory(operand: number): MemoryOperand;
  readonly label: string;
}
/** Writes the code of an instruction that expands to several. */
export type Expansion = (x: Expander) => void;

/**
 * `op` is a mnemonic, or one of:
 *   copy      operands[0] ← operands[1]: both may be in memory
 *   parcopy   operands[2i] ← operands[2i+1], all at once
 *   undef     gives operands[0] any value
 *   expand    `expand` writes the code
 *   jump      to targets[0]
 *   br        to targets[0] if condition `cc`, else targets[1]
 *   table     operands[0] (zero-extended to 64 bits) indexes `targets`; operands[1] is a temporary
 *   ret       epilogue and return
 *   call, jmp … as in the manual
 */
export class MachineInstr {
  readonly op: string;
  operands: MachineOperand[];
  readonly loc: Loc;
  /** Physical registers besides the operands, as bit masks: read; written at p + 1; written at p. */
  uses = 0;
  defs = 0;
  earlyDefs = 0;
  cc = "";
  targets: MachineBlock[] = [];
  expand: Expansion | null = null;
  /** Debug values that are valid from here on; they have no positions, so they affect nothing. */
  debug: readonly DebugMark[] | null = null;
  constructor(op: string, operands: MachineOperand[], loc: Loc) {
    this.op = op;
    this.operands = operands;
    this.loc = loc;
  }
}

export class MachineBlock {
  /** Position in the order of emission. */
  index: number;
  readonly label: string;
  instrs: MachineInstr[] = [];
  succs: MachineBlock[] = [];
  preds: MachineBlock[] = [];
  loopDepth = 0;
  /** Positions of the first instruction and of the one after the last. */
  from = 0;
  to = 0;
  constructor(index: number, label: string) {
    this.index = index;
    this.label = label;
  }
}

export interface FrameObject {
  readonly size: number;
  readonly align: number;
}

/** How to compute a value again instead of loading it from a slot. */
export type Remat = Imm | Sym | FrameAddress;

export class MachineFunction {
  readonly name: string;
  readonly loc: Loc;
  blocks: MachineBlock[] = [];
  /** Indexed by register number − FIRST_VIRTUAL. */
  isVector: boolean[] = [];
  remat: (Remat | null)[] = [];
  objects: FrameObject[] = [];
  hasCalls = false;
  hasIncomingStack = false;
  outgoingBytes = 0;
  /** Locates what a debug value watches; null: there are no debug values. */
  teller: { tell(debug: DebugValue): Mark[] } | null = null;
  constructor(name: string, loc: Loc) {
    this.name = name;
    this.loc = loc;
  }
  newRegister(isVector: boolean): number {
    this.isVector.push(isVector);
    this.remat.push(null);
    return this.isVector.length - 1 + FIRST_VIRTUAL;
  }
  get registerCount(): number {
    return this.isVector.length;
  }
}

/** Calls `visit` for each register operand, memory bases and indexes included, in a fixed order. */
export function forEachRegister(instr: MachineInstr, visit: (operand: Reg) => void): void {
  for (const operand of instr.operands) {
    if (operand.kind === "reg") visit(operand);
    else if (operand.kind === "mem") {
      if (operand.base) visit(operand.base);
      if (operand.index) visit(operand.index);
    }
  }
}

/** Calls `visit` for each register number in a mask. */
export function forEachBit(mask: number, visit: (reg: number) => void): void {
  for (let rest = mask >>> 0; rest !== 0; ) {
    const bit = 31 - Math.clz32(rest);
    visit(bit);
    rest = (rest & ~(1 << bit)) >>> 0;
  }
}

/** Numbers the blocks and derives successors and predecessors from the terminators. */
export function linkBlocks(mf: MachineFunction): void {
  mf.blocks.forEach((block, index) => {
    block.index = index;
    block.succs = [...new Set(block.instrs.at(-1)?.targets ?? [])];
    block.preds = [];
  });
  for (const block of mf.blocks) for (const succ of block.succs) succ.preds.push(block);
}

// ---- dumps

export const registerText = (r: number, width: Width): string =>
  r < FIRST_VIRTUAL ? registerName(r, width) : `v${r - FIRST_VIRTUAL}.${width}`;

export function operandText(operand: MachineOperand): string {
  switch (operand.kind) {
    case "reg":
      return registerText(operand.reg, operand.width);
    case "imm":
      return operand.value.toString();
    case "sym":
      return operand.name + (operand.addend ? `+${operand.addend}` : "");
    case "frame":
      return `&object${operand.object}+${operand.disp}`;
    case "undefined":
      return "undef";
    case "mem": {
      const parts: string[] = [];
      if (operand.space !== "none") parts.push(operand.space + (operand.space === "object" ? operand.object : ""));
      if (operand.symbol) parts.push(`rip+${operand.symbol}+${operand.addend}`);
      if (operand.base) parts.push(registerText(operand.base.reg, 64));
      if (operand.index) parts.push(`${registerText(operand.index.reg, 64)}*${operand.scale}`);
      return `${operand.width}[${parts.join(" + ")} + ${operand.disp}]`;
    }
  }
}

export function instrText(instr: MachineInstr): string {
  const targets = instr.targets.map((b) => b.label).join(", ");
  const condition = instr.cc ? `.${instr.cc}` : "";
  const operands = instr.operands.map(operandText).join(", ");
  return `${instr.op}${condition} ${operands}${targets ? ` → ${targets}` : ""}`.trimEnd();
}

export function functionText(f: MachineFunction): string {
  return f.blocks.map(blockText).join("");
}
function blockText({ label, loopDepth, succs, instrs, from }: MachineBlock): string {
  const lines = instrs.map((instr, i) => `  ${String(from + 2 * i).padStart(4)} ${instrText(instr)}`);
  return `${label}: ; depth ${loopDepth}, → ${succs.map((s) => s.label).join(" ")}\n${lines.join("\n")}\n`;
}
