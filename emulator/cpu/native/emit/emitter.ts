/**
 * Emits host code for one guest instruction after another: where the guest's flags and registers are, and the checked
 * access to memory.
 *
 * Flags are in the host's RFLAGS as the guest's own instructions leave them, or saved in host RAX (environment.ts).
 * `saveFlags` and `restoreFlags` move them; `flags` tells where they are valid. Each memory access clobbers RFLAGS, so
 * they are saved before it.
 *
 * A memory access puts the linear address into T1 and compares it with the TLB entry. One comparison checks the tag,
 * the canonical form and page crossing. The access leaves the host address in T1, or it takes an exit with the guest's
 * state from before the instruction.
 */
import { Env, readTable, TLB_ENTRIES, writeTable } from "../environment.ts";
import { type Instruction, NO_REGISTER, RIP } from "../decode.ts";
import { Flag, STATUS_FLAGS, type Operand } from "../table.ts";
import { Condition, Encoder, ENVIRONMENT, HOST, T1, T2 } from "./encoder.ts";

/** Where the flags are valid; bits. */
export const IN_HOST = 1;
export const SAVED = 2;

/** An exit that an instruction may take before it has changed anything. */
export interface EarlyExit {
  /** The displacement to patch. */
  readonly at: number;
  /** A TLB miss that resumes at this position; negative: the instruction must be interpreted. */
  readonly resume: number;
  readonly write: boolean;
  readonly bytes: number;
  readonly pc: number;
  /** Instructions of the block before this one. */
  readonly done: number;
}

const TLB_INDEX_MASK = (TLB_ENTRIES - 1) * 16;
const SEGMENT_FS = 4;
const SEGMENT_GS = 5;

export class Emitter extends Encoder {
  /** The instruction being emitted, its address and the address of the next one. */
  insn!: Instruction;
  pc = 0;
  next = 0;
  /** Instructions of this block that have been emitted before it. */
  done = 0;
  /** Instructions of the budget that was taken for this block which have not retired, this one included. */
  remaining = 1;
  flags = SAVED;
  /** The flags that this instruction leaves are never read. */
  flagsAreDead = false;
  /** Executed alone: its memory operand has been copied to the environment. */
  alone = false;
  privilege = 0;
  /** This block has loaded the x87 registers. */
  x87Loaded = false;
  readonly early: EarlyExit[] = [];

  // ---- flags

  saveFlags(): void {
    if (this.flags & SAVED) return;
    this.bytes(0x9f, 0x0f, 0x90, 0xc0); // lahf; seto al
    this.flags |= SAVED;
  }
  restoreFlags(): void {
    if (this.flags & IN_HOST) return;
    this.bytes(0x04, 0x7f, 0x9e); // add al, 0x7f (overflows if al is 1); sahf
    this.flags = IN_HOST;
  }
  /** CF only, for instructions that define all the others. */
  restoreCarry(): void {
    if (!(this.flags & IN_HOST)) this.bytes(0x0f, 0xba, 0xe0, 8); // bt eax, 8
  }
  /** Before an instruction that reads and writes flags as its row says. */
  beforeFlags(reads: number, writes: number): void {
    const kept = writes ? STATUS_FLAGS & ~writes : 0;
    if (reads & ~Flag.c || kept & ~Flag.c) this.restoreFlags();
    else if (reads || kept) this.restoreCarry();
  }
  afterFlags(writes: number): void {
    if (writes) this.flags = IN_HOST;
  }

  // ---- registers

  /** Returns a host register that holds a guest register: its own one, or `temporary`, which is loaded. */
  use(guest: number, temporary: number, load = true): number {
    const host = HOST[guest];
    if (host >= 0) return host;
    if (load) this.loadGuest(temporary, guest);
    return temporary;
  }
  /** After `use`: moves a value written in `host` back to the guest register. */
  settle(guest: number, host: number): void {
    if (HOST[guest] < 0) this.storeGuest(host, guest);
  }
  /** AH, CH, DH, BH? */
  isHighByte(operand: Operand, number: number): boolean {
    return operand.size === "b" && this.insn.rex === 0 && number >= 4 && number < 8;
  }

  // ---- the guest's own opcode

  /** The instruction's prefixes and opcode, with other operands: a register, or [base]. */
  own(reg: number, rm: number, isMemory: boolean): void {
    const { row, operandBytes, rex, opcode } = this.insn;
    if (row === undefined) throw new Error("no row");
    if (row.prefix) this.byte(row.prefix);
    else if (row.unit === "" && operandBytes === 2) this.byte(0x66);
    this.byte(0x40 | (rex & 8) | ((reg >> 3) << 2) | (rm >> 3));
    if (opcode > 0xff) this.byte(0x0f);
    this.byte(opcode);
    this.operand(reg, rm, isMemory);
    this.immediate();
  }
  /**
   * An operation on `bytes` bytes (1: `opcode`, otherwise `opcode` + 1), with operands as in `own` and without an
   * immediate.
   */
  sized(opcode: number, bytes: number, reg: number, rm: number, isMemory = false): void {
    if (bytes === 2) this.byte(0x66);
    this.byte(0x40 | (bytes === 8 ? 8 : 0) | ((reg >> 3) << 2) | (rm >> 3));
    this.byte(bytes === 1 ? opcode : opcode + 1);
    this.operand(reg, rm, isMemory);
  }
  operand(reg: number, rm: number, isMemory: boolean): void {
    if (!isMemory) {
      this.byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
      return;
    }
    this.byte(0x40 | ((reg & 7) << 3) | (rm & 7));
    if ((rm & 7) === 4) this.byte(0x24);
    this.byte(0);
  }
  /** The instruction's own immediate, unchanged. */
  immediate(): void {
    const { immediate, immediateBytes } = this.insn;
    if (immediateBytes > 0) this.byte(immediate);
    if (immediateBytes > 1) this.byte(immediate >> 8);
    if (immediateBytes > 2) {
      this.byte(immediate >> 16);
      this.byte(immediate >> 24);
    }
  }

  // ---- memory

  /** Checks the instruction's memory operand and leaves its host address in T1. */
  memory(bytes: number, write: boolean, aligned = false): void {
    if (this.alone) {
      this.environment(0x8d, T1, Env.BOUNCE);
      return;
    }
    this.saveFlags();
    const resume = this.p;
    this.address(T1);
    if (aligned) {
      // Before the translation of the address: #GP has priority over a page fault, and sets no accessed bit.
      this.bytes(0x41, 0xf7, 0xc0 | (T1 & 7)); // test r13d, bytes - 1
      this.word32(bytes - 1);
      this.interpretIf(Condition.NE);
    }
    this.check(bytes, write, resume);
  }

  /** Effective address including the segment base. Leaves the flags alone unless there is a base. */
  address(to: number): void {
    const { insn } = this;
    this.offset(to);
    if (insn.segment === SEGMENT_FS) this.environment(0x03, to, Env.FS_BASE);
    else if (insn.segment === SEGMENT_GS) this.environment(0x03, to, Env.GS_BASE);
  }
  /** Effective address within its segment, as LEA computes it. */
  offset(to: number): void {
    const { insn } = this;
    const { base, index, scale, displacement } = insn;
    const wide = insn.addressBytes === 8;
    if (insn.row?.how === "moffs") {
      this.constant64(to, insn.immediate, wide ? insn.immediateHigh : 0);
      return;
    }
    if (base === RIP || (base === NO_REGISTER && index === NO_REGISTER)) {
      const address = displacement + (base === RIP ? this.next : 0);
      this.constant(to, wide ? address : address >>> 0);
      return;
    }
    const b = base === NO_REGISTER ? -1 : this.use(base, T1);
    const x = index === NO_REGISTER ? -1 : this.use(index, T2);
    if (x < 0) {
      this.based(0x8d, to, b, displacement, wide);
      return;
    }
    this.byte(0x40 | (wide ? 8 : 0) | ((to >> 3) << 2) | ((x >> 3) << 1) | (b < 0 ? 0 : b >> 3));
    this.byte(0x8d);
    const short = b >= 0 && displacement >= -128 && displacement < 128;
    this.byte((b < 0 ? 0 : short ? 0x40 : 0x80) | ((to & 7) << 3) | 4);
    this.byte((scale << 6) | ((x & 7) << 3) | (b < 0 ? 5 : b & 7));
    if (short) this.byte(displacement);
    else this.word32(displacement);
  }

  /** T1: linear address, becomes the host address. Clobbers T2 and RFLAGS; the flags have been saved. */
  check(bytes: number, write: boolean, resume: number): void {
    const table = write ? writeTable(this.privilege) : readTable(this.privilege);
    this.rotate(T2, T1, 8);
    this.bytes(0x41, 0x81, 0xe4); // and r12d, mask
    this.word32(TLB_INDEX_MASK);
    this.tableOperand(0x33, table); // xor r13, tag
    this.bytes(0x49, 0x81, 0xfd); // cmp r13, imm32
    this.word32(4096 - bytes);
    this.leave({ at: this.jumpIf(Condition.A), resume, write, bytes, pc: this.pc, done: this.done });
    this.tableOperand(0x03, table + 8); // add r13, host page
    this.flags = SAVED;
  }
  /** op r13, [r15 + r12 + offset] */
  tableOperand(opcode: number, offset: number, reg = T1): void {
    this.bytes(0x4b | ((reg >> 3) << 2), opcode, 0x84 | ((reg & 7) << 3), ((T2 & 7) << 3) | (ENVIRONMENT & 7));
    this.word32(offset);
  }

  leave(exit: EarlyExit): void {
    this.early.push(exit);
  }
  /** Leaves the block if the condition holds, so that the instruction is interpreted. The flags have been saved. */
  interpretIf(condition: number): void {
    this.leave({ at: this.jumpIf(condition), resume: -1, write: false, bytes: 0, pc: this.pc, done: this.done });
  }
}
