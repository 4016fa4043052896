/**
 * Branches, calls and the stack in 64-bit code. A block ends with the first branch. The translator gets its target and
 * links the blocks (translate.ts). Flags are saved at the end of every block.
 */
import { Env, JUMP_ENTRIES, jumpTable } from "../environment.ts";
import { Condition, FLAGS, GUEST_RSP, HOST, T1, T2 } from "./encoder.ts";
import type { Emitter } from "./emitter.ts";

/** How a block continues. */
export interface Links {
  /** A direct branch: the displacement at `at` must point to `target`. */
  link(at: number, target: number): void;
  /** The target of the branch is in Env.TARGET; the instruction at `pc` has been executed. */
  leaveTo(pc: number): void;
}

const RCX = 1;
const RBP = 5;
const SHORT_JRCXZ = 0xe3;

/** Checks the quadword at [rsp + offset]. */
function stack(e: Emitter, write: boolean, offset: number): void {
  e.saveFlags();
  const resume = e.p;
  if (offset === 0) e.move(T1, GUEST_RSP);
  else e.based(0x8d, T1, GUEST_RSP, offset);
  e.check(8, write, resume);
}
const moveStack = (e: Emitter, offset: number): void => e.based(0x8d, GUEST_RSP, GUEST_RSP, offset);
const storeAtT1 = (e: Emitter, register: number): void => e.based(0x89, register, T1, 0);
const loadAtT1 = (e: Emitter, register: number): void => e.based(0x8b, register, T1, 0);

/** mov qword [r13], value, or through T2. */
function storeConstant(e: Emitter, value: number): void {
  if (value >= -0x8000_0000 && value <= 0x7fff_ffff) {
    e.based(0xc7, 0, T1, 0);
    e.word32(value);
  } else {
    e.constant(T2, value);
    storeAtT1(e, T2);
  }
}

function push(e: Emitter): void {
  const { insn } = e;
  stack(e, true, -8);
  if (insn.row?.immediate) storeConstant(e, insn.immediate);
  else storeAtT1(e, e.use(insn.rm, T2));
  moveStack(e, -8);
}

function pop(e: Emitter): void {
  const { insn } = e;
  const host = HOST[insn.rm];
  stack(e, false, 0);
  loadAtT1(e, host < 0 ? T2 : host);
  if (host < 0) e.storeGuest(T2, insn.rm);
  if (host !== GUEST_RSP) moveStack(e, 8);
}

function pushmem(e: Emitter): void {
  const { insn } = e;
  if (insn.hasMemory) {
    e.memory(8, false);
    loadAtT1(e, T1);
    e.environment(0x89, T1, Env.TARGET);
    stack(e, true, -8);
    e.environment(0x8b, T2, Env.TARGET);
    storeAtT1(e, T2);
  } else {
    stack(e, true, -8);
    storeAtT1(e, e.use(insn.rm, T2));
  }
  moveStack(e, -8);
}

/** RFLAGS of the status flags in FLAGS (emitter.ts) and the system flags; VM and RF are never among them. */
function pushf(e: Emitter): void {
  stack(e, true, -8);
  e.rotate(T2, FLAGS, 8);
  e.bytes(0x45, 0x0f, 0xb6, 0xe4); // movzx r12d, r12b
  e.environment(0x0b, T2, Env.SYSTEM_FLAGS, false); // or
  e.bytes(0x41, 0x83, 0xcc, 2); // or r12d, 2
  storeAtT1(e, T2);
  e.bytes(0x44, 0x0f, 0xb6, 0xe0); // movzx r12d, al
  e.bytes(0x41, 0xc1, 0xe4, 11); // shl r12d, 11
  e.based(0x09, T2, T1, 0, false); // or
  moveStack(e, -8);
}

function leave(e: Emitter): void {
  e.saveFlags();
  const resume = e.p;
  e.move(T1, RBP);
  e.check(8, false, resume);
  loadAtT1(e, T2);
  e.based(0x8d, GUEST_RSP, RBP, 8);
  e.move(RBP, T2);
}

/** Branches to the address in T1, through the jump cache. */
function indirect(e: Emitter, links: Links): void {
  e.saveFlags();
  e.registers(0x8b, T2, T1, false);
  e.bytes(0x41, 0x81, 0xe4); // and r12d, JUMP_ENTRIES - 1
  e.word32(JUMP_ENTRIES - 1);
  e.bytes(0x41, 0xc1, 0xe4, 4); // shl r12d, 4
  const table = jumpTable(e.privilege);
  e.tableOperand(0x3b, table); // cmp r13, [r15 + r12 + table]
  const miss = e.jumpIf(Condition.NE);
  e.bytes(0x43, 0xff, 0xa4, 0x27); // jmp [r15 + r12 + table + 8]
  e.word32(table + 8);
  e.patch(miss, e.p);
  e.environment(0x89, T1, Env.TARGET);
  links.leaveTo(e.pc);
}

function direct(e: Emitter, links: Links, target: number): void {
  e.saveFlags();
  links.link(e.jump(), target);
}

const branchTarget = (e: Emitter): number => e.next + e.insn.immediate;

function jmp(e: Emitter, links: Links): void {
  direct(e, links, branchTarget(e));
}

function call(e: Emitter, links: Links): void {
  stack(e, true, -8);
  storeConstant(e, e.next);
  moveStack(e, -8);
  direct(e, links, branchTarget(e));
}

function ret(e: Emitter, links: Links): void {
  stack(e, false, 0);
  loadAtT1(e, T1);
  moveStack(e, 8 + (e.insn.row?.immediate ? e.insn.immediate & 0xffff : 0));
  indirect(e, links);
}

function jmpind(e: Emitter, links: Links): void {
  operand(e);
  indirect(e, links);
}

function callind(e: Emitter, links: Links): void {
  operand(e);
  e.environment(0x89, T1, Env.TARGET);
  stack(e, true, -8);
  storeConstant(e, e.next);
  moveStack(e, -8);
  e.environment(0x8b, T1, Env.TARGET);
  indirect(e, links);
}

/** Loads the target of an indirect branch into T1. */
function operand(e: Emitter): void {
  const { insn } = e;
  if (insn.hasMemory) {
    e.memory(8, false);
    loadAtT1(e, T1);
  } else if (HOST[insn.rm] < 0) {
    e.loadGuest(T1, insn.rm);
  } else {
    e.move(T1, HOST[insn.rm]);
  }
}

function jcc(e: Emitter, links: Links): void {
  e.restoreFlags();
  e.saveFlags();
  links.link(e.jumpIf(e.insn.opcode & 15), branchTarget(e));
  links.link(e.jump(), e.next);
}

/** LOOP, JRCXZ: both leave the flags alone. */
function loop(e: Emitter, links: Links): void {
  const { insn } = e;
  e.saveFlags();
  const wide = insn.addressBytes === 8;
  const isLoop = insn.opcode === 0xe2;
  if (isLoop) e.based(0x8d, RCX, RCX, -1, wide);
  if (!wide) e.byte(0x67);
  e.bytes(SHORT_JRCXZ, 5);
  links.link(e.jump(), isLoop ? branchTarget(e) : e.next);
  links.link(e.jump(), isLoop ? e.next : branchTarget(e));
}

/** Emitters of instructions that end a block. */
export const branchEmitters: Readonly<Record<string, (e: Emitter, links: Links) => void>> = {
  jmp,
  call,
  ret,
  jmpind,
  callind,
  jcc,
  loop,
};
/** Emitters of instructions that do not end a block. */
export const stackEmitters: Readonly<Record<string, (e: Emitter) => void>> = { push, pop, pushmem, pushf, leave };

/** The canonical addresses are [-CANONICAL, CANONICAL). */
const CANONICAL = 0x8000_0000_0000;

/** Forms that are interpreted: 16-bit ones, LOOPE and LOOPNE, and targets that are not canonical. */
export function isInterpretedFlow(e: Emitter): boolean {
  const { insn } = e;
  if (insn.hasOperandPrefix) return true;
  const how = insn.row?.how;
  if (how === "jmp" || how === "jcc" || how === "call" || how === "loop") {
    const target = branchTarget(e);
    if (target >= CANONICAL || target < -CANONICAL) return true;
  }
  return insn.row?.how === "loop" && insn.opcode < 0xe2;
}
