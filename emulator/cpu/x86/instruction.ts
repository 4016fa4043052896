/**
 * Prefixes, opcode and ModRM of an instruction (Intel SDM vol. 2, chapter 2): enough to identify instructions, not a
 * disassembler.
 */

export interface Decoded {
  readonly lock: boolean;
  /** Prefix 66: the other operand size. */
  readonly operandSize: boolean;
  /** F2 or F3, the last one of them; 0: none. */
  readonly repeat: number;
  readonly addressSize: boolean;
  /** Segment override as SegmentIndex, in 64-bit mode FS or GS; -1: none. */
  readonly segment: number;
  /** 0: no REX prefix. */
  readonly rex: number;
  /** 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  readonly map: number;
  readonly opcode: number;
  /** The byte after the opcode, whether it is a ModRM byte or not; -1: missing. */
  readonly modrm: number;
  /** Number of bytes up to and including the opcode. */
  readonly opcodeEnd: number;
}

const LONGEST = 15;
const segments: ReadonlyMap<number, number> = new Map([
  [0x26, 0],
  [0x2e, 1],
  [0x36, 2],
  [0x3e, 3],
  [0x64, 4],
  [0x65, 5],
]);

/**
 * `byte`: returns the byte at an offset, undefined if there is none. Result undefined: longer than an instruction may
 * be, or incomplete.
 */
export function decode(byte: (offset: number) => number | undefined, is64Bit: boolean): Decoded | undefined {
  let lock = false;
  let operandSize = false;
  let addressSize = false;
  let repeat = 0;
  let segment = -1;
  let rex = 0;
  for (let at = 0; at < LONGEST; at++) {
    const value = byte(at);
    if (value === undefined) return undefined;
    const override = segments.get(value);
    if (override !== undefined) {
      if (!is64Bit || override >= 4) segment = override;
    } else if (value === 0xf0) lock = true;
    else if (value === 0x66) operandSize = true;
    else if (value === 0x67) addressSize = true;
    else if (value === 0xf2 || value === 0xf3) repeat = value;
    else if (is64Bit && (value & 0xf0) === 0x40) {
      rex = value;
      continue; // counts only where the opcode follows
    } else {
      let map = 0;
      let opcode = value;
      if (opcode === 0x0f) {
        const second = byte(++at);
        if (second === undefined) return undefined;
        map = second === 0x38 ? 2 : second === 0x3a ? 3 : 1;
        const last = map === 1 ? second : byte(++at);
        if (last === undefined) return undefined;
        opcode = last;
      }
      const modrm = byte(at + 1) ?? -1;
      return { lock, operandSize, repeat, addressSize, segment, rex, map, opcode, modrm, opcodeEnd: at + 1 };
    }
    rex = 0;
  }
  return undefined;
}

/** Does the instruction have a ModRM byte (opcode maps, SDM vol. 2, appendix A)? 64-bit mode. */
export function hasModrm({ map, opcode }: Decoded): boolean {
  if (map > 1) return true;
  if (map === 1) {
    const high = opcode & 0xf0;
    if (high === 0x80 || (opcode >= 0xc8 && opcode <= 0xcf) || (high === 0x30 && opcode !== 0x38 && opcode !== 0x3a))
      return false;
    return ![0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x77, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xaa].includes(opcode);
  }
  if (opcode < 0x40) return (opcode & 7) < 4;
  if (opcode >= 0x80 && opcode < 0x90) return true;
  if (opcode >= 0xd0 && opcode < 0xe0) return opcode < 0xd4 || opcode >= 0xd8;
  return [0x63, 0x69, 0x6b, 0xc0, 0xc1, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff].includes(opcode);
}

export const isMemory = (modrm: number): boolean => modrm >= 0 && modrm < 0xc0;
/** The `reg` field without REX.R: a register or an opcode extension. */
export const regField = (modrm: number): number => (modrm >> 3) & 7;

/** May the instruction have the LOCK prefix (SDM vol. 2, LOCK)? With other instructions LOCK is #UD. */
export function isLockable({ map, opcode, modrm }: Decoded): boolean {
  if (!isMemory(modrm)) return false;
  const extension = regField(modrm);
  if (map === 0) {
    if (opcode < 0x38 && (opcode & 7) < 2) return true; // ADD, OR, ADC, SBB, AND, SUB, XOR
    // biome-ignore format: one case a row
    switch (opcode) {
      case 0x80: case 0x81: case 0x83: return extension !== 7;
      case 0x86: case 0x87: return true; // XCHG
      case 0xf6: case 0xf7: return extension === 2 || extension === 3; // NOT, NEG
      case 0xfe: case 0xff: return extension < 2; // INC, DEC
    }
    return false;
  }
  if (map !== 1) return false;
  // biome-ignore format: one case a row
  switch (opcode) {
    case 0xab: case 0xb3: case 0xbb: return true; // BTS, BTR, BTC
    case 0xb0: case 0xb1: case 0xc0: case 0xc1: return true; // CMPXCHG, XADD
    case 0xba: return extension > 4;
    case 0xc7: return extension === 1; // CMPXCHG8B, CMPXCHG16B
  }
  return false;
}

// biome-ignore format: opcodes behind 0F
const alignedPlain: ReadonlySet<number> = new Set([
  0x14, 0x15, 0x28, 0x29, 0x2b, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0xc2, 0xc6,
]);
// biome-ignore format: opcodes behind 66 0F that have no 16-byte operand
const looseWith66: ReadonlySet<number> = new Set([
  0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x2a, 0x2e, 0x2f, 0x50, 0x6e, 0x71, 0x72, 0x73, 0x7e, 0xc3, 0xc4, 0xc5, 0xd6, 0xd7, 0xf0, 0xf7, 0xff,
]);

/**
 * Must the 16-byte memory operand be aligned (#GP otherwise; SDM vol. 2, tables 2-21 and 2-22, exception types 1, 2 and
 * 4)?
 */
export function needsAlignment({ map, opcode, modrm, operandSize, repeat }: Decoded): boolean {
  if (!isMemory(modrm) || map === 0) return false;
  if (map === 1) {
    if (repeat === 0xf3) return opcode === 0x12 || opcode === 0x16 || opcode === 0x5b || opcode === 0x70;
    if (repeat === 0xf2)
      return opcode === 0x70 || opcode === 0x7c || opcode === 0x7d || opcode === 0xd0 || opcode === 0xe6;
    if (!operandSize) return alignedPlain.has(opcode);
    const isSse =
      (opcode >= 0x10 && opcode <= 0x2f && (opcode < 0x18 || opcode > 0x27)) ||
      (opcode >= 0x50 && opcode <= 0x7f) ||
      opcode === 0xc2 ||
      (opcode >= 0xc4 && opcode <= 0xc6) ||
      opcode >= 0xd0;
    return isSse && !looseWith66.has(opcode);
  }
  if (!operandSize || repeat !== 0) return false;
  // PMOVSX and PMOVZX read less; PCMPxSTRx, PEXTRx, PINSRx, ROUNDSx and INSERTPS, EXTRACTPS need no alignment.
  if (map === 2) return opcode < 0x80 && !(opcode >= 0x20 && opcode <= 0x25) && !(opcode >= 0x30 && opcode <= 0x35);
  return !(
    opcode === 0x0a ||
    opcode === 0x0b ||
    (opcode >= 0x14 && opcode <= 0x22) ||
    (opcode >= 0x60 && opcode <= 0x63)
  );
}

/** Does the instruction write its memory operand after reading it? The processor checks the right to write at once. */
export function writesWhatItReads({ map, opcode, modrm }: Decoded): boolean {
  if (!isMemory(modrm)) return false;
  const extension = regField(modrm);
  if (map === 0) {
    if (opcode < 0x38 && (opcode & 7) < 2) return true;
    // biome-ignore format: one case a row
    switch (opcode) {
      case 0x80: case 0x81: case 0x83: return extension !== 7;
      case 0x86: case 0x87: return true;
      case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: return true; // rotates and shifts
      case 0xf6: case 0xf7: return extension === 2 || extension === 3;
      case 0xfe: case 0xff: return extension < 2;
    }
    return false;
  }
  if (map !== 1) return false;
  // biome-ignore format: one case a row
  switch (opcode) {
    case 0xa4: case 0xa5: case 0xac: case 0xad: return true; // SHLD, SHRD
    case 0xab: case 0xb3: case 0xbb: return true;
    case 0xb0: case 0xb1: case 0xc0: case 0xc1: return true;
    case 0xba: return extension > 4;
    case 0xc7: return extension === 1;
  }
  return false;
}

/** Is the memory operand in the stack segment: based on RSP or RBP, without an override? 64-bit mode. */
export function isBasedOnStack(found: Decoded, byte: (offset: number) => number | undefined): boolean {
  const { modrm, rex, segment, opcodeEnd } = found;
  if (!hasModrm(found) || !isMemory(modrm) || segment >= 4) return false;
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (rm !== 4) return rm === 5 && mod !== 0 && !(rex & 1);
  const base = (byte(opcodeEnd + 1) ?? 0) & 7;
  if (rex & 1) return false;
  return base === 4 || (base === 5 && mod !== 0);
}

/** PUSH, POP, CALL, RET, ENTER, LEAVE, PUSHF, POPF: they access the stack in addition to a memory operand. */
export function usesStack({ map, opcode, modrm }: Decoded): boolean {
  if (map === 1) return opcode === 0xa0 || opcode === 0xa1 || opcode === 0xa8 || opcode === 0xa9;
  if (map !== 0) return false;
  if (opcode === 0xff) return regField(modrm) === 6 || regField(modrm) === 2 || regField(modrm) === 3;
  // biome-ignore format: one family a row
  return (
    (opcode >= 0x50 && opcode < 0x60) || opcode === 0x68 || opcode === 0x6a || opcode === 0x8f || opcode === 0x9c || opcode === 0x9d ||
    opcode === 0xc2 || opcode === 0xc3 || opcode === 0xc8 || opcode === 0xc9 || opcode === 0xca || opcode === 0xcb || opcode === 0xcf || opcode === 0xe8
  );
}

/**
 * Near RET, and JMP and CALL to an address in a register or memory: branches that can reach a non-canonical address.
 */
export function isIndirectBranch({ map, opcode, modrm }: Decoded): boolean {
  if (map !== 0) return false;
  return opcode === 0xc2 || opcode === 0xc3 || (opcode === 0xff && (regField(modrm) === 2 || regField(modrm) === 4));
}

export interface AddressRegisters {
  gpr(index: number): bigint;
  readonly rip: bigint;
  /** FS and GS only. */
  segmentBase(index: number): bigint;
}

/**
 * Linear address of the memory operand in 64-bit mode (SDM vol. 2, 2.1.5 and 2.2.1), and the number of bytes up to its
 * end. `immediateBytes` follow the operand and count for RIP-relative addresses.
 */
export function memoryOperand(
  found: Decoded,
  byte: (offset: number) => number | undefined,
  registers: AddressRegisters,
  immediateBytes = 0,
): { readonly address: bigint; readonly end: number } {
  const { modrm, rex, opcodeEnd, addressSize, segment } = found;
  let at = opcodeEnd + 1;
  const signed = (bytes: number): bigint => {
    let value = 0n;
    for (let i = 0; i < bytes; i++) value |= BigInt(byte(at++) ?? 0) << BigInt(8 * i);
    return BigInt.asIntN(8 * bytes, value);
  };
  const mod = modrm >> 6;
  let offset = 0n;
  let isRelative = false;
  if ((modrm & 7) === 4) {
    const sib = byte(at++) ?? 0;
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index !== 4) offset = registers.gpr(index) << BigInt(sib >> 6);
    if ((sib & 7) === 5 && mod === 0) offset += signed(4);
    else offset += registers.gpr((sib & 7) | ((rex & 1) << 3));
  } else if ((modrm & 7) === 5 && mod === 0) {
    offset = signed(4);
    isRelative = true;
  } else {
    offset = registers.gpr((modrm & 7) | ((rex & 1) << 3));
  }
  if (mod === 1) offset += signed(1);
  else if (mod === 2) offset += signed(4);
  if (isRelative) offset += registers.rip + BigInt(at + immediateBytes);
  if (addressSize) offset = BigInt.asUintN(32, offset);
  const base = segment >= 4 ? registers.segmentBase(segment) : 0n;
  return { address: BigInt.asUintN(64, base + offset), end: at };
}
