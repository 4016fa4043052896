/**
 * Operands of machine instructions, as instruction selection, register allocation and the inline-assembly parser hand
 * them to the encoder.
 */
import type { LineRow, SymbolExpression } from "../link/object.ts";

/** A register by its Intel name: "rax", "r8d", "al", "cr3", "ds", "xmm0". */
export interface RegisterOperand {
  readonly kind: "register";
  readonly name: string;
}
export interface ImmediateOperand {
  readonly kind: "immediate";
  /** Signed or unsigned; the encoder checks that it fits. */
  readonly value: bigint;
}
/** The address of a symbol as an immediate, or as the target of a call or jump. */
export interface SymbolOperand {
  readonly kind: "symbol";
  readonly expression: SymbolExpression;
}
/** A label of the same function. */
export interface LabelOperand {
  readonly kind: "label";
  readonly name: string;
}
export interface MemoryOperand {
  readonly kind: "memory";
  /** Access width in bits; 0 = not said (lea, invlpg, lgdt …). */
  readonly width: 0 | 8 | 16 | 32 | 64 | 80 | 128;
  readonly base: string | null;
  readonly index: string | null;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: bigint;
  /** Added to the displacement; with base "rip" the displacement is relative to the next instruction. */
  readonly symbol: SymbolExpression | null;
  readonly segment: "es" | "cs" | "ss" | "ds" | "fs" | "gs" | null;
}
/** Far pointer of ljmp: selector, offset. */
export interface FarOperand {
  readonly kind: "far";
  readonly selector: number;
  readonly offset: SymbolOperand | ImmediateOperand;
}
export type Operand = RegisterOperand | ImmediateOperand | SymbolOperand | LabelOperand | MemoryOperand | FarOperand;

/**
 * Where code goes (toolchain/x64/assembler.ts implements it over the instruction table).
 * Jumps to labels are relaxed (rel8 where it reaches) when `finish` is called.
 */
export interface CodeSink {
  /**
   * Encodes one instruction, or takes a directive about the frame (unwind.ts). Throws an AssemblerError (one readable
   * line) when no row of the table fits.
   */
  emit(mnemonic: string, ...operands: Operand[]): void;
  label(name: string): void;
  /** The instructions that follow come from this source position. */
  line(file: number, line: number, column: number, mark?: LineRow["mark"]): void;
}
