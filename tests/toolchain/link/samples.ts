/** Hand-made object modules for the linker's tests, and their chunks. */
import type { AsmBlock, AsmOperand } from "../../../toolchain/ir/ir.ts";
import type { Chunk, ObjectModule } from "../../../toolchain/link/object.ts";
import { Assembler } from "../../../toolchain/x64/assembler.ts";
import { assembleInline } from "../../../toolchain/x64/inline.ts";

export const symbol = (name: string): AsmOperand => ({ kind: "symbol", name });
export const constant = (value: bigint): AsmOperand => ({ kind: "const", value });

/** A function written in assembly; `line` is where the template starts in `files[0]`. */
export function code(name: string, bits: 16 | 32 | 64, line: number, rest: Partial<Chunk> = {}) {
  return (pieces: TemplateStringsArray, ...operands: AsmOperand[]): Chunk => {
    const block: AsmBlock = {
      pieces: [...pieces],
      operands,
      bits,
      inputs: [],
      out: null,
      clobbers: [],
      clobbersMemory: false,
      loc: { file: 0, line, column: 1 },
    };
    const assembler = new Assembler(name, bits);
    assembleInline(block, () => "", null, assembler, ".");
    const { bytes, relocations, lines, frame } = assembler.finish();
    return {
      symbol: name,
      sourceName: name,
      section: ".text",
      align: 16,
      size: bytes.length,
      bytes,
      relocations,
      lines,
      isFunction: true,
      readonly: true,
      keep: false,
      frame,
      ...rest,
    };
  };
}

export function datum(name: string, bytes: Uint8Array | number, rest: Partial<Chunk> = {}): Chunk {
  const zero = typeof bytes === "number";
  return {
    symbol: name,
    sourceName: name,
    section: zero ? ".bss" : ".data",
    align: 8,
    size: zero ? bytes : bytes.length,
    bytes: zero ? null : bytes,
    relocations: [],
    lines: [],
    isFunction: false,
    readonly: false,
    keep: false,
    ...rest,
  };
}

export const module = (name: string, file: string, ...chunks: Chunk[]): ObjectModule => ({
  name,
  files: [file],
  chunks,
});
export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Prints "hello" and exits with 42 = 40 from .data + 2 added in .bss. */
export const program = (): ObjectModule =>
  module(
    "sample",
    "tests/toolchain/link/sample.ts",
    code("_start", 64, 10)`
      lea rsi, [rip + ${symbol("greeting")}]
      mov edx, 6
      mov edi, 1
      mov eax, 1
      syscall
      inc qword ptr [rip + ${symbol("counter")}]
      call ${symbol("twice")}
      mov rax, [rip + ${symbol("pointer")}]
      mov edi, [rax]
      add rdi, [rip + ${symbol("counter")}]
      mov eax, 60
      syscall
      ud2
    `,
    code("twice", 64, 40)`
      inc qword ptr [rip + ${symbol("counter")}]
      ret
    `,
    code("unused", 64, 50)`
      jmp ${symbol("nowhere")}
    `,
    datum("greeting", text("hello\n"), { section: ".rodata", readonly: true, align: 1 }),
    datum("forty", new Uint8Array([40, 0, 0, 0])),
    datum("pointer", new Uint8Array(8), {
      relocations: [{ offset: 0, kind: "abs64", expression: { plus: "forty", minus: null, addend: 0n }, trailing: 0 }],
    }),
    datum("counter", 8),
  );

const KERNEL_BASE = 0xffff_ffff_8000_0000n;
/** PVH entry in 32-bit code: checks EBX's magic and .data, and exits by the debug exit with the given status, or 1. */
export const kernel = (status: bigint): ObjectModule =>
  module(
    "kernel",
    "tests/toolchain/link/sample.ts",
    code("pvhEntry", 32, 100, { section: ".boot.text" })`
      mov eax, [ebx]
      cmp eax, 0x336ec578
      jne 1f
      mov ecx, ${symbol("value")} - ${constant(KERNEL_BASE)}
      cmp dword ptr [ecx], 0x12345678
      jne 1f
      cmp dword ptr [${symbol("blank")} - ${constant(KERNEL_BASE)}], 0
      jne 1f
      mov al, ${constant(status)}
      jmp 2f
   1: mov al, 1
   2: out 0xf4, al
      hlt
      jmp 2b
    `,
    datum("value", new Uint8Array([0x78, 0x56, 0x34, 0x12])),
    datum("blank", 4096, { align: 4096 }),
  );
export const PROGRAM_LAYOUT = { kind: "program", entry: "_start", base: 0n, address: 0x40_0000n } as const;
export const KERNEL_LAYOUT = {
  kind: "kernel",
  entry: "pvhEntry",
  base: KERNEL_BASE,
  address: KERNEL_BASE + 0x10_0000n,
} as const;
