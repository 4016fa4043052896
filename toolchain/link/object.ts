/** The interface between back end and linker: one chunk per function or datum, each placed separately. */
import type { DebugConstant, DebugType, FrameRow, FunctionDebug } from "./debug.ts";

export interface SymbolExpression {
  /** Value = plus − minus + addend. */
  readonly plus: string;
  readonly minus: string | null;
  readonly addend: bigint;
}
/**
 * abs: the value, zero-extended (abs32), sign-extended (abs32s). rel: value − (address of the field + bytes of the
 * field + trailing).
 */
export interface Relocation {
  readonly offset: number;
  readonly kind: "abs64" | "abs32" | "abs32s" | "abs16" | "abs8" | "rel32" | "rel8";
  readonly expression: SymbolExpression;
  /** rel: bytes of the instruction after the field. */
  readonly trailing: number;
}
export interface LineRow {
  /** Offset into the chunk, bytes. */
  readonly offset: number;
  readonly file: number;
  readonly line: number;
  readonly column: number;
  /**
   * Prologue end: where a breakpoint on the function is placed. Epilogue begin: after it the frame is torn down. No
   * code: a statement without code; its place is that of the next row, at the same offset, which has code.
   */
  readonly mark?: "prologue end" | "epilogue begin" | "no code";
  /** Reached by a jump from another line, too. */
  readonly entered?: true;
}
export interface ChunkFrame {
  readonly rows: readonly FrameRow[];
  readonly signal: boolean;
  /** Where a signal frame returns to what it interrupted: the iretq and sysretq, in order. */
  readonly exits?: readonly { readonly start: number; readonly end: number; readonly kind: "iretq" | "sysretq" }[];
}
export interface Chunk {
  readonly symbol: string;
  readonly sourceName: string;
  readonly section: string;
  readonly align: number;
  readonly size: number;
  /** Null: zero-initialised. */
  readonly bytes: Uint8Array | null;
  readonly relocations: readonly Relocation[];
  readonly lines: readonly LineRow[];
  readonly isFunction: boolean;
  readonly readonly: boolean;
  /** A root of the reachability scan, besides the entry symbol. */
  readonly keep: boolean;
  /** Functions: scopes, variables and their locations. Absent: only the line table describes the function. */
  readonly debug?: FunctionDebug;
  /**
   * Functions: unwind rows in order of offset, the first at 0. `signal`: the frame below was interrupted at its counter
   * (DWARF augmentation S). Absent: no unwinding.
   */
  readonly frame?: ChunkFrame;
  /**
   * Functions in assembly: their named labels, in order of offset. `called`: a separate function, up to the next such
   * label.
   */
  readonly labels?: readonly { readonly name: string; readonly offset: number; readonly called: boolean }[];
  /** Data: index into the module's types, and source position of the declaration. */
  readonly datum?: { readonly type: number; readonly file: number; readonly line: number };
}
export interface ObjectModule {
  readonly name: string;
  /** Source files that LineRow.file counts, relative to the package root. */
  readonly files: readonly string[];
  /** What FunctionDebug and `datum` count. */
  readonly types?: readonly DebugType[];
  /** Constants of all source files. */
  readonly constants?: readonly DebugConstant[];
  readonly chunks: readonly Chunk[];
}

/**
 * How an image is laid out.
 * kernel:  ELF64, linked at `base` + physical, PT_LOAD with p_paddr = p_vaddr − base, a PT_NOTE with
 *          XEN_ELFNOTE_PHYS32_ENTRY = entry − base.
 * program: static ELF64 for user mode, entry = e_entry; runs natively on Linux too (PT_GNU_STACK not executable;
 * segments page-aligned by permission).
 * flat:    all sections in one run at `address`; the first chunk of section `.header` comes first; zero data is
 *          written out.
 * Symbols that the linker makes: __image_start, __image_end, and for each output section `.a.b`: __a_b_start,
 * __a_b_end (virtual addresses).
 */
export interface Layout {
  readonly kind: "kernel" | "program" | "flat";
  readonly entry: string;
  /** kernel: virtual − physical. Otherwise 0. */
  readonly base: bigint;
  /** Virtual address of the first byte (kernel: base + KERNEL_LOAD). */
  readonly address: bigint;
}
export interface LinkedSymbol {
  readonly name: string;
  readonly sourceName: string;
  readonly address: bigint;
  readonly size: number;
  readonly section: string;
  readonly isFunction: boolean;
}
export interface LinkedImage {
  /** ELF64 with .symtab and DWARF (for flat images: the companion with symbols). */
  readonly elf: Uint8Array;
  /** flat only: the raw image. */
  readonly flat: Uint8Array | null;
  readonly symbols: readonly LinkedSymbol[];
  /** The link map as text: address, size, section, symbol, source. */
  readonly map: string;
}
