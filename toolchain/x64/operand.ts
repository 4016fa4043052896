/**
 * Operands of machine instructions: the interface from instruction selection, register allocation and the
 * inline-assembly parser to the encoder.
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
  /** Access width in bits; 0 = not specified (lea, invlpg, lgdt …). */
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
 * The receiver of code (assembler.ts implements it with the instruction table). Jumps to labels are relaxed (rel8 if it
 * reaches) when `finish` is called.
 */
export interface CodeSink {
  /**
   * Encodes one instruction, or processes a frame directive (unwind.ts). Throws an AssemblerError (one readable line)
   * if no row of the table fits.
   */
  emit(mnemonic: string, ...operands: Operand[]): void;
  label(name: string): void;
  /** Source position of the instructions that follow. `isEntered`: code of another line jumps to the first of them. */
  line(file: number, line: number, column: number, mark?: LineRow["mark"], isEntered?: boolean): void;
}
