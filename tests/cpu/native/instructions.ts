/**
 * The user-mode instructions that are tried, one form a row, by the opcode tables of Intel SDM vol. 2 (appendix A) with
 * the flags of vol. 1, appendix A ("EFLAGS cross-reference"). Coverage is by row and form, not by luck: the campaign
 * goes through the rows in turn.
 *
 * opcode   bytes in hex, a mandatory prefix first; `+r`: the register is in the last byte
 * modrm    /r: a register in `reg`; /n: an opcode extension; -: none
 * rm       what `rm` may be: e = register or memory, r = register, m = memory; - without modrm
 * size     b, w, d, q: 1, 2, 4, 8 bytes; v: 2, 4 or 8 by prefixes; y: 4 or 8; s: 8 or, with 66, 2 (stack); a number: bytes of the memory
 *          operand; 16a: 16 bytes, which must be aligned
 * imm      bytes of the immediate: 1, 2, z (2 or 4 by the operand's size), v (up to 8), j (a branch over the next instruction)
 * reads, writes, undefined   status flags: C P A Z S O; D = DF
 * notes    G: transcendental, alone, right to one unit in the last place, where the manual defines a result; Q: alone; L: takes LOCK with a memory destination; V: value ranges matter (see generate.ts); X: the x87 flags C0 to C3 that are undefined
 */
export interface Form {
  readonly name: string;
  readonly opcode: readonly number[];
  readonly inOpcode: boolean;
  readonly prefix: number;
  /** undefined: no modrm byte. "r" or the extension. */
  readonly modrm: "r" | number | undefined;
  readonly rm: "e" | "r" | "m" | "-";
  readonly size: string;
  readonly imm: string;
  readonly reads: number;
  readonly writes: number;
  readonly undefinedFlags: number;
  readonly lock: boolean;
  readonly notes: string;
}

export const StatusFlag = { C: 1, P: 4, A: 0x10, Z: 0x40, S: 0x80, D: 0x400, O: 0x800 } as const;
const flagBits = (letters: string): number =>
  [...letters].reduce((bits, letter) => bits | (StatusFlag[letter as keyof typeof StatusFlag] ?? 0), 0);

const ALU = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const;
const CONDITIONS = ["o", "no", "c", "nc", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"] as const;
const CONDITION_FLAGS = ["O", "O", "C", "C", "Z", "Z", "CZ", "CZ", "S", "S", "P", "P", "SO", "SO", "ZSO", "ZSO"];
const hex = (value: number): string => value.toString(16).padStart(2, "0");

function aluRows(): string[] {
  return ALU.flatMap((name, n) => {
    const reads = name === "adc" || name === "sbb" ? "C" : "-";
    const logic = name === "or" || name === "and" || name === "xor";
    const flags = logic ? "CPZSO | A" : "CPAZSO | -";
    const lock = name === "cmp" ? "-" : "L";
    return [
      `${name} | ${hex(8 * n)} | /r | e | b | - | ${reads} | ${flags} | ${lock}`,
      `${name} | ${hex(8 * n + 1)} | /r | e | v | - | ${reads} | ${flags} | ${lock}`,
      `${name} | ${hex(8 * n + 2)} | /r | e | b | - | ${reads} | ${flags} | -`,
      `${name} | ${hex(8 * n + 3)} | /r | e | v | - | ${reads} | ${flags} | -`,
      `${name} | ${hex(8 * n + 4)} | - | - | b | 1 | ${reads} | ${flags} | -`,
      `${name} | ${hex(8 * n + 5)} | - | - | v | z | ${reads} | ${flags} | -`,
      `${name} | 80 | /${n} | e | b | 1 | ${reads} | ${flags} | ${lock}`,
      `${name} | 81 | /${n} | e | v | z | ${reads} | ${flags} | ${lock}`,
      `${name} | 83 | /${n} | e | v | 1 | ${reads} | ${flags} | ${lock}`,
    ];
  });
}

function shiftRows(): string[] {
  const names = ["rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"];
  return names.flatMap((name, n) => {
    const rotate = n < 4;
    const reads = n === 2 || n === 3 ? "C" : "-";
    // A count of 0 changes no flag, one above 1 leaves OF undefined: generate.ts knows the count only at run time.
    const flags = rotate ? "C | O" : "CPZS | AO";
    const one = rotate ? "CO | -" : "CPZSO | A";
    return [
      `${name} | d0 | /${n} | e | b | - | ${reads} | ${one} | -`,
      `${name} | d1 | /${n} | e | v | - | ${reads} | ${one} | -`,
      `${name} | c0 | /${n} | e | b | 1 | ${reads} | ${flags} | S`,
      `${name} | c1 | /${n} | e | v | 1 | ${reads} | ${flags} | S`,
      `${name} | d2 | /${n} | e | b | - | ${reads} | ${flags} | S`,
      `${name} | d3 | /${n} | e | v | - | ${reads} | ${flags} | S`,
    ];
  });
}

const conditionRows = (): string[] =>
  CONDITIONS.flatMap((name, n) => [
    `set${name} | 0f ${hex(0x90 + n)} | /0 | e | b | - | ${CONDITION_FLAGS[n]} | - | - | -`,
    `cmov${name} | 0f ${hex(0x40 + n)} | /r | e | v | - | ${CONDITION_FLAGS[n]} | - | - | -`,
    `j${name} | ${hex(0x70 + n)} | - | - | b | j | ${CONDITION_FLAGS[n]} | - | - | -`,
    `j${name} | 0f ${hex(0x80 + n)} | - | - | d | j | ${CONDITION_FLAGS[n]} | - | - | -`,
  ]);

const integer = `
  test    | 84       | /r | e | b | - | -      | CPZSO  | A      | -
  test    | 85       | /r | e | v | - | -      | CPZSO  | A      | -
  test    | a8       | -  | - | b | 1 | -      | CPZSO  | A      | -
  test    | a9       | -  | - | v | z | -      | CPZSO  | A      | -
  test    | f6       | /0 | e | b | 1 | -      | CPZSO  | A      | -
  test    | f7       | /0 | e | v | z | -      | CPZSO  | A      | -
  not     | f6       | /2 | e | b | - | -      | -      | -      | L
  not     | f7       | /2 | e | v | - | -      | -      | -      | L
  neg     | f6       | /3 | e | b | - | -      | CPAZSO | -      | L
  neg     | f7       | /3 | e | v | - | -      | CPAZSO | -      | L
  mul     | f6       | /4 | e | b | - | -      | CO     | PAZS   | -
  mul     | f7       | /4 | e | v | - | -      | CO     | PAZS   | -
  imul    | f6       | /5 | e | b | - | -      | CO     | PAZS   | -
  imul    | f7       | /5 | e | v | - | -      | CO     | PAZS   | -
  imul    | 0f af    | /r | e | v | - | -      | CO     | PAZS   | -
  imul    | 69       | /r | e | v | z | -      | CO     | PAZS   | -
  imul    | 6b       | /r | e | v | 1 | -      | CO     | PAZS   | -
  div     | f6       | /6 | e | b | - | -      | -      | CPAZSO | V
  div     | f7       | /6 | e | v | - | -      | -      | CPAZSO | V
  idiv    | f6       | /7 | e | b | - | -      | -      | CPAZSO | V
  idiv    | f7       | /7 | e | v | - | -      | -      | CPAZSO | V
  inc     | fe       | /0 | e | b | - | -      | PAZSO  | -      | L
  inc     | ff       | /0 | e | v | - | -      | PAZSO  | -      | L
  dec     | fe       | /1 | e | b | - | -      | PAZSO  | -      | L
  dec     | ff       | /1 | e | v | - | -      | PAZSO  | -      | L
  mov     | 88       | /r | e | b | - | -      | -      | -      | -
  mov     | 89       | /r | e | v | - | -      | -      | -      | -
  mov     | 8a       | /r | e | b | - | -      | -      | -      | -
  mov     | 8b       | /r | e | v | - | -      | -      | -      | -
  mov     | c6       | /0 | e | b | 1 | -      | -      | -      | -
  mov     | c7       | /0 | e | v | z | -      | -      | -      | -
  mov     | b0 +r    | -  | - | b | 1 | -      | -      | -      | -
  mov     | b8 +r    | -  | - | v | v | -      | -      | -      | -
  movzx   | 0f b6    | /r | e | v | - | -      | -      | -      | 1
  movzx   | 0f b7    | /r | e | v | - | -      | -      | -      | 2
  movsx   | 0f be    | /r | e | v | - | -      | -      | -      | 1
  movsx   | 0f bf    | /r | e | v | - | -      | -      | -      | 2
  movsxd  | 63       | /r | e | v | - | -      | -      | -      | 4
  lea     | 8d       | /r | m | v | - | -      | -      | -      | -
  xchg    | 86       | /r | e | b | - | -      | -      | -      | L
  xchg    | 87       | /r | e | v | - | -      | -      | -      | L
  xchg    | 90 +r    | -  | - | v | - | -      | -      | -      | -
  xadd    | 0f c0    | /r | e | b | - | -      | CPAZSO | -      | L
  xadd    | 0f c1    | /r | e | v | - | -      | CPAZSO | -      | L
  cmpxchg | 0f b0    | /r | e | b | - | -      | CPAZSO | -      | L
  cmpxchg | 0f b1    | /r | e | v | - | -      | CPAZSO | -      | L
  cmpxchg8b  | 0f c7    | /1 | m | y | - | -   | Z      | -      | LV
  bswap   | 0f c8 +r | -  | - | y | - | -      | -      | -      | -
  bt      | 0f a3    | /r | e | v | - | -      | C      | PASO   | B
  bts     | 0f ab    | /r | e | v | - | -      | C      | PASO   | LB
  btr     | 0f b3    | /r | e | v | - | -      | C      | PASO   | LB
  btc     | 0f bb    | /r | e | v | - | -      | C      | PASO   | LB
  bt      | 0f ba    | /4 | e | v | 1 | -      | C      | PASO   | -
  bts     | 0f ba    | /5 | e | v | 1 | -      | C      | PASO   | L
  btr     | 0f ba    | /6 | e | v | 1 | -      | C      | PASO   | L
  btc     | 0f ba    | /7 | e | v | 1 | -      | C      | PASO   | L
  bsf     | 0f bc    | /r | e | v | - | -      | Z      | CPASO  | -
  bsr     | 0f bd    | /r | e | v | - | -      | Z      | CPASO  | -
  shld    | 0f a4    | /r | e | v | 1 | -      | CPZS   | AO     | SH
  shld    | 0f a5    | /r | e | v | - | -      | CPZS   | AO     | SH
  shrd    | 0f ac    | /r | e | v | 1 | -      | CPZS   | AO     | SH
  shrd    | 0f ad    | /r | e | v | - | -      | CPZS   | AO     | SH
  push    | 50 +r    | -  | - | s | - | -      | -      | -      | P
  pop     | 58 +r    | -  | - | s | - | -      | -      | -      | P
  push    | ff       | /6 | e | s | - | -      | -      | -      | P
  pop     | 8f       | /0 | e | s | - | -      | -      | -      | P
  push    | 6a       | -  | - | s | 1 | -      | -      | -      | P
  push    | 68       | -  | - | s | z | -      | -      | -      | P
  pushf   | 9c       | -  | - | s | - | CPAZSOD | -     | -      | PF
  popf    | 9d       | -  | - | s | - | -      | CPAZSOD | -     | PF
  enter   | c8       | -  | - | s | 3 | -      | -      | -      | P
  leave   | c9       | -  | - | s | - | -      | -      | -      | P
  lahf    | 9f       | -  | - | b | - | CPAZS  | -      | -      | -
  sahf    | 9e       | -  | - | b | - | -      | CPAZS  | -      | -
  clc     | f8       | -  | - | b | - | -      | C      | -      | -
  stc     | f9       | -  | - | b | - | -      | C      | -      | -
  cmc     | f5       | -  | - | b | - | C      | C      | -      | -
  cld     | fc       | -  | - | b | - | -      | D      | -      | -
  std     | fd       | -  | - | b | - | -      | D      | -      | -
  cbw     | 98       | -  | - | v | - | -      | -      | -      | -
  cwd     | 99       | -  | - | v | - | -      | -      | -      | -
  xlat    | d7       | -  | - | b | - | -      | -      | -      | A
  nop     | 0f 1f    | /0 | e | v | - | -      | -      | -      | -
  movs    | a4       | -  | - | b | - | D      | -      | -      | R
  movs    | a5       | -  | - | v | - | D      | -      | -      | R
  cmps    | a6       | -  | - | b | - | D      | CPAZSO | -      | R
  cmps    | a7       | -  | - | v | - | D      | CPAZSO | -      | R
  stos    | aa       | -  | - | b | - | D      | -      | -      | R
  stos    | ab       | -  | - | v | - | D      | -      | -      | R
  lods    | ac       | -  | - | b | - | D      | -      | -      | R
  lods    | ad       | -  | - | v | - | D      | -      | -      | R
  scas    | ae       | -  | - | b | - | D      | CPAZSO | -      | R
  scas    | af       | -  | - | v | - | D      | CPAZSO | -      | R
  jmp     | eb       | -  | - | b | j | -      | -      | -      | -
  jmp     | e9       | -  | - | d | j | -      | -      | -      | -
  call    | e8       | -  | - | d | j | -      | -      | -      | P
  jrcxz   | e3       | -  | - | b | j | -      | -      | -      | -
  loop    | e2       | -  | - | b | j | -      | -      | -      | -
  loope   | e1       | -  | - | b | j | Z      | -      | -      | -
  loopne  | e0       | -  | - | b | j | Z      | -      | -      | -
  jmp     | ff       | /4 | e | q | - | -      | -      | -      | T
  call    | ff       | /2 | e | q | - | -      | -      | -      | TP
  ret     | c3       | -  | - | s | - | -      | -      | -      | TP
  ret     | c2       | -  | - | s | 2 | -      | -      | -      | TP
  int3    | cc       | -  | - | b | - | -      | -      | -      | -
  ud2     | 0f 0b    | -  | - | b | - | -      | -      | -      | -
  hlt     | f4       | -  | - | b | - | -      | -      | -      | -
  cli     | fa       | -  | - | b | - | -      | -      | -      | -
  in      | ec       | -  | - | b | - | -      | -      | -      | -
  clts    | 0f 06    | -  | - | b | - | -      | -      | -      | -
  rdmsr   | 0f 32    | -  | - | b | - | -      | -      | -      | -
  icebp   | f1       | -  | - | b | - | -      | -      | -      | -
  movnti  | 0f c3    | /r | m | y | - | -      | -      | -      | -
  prefetch | 0f 18   | /1 | m | b | - | -      | -      | -      | -
  mfence  | 0f ae    | /6 | r | d | - | -      | -      | -      | 0
  lfence  | 0f ae    | /5 | r | d | - | -      | -      | -      | 0
  sfence  | 0f ae    | /7 | r | d | - | -      | -      | -      | 0
  clflush | 0f ae    | /7 | m | b | - | -      | -      | -      | -
  pause   | f3 90    | -  | - | b | - | -      | -      | -      | -
`;

/** Packed and scalar operations on XMM registers: opcode, mandatory prefix and size of each variant. */
const arithmetic = (["51:sqrt", "58:add", "59:mul", "5c:sub", "5d:min", "5e:div", "5f:max"] as const).flatMap(
  (entry) => {
    const [op, name] = entry.split(":");
    return [
      `${name}ps | 0f ${op} | /r | e | 16a | - | - | - | - | -`,
      `${name}pd | 66 0f ${op} | /r | e | 16a | - | - | - | - | -`,
      `${name}ss | f3 0f ${op} | /r | e | 4 | - | - | - | - | -`,
      `${name}sd | f2 0f ${op} | /r | e | 8 | - | - | - | - | -`,
    ];
  },
);
const compares = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((predicate) => [
  `cmpps | 0f c2 | /r | e | 16a | c${predicate} | - | - | - | -`,
  `cmppd | 66 0f c2 | /r | e | 16a | c${predicate} | - | - | - | -`,
  `cmpss | f3 0f c2 | /r | e | 4 | c${predicate} | - | - | - | -`,
  `cmpsd | f2 0f c2 | /r | e | 8 | c${predicate} | - | - | - | -`,
]);
/** 66 0F xx /r, xmm, xmm/m128: the integer operations. */
// biome-ignore format: as the opcode map has them
const packedIntegers = [
  "60 punpcklbw", "61 punpcklwd", "62 punpckldq", "63 packsswb", "64 pcmpgtb", "65 pcmpgtw", "66 pcmpgtd", "67 packuswb",
  "68 punpckhbw", "69 punpckhwd", "6a punpckhdq", "6b packssdw", "6c punpcklqdq", "6d punpckhqdq",
  "74 pcmpeqb", "75 pcmpeqw", "76 pcmpeqd", "d1 psrlw", "d2 psrld", "d3 psrlq", "d4 paddq", "d5 pmullw", "d8 psubusb", "d9 psubusw",
  "da pminub", "db pand", "dc paddusb", "dd paddusw", "de pmaxub", "df pandn", "e0 pavgb", "e1 psraw", "e2 psrad", "e3 pavgw",
  "e4 pmulhuw", "e5 pmulhw", "e8 psubsb", "e9 psubsw", "ea pminsw", "eb por", "ec paddsb", "ed paddsw", "ee pmaxsw", "ef pxor",
  "f1 psllw", "f2 pslld", "f3 psllq", "f4 pmuludq", "f5 pmaddwd", "f6 psadbw", "f8 psubb", "f9 psubw", "fa psubd", "fb psubq",
  "fc paddb", "fd paddw", "fe paddd",
].map((entry) => {
  const [op, name] = entry.split(" ");
  return `${name} | 66 0f ${op} | /r | e | 16a | - | - | - | - | -`;
});
const sse = `
  movups   | 0f 10    | /r | e | 16  | - | - | - | - | -
  movups   | 0f 11    | /r | e | 16  | - | - | - | - | -
  movupd   | 66 0f 10 | /r | e | 16  | - | - | - | - | -
  movupd   | 66 0f 11 | /r | e | 16  | - | - | - | - | -
  movss    | f3 0f 10 | /r | e | 4   | - | - | - | - | -
  movss    | f3 0f 11 | /r | e | 4   | - | - | - | - | -
  movsd    | f2 0f 10 | /r | e | 8   | - | - | - | - | -
  movsd    | f2 0f 11 | /r | e | 8   | - | - | - | - | -
  movaps   | 0f 28    | /r | e | 16a | - | - | - | - | -
  movaps   | 0f 29    | /r | e | 16a | - | - | - | - | -
  movapd   | 66 0f 28 | /r | e | 16a | - | - | - | - | -
  movapd   | 66 0f 29 | /r | e | 16a | - | - | - | - | -
  movdqa   | 66 0f 6f | /r | e | 16a | - | - | - | - | -
  movdqa   | 66 0f 7f | /r | e | 16a | - | - | - | - | -
  movdqu   | f3 0f 6f | /r | e | 16  | - | - | - | - | -
  movdqu   | f3 0f 7f | /r | e | 16  | - | - | - | - | -
  movlps   | 0f 12    | /r | e | 8   | - | - | - | - | -
  movlps   | 0f 13    | /r | m | 8   | - | - | - | - | -
  movhps   | 0f 16    | /r | e | 8   | - | - | - | - | -
  movhps   | 0f 17    | /r | m | 8   | - | - | - | - | -
  movlpd   | 66 0f 12 | /r | m | 8   | - | - | - | - | -
  movlpd   | 66 0f 13 | /r | m | 8   | - | - | - | - | -
  movhpd   | 66 0f 16 | /r | m | 8   | - | - | - | - | -
  movhpd   | 66 0f 17 | /r | m | 8   | - | - | - | - | -
  movntps  | 0f 2b    | /r | m | 16a | - | - | - | - | -
  movntpd  | 66 0f 2b | /r | m | 16a | - | - | - | - | -
  movntdq  | 66 0f e7 | /r | m | 16a | - | - | - | - | -
  movd     | 66 0f 6e | /r | e | y   | - | - | - | - | -
  movd     | 66 0f 7e | /r | e | y   | - | - | - | - | -
  movq     | f3 0f 7e | /r | e | 8   | - | - | - | - | -
  movq     | 66 0f d6 | /r | e | 8   | - | - | - | - | -
  movmskps | 0f 50    | /r | r | d   | - | - | - | - | -
  movmskpd | 66 0f 50 | /r | r | d   | - | - | - | - | -
  pmovmskb | 66 0f d7 | /r | r | d   | - | - | - | - | -
  unpcklps | 0f 14    | /r | e | 16a | - | - | - | - | -
  unpckhps | 0f 15    | /r | e | 16a | - | - | - | - | -
  unpcklpd | 66 0f 14 | /r | e | 16a | - | - | - | - | -
  unpckhpd | 66 0f 15 | /r | e | 16a | - | - | - | - | -
  andps    | 0f 54    | /r | e | 16a | - | - | - | - | -
  andnps   | 0f 55    | /r | e | 16a | - | - | - | - | -
  orps     | 0f 56    | /r | e | 16a | - | - | - | - | -
  xorps    | 0f 57    | /r | e | 16a | - | - | - | - | -
  andpd    | 66 0f 54 | /r | e | 16a | - | - | - | - | -
  andnpd   | 66 0f 55 | /r | e | 16a | - | - | - | - | -
  orpd     | 66 0f 56 | /r | e | 16a | - | - | - | - | -
  xorpd    | 66 0f 57 | /r | e | 16a | - | - | - | - | -
  shufps   | 0f c6    | /r | e | 16a | 1 | - | - | - | -
  shufpd   | 66 0f c6 | /r | e | 16a | 1 | - | - | - | -
  pshufd   | 66 0f 70 | /r | e | 16a | 1 | - | - | - | -
  pshufhw  | f3 0f 70 | /r | e | 16a | 1 | - | - | - | -
  pshuflw  | f2 0f 70 | /r | e | 16a | 1 | - | - | - | -
  pinsrw   | 66 0f c4 | /r | e | w   | 1 | - | - | - | -
  pextrw   | 66 0f c5 | /r | r | d   | 1 | - | - | - | -
  psrlw    | 66 0f 71 | /2 | r | d   | 1 | - | - | - | -
  psraw    | 66 0f 71 | /4 | r | d   | 1 | - | - | - | -
  psllw    | 66 0f 71 | /6 | r | d   | 1 | - | - | - | -
  psrld    | 66 0f 72 | /2 | r | d   | 1 | - | - | - | -
  psrad    | 66 0f 72 | /4 | r | d   | 1 | - | - | - | -
  pslld    | 66 0f 72 | /6 | r | d   | 1 | - | - | - | -
  psrlq    | 66 0f 73 | /2 | r | d   | 1 | - | - | - | -
  psrldq   | 66 0f 73 | /3 | r | d   | 1 | - | - | - | -
  psllq    | 66 0f 73 | /6 | r | d   | 1 | - | - | - | -
  pslldq   | 66 0f 73 | /7 | r | d   | 1 | - | - | - | -
  maskmovdqu | 66 0f f7 | /r | r | d | - | - | - | - | A
  comiss   | 0f 2f    | /r | e | 4   | - | - | CPAZSO | - | -
  comisd   | 66 0f 2f | /r | e | 8   | - | - | CPAZSO | - | -
  ucomiss  | 0f 2e    | /r | e | 4   | - | - | CPAZSO | - | -
  ucomisd  | 66 0f 2e | /r | e | 8   | - | - | CPAZSO | - | -
  cvtsi2ss | f3 0f 2a | /r | e | y   | - | - | - | - | -
  cvtsi2sd | f2 0f 2a | /r | e | y   | - | - | - | - | -
  cvttss2si | f3 0f 2c | /r | e | y  | - | - | - | - | 4
  cvttsd2si | f2 0f 2c | /r | e | y  | - | - | - | - | 8
  cvtss2si | f3 0f 2d | /r | e | y   | - | - | - | - | 4
  cvtsd2si | f2 0f 2d | /r | e | y   | - | - | - | - | 8
  cvtps2pd | 0f 5a    | /r | e | 8   | - | - | - | - | -
  cvtpd2ps | 66 0f 5a | /r | e | 16a | - | - | - | - | -
  cvtss2sd | f3 0f 5a | /r | e | 4   | - | - | - | - | -
  cvtsd2ss | f2 0f 5a | /r | e | 8   | - | - | - | - | -
  cvtdq2ps | 0f 5b    | /r | e | 16a | - | - | - | - | -
  cvtps2dq | 66 0f 5b | /r | e | 16a | - | - | - | - | -
  cvttps2dq | f3 0f 5b | /r | e | 16a | - | - | - | - | -
  cvttpd2dq | 66 0f e6 | /r | e | 16a | - | - | - | - | -
  cvtpd2dq | f2 0f e6 | /r | e | 16a | - | - | - | - | -
  cvtdq2pd | f3 0f e6 | /r | e | 8   | - | - | - | - | -
  ldmxcsr  | 0f ae    | /2 | m | d   | - | - | - | - | M
  stmxcsr  | 0f ae    | /3 | m | d   | - | - | - | - | -
`;

/** Memory forms by size, then register forms; undefined condition codes in the last column. */
const x87 = `
  fadd   | d8 | /0 | m | 4  | - | - | - | - | X023
  fmul   | d8 | /1 | m | 4  | - | - | - | - | X023
  fcom   | d8 | /2 | m | 4  | - | - | - | - | X1
  fcomp  | d8 | /3 | m | 4  | - | - | - | - | X1
  fsub   | d8 | /4 | m | 4  | - | - | - | - | X023
  fsubr  | d8 | /5 | m | 4  | - | - | - | - | X023
  fdiv   | d8 | /6 | m | 4  | - | - | - | - | X023
  fdivr  | d8 | /7 | m | 4  | - | - | - | - | X023
  fadd   | dc | /0 | m | 8  | - | - | - | - | X023
  fmul   | dc | /1 | m | 8  | - | - | - | - | X023
  fcom   | dc | /2 | m | 8  | - | - | - | - | X1
  fcomp  | dc | /3 | m | 8  | - | - | - | - | X1
  fsub   | dc | /4 | m | 8  | - | - | - | - | X023
  fsubr  | dc | /5 | m | 8  | - | - | - | - | X023
  fdiv   | dc | /6 | m | 8  | - | - | - | - | X023
  fdivr  | dc | /7 | m | 8  | - | - | - | - | X023
  fiadd  | da | /0 | m | 4  | - | - | - | - | X023
  fimul  | da | /1 | m | 4  | - | - | - | - | X023
  ficom  | da | /2 | m | 4  | - | - | - | - | X1
  ficomp | da | /3 | m | 4  | - | - | - | - | X1
  fisub  | da | /4 | m | 4  | - | - | - | - | X023
  fisubr | da | /5 | m | 4  | - | - | - | - | X023
  fidiv  | da | /6 | m | 4  | - | - | - | - | X023
  fidivr | da | /7 | m | 4  | - | - | - | - | X023
  fiadd  | de | /0 | m | 2  | - | - | - | - | X023
  fimul  | de | /1 | m | 2  | - | - | - | - | X023
  ficom  | de | /2 | m | 2  | - | - | - | - | X1
  ficomp | de | /3 | m | 2  | - | - | - | - | X1
  fisub  | de | /4 | m | 2  | - | - | - | - | X023
  fisubr | de | /5 | m | 2  | - | - | - | - | X023
  fidiv  | de | /6 | m | 2  | - | - | - | - | X023
  fidivr | de | /7 | m | 2  | - | - | - | - | X023
  fld    | d9 | /0 | m | 4  | - | - | - | - | X023
  fst    | d9 | /2 | m | 4  | - | - | - | - | X023
  fstp   | d9 | /3 | m | 4  | - | - | - | - | X023
  fldenv | d9 | /4 | m | 28 | - | - | - | - | E
  fnstenv | d9 | /6 | m | 28 | - | - | - | - | Q
  fnsave | dd | /6 | m | 108 | - | - | - | - | Q
  frstor | dd | /4 | m | 108 | - | - | - | - | Q
  fxsave | 0f ae | /0 | m | 416a | - | - | - | - | Q
  fxrstor | 0f ae | /1 | m | 416a | - | - | - | - | Q
  fldcw  | d9 | /5 | m | 2  | - | - | - | - | X0123W
  fnstcw | d9 | /7 | m | 2  | - | - | - | - | X0123
  fild   | db | /0 | m | 4  | - | - | - | - | X023
  fisttp | db | /1 | m | 4  | - | - | - | - | X023
  fist   | db | /2 | m | 4  | - | - | - | - | X023
  fistp  | db | /3 | m | 4  | - | - | - | - | X023
  fld    | db | /5 | m | 10 | - | - | - | - | X023
  fstp   | db | /7 | m | 10 | - | - | - | - | X023
  fld    | dd | /0 | m | 8  | - | - | - | - | X023
  fisttp | dd | /1 | m | 8  | - | - | - | - | X023
  fst    | dd | /2 | m | 8  | - | - | - | - | X023
  fstp   | dd | /3 | m | 8  | - | - | - | - | X023
  fnstsw | dd | /7 | m | 2  | - | - | - | - | -
  fild   | df | /0 | m | 2  | - | - | - | - | X023
  fisttp | df | /1 | m | 2  | - | - | - | - | X023
  fist   | df | /2 | m | 2  | - | - | - | - | X023
  fistp  | df | /3 | m | 2  | - | - | - | - | X023
  fbld   | df | /4 | m | 10 | - | - | - | - | X023D
  fild   | df | /5 | m | 8  | - | - | - | - | X023
  fbstp  | df | /6 | m | 10 | - | - | - | - | X023
  fistp  | df | /7 | m | 8  | - | - | - | - | X023
  fadd   | d8 | /0 | r | d  | - | - | - | - | X023
  fmul   | d8 | /1 | r | d  | - | - | - | - | X023
  fcom   | d8 | /2 | r | d  | - | - | - | - | X1
  fcomp  | d8 | /3 | r | d  | - | - | - | - | X1
  fsub   | d8 | /4 | r | d  | - | - | - | - | X023
  fsubr  | d8 | /5 | r | d  | - | - | - | - | X023
  fdiv   | d8 | /6 | r | d  | - | - | - | - | X023
  fdivr  | d8 | /7 | r | d  | - | - | - | - | X023
  fadd   | dc | /0 | r | d  | - | - | - | - | X023
  fmul   | dc | /1 | r | d  | - | - | - | - | X023
  fsubr  | dc | /4 | r | d  | - | - | - | - | X023
  fsub   | dc | /5 | r | d  | - | - | - | - | X023
  fdivr  | dc | /6 | r | d  | - | - | - | - | X023
  fdiv   | dc | /7 | r | d  | - | - | - | - | X023
  faddp  | de | /0 | r | d  | - | - | - | - | X023
  fmulp  | de | /1 | r | d  | - | - | - | - | X023
  fsubrp | de | /4 | r | d  | - | - | - | - | X023
  fsubp  | de | /5 | r | d  | - | - | - | - | X023
  fdivrp | de | /6 | r | d  | - | - | - | - | X023
  fdivp  | de | /7 | r | d  | - | - | - | - | X023
  fld    | d9 | /0 | r | d  | - | - | - | - | X023
  fxch   | d9 | /1 | r | d  | - | - | - | - | X023
  ffree  | dd | /0 | r | d  | - | - | - | - | X0123
  fst    | dd | /2 | r | d  | - | - | - | - | X023
  fstp   | dd | /3 | r | d  | - | - | - | - | X023
  fucom  | dd | /4 | r | d  | - | - | - | - | X1
  fucomp | dd | /5 | r | d  | - | - | - | - | X1
  fcmovb | da | /0 | r | d  | - | C | - | - | X023
  fcmove | da | /1 | r | d  | - | Z | - | - | X023
  fcmovbe | da | /2 | r | d | - | CZ | - | - | X023
  fcmovu | da | /3 | r | d  | - | P | - | - | X023
  fcmovnb | db | /0 | r | d | - | C | - | - | X023
  fcmovne | db | /1 | r | d | - | Z | - | - | X023
  fcmovnbe | db | /2 | r | d | - | CZ | - | - | X023
  fcmovnu | db | /3 | r | d | - | P | - | - | X023
  fucomi | db | /5 | r | d  | - | - | CPAZSO | - | X1
  fcomi  | db | /6 | r | d  | - | - | CPAZSO | - | X1
  fucomip | df | /5 | r | d | - | - | CPAZSO | - | X1
  fcomip | df | /6 | r | d  | - | - | CPAZSO | - | X1
  fucompp | da e9 | - | - | d | - | - | - | - | X1
  fcompp | de d9 | - | - | d | - | - | - | - | X1
  fnstsw | df e0 | - | - | d | - | - | - | - | -
  fnop   | d9 d0 | - | - | d | - | - | - | - | X0123
  fchs   | d9 e0 | - | - | d | - | - | - | - | X023
  fabs   | d9 e1 | - | - | d | - | - | - | - | X023
  ftst   | d9 e4 | - | - | d | - | - | - | - | X1
  fxam   | d9 e5 | - | - | d | - | - | - | - | -
  fld1   | d9 e8 | - | - | d | - | - | - | - | X023
  fldl2t | d9 e9 | - | - | d | - | - | - | - | X023
  fldl2e | d9 ea | - | - | d | - | - | - | - | X023
  fldpi  | d9 eb | - | - | d | - | - | - | - | X023
  fldlg2 | d9 ec | - | - | d | - | - | - | - | X023
  fldln2 | d9 ed | - | - | d | - | - | - | - | X023
  fldz   | d9 ee | - | - | d | - | - | - | - | X023
  f2xm1  | d9 f0 | - | - | d | - | - | - | - | X023G
  fyl2x  | d9 f1 | - | - | d | - | - | - | - | X023G
  fptan  | d9 f2 | - | - | d | - | - | - | - | X03G
  fpatan | d9 f3 | - | - | d | - | - | - | - | X023G
  fxtract | d9 f4 | - | - | d | - | - | - | - | X023
  fprem1 | d9 f5 | - | - | d | - | - | - | - | -
  fdecstp | d9 f6 | - | - | d | - | - | - | - | X023
  fincstp | d9 f7 | - | - | d | - | - | - | - | X023
  fprem  | d9 f8 | - | - | d | - | - | - | - | -
  fyl2xp1 | d9 f9 | - | - | d | - | - | - | - | X023G
  fsqrt  | d9 fa | - | - | d | - | - | - | - | X023
  fsincos | d9 fb | - | - | d | - | - | - | - | X03G
  frndint | d9 fc | - | - | d | - | - | - | - | X023
  fscale | d9 fd | - | - | d | - | - | - | - | X023
  fsin   | d9 fe | - | - | d | - | - | - | - | X03G
  fcos   | d9 ff | - | - | d | - | - | - | - | X03G
  fnclex | db e2 | - | - | d | - | - | - | - | X0123
  fninit | db e3 | - | - | d | - | - | - | - | -
  fwait  | 9b    | - | - | d | - | - | - | - | X0123
`;

const MANDATORY = new Set(["66", "f2", "f3"]);

function parse(row: string): Form {
  const [name, opcodeText, modrm, rm, size, imm, reads, writes, undefinedFlags, notes] = row
    .split("|")
    .map((cell) => cell.trim());
  const bytes = opcodeText.split(" ");
  const inOpcode = bytes.at(-1) === "+r";
  if (inOpcode) bytes.pop();
  const prefix = bytes.length > 1 && MANDATORY.has(bytes[0]) ? Number.parseInt(bytes.shift() as string, 16) : 0;
  return {
    name,
    opcode: bytes.map((byte) => Number.parseInt(byte, 16)),
    inOpcode,
    prefix,
    modrm: modrm === "-" ? undefined : modrm === "/r" ? "r" : Number(modrm.slice(1)),
    rm: rm as Form["rm"],
    size,
    imm: imm === "-" ? "" : imm,
    reads: flagBits(reads),
    writes: flagBits(writes),
    undefinedFlags: flagBits(undefinedFlags),
    lock: notes.startsWith("L"),
    notes,
  };
}

const rows = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "");
/** 0F xx /r, mm, mm/m64. */
// biome-ignore format: as the opcode map has them
const packedMmx = [
  "63 packsswb", "64 pcmpgtb", "65 pcmpgtw", "66 pcmpgtd", "67 packuswb", "68 punpckhbw", "69 punpckhwd", "6a punpckhdq", "6b packssdw",
  "6f movq", "7f movq", "74 pcmpeqb", "75 pcmpeqw", "76 pcmpeqd", "d1 psrlw", "d2 psrld", "d3 psrlq", "d4 paddq", "d5 pmullw", "d8 psubusb",
  "d9 psubusw", "da pminub", "db pand", "dc paddusb", "dd paddusw", "de pmaxub", "df pandn", "e0 pavgb", "e1 psraw", "e2 psrad", "e3 pavgw",
  "e4 pmulhuw", "e5 pmulhw", "e8 psubsb", "e9 psubsw", "ea pminsw", "eb por", "ec paddsb", "ed paddsw", "ee pmaxsw", "ef pxor", "f1 psllw",
  "f2 pslld", "f3 psllq", "f4 pmuludq", "f5 pmaddwd", "f6 psadbw", "f8 psubb", "f9 psubw", "fa psubd", "fb psubq", "fc paddb", "fd paddw",
  "fe paddd",
].map((entry) => {
  const [op, name] = entry.split(" ");
  return `${name} | 0f ${op} | /r | e | 8 | - | - | - | - | -`;
});
const mmx = `
  punpcklbw | 0f 60 | /r | e | 4 | - | - | - | - | -
  punpcklwd | 0f 61 | /r | e | 4 | - | - | - | - | -
  punpckldq | 0f 62 | /r | e | 4 | - | - | - | - | -
  movd      | 0f 6e | /r | e | y | - | - | - | - | -
  movd      | 0f 7e | /r | e | y | - | - | - | - | -
  movntq    | 0f e7 | /r | m | 8 | - | - | - | - | -
  pshufw    | 0f 70 | /r | e | 8 | 1 | - | - | - | -
  psrlw     | 0f 71 | /2 | r | d | 1 | - | - | - | -
  psraw     | 0f 71 | /4 | r | d | 1 | - | - | - | -
  psllw     | 0f 71 | /6 | r | d | 1 | - | - | - | -
  psrld     | 0f 72 | /2 | r | d | 1 | - | - | - | -
  psrad     | 0f 72 | /4 | r | d | 1 | - | - | - | -
  pslld     | 0f 72 | /6 | r | d | 1 | - | - | - | -
  psrlq     | 0f 73 | /2 | r | d | 1 | - | - | - | -
  psllq     | 0f 73 | /6 | r | d | 1 | - | - | - | -
  pinsrw    | 0f c4 | /r | e | w | 1 | - | - | - | -
  pextrw    | 0f c5 | /r | r | d | 1 | - | - | - | -
  pmovmskb  | 0f d7 | /r | r | d | - | - | - | - | -
  maskmovq  | 0f f7 | /r | r | d | - | - | - | - | A
  emms      | 0f 77 | -  | - | d | - | - | - | - | -
  movq2dq   | f3 0f d6 | /r | r | d | - | - | - | - | -
  movdq2q   | f2 0f d6 | /r | r | d | - | - | - | - | -
  cvtpi2ps  | 0f 2a | /r | e | 8 | - | - | - | - | -
  cvtpi2pd  | 66 0f 2a | /r | e | 8 | - | - | - | - | -
  cvttps2pi | 0f 2c | /r | e | 8 | - | - | - | - | -
  cvtps2pi  | 0f 2d | /r | e | 8 | - | - | - | - | -
  cvttpd2pi | 66 0f 2c | /r | e | 16a | - | - | - | - | -
  cvtpd2pi  | 66 0f 2d | /r | e | 16a | - | - | - | - | -
`;
/**
 * Far transfers in ring 3, each with what it needs on the stack: the target is CODE + 0x800, selectors are Linux's: 33
 * for 64-bit code, 2b for data. One that is null, one of ring 0, one that is no code.
 */
const far = ["33", "00", "30", "2b"].flatMap((selector) => [
  `retf | 6a ${selector} 68 00 08 00 40 48 cb | - | - | b | - | - | - | - | TP`,
  `retf | 6a ${selector} 68 00 08 00 40 48 ca 10 00 | - | - | b | - | - | - | - | TP`,
  `iretq | 6a 2b 54 9c 6a ${selector} 68 00 08 00 40 48 cf | - | - | b | - | CPAZSO | - | - | TPF`,
  `jmp far | 48 b8 00 08 00 40 ${selector} 00 00 00 50 ff 2c 24 | - | - | b | - | - | - | - | TP`,
  `call far | 48 b8 00 08 00 40 ${selector} 00 00 00 50 48 ff 1c 24 | - | - | b | - | - | - | - | TP`,
]);

export const families: Readonly<Record<"integer" | "sse" | "x87", readonly Form[]>> = {
  integer: [...aluRows(), ...shiftRows(), ...conditionRows(), ...rows(integer), ...far].map(parse),
  sse: [...arithmetic, ...compares, ...packedIntegers, ...rows(sse)].map(parse),
  x87: [...rows(x87), ...packedMmx, ...rows(mmx)].map(parse),
};
