/**
 * Status flags and results of the integer instructions at their edges. Intel SDM vol. 1, 3.4.3.1 (status flags) and
 * appendix A (flags by instruction); vol. 2, each instruction. Flags that the manual leaves undefined are masked out of
 * the line.
 *
 * A line is `INSTRUCTION A, B: RESULT FLAGS`, flags as letters O S Z A P C, `-` for clear and `?` for undefined.
 */
import { char, hex, line, text } from "./console.ts";
import { attemptBytes, event, give, giveFlags } from "./trap.ts";

const CF: u64 = 0x1;
const PF: u64 = 0x4;
const AF: u64 = 0x10;
const ZF: u64 = 0x40;
const SF: u64 = 0x80;
const OF: u64 = 0x800;
const ALL: u64 = 0x8d5;

function flag(bit: u64, letter: u8, defined: u64): void {
  if ((defined & bit) === 0) char(63);
  else char((event.rflags & bit) !== 0 ? letter : 45);
}
function flagsOf(defined: u64): void {
  char(32);
  flag(OF, 79, defined);
  flag(SF, 83, defined);
  flag(ZF, 90, defined);
  flag(AF, 65, defined);
  flag(PF, 80, defined);
  flag(CF, 67, defined);
}

/** Executes `bytes` with RAX = a, RCX = b, RDX = d; prints RAX, and if `wide` also RDX. */
function operate(name: ptr<u8>, bytes: u64, count: u64, a: u64, b: u64, d: u64, defined: u64, wide: boolean): void {
  give(a, 0, b, d);
  attemptBytes(3, bytes, count);
  text(name);
  char(32);
  if (wide) {
    hex(d);
    char(58);
  }
  hex(a);
  text(cstr(", "));
  hex(b);
  text(cstr(": "));
  if (event.vector !== 0x80) {
    text(cstr("faults"));
    line();
    return;
  }
  if (wide) {
    hex(event.rdx);
    char(58);
  }
  hex(event.rax);
  flagsOf(defined);
  line();
}
function op(name: ptr<u8>, bytes: u64, count: u64, a: u64, b: u64, defined: u64): void {
  operate(name, bytes, count, a, b, 0, defined, false);
}

/** add, or, adc, sbb, and, sub, xor, cmp: opcode 8n (r/m8, r8) and 8n + 1 on AL, CL … RAX, RCX; C8 names them. */
function names(n: u64): ptr<u8> {
  // biome-ignore format: a table
  return n === 0 ? cstr("add") : n === 1 ? cstr("or") : n === 2 ? cstr("adc") : n === 3 ? cstr("sbb")
    : n === 4 ? cstr("and") : n === 5 ? cstr("sub") : n === 6 ? cstr("xor") : cstr("cmp");
}
const bytes8: arr<u64, 9> = [0x00, 0x01, 0x0f, 0x10, 0x7f, 0x80, 0x81, 0xfe, 0xff];
const words64: arr<u64, 5> = [0, 1, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff];
const words32: arr<u64, 4> = [0xffff_ffff_0000_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** The eight operations on all pairs of boundary values, with CF clear and, where it matters, set. */
function arithmetic(): void {
  for (let n: u64 = 0; n < 8; n++) {
    const logic: boolean = n === 1 || n === 4 || n === 6;
    const defined: u64 = logic ? ALL & ~AF : ALL;
    for (let carry: u64 = 0; carry < 2; carry++) {
      if (carry === 1 && n !== 2 && n !== 3) continue;
      giveFlags(carry);
      for (let i: u64 = 0; i < 9; i++)
        for (let j: u64 = 0; j < 9; j += 2) op(names(n), 0xc800 | (8 * n), 2, bytes8[i], bytes8[j], defined);
      for (let i: u64 = 0; i < 4; i++)
        for (let j: u64 = 0; j < 4; j++) op(names(n), 0xc801 | (8 * n), 2, words32[i], words32[j], defined);
      for (let i: u64 = 0; i < 5; i++)
        for (let j: u64 = 0; j < 5; j++) op(names(n), 0xc8_0148 | (n << 11), 3, words64[i], words64[j], defined);
    }
  }
  giveFlags(0);
}

/** Single cases from the manual's tables. */
function single(): void {
  giveFlags(CF);
  op(cstr("inc8"), 0xc0fe, 2, 0x7f, 0, ALL);
  op(cstr("inc8"), 0xc0fe, 2, 0xff, 0, ALL);
  op(cstr("dec8"), 0xc8fe, 2, 0x80, 0, ALL);
  op(cstr("dec8"), 0xc8fe, 2, 0x01, 0, ALL);
  op(cstr("not8"), 0xd0f6, 2, 0x0f, 0, ALL);
  op(cstr("inc32"), 0xc0ff, 2, 0xffff_ffff_ffff_ffff, 0, ALL);
  giveFlags(0);
  op(cstr("neg8"), 0xd8f6, 2, 0x00, 0, ALL);
  op(cstr("neg8"), 0xd8f6, 2, 0x80, 0, ALL);
  op(cstr("neg8"), 0xd8f6, 2, 0x01, 0, ALL);
  op(cstr("test8"), 0xc884, 2, 0x81, 0x80, ALL & ~AF);

  // Shifts: CL masked to 5 bits (6 with REX.W); a count of 0 changes no flag; OF only for a count of 1.
  giveFlags(ALL);
  op(cstr("shl32"), 0xe0d3, 2, 0x8000_0001, 0, ALL);
  op(cstr("shl32"), 0xe0d3, 2, 0x8000_0001, 32, ALL);
  giveFlags(0);
  op(cstr("shl32"), 0xe0d3, 2, 0x8000_0001, 1, ALL & ~AF);
  op(cstr("shl32"), 0xe0d3, 2, 0xc000_0000, 1, ALL & ~AF);
  op(cstr("shl32"), 0xe0d3, 2, 0x0000_0003, 31, ALL & ~AF & ~OF);
  op(cstr("shl32"), 0xe0d3, 2, 0x0000_0003, 33, ALL & ~AF);
  op(cstr("shl64"), 0xe0_d348, 3, 0x4000_0000_0000_0000, 1, ALL & ~AF);
  op(cstr("shl64"), 0xe0_d348, 3, 3, 63, ALL & ~AF & ~OF);
  op(cstr("shl64"), 0xe0_d348, 3, 3, 64, ALL);
  op(cstr("shr32"), 0xe8d3, 2, 0x8000_0001, 1, ALL & ~AF);
  op(cstr("shr8"), 0xe8d2, 2, 0x80, 7, ALL & ~AF & ~OF);
  op(cstr("sar32"), 0xf8d3, 2, 0x8000_0001, 1, ALL & ~AF);
  op(cstr("sar8"), 0xf8d2, 2, 0x80, 31, ALL & ~AF & ~OF);
  op(cstr("sar64"), 0xf8_d348, 3, 0x8000_0000_0000_0000, 63, ALL & ~AF & ~OF);

  // Rotates change only CF and OF.
  giveFlags(SF | ZF | AF | PF);
  op(cstr("rol8"), 0xc0d2, 2, 0x81, 1, ALL);
  op(cstr("ror8"), 0xc8d2, 2, 0x01, 1, ALL);
  op(cstr("rol8"), 0xc0d2, 2, 0x81, 8, ALL & ~OF);
  op(cstr("rcl8"), 0xd0d2, 2, 0x80, 1, ALL);
  op(cstr("rcr8"), 0xd8d2, 2, 0x01, 1, ALL);
  giveFlags(CF);
  op(cstr("rcl8"), 0xd0d2, 2, 0x00, 1, ALL);
  op(cstr("rcr8"), 0xd8d2, 2, 0x00, 1, ALL);
  op(cstr("rcl8"), 0xd0d2, 2, 0x55, 9, ALL & ~OF);
  op(cstr("rcr32"), 0xd8d3, 2, 0, 1, ALL);
  op(cstr("rol64"), 0xc0_d348, 3, 0x8000_0000_0000_0000, 1, ALL);
  giveFlags(0);

  // shld eax, ecx, 4 and shrd; btx eax, ecx; bsf, bsr with the flags they define.
  op(cstr("shld32 by 4"), 0x04_c8a40f, 4, 0x1234_5678, 0xabcd_ef01, ALL & ~AF & ~OF);
  op(cstr("shrd32 by 4"), 0x04_c8ac0f, 4, 0x1234_5678, 0xabcd_ef01, ALL & ~AF & ~OF);
  op(cstr("shld32 by 1"), 0x01_c8a40f, 4, 0x4000_0000, 0x8000_0000, ALL & ~AF);
  op(cstr("bt32"), 0xc8_a30f, 3, 0x8000_0000, 31, CF | ZF);
  op(cstr("bt32"), 0xc8_a30f, 3, 0x8000_0000, 63, CF | ZF);
  op(cstr("bts32"), 0xc8_ab0f, 3, 0, 5, CF | ZF);
  op(cstr("btr32"), 0xc8_b30f, 3, 0xff, 5, CF | ZF);
  op(cstr("btc64"), 0xc8_bb_0f48, 4, 0, 63, CF | ZF);
  op(cstr("bsf32"), 0xc1_bc0f, 3, 0, 0x50, ZF);
  op(cstr("bsr64"), 0xc1_bd_0f48, 4, 0, 0x50, ZF);
  op(cstr("bsf32 of zero"), 0xc1_bc0f, 3, 0x77, 0, ZF);

  // Multiplication defines CF and OF, division nothing.
  operate(cstr("mul8"), 0xe1f6, 2, 0x10, 0x10, 0, CF | OF, true);
  operate(cstr("mul8"), 0xe1f6, 2, 0x0f, 0x11, 0, CF | OF, true);
  operate(cstr("mul32"), 0xe1f7, 2, 0xffff_ffff, 0xffff_ffff, 0, CF | OF, true);
  operate(cstr("mul64"), 0xe1_f748, 3, 0xffff_ffff_ffff_ffff, 2, 0, CF | OF, true);
  operate(cstr("imul64"), 0xe9_f748, 3, 0xffff_ffff_ffff_ffff, 2, 0, CF | OF, true);
  operate(cstr("imul64"), 0xe9_f748, 3, 0x4000_0000_0000_0000, 2, 0, CF | OF, true);
  op(cstr("imul32 two operands"), 0xc1_af0f, 3, 0x8000, 0x1_0000, CF | OF);
  op(cstr("imul32 two operands"), 0xc1_af0f, 3, 0xffff_ffff, 5, CF | OF);
  operate(cstr("div64"), 0xf1_f748, 3, 5, 7, 3, 0, true);
  operate(cstr("div32"), 0xf1f7, 2, 100, 7, 0, 0, true);
  operate(cstr("idiv32"), 0xf9f7, 2, 0xffff_ff9c, 7, 0xffff_ffff, 0, true);
  operate(cstr("idiv32 too big"), 0xf9f7, 2, 0x8000_0000, 0xffff_ffff, 0xffff_ffff, 0, true);

  // Widths: 32-bit results clear the upper half, 8- and 16-bit ones preserve it.
  op(cstr("mov eax, ecx"), 0xc889, 2, 0xffff_ffff_ffff_ffff, 0xffff_ffff_8000_0000, ALL);
  op(cstr("mov ax, cx"), 0xc889_66, 3, 0xffff_ffff_ffff_ffff, 0x1234_5678, ALL);
  op(cstr("mov ah, cl"), 0xcc88, 2, 0xffff_ffff_ffff_ffff, 0x12, ALL);
  op(cstr("movsxd"), 0xc1_6348, 3, 0, 0x8000_0000, ALL);
  op(cstr("cbw"), 0x98_66, 2, 0x1_0080, 0, ALL);
  op(cstr("cwde"), 0x98, 1, 0xf_8000, 0, ALL);
  op(cstr("cdqe"), 0x98_48, 2, 0x8000_0000, 0, ALL);
  op(cstr("cmove, zf clear, clears the upper half"), 0xc1_440f, 3, 0xffff_ffff_0000_0005, 7, ALL);
  op(cstr("bswap32"), 0xc80f, 2, 0xffff_ffff_1234_5678, 0, ALL);
  op(cstr("xchg eax, ecx"), 0xc887, 2, 0xffff_ffff_0000_0001, 0xffff_ffff_0000_0002, ALL);
  op(cstr("lahf"), 0x9f, 1, 0, 0, ALL);
  op(cstr("sahf"), 0x9e, 1, 0xffff, 0, ALL);
  op(cstr("stc; cmc"), 0xf5_f9, 2, 0, 0, ALL);
  op(cstr("setb"), 0xc0_920f, 3, 0xff, 0, ALL);
}

export function checks(): void {
  attr({ symbol: "familyChecks", keep: true });
  arithmetic();
  single();
}
