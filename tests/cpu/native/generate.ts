/**
 * Cases from a seed: a few instructions of the table with operands of every form, and a register state that exercises
 * them.
 */
import type { Prng } from "../../../emulator/machine/prng.ts";
import { type Form, families, StatusFlag } from "./instructions.ts";

export const CODE = 0x4000_0000;
export const DATA = 0x5000_0000;
export const DATA_BYTES = 0x2000;
export const READ_ONLY = 0x5000_4000;
export const FX_BYTES = 512;
const PAGE = 4096;
/** Fixed contents of the data pages begin with these, then random bytes; see `contents`. */
export const STATUS_FLAGS = 0x8d5;

/** Properties of the result after an instruction. */
export interface Step {
  readonly end: number;
  /** Status flags that are defined. */
  readonly flags: number;
  /** C0 to C3 in FSW that are undefined. */
  readonly conditions: number;
}

export interface Case {
  readonly offset: number;
  readonly code: Uint8Array;
  readonly gpr: BigUint64Array;
  readonly rflags: number;
  readonly fx: Uint8Array;
  /** What is defined, by the offset in `code` at which the case ended. */
  readonly steps: readonly Step[];
  /** One name per instruction, for messages. */
  readonly text: string;
  /** Offset after the last instruction: the INT3 there ends the case. */
  readonly notes: string;
}

// biome-ignore format: a table
const special64 = [
  0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0xffff_ffff_8000_0000n, 0x5555_5555_5555_5555n,
  0xffff_ffff_0000_0000n, 0xf000_0000_5566_7788n,
];
/**
 * IEEE 754 singles and doubles: zeros, ones, limits, denormals, infinities, quiet and signalling NaNs, ties of
 * rounding.
 */
// biome-ignore format: a table
const special32 = [
  0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x3f80_0001, 0x3fff_ffff, 0x4000_0000, 0x7f7f_ffff, 0x0080_0000, 0x007f_ffff, 1, 0x8000_0001, 0x7f80_0000,
  0xff80_0000, 0x7fc0_0000, 0xffc0_1234, 0x7f80_0001, 0xffa0_0000, 0x4b00_0000, 0x4b00_0001, 0x4f00_0000, 0x5f00_0000, 0x3f00_0000, 0x4effffff,
];
// biome-ignore format: a table
const special64f = [
  0n, 1n << 63n, 0x3ff0_0000_0000_0000n, 0xbff0_0000_0000_0000n, 0x3ff0_0000_0000_0001n, 0x3fff_ffff_ffff_ffffn, 0x7fef_ffff_ffff_ffffn,
  0x0010_0000_0000_0000n, 0x000f_ffff_ffff_ffffn, 1n, 0x7ff0_0000_0000_0000n, 0xfff0_0000_0000_0000n, 0x7ff8_0000_0000_0000n,
  0xfff8_0000_dead_beefn, 0x7ff0_0000_0000_0001n, 0x41e0_0000_0000_0000n, 0x41df_ffff_ffc0_0000n, 0x43e0_0000_0000_0000n, 0x3fe0_0000_0000_0000n,
  0x4330_0000_0000_0001n, 0x4008_0000_0000_0000n, 0x47ef_ffff_e000_0000n, 0x36a0_0000_0000_0000n, 0x380f_ffff_c000_0000n,
];
/** Extended: sign and exponent, significand. Pseudo-denormals and unnormals are among them. */
// biome-ignore format: a table
const special80: readonly (readonly [number, bigint])[] = [
  [0, 0n], [0x8000, 0n], [0x3fff, 1n << 63n], [0xbfff, 1n << 63n], [0x3fff, 0x8000_0000_0000_0001n], [0x4000, 0xc90f_daa2_2168_c235n], [0x7ffe, 0xffff_ffff_ffff_ffffn],
  [1, 1n << 63n], [0, 0x7fff_ffff_ffff_ffffn], [0, 1n], [0x7fff, 1n << 63n], [0xffff, 1n << 63n], [0x7fff, 0xc000_0000_0000_0000n], [0xffff, 0xc000_0000_0000_0001n],
  [0x7fff, 0x8000_0000_0000_0001n], [0x403e, 0xffff_ffff_ffff_ffffn], [0x403d, 0xffff_ffff_ffff_ffffn], [0x401d, 0xffff_ffff_0000_0000n], [0x3ffe, 1n << 63n],
  [0x407e, 0xffff_ff80_0000_0000n], [0x43fe, 0xffff_ffff_ffff_fc00n], [0x3f81, 1n << 63n], [0x3c01, 0x8000_0000_0000_0400n], [0xc00e, 0x8765_4321_0000_0000n],
];

type Family = keyof typeof families;

export class Generator {
  private readonly counters = { integer: 0, sse: 0, x87: 0 };
  constructor(private readonly random: Prng) {}

  private below(n: number): number {
    return this.random.below(n);
  }
  private chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
  private u32(): number {
    return this.below(0x1_0000_0000);
  }
  private u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
  private pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** Contents of the data pages before each case. */
  contents(): Uint8Array {
    const bytes = new Uint8Array(DATA_BYTES);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < DATA_BYTES; at += 8) {
      const kind = this.below(6);
      if (kind === 0) view.setBigUint64(at, this.pick(special64f), true);
      else if (kind === 1) {
        view.setUint32(at, this.pick(special32), true);
        view.setUint32(at + 4, this.pick(special32), true);
      } else if (kind === 2) view.setBigUint64(at, this.pick(special64), true);
      // Few digits: packed decimals, small integers.
      else if (kind === 3) for (let i = 0; i < 8; i++) bytes[at + i] = this.below(10) * 16 + this.below(10);
      else view.setBigUint64(at, this.u64(), true);
    }
    return bytes;
  }

  private integerValue(): bigint {
    const kind = this.below(4);
    if (kind === 0) return this.u64();
    if (kind === 1) return BigInt(this.below(80));
    const value = this.pick(special64);
    return kind === 2 ? value : BigInt.asUintN(64, value + BigInt(this.below(3)) - 1n);
  }
  private single(): number {
    return this.chance(2)
      ? this.pick(special32)
      : this.chance(2)
        ? this.u32()
        : ((120 + this.below(16)) << 23) | this.below(1 << 23);
  }
  private double(): bigint {
    if (this.chance(2)) return this.pick(special64f);
    return this.chance(2) ? this.u64() : (BigInt(1015 + this.below(16)) << 52n) | (this.u64() >> 12n);
  }

  private fxImage(family: Family): Uint8Array {
    const image = new Uint8Array(FX_BYTES);
    const view = new DataView(image.buffer);
    const rounding = this.chance(2) ? 0 : this.below(4);
    view.setUint16(0, 0x37f, true);
    view.setUint32(24, 0x1f80 | (rounding << 13), true);
    view.setUint32(28, 0xffff, true);
    if (family === "sse") {
      const mask = this.chance(12) ? this.below(0x40) << 7 : 0x1f80;
      const flush = (this.chance(8) ? 0x8000 : 0) | (this.chance(8) ? 0x40 : 0);
      const flags = this.chance(4) ? this.below(0x40) : 0;
      view.setUint32(24, mask | (rounding << 13) | flush | flags, true);
    }
    for (let index = 0; index < 16; index++) {
      const at = 160 + 16 * index;
      const kind = this.below(4);
      if (kind === 0) for (let lane = 0; lane < 4; lane++) view.setUint32(at + 4 * lane, this.single(), true);
      else if (kind === 1) for (let lane = 0; lane < 2; lane++) view.setBigUint64(at + 8 * lane, this.double(), true);
      else for (let lane = 0; lane < 2; lane++) view.setBigUint64(at + 8 * lane, this.integerValue(), true);
    }
    if (family !== "x87") return image;
    const precision = this.pick([0x300, 0x300, 0x200, 0]);
    const masks = this.chance(10) ? this.below(0x40) : 0x3f;
    view.setUint16(0, 0x40 | masks | precision | (rounding << 10), true);
    const top = this.below(8);
    // Flags of masked exceptions only: a pending unmasked one also sets ES and B.
    view.setUint16(
      2,
      (top << 11) | (this.below(16) ? this.below(2) << 8 : 0) | (this.chance(4) ? this.below(0x40) & masks : 0),
      true,
    );
    view.setUint8(4, this.chance(4) ? this.below(256) : 0xff);
    for (let index = 0; index < 8; index++) {
      const at = 32 + 16 * index;
      let exponent = 0x3fff - 8 + this.below(16) + (this.chance(2) ? 0x8000 : 0);
      let significand = this.u64() | (1n << 63n);
      if (this.chance(2)) [exponent, significand] = this.pick(special80);
      else if (this.chance(4)) exponent = this.below(0x1_0000);
      if (this.chance(4)) significand &= ~0n << BigInt(40 + this.below(24));
      view.setBigUint64(at, BigInt.asUintN(64, significand), true);
      view.setUint16(at + 8, exponent, true);
    }
    return image;
  }

  /** An address for `bytes` bytes: nearly always in the data pages, sometimes unmapped. */
  private address(bytes: number, aligned: boolean, special: boolean): bigint {
    if (special) {
      // biome-ignore format: a table
      return this.pick([
        0n, 0x1000n, BigInt(READ_ONLY + 0x40), BigInt(READ_ONLY + 0xff8), BigInt(DATA + DATA_BYTES - 1), BigInt(DATA + DATA_BYTES - 4), BigInt(DATA - 1), BigInt(DATA + DATA_BYTES),
        0x8000_0000_0000n, 0xffff_7fff_ffff_fff0n, 0x7000_0000_0ffcn, 0x1234_5678_9abc_def0n,
      ]);
    }
    const room = DATA_BYTES - bytes;
    if (aligned) return BigInt(DATA + (this.below(Math.floor(room / 16) + 1) << 4));
    if (this.chance(8)) return BigInt(DATA + PAGE - 1 - this.below(Math.max(1, bytes - 1)));
    return BigInt(DATA + this.below(room + 1));
  }

  next(family: Family): Case {
    const list = families[family];
    const gpr = new BigUint64Array(16);
    for (let i = 0; i < 16; i++) gpr[i] = this.integerValue();
    gpr[4] = BigInt(DATA + 0x1000 + 8 * this.below(64));
    const fx = this.fxImage(family);
    const length = this.chance(3) ? 2 + this.below(3) : 1;
    const code: number[] = [];
    const names: string[] = [];
    let undefinedFlags = 0;
    let undefinedConditions = 0;
    let notes = "";
    // A register whose value is already fixed must not be chosen again.
    const fixed = new Set<number>([4]);
    const offset = this.chance(10) ? PAGE - 1 - this.below(12) : 0x100;
    const branches: { readonly at: number; readonly bytes: number; readonly index: number }[] = [];
    const ends: number[] = [];
    const steps: Step[] = [{ end: 0, flags: STATUS_FLAGS, conditions: 0 }];
    for (let i = 0; i < length; i++) {
      const form = i === length - 1 && length === 1 ? list[this.counters[family]++ % list.length] : this.pick(list);
      if (form.reads & undefinedFlags) continue;
      if (length > 1 && /[TGQ]/.test(form.notes)) continue;
      if (form.notes.includes("F") && undefinedFlags) continue; // pushf stores them
      if (undefinedConditions && (form.name === "fnstsw" || form.name === "fxsave")) continue;
      this.instruction(form, code, gpr, fixed, branches, ends.length, names);
      ends.push(code.length);
      notes += form.notes;
      if (form.imm === "j" || form.notes.includes("R")) {
        // The rest may be skipped, so it defines nothing.
        undefinedFlags |= form.undefinedFlags;
      } else {
        if (!/[SH]/.test(form.notes) && branches.length === 0) undefinedFlags &= ~form.writes;
        undefinedFlags |= form.undefinedFlags;
      }
      const conditions = /X(\d+)/.exec(form.notes)?.[1] ?? "";
      const bits = [...conditions].reduce((sum, n) => sum | [0x100, 0x200, 0x400, 0x4000][Number(n)], 0);
      undefinedConditions |= bits;
      steps.push({ end: code.length, flags: STATUS_FLAGS & ~undefinedFlags, conditions: undefinedConditions });
    }
    for (const { at, bytes, index } of branches) {
      const target = ends[Math.min(index + 1, ends.length - 1)];
      const distance = target - (at + bytes);
      code[at] = distance & 0xff;
      for (let i = 1; i < bytes; i++) code[at + i] = 0;
    }
    const rflags = 2 | (this.u32() & STATUS_FLAGS) | (this.chance(8) ? StatusFlag.D : 0);
    return {
      offset,
      code: Uint8Array.from(code),
      gpr,
      rflags,
      fx,
      steps,
      text: names.join("; "),
      notes,
    };
  }

  private instruction(
    form: Form,
    code: number[],
    gpr: BigUint64Array,
    fixed: Set<number>,
    branches: { at: number; bytes: number; index: number }[],
    index: number,
    names: string[],
  ): void {
    const { size, notes } = form;
    const isVariable = size === "v" || size === "s";
    let operand = 1;
    let rexW = 0;
    let prefix66 = false;
    if (isVariable) {
      const choice = this.below(3);
      if (size === "s") {
        prefix66 = choice === 0 && form.imm !== "z";
        operand = prefix66 ? 2 : 8;
      } else {
        prefix66 = choice === 0;
        rexW = choice === 2 ? 8 : 0;
        operand = choice === 0 ? 2 : choice === 1 ? 4 : 8;
      }
      if (notes.includes("T") || form.name === "enter" || form.name === "leave" || form.name === "bswap") {
        prefix66 = false;
        if (operand === 2) operand = size === "s" ? 8 : 4;
      }
    } else if (size === "y") {
      rexW = this.chance(2) ? 8 : 0;
      operand = rexW ? 8 : 4;
    } else if (size === "b") operand = 1;
    else if (size === "w") operand = 2;
    else if (size === "d") operand = 4;
    else if (size === "q") operand = 8;
    else operand = Number.parseInt(size, 10);
    // SHLD and SHRD of 16 bits by more than 16: undefined.
    const doubleShift = notes.includes("H");
    if (doubleShift && operand === 2) {
      const first = code.length === 0 && this.set(gpr, fixed, 1, BigInt(this.below(17)));
      if (form.imm === "" && !first) [prefix66, operand] = [false, 4];
    }
    const aligned = size.endsWith("a");
    if (/^\d/.test(notes) && Number(notes[0])) operand = Number(notes[0]);
    if (form.name === "cmpxchg8b") operand = rexW ? 16 : 8;

    const prefixes: number[] = [];
    let wantsLock = form.lock ? this.chance(3) : this.chance(60);
    if (form.prefix === 0xf2 || form.prefix === 0xf3 || form.imm === "j") wantsLock = false;
    if (wantsLock) prefixes.push(0xf0);
    if (prefix66) prefixes.push(0x66);
    if (form.prefix) prefixes.push(form.prefix);
    if (notes.includes("R")) {
      const repeat = this.below(3);
      if (repeat > 0 && !wantsLock) prefixes.push(repeat === 1 ? 0xf3 : 0xf2);
      this.set(gpr, fixed, 1, BigInt(this.below(20)));
      this.set(gpr, fixed, 6, this.address(64, false, this.chance(20)));
      this.set(gpr, fixed, 7, this.address(64, false, this.chance(20)));
    }
    if (notes.includes("A")) {
      this.set(gpr, fixed, 3, this.address(260, false, this.chance(20)));
      this.set(gpr, fixed, 7, this.address(16, false, this.chance(20)));
    }
    if (form.name === "loop" || form.name === "loope" || form.name === "loopne" || form.name === "jrcxz")
      this.set(gpr, fixed, 1, BigInt(this.below(3)));
    if (notes.includes("V") && !notes.includes("L")) {
      // Half of the divisions do not overflow.
      if (this.chance(2)) {
        const narrow = BigInt(this.below(100));
        this.set(gpr, fixed, 2, this.chance(3) ? BigInt.asUintN(64, -1n) : narrow);
        if (operand === 1) this.set(gpr, fixed, 0, BigInt(this.below(0x2000)));
      }
    }
    if (form.name === "enter") this.set(gpr, fixed, 5, BigInt(DATA + 0x1200));
    if (form.name === "leave") this.set(gpr, fixed, 5, this.address(8, false, this.chance(10)));
    if (form.name === "fxsave") gpr[4] = BigInt(DATA + 0x1000);

    let rexR = 0;
    let rexX = 0;
    let rexB = 0;
    const tail: number[] = [];
    let description = form.name;
    let forcesRex = false;
    let opcodeRegister = 0;
    if (form.inOpcode) {
      opcodeRegister = this.below(8);
      rexB = this.below(2);
      if (form.name === "pop" && opcodeRegister === 4) opcodeRegister = 0;
    }
    let addressSize = false;
    if (form.modrm !== undefined) {
      const isX87 = form.opcode[0] >= 0xd8 && form.opcode[0] <= 0xdf && form.opcode.length === 1;
      const reg = form.modrm === "r" ? this.below(8) : form.modrm;
      if (form.modrm === "r") rexR = this.below(2);
      const memory = form.rm === "m" || (form.rm === "e" && this.chance(2));
      if (!memory) {
        const rm = notes === "0" ? 0 : this.below(8);
        if (!isX87) rexB = this.below(2);
        tail.push(0xc0 | (reg << 3) | rm);
        if (notes.includes("T")) this.setTarget(gpr, fixed, rm + 8 * rexB);
        description += ` r${operand * 8}`;
      } else {
        const bad = this.chance(16);
        const bitString = notes.includes("B");
        let bytes = bitString ? 8 : operand;
        if (form.name === "lea" || form.name === "nop" || form.name === "prefetch") bytes = 1;
        const misaligned = aligned && this.chance(10);
        const target = this.address(bytes, aligned && !misaligned, bad);
        if (bitString) this.set(gpr, fixed, reg + 8 * rexR, BigInt.asUintN(64, BigInt(this.below(256) - 128)), true);
        const encoded = this.memoryOperand(target, gpr, fixed, reg, bitString ? reg + 8 * rexR : -1);
        if (encoded.addressSize) addressSize = true;
        rexX = encoded.rexX;
        rexB = encoded.rexB;
        tail.push(...encoded.bytes);
        description += bad ? ` m${operand * 8}?` : ` m${operand * 8}`;
      }
    }
    if (form.imm.startsWith("c")) tail.push(Number(form.imm[1]));
    else if (doubleShift && operand === 2 && form.imm === "1") tail.push(this.below(17));
    else if (form.imm === "1")
      tail.push(
        this.chance(2) ? this.below(256) : this.pick([0, 1, 7, 8, 15, 16, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff]),
      );
    else if (form.imm === "2") tail.push(8 * this.below(8), 0);
    else if (form.imm === "3") tail.push(8 * this.below(8), 0, this.chance(2) ? 0 : this.below(4));
    else if (form.imm === "z" || form.imm === "v") {
      const bytes = operand === 2 ? 2 : form.imm === "v" && operand === 8 ? 8 : 4;
      const value = this.integerValue();
      for (let i = 0; i < bytes; i++) tail.push(Number((value >> BigInt(8 * i)) & 0xffn));
    }
    if (addressSize) prefixes.push(0x67);
    if (size === "b" && !rexR && !rexB && !rexX && this.chance(3)) forcesRex = true;
    const rex = 0x40 | rexW | (rexR << 2) | (rexX << 1) | rexB;
    // A mandatory prefix comes before REX, like all prefixes.
    const bytes = [...prefixes, ...(rex !== 0x40 || forcesRex ? [rex] : []), ...form.opcode];
    if (form.inOpcode) bytes[bytes.length - 1] |= opcodeRegister;
    bytes.push(...tail);
    if (form.imm === "j") {
      const count = size === "d" ? 4 : 1;
      branches.push({ at: code.length + bytes.length, bytes: count, index });
      for (let i = 0; i < count; i++) bytes.push(0);
    }
    code.push(...bytes);
    names.push(`${wantsLock ? "lock " : ""}${description}`);
    if (form.name.startsWith("ret")) this.set(gpr, fixed, 4, BigInt(DATA + 0x1000 + 8 * this.below(64)), true);
  }

  private set(gpr: BigUint64Array, fixed: Set<number>, register: number, value: bigint, force = false): boolean {
    if (fixed.has(register) && !force) return false;
    gpr[register] = value;
    fixed.add(register);
    return true;
  }

  /** A branch's target: the end of the code page, another page, or not canonical. */
  private setTarget(gpr: BigUint64Array, fixed: Set<number>, register: number): void {
    const target = this.pick([
      BigInt(CODE + 0x800),
      BigInt(CODE + 0x1800),
      0x8000_0000_0000n,
      0xffff_0000_0000_0000n,
      0n,
      BigInt(DATA),
    ]);
    this.set(gpr, fixed, register, target);
  }

  /** ModRM, SIB and displacement for an address, with the registers set accordingly. */
  private memoryOperand(
    target: bigint,
    gpr: BigUint64Array,
    fixed: Set<number>,
    reg: number,
    taken: number,
  ): { bytes: number[]; rexX: number; rexB: number; addressSize: boolean } {
    const low = target < 0x8000_0000n;
    const kind = this.below(5);
    const field = reg << 3;
    const displacement = (value: number, bytes: number): number[] =>
      Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 0xff);
    if (kind === 0 && low) {
      // [disp32] by SIB without base and index.
      return { bytes: [0x04 | field, 0x25, ...displacement(Number(target), 4)], rexX: 0, rexB: 0, addressSize: false };
    }
    const free = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].filter((r) => !fixed.has(r) && r !== taken);
    if (free.length < 2)
      return {
        bytes: [0x04 | field, 0x25, ...displacement(low ? Number(target) : DATA, 4)],
        rexX: 0,
        rexB: 0,
        addressSize: false,
      };
    const base = this.pick(free);
    const width = this.below(3);
    const disp = width === 0 ? 0 : width === 1 ? this.below(256) - 128 : this.below(0x2_0000) - 0x1_0000;
    const mod = width === 0 && (base & 7) !== 5 ? 0 : width === 2 ? 2 : 1;
    const dispBytes = mod === 0 ? [] : displacement(disp, mod === 1 ? 1 : 4);
    const used = mod === 0 ? 0 : disp;
    if (kind <= 2) {
      const addressSize = low && this.chance(6);
      const value = BigInt.asUintN(64, target - BigInt(used));
      this.set(gpr, fixed, base, addressSize ? BigInt.asUintN(32, value) | (BigInt(this.u32()) << 32n) : value);
      const sib = (base & 7) === 4 ? [0x24] : [];
      return { bytes: [(mod << 6) | field | (base & 7), ...sib, ...dispBytes], rexX: 0, rexB: base >> 3, addressSize };
    }
    const index = this.pick(free.filter((r) => r !== base));
    const scale = this.below(4);
    const indexValue = BigInt.asIntN(64, BigInt(this.below(0x1000) - 0x800));
    this.set(gpr, fixed, index, BigInt.asUintN(64, indexValue));
    this.set(gpr, fixed, base, BigInt.asUintN(64, target - BigInt(used) - (indexValue << BigInt(scale))));
    return {
      bytes: [(mod << 6) | field | 4, (scale << 6) | ((index & 7) << 3) | (base & 7), ...dispBytes],
      rexX: index >> 3,
      rexB: base >> 3,
      addressSize: false,
    };
  }
}
