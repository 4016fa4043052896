/** DWARF 5 numbers that the linker writes. Source: DWARF Debugging Information Format, version 5, section 7. */
export const DWARF_VERSION = 5;
export const enum UnitType {
  COMPILE = 0x01,
}
export const enum Tag {
  COMPILE_UNIT = 0x11,
  SUBPROGRAM = 0x2e,
}
export const enum Attribute {
  NAME = 0x03,
  STMT_LIST = 0x10,
  LOW_PC = 0x11,
  HIGH_PC = 0x12,
  LANGUAGE = 0x13,
  COMP_DIR = 0x1b,
  PRODUCER = 0x25,
  DECL_FILE = 0x3a,
  DECL_LINE = 0x3b,
  EXTERNAL = 0x3f,
  RANGES = 0x55,
  LINKAGE_NAME = 0x6e,
}
export const enum Form {
  ADDR = 0x01,
  DATA2 = 0x05,
  DATA8 = 0x07,
  STRING = 0x08,
  UDATA = 0x0f,
  SEC_OFFSET = 0x17,
  FLAG_PRESENT = 0x19,
}
/** C11: what gdb handles best for us, better than a language that it does not know. */
export const LANGUAGE_C11 = 0x1d;
export const enum RangeEntry {
  END_OF_LIST = 0x00,
  START_LENGTH = 0x07,
}
/** Call-frame instructions, section 7.24; the first three carry an operand in their low six bits. */
export const enum CallFrame {
  ADVANCE_LOC = 0x40,
  OFFSET = 0x80,
  RESTORE = 0xc0,
  NOP = 0x00,
  ADVANCE_LOC1 = 0x02,
  ADVANCE_LOC2 = 0x03,
  ADVANCE_LOC4 = 0x04,
  OFFSET_EXTENDED = 0x05,
  RESTORE_EXTENDED = 0x06,
  UNDEFINED = 0x07,
  REGISTER = 0x09,
  DEF_CFA = 0x0c,
  DEF_CFA_REGISTER = 0x0d,
  DEF_CFA_OFFSET = 0x0e,
  OFFSET_EXTENDED_SF = 0x11,
}
/** Version of a common information entry of `.debug_frame` since DWARF 4, and what stands in its place of a pointer to one. */
export const CIE_VERSION = 4;
export const CIE_ID = 0xffff_ffff;
/** Line-number program: standard opcodes, extended opcodes, content types of the header's tables. */
export const enum LineOp {
  COPY = 1,
  ADVANCE_PC = 2,
  ADVANCE_LINE = 3,
  SET_FILE = 4,
  SET_COLUMN = 5,
  CONST_ADD_PC = 8,
}
export const enum LineExtended {
  END_SEQUENCE = 1,
  SET_ADDRESS = 2,
}
export const enum LineContent {
  PATH = 1,
  DIRECTORY_INDEX = 2,
}
/** Number of LEB128 operands of standard opcodes 1…12. */
export const STANDARD_OPCODE_LENGTHS: readonly number[] = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
/** Numbers of general registers in DWARF by hardware number rax rcx rdx rbx rsp rbp rsi rdi r8 … r15 (AMD64 ABI, figure 3.36). */
export const DWARF_REGISTER: readonly number[] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
export const DWARF_RETURN_ADDRESS = 16;
export const DWARF_RFLAGS = 49;
/** xmm0; the others follow. */
export const DWARF_XMM0 = 17;
