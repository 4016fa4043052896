/**
 * Writes host code: the few instructions that the engine itself generates, and the guest's own ones with other
 * registers (Intel SDM vol. 2, chapter 2). Positions are offsets in the code buffer. Code reaches other code only by
 * relative jumps, so it is position independent.
 */
import type { CodeMemory } from "../memory.ts";

/** Host registers that belong to the engine. */
export const FLAGS = 0;
export const GUEST_RSP = 10;
export const GUEST_RAX = 11;
/** Scratch registers. A checked memory operand is at [T1]. */
export const T2 = 12;
export const T1 = 13;
export const BUDGET = 14;
export const ENVIRONMENT = 15;

/** Where the guest's registers are: a host register, or -1 for the environment. */
export const HOST: readonly number[] = [GUEST_RAX, 1, 2, 3, GUEST_RSP, 5, 6, 7, 8, 9, -1, -1, -1, -1, -1, -1];

/** Condition codes. */
export const Condition = { B: 2, AE: 3, E: 4, NE: 5, BE: 6, A: 7, S: 8 } as const;

export class Encoder {
  protected readonly code: Uint8Array;
  /** Position of the next byte. */
  p = 0;

  constructor(protected readonly buffer: CodeMemory) {
    this.code = buffer.bytes;
  }

  byte(value: number): void {
    this.code[this.p++] = value;
  }
  bytes(...values: number[]): void {
    for (const value of values) this.code[this.p++] = value;
  }
  word32(value: number): void {
    const { code } = this;
    const at = this.p;
    code[at] = value;
    code[at + 1] = value >> 8;
    code[at + 2] = value >> 16;
    code[at + 3] = value >> 24;
    this.p = at + 4;
  }
  /** Makes the 32-bit displacement at `at` point to `target`. */
  patch(at: number, target: number): void {
    this.buffer.view.setInt32(at, target - at - 4, true);
  }

  /** op reg, rm or op rm, reg; 64 bits (`wide`) or 32. */
  registers(opcode: number, reg: number, rm: number, wide = true): void {
    this.byte(0x40 | (wide ? 8 : 0) | ((reg >> 3) << 2) | (rm >> 3));
    this.byte(opcode);
    this.byte(0xc0 | ((reg & 7) << 3) | (rm & 7));
  }
  move(to: number, from: number): void {
    this.registers(0x8b, to, from);
  }
  exchange(a: number, b: number): void {
    this.registers(0x87, a, b);
  }

  /** op reg, [base + displacement] */
  based(opcode: number, reg: number, base: number, displacement: number, wide = true): void {
    this.byte(0x40 | (wide ? 8 : 0) | ((reg >> 3) << 2) | (base >> 3));
    if (opcode > 0xff) this.byte(0x0f);
    this.byte(opcode);
    const short = displacement >= -128 && displacement < 128;
    this.byte((short ? 0x40 : 0x80) | ((reg & 7) << 3) | (base & 7));
    if ((base & 7) === 4) this.byte(0x24);
    if (short) this.byte(displacement);
    else this.word32(displacement);
  }
  /** op reg, [R15 + offset] */
  environment(opcode: number, reg: number, offset: number, wide = true): void {
    this.based(opcode, reg, ENVIRONMENT, offset, wide);
  }
  /** op dword [R15 + offset], imm8 or imm32 */
  environmentImmediate(extension: number, offset: number, value: number): void {
    this.environment(0x81, extension, offset, false);
    this.word32(value);
  }
  loadGuest(host: number, guest: number): void {
    this.environment(0x8b, host, guest * 8);
  }
  storeGuest(host: number, guest: number): void {
    this.environment(0x89, host, guest * 8);
  }

  /** mov reg, value: a signed number, exact up to 2^53. */
  constant(reg: number, value: number): void {
    if (value >= 0 && value < 0x1_0000_0000) {
      if (reg >= 8) this.byte(0x41);
      this.byte(0xb8 | (reg & 7));
      this.word32(value);
    } else if (value >= -0x8000_0000 && value < 0) {
      this.byte(0x48 | (reg >> 3));
      this.byte(0xc7);
      this.byte(0xc0 | (reg & 7));
      this.word32(value);
    } else {
      this.constant64(reg, value, Math.floor(value / 0x1_0000_0000));
    }
  }
  constant64(reg: number, low: number, high: number): void {
    this.byte(0x48 | (reg >> 3));
    this.byte(0xb8 | (reg & 7));
    this.word32(low);
    this.word32(high);
  }

  /** rorx to, from, bits (BMI2): rotates without changing the flags. */
  rotate(to: number, from: number, bits: number): void {
    this.byte(0xc4);
    this.byte((to & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 3);
    this.byte(0xfb);
    this.byte(0xf0);
    this.byte(0xc0 | ((to & 7) << 3) | (from & 7));
    this.byte(bits);
  }

  /** jcc rel32; returns the position to patch. */
  jumpIf(condition: number): number {
    this.byte(0x0f);
    this.byte(0x80 | condition);
    this.word32(0);
    return this.p - 4;
  }
  jump(): number {
    this.byte(0xe9);
    this.word32(0);
    return this.p - 4;
  }
  /** Short jumps over a few instructions: jcc rel8, and its end. */
  skipIf(condition: number): number {
    this.byte(0x70 | condition);
    this.byte(0);
    return this.p;
  }
  patchShort(from: number): void {
    this.code[from - 1] = this.p - from;
  }
  jumpTo(target: number): void {
    this.patch(this.jump(), target);
  }
}
