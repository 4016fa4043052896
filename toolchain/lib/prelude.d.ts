/**
 * The language's vocabulary: machine types, pointers, intrinsics, inline assembly, attributes. TypeScript's checker
 * sees soft brands (an optional phantom property), so that natural code has no errors and lossy conversions do. The
 * compiler's own checker is authoritative (see toolchain/README.md).
 */
declare const __width: unique symbol;
type u8 = number & { readonly [__width]?: "u8" };
type u16 = number & { readonly [__width]?: "u8" | "u16" };
type u32 = number & { readonly [__width]?: "u8" | "u16" | "u32" };
type u64 = number & { readonly [__width]?: "u8" | "u16" | "u32" | "u64" };
type i8 = number & { readonly [__width]?: "i8" };
type i16 = number & { readonly [__width]?: "i8" | "u8" | "i16" };
type i32 = number & { readonly [__width]?: "i8" | "u8" | "i16" | "u16" | "i32" };
type i64 = number & { readonly [__width]?: "i8" | "u8" | "i16" | "u16" | "i32" | "u32" | "i64" };
type f64 = number & { readonly [__width]?: "f64" };
type usize = u64;

/** Casts: truncate, sign- or zero-extend by the operand's own type; float↔integer truncates toward zero. */
declare function u8(x: number | boolean): u8;
declare function u16(x: number | boolean): u16;
declare function u32(x: number | boolean): u32;
declare function u64(x: number | boolean): u64;
declare function i8(x: number | boolean): i8;
declare function i16(x: number | boolean): i16;
declare function i32(x: number | boolean): i32;
declare function i64(x: number | boolean): i64;
declare function f64(x: number): f64;

declare const __pointee: unique symbol;
type PtrTag<T> = T extends number ? (x: T) => T : T;
interface PtrOps<T> {
  readonly [__pointee]: PtrTag<T>;
  [index: number]: T;
}
/**
 * A pointer: `p[0]` is its target, `p.field` reaches into a struct, `p[n]` indexes, `addr(p[n])` is pointer
 * arithmetic.
 */
type ptr<T> = (T extends number | boolean ? unknown : T) & PtrOps<T>;
/** An inline array of N elements. `length` is the constant N. */
interface arr<T, N extends number> {
  [index: number]: T;
  readonly length: N;
}

/** Address of a variable, a field, an element or a function. */
declare function addr<T>(place: T): ptr<T>;
/** Reinterpret between pointers and 64-bit integers, or between pointer types. */
declare function cast<P>(value: unknown): P;
declare function sizeof<T>(): usize;
declare function alignof<T>(): usize;
declare function offsetof<T>(field: keyof T): usize;
/** Static storage, or a local, with all bytes zero. */
declare function zeroed<T>(): T;
/** A local with undefined contents. */
declare function uninitialized<T>(): T;
/**
 * Static data with many rows: a row gives the fields, and an array of its the first elements, that are not as in a new
 * T: `const rows: arr<Row, 2> = table([{ number: 1, kinds: [U32] }, { number: 2 }])`.
 */
declare function table<T, N extends number>(rows: readonly TableRow<NoInfer<T>>[]): arr<T, N>;
type TableRow<T> = {
  readonly [F in keyof T]?: T[F] extends { readonly length: infer _ } & arr<infer E, number> ? readonly E[] : T[F];
};
/** Address of a NUL-terminated constant string (UTF-8, pooled). */
declare function cstr(text: string): ptr<u8>;

// ---- memory --------------------------------------------------------------------------------------------------------
/** A volatile access is never removed, merged, split or moved across another volatile access. */
declare function volatileRead<T>(p: ptr<T>): T;
declare function volatileWrite<T>(p: ptr<T>, value: NoInfer<T>): void;
/** Copies or clears one whole struct or array in place (no call, no vector registers). */
declare function copy<T>(to: ptr<T>, from: ptr<T>): void;
declare function zero<T>(p: ptr<T>): void;
/** Sequentially consistent atomics on u8…u64, i8…i64 and pointers. Read-modify-write forms return the old value. */
declare function atomicLoad<T>(p: ptr<T>): T;
declare function atomicStore<T>(p: ptr<T>, value: NoInfer<T>): void;
declare function atomicExchange<T>(p: ptr<T>, value: NoInfer<T>): T;
declare function atomicAdd<T>(p: ptr<T>, value: NoInfer<T>): T;
declare function atomicAnd<T>(p: ptr<T>, value: NoInfer<T>): T;
declare function atomicOr<T>(p: ptr<T>, value: NoInfer<T>): T;
declare function atomicXor<T>(p: ptr<T>, value: NoInfer<T>): T;
declare function atomicCompareExchange<T>(p: ptr<T>, expected: NoInfer<T>, desired: NoInfer<T>): T;
/** Full memory fence (mfence); also stops the compiler from moving memory accesses. */
declare function fence(): void;
/** Stops the compiler, but not the processor, from moving memory accesses. */
declare function compilerFence(): void;

// ---- bits ----------------------------------------------------------------------------------------------------------
/** For zero the result is the operand's width. */
declare function countLeadingZeros<T extends number>(x: T): u32;
declare function countTrailingZeros<T extends number>(x: T): u32;
declare function byteSwap<T extends number>(x: T): T;
declare function rotateLeft<T extends number>(x: T, count: number): T;
/** High 64 bits of the 128-bit product. */
declare function mulHigh(a: u64, b: u64): u64;
declare function bitsOfF64(x: f64): u64;
declare function f64FromBits(x: u64): f64;

// ---- control -------------------------------------------------------------------------------------------------------
/** Control never reaches this; compiles to ud2. */
declare function unreachable(): never;

// ---- inline assembly (Intel syntax) --------------------------------------------------------------------------------
type Reg64 =
  | "rax"
  | "rbx"
  | "rcx"
  | "rdx"
  | "rsi"
  | "rdi"
  | "rbp"
  | "r8"
  | "r9"
  | "r10"
  | "r11"
  | "r12"
  | "r13"
  | "r14"
  | "r15";
declare const __asmOperand: unique symbol;
interface AsmOperand {
  readonly [__asmOperand]: true;
}
/** Placeholder for the result register of `asm<T>`, named in T's width. */
declare const ret: AsmOperand;
interface AsmOptions {
  /** Values placed in fixed registers before the block. */
  in?: { [R in Reg64]?: unknown };
  /** Fixed register that holds the result of `asm<T>`, instead of `${ret}`. */
  out?: Reg64;
  /** What else the block changes. "memory": it reads or writes memory. Flags are always assumed to change. */
  clobber?: (Reg64 | "memory")[];
}
/**
 * asm`sti; hlt`                                   no operands
 * asm<u64>`mov ${ret}, cr3`                       result register chosen by the compiler
 * asm`mov cr3, ${value}`                          a run-time value: register of its width chosen by the compiler
 * asm`mov ecx, ${EFER}`                           a compile-time constant becomes an immediate
 * asm`call ${handler}`, asm`lea rax, [rip + ${table}]`   a function or a static variable becomes its symbol
 * asm<u64>({ in: { rcx: EFER }, out: "rax", clobber: ["rdx"] })`rdmsr; shl rdx, 32; or rax, rdx`
 * `;` and newlines separate statements, `#` starts a comment, `name:` and `1:` (with 1b/1f) are labels of the block.
 * Symbols may stand in sums: `${symbol} - ${KERNEL_BASE}`, and differences of two symbols.
 * Directives are those about the frame alone, as GNU as has them, for debuggers: `.cfi_undefined rip` ends the stack
 * (x64/unwind.ts). Blocks are never removed or merged, and keep their order among volatile accesses.
 */
interface Asm {
  (text: TemplateStringsArray, ...operands: unknown[]): void;
  <T>(text: TemplateStringsArray, ...operands: unknown[]): T;
  (options: AsmOptions): (text: TemplateStringsArray, ...operands: unknown[]) => void;
  <T>(options: AsmOptions): (text: TemplateStringsArray, ...operands: unknown[]) => T;
}
declare const asm: Asm;

// ---- attributes ----------------------------------------------------------------------------------------------------
/**
 * The first statement of a function: `attr({ naked: true, section: ".boot.text", bits: 32 })`.
 * naked: body is inline assembly only; no prologue, epilogue or ret.   bits: encoding of that assembly (default 64).
 * section: default ".text".   align: of the entry, bytes.   inline: "always" | "never".
 * symbol: link name (default: the function's name, made unique by its module where two clash).
 * keep: an entry point, kept although nothing in the image refers to it.   noreturn: no code follows a call of it.
 */
declare function attr(attributes: {
  naked?: boolean;
  bits?: 16 | 32 | 64;
  section?: string;
  align?: number;
  inline?: "always" | "never";
  symbol?: string;
  keep?: boolean;
  noreturn?: boolean;
}): void;
/** Struct without padding. */
declare function packed(target: unknown, context: unknown): void;
/**
 * Alignment in bytes of a struct or a field. Static variables take JSDoc tags: `@section .boot.data`, `@align 4096`,
 * `@symbol name`, `@keep`.
 */
declare function align(bytes: number): (target: unknown, context: unknown) => void;
