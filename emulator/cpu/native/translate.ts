/**
 * Translates blocks. A block is a run of guest instructions of one page. It ends at the first branch, at an instruction
 * that is interpreted, at the end of the page or at an existing block. The entry takes the budget of the whole block;
 * if the budget does not suffice, a second translation is used that counts every instruction. Code that is seldom
 * needed (exits, refunds) is out of line.
 */
import { type CodePage, ExitKind, PAGE, type TranslationCache } from "./cache.ts";
import { decode, Instruction } from "./decode.ts";
import { SAVED } from "./emit/emitter.ts";
import { BUDGET, Condition, T1 } from "./emit/encoder.ts";
import { branchEmitters, isInterpretedFlow, type Links, stackEmitters } from "./emit/flow.ts";
import { fpuEmitters } from "./emit/fpu.ts";
import { integerEmitters, isInterpreted } from "./emit/integer.ts";
import { systemEmitters } from "./emit/system.ts";
import { Env, readTable, writeTable } from "./environment.ts";
import { MODE_UNIT_OFF } from "./registers.ts";
import { STATUS_FLAGS } from "./table.ts";

const BLOCK_LIMIT = 64;
/** Number of instructions that the search for dead flags looks ahead. */
const LOOK_AHEAD = 6;

interface Planned {
  readonly insn: Instruction;
  readonly pc: number;
  readonly how: "straight" | "branch";
}

export const straightEmitters = { ...integerEmitters, ...fpuEmitters, ...stackEmitters, ...systemEmitters };

export class Translator {
  constructor(private readonly cache: TranslationCache) {}

  /** Returns the entry of the block at an offset in a page. The caller has reserved room. */
  block(page: CodePage, offset: number): number {
    let entry = page.blocks.get(offset);
    if (entry === undefined) {
      entry = this.translate(page, offset, false);
      page.blocks.set(offset, entry);
    }
    return entry;
  }
  countedBlock(page: CodePage, offset: number): number {
    let entry = page.counted.get(offset);
    if (entry === undefined) {
      entry = this.translate(page, offset, true);
      page.counted.set(offset, entry);
    }
    return entry;
  }

  /** Makes the branch at `at` lead to a block of another page, on cores that run this page there. */
  linkFar(at: number, page: CodePage, offset: number): void {
    const { cache } = this;
    const { emitter: e } = cache;
    const target = this.block(page, offset);
    const hot = e.p;
    e.p = cache.cold;
    e.patch(at, e.p);
    e.environmentImmediate(7, page.slot, page.id); // cmp
    const miss = e.skipIf(Condition.NE);
    e.jumpTo(target);
    e.patchShort(miss);
    this.exit(ExitKind.FAR, page.linear + offset, 0, 0);
    cache.cold = e.p;
    e.p = hot;
  }

  /** Code that executes one instruction, with its memory operand at Env.BOUNCE, and returns. */
  alone(insn: Instruction): number {
    const { emitter, alone } = this.cache;
    const key = `${insn.mode} ${insn.operandBytes} ${Buffer.from(insn.bytes.buffer, 0, insn.length).toString("latin1")}`;
    let entry = alone.get(key);
    if (entry !== undefined) return entry;
    entry = emitter.p;
    this.begin(true, 0);
    emitter.insn = insn;
    (straightEmitters as Record<string, (e: typeof emitter) => void>)[insn.row?.how as string](emitter);
    emitter.saveFlags();
    this.exit(ExitKind.ALONE, 0, 0, 0);
    if (emitter.early.length) throw new Error(`native: ${insn.row?.name} executed alone has an early exit`);
    emitter.alone = false;
    alone.set(key, entry);
    return entry;
  }

  private begin(alone: boolean, mode: number): void {
    const { emitter } = this.cache;
    emitter.alone = alone;
    emitter.privilege = mode & ~MODE_UNIT_OFF;
    emitter.flags = SAVED;
    emitter.flagsAreDead = false;
    emitter.x87Loaded = false;
    emitter.early.length = 0;
    emitter.done = 0;
  }

  /** mov r13d, number; jmp exit */
  private exit(kind: ExitKind, pc: number, at: number, undone: number, access = 0, insn?: Instruction): void {
    const { emitter, exits, exitAt } = this.cache;
    emitter.constant(T1, exits.add(kind, pc, at, undone, access, insn));
    emitter.jumpTo(exitAt);
  }

  /** The instructions of the block, and the next instruction if that one ends the block. */
  private plan(page: CodePage, offset: number): { list: Planned[]; end: number; stop: Instruction | undefined } {
    const { emitter } = this.cache;
    const list: Planned[] = [];
    let at = offset;
    for (;;) {
      if (list.length === BLOCK_LIMIT || at === PAGE) return { list, end: at, stop: undefined };
      if (at !== offset && (page.points?.has(at) || page.blocks.has(at))) return { list, end: at, stop: undefined };
      const insn = decode(page.content, at, PAGE, 64);
      if (!(insn instanceof Instruction)) return { list, end: at, stop: new Instruction() };
      const how = insn.row?.how;
      const unitOff = (page.mode & MODE_UNIT_OFF) !== 0 && insn.row?.unit !== "";
      emitter.insn = insn;
      emitter.next = page.linear + at + insn.length;
      emitter.alone = false;
      const isBranch = how !== undefined && how in branchEmitters;
      const isStraight = how !== undefined && how in straightEmitters;
      const isFlow = isBranch || (how !== undefined && how in stackEmitters);
      if (unitOff || (!isBranch && !isStraight) || (isFlow ? isInterpretedFlow(emitter) : isInterpreted(emitter)))
        return { list, end: at, stop: insn };
      list.push({ insn, pc: page.linear + at, how: isBranch ? "branch" : "straight" });
      at += insn.length;
      if (isBranch) return { list, end: -1, stop: undefined };
    }
  }

  private translate(page: CodePage, offset: number, counted: boolean): number {
    const { cache } = this;
    const { emitter: e } = cache;
    const { list, end, stop } = this.plan(page, offset);
    this.begin(false, page.mode);
    const entry = e.p;
    const count = list.length;
    const late: { at: number; target: number }[] = [];
    const spent: { at: number; pc: number }[] = [];
    const links: Links = {
      link: (at, target) => this.link(page, at, target, late),
      leaveTo: (pc) => this.exit(ExitKind.BRANCH, pc, 0, 0),
    };
    if (page.points?.has(offset)) {
      this.exit(ExitKind.BREAKPOINT, page.linear + offset, 0, 0);
      return entry;
    }
    let short = -1;
    if (!counted && count > 0) {
      takeBudget(e, count);
      short = e.jumpIf(Condition.S);
    }
    for (let index = 0; index < count; index++) {
      const { insn, pc, how } = list[index];
      cache.map.add(e.p, pc, page.linear + offset);
      e.insn = insn;
      e.pc = pc;
      e.next = pc + insn.length;
      e.done = counted ? count - 1 : index;
      e.remaining = counted ? 1 : count - index;
      if (counted) {
        e.saveFlags();
        takeBudget(e, 1);
        spent.push({ at: e.jumpIf(Condition.S), pc });
        e.flags = SAVED;
      }
      e.flagsAreDead = !counted && flagsAreDead(list, index);
      const name = insn.row?.how as string;
      if (how === "branch") branchEmitters[name](e, links);
      else straightEmitters[name](e);
    }
    if (end >= 0) {
      e.saveFlags();
      if (stop !== undefined) this.exit(ExitKind.INTERPRET, page.linear + end, 0, 0, 0, stop.row ? stop : undefined);
      else links.link(e.jump(), page.linear + end);
    }
    cache.translated += count;

    // Out of line.
    const hot = e.p;
    e.p = cache.cold;
    cache.map.add(e.p, page.linear + offset, page.linear + offset);
    if (short >= 0) {
      e.patch(short, e.p);
      takeBudget(e, -count);
      const at = e.jump();
      e.patch(at, e.p);
      this.exit(ExitKind.SHORT, page.linear + offset, at, 0);
    }
    for (const { at, pc } of spent) {
      e.patch(at, e.p);
      takeBudget(e, -1);
      this.exit(ExitKind.BUDGET, pc, 0, 0);
    }
    for (const { at, resume, write, bytes, pc, done } of e.early) {
      e.patch(at, e.p);
      if (resume >= 0) {
        e.tableOperand(0x33, tableOf(e.privilege, write)); // undoes the comparison's xor
        e.environment(0x89, T1, Env.ADDRESS);
        this.exit(ExitKind.MISS, pc, resume, count - done, bytes | (write ? 0x100 : 0));
      } else {
        this.exit(ExitKind.INTERPRET, pc, 0, count - done);
      }
    }
    for (const { at, target } of late) {
      e.patch(at, e.p);
      this.lateLink(page, at, target);
    }
    cache.cold = e.p;
    e.p = hot;
    return entry;
  }

  private link(page: CodePage, at: number, target: number, late: { at: number; target: number }[]): void {
    const known = inPage(page, target) ? page.blocks.get(target - page.linear) : undefined;
    if (known === undefined) late.push({ at, target });
    else this.cache.emitter.patch(at, known);
  }

  /** Out of line: the target of a direct branch that is not linked yet. */
  private lateLink(page: CodePage, at: number, target: number): void {
    this.exit(inPage(page, target) ? ExitKind.LINK : ExitKind.FAR, target, at, 0);
  }
}

const inPage = (page: CodePage, target: number): boolean => target >= page.linear && target < page.linear + PAGE;

function takeBudget(e: { bytes(...values: number[]): void }, count: number): void {
  e.bytes(0x41, 0x83, 0xe8 | (BUDGET & 7), count); // sub r14d, imm8
}

/**
 * The flags that an instruction leaves are overwritten before they are read. A fault, a reader and the block's end
 * count as reads.
 */
function flagsAreDead(list: readonly Planned[], index: number): boolean {
  for (let next = index + 1; next < list.length && next <= index + LOOK_AHEAD; next++) {
    const { insn, how } = list[next];
    const row = insn.row;
    if (how === "branch" || row === undefined || insn.hasMemory || row.readsFlags || row.how in stackEmitters)
      return false;
    if (row.how in systemEmitters) return false;
    if (row.how === "div" || row.how === "xlat" || row.unit === "x87" || row.unit === "mmx") return false;
    // If the count is unknown, the instruction may leave the flags alone.
    if (row.how === "shift" || row.how === "doubleshift") return false;
    if ((row.writesFlags & STATUS_FLAGS) === STATUS_FLAGS) return true;
  }
  return false;
}

const tableOf = (privilege: number, write: boolean): number => (write ? writeTable(privilege) : readTable(privilege));
