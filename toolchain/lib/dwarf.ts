/** DWARF 5 numbers that the linker writes. Source: DWARF Debugging Information Format, version 5, section 7. */
export const DWARF_VERSION = 5;
export const enum UnitType {
  COMPILE = 0x01,
}
export const enum Tag {
  ARRAY_TYPE = 0x01,
  ENUMERATION_TYPE = 0x04,
  FORMAL_PARAMETER = 0x05,
  LABEL = 0x0a,
  LEXICAL_BLOCK = 0x0b,
  MEMBER = 0x0d,
  POINTER_TYPE = 0x0f,
  COMPILE_UNIT = 0x11,
  STRUCTURE_TYPE = 0x13,
  SUBROUTINE_TYPE = 0x15,
  TYPEDEF = 0x16,
  INLINED_SUBROUTINE = 0x1d,
  SUBRANGE_TYPE = 0x21,
  BASE_TYPE = 0x24,
  ENUMERATOR = 0x28,
  SUBPROGRAM = 0x2e,
  VARIABLE = 0x34,
  CALL_SITE = 0x48,
  CALL_SITE_PARAMETER = 0x49,
}
export const enum Attribute {
  LOCATION = 0x02,
  NAME = 0x03,
  BYTE_SIZE = 0x0b,
  STMT_LIST = 0x10,
  LOW_PC = 0x11,
  HIGH_PC = 0x12,
  LANGUAGE = 0x13,
  COMP_DIR = 0x1b,
  CONST_VALUE = 0x1c,
  INLINE = 0x20,
  PRODUCER = 0x25,
  PROTOTYPED = 0x27,
  ABSTRACT_ORIGIN = 0x31,
  COUNT = 0x37,
  DATA_MEMBER_LOCATION = 0x38,
  DECL_FILE = 0x3a,
  DECL_LINE = 0x3b,
  ENCODING = 0x3e,
  EXTERNAL = 0x3f,
  FRAME_BASE = 0x40,
  TYPE = 0x49,
  RANGES = 0x55,
  CALL_COLUMN = 0x57,
  CALL_FILE = 0x58,
  CALL_LINE = 0x59,
  CALL_ALL_CALLS = 0x7a,
  CALL_RETURN_PC = 0x7d,
  CALL_VALUE = 0x7e,
  CALL_TARGET = 0x83,
}
export const enum Form {
  ADDR = 0x01,
  DATA2 = 0x05,
  DATA8 = 0x07,
  STRING = 0x08,
  DATA1 = 0x0b,
  SDATA = 0x0d,
  STRP = 0x0e,
  UDATA = 0x0f,
  REF_ADDR = 0x10,
  REF4 = 0x13,
  SEC_OFFSET = 0x17,
  EXPRLOC = 0x18,
  FLAG_PRESENT = 0x19,
}
/** DW_ATE: encodings of base types. */
export const enum Encoding {
  BOOLEAN = 0x02,
  FLOAT = 0x04,
  SIGNED = 0x05,
  UNSIGNED = 0x07,
}
/** DW_INL_inlined. */
export const INLINED = 1;
/** DW_OP, section 7.7.1; LIT0, REG0 and BREG0 begin rows of 32. */
export const enum Operation {
  ADDR = 0x03,
  DEREF = 0x06,
  CONSTU = 0x10,
  AND = 0x1a,
  MINUS = 0x1c,
  MUL = 0x1e,
  OR = 0x21,
  PLUS = 0x22,
  SHL = 0x24,
  SHR = 0x25,
  SHRA = 0x26,
  XOR = 0x27,
  EQ = 0x29,
  NE = 0x2e,
  LIT0 = 0x30,
  REG0 = 0x50,
  BREG0 = 0x70,
  REGX = 0x90,
  FBREG = 0x91,
  BREGX = 0x92,
  PIECE = 0x93,
  CALL_FRAME_CFA = 0x9c,
  STACK_VALUE = 0x9f,
  ENTRY_VALUE = 0xa3,
}
/** C11: gdb supports it better than a language that it does not know. */
export const LANGUAGE_C11 = 0x1d;
/** Entries of range lists, section 7.25. */
export const enum RangeEntry {
  END_OF_LIST = 0x00,
  OFFSET_PAIR = 0x04,
  START_LENGTH = 0x07,
}
/** Entries of location lists, section 7.7.3. */
export const enum LocationEntry {
  END_OF_LIST = 0x00,
  OFFSET_PAIR = 0x04,
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
  VAL_OFFSET_SF = 0x15,
  VAL_EXPRESSION = 0x16,
}
/** Version of a common information entry in `.debug_frame` since DWARF 4, and the CIE_id that marks one. */
export const CIE_VERSION = 4;
export const CIE_ID = 0xffff_ffff;
/** Line-number program: standard opcodes, extended opcodes, content types of the header's tables. */
export const enum LineOp {
  COPY = 1,
  ADVANCE_PC = 2,
  ADVANCE_LINE = 3,
  SET_FILE = 4,
  SET_COLUMN = 5,
  NEGATE_STMT = 6,
  CONST_ADD_PC = 8,
  SET_PROLOGUE_END = 10,
  SET_EPILOGUE_BEGIN = 11,
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
/**
 * Numbers of general registers in DWARF by hardware number rax rcx rdx rbx rsp rbp rsi rdi r8 … r15 (AMD64 ABI,
 * figure 3.36).
 */
export const DWARF_REGISTER: readonly number[] = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
export const DWARF_RETURN_ADDRESS = 16;
export const DWARF_RFLAGS = 49;
/** xmm0; the others follow. */
export const DWARF_XMM0 = 17;
