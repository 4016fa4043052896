/**
 * Proves that an instruction that cannot be encoded is refused with one readable line, and that jumps take the shortest
 * form that reaches.
 */
import { describe, expect, it } from "vitest";
import { Assembler, AssemblerError } from "../../../toolchain/x64/assembler.ts";
import type { MemoryOperand, Operand } from "../../../toolchain/x64/operand.ts";
import { resize } from "../../../toolchain/x64/registers.ts";

const reg = (name: string): Operand => ({ kind: "register", name });
const imm = (value: bigint): Operand => ({ kind: "immediate", value });
const label = (name: string): Operand => ({ kind: "label", name });
const symbol = (plus: string, addend = 0n, minus: string | null = null): Operand => ({
  kind: "symbol",
  expression: { plus, minus, addend },
});
const mem = (width: MemoryOperand["width"], base: string | null, rest: Partial<MemoryOperand> = {}): Operand => ({
  kind: "memory",
  width,
  base,
  index: null,
  scale: 1,
  displacement: 0n,
  symbol: null,
  segment: null,
  ...rest,
});
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
function encoded(bits: 16 | 32 | 64, mnemonic: string, ...operands: Operand[]): string {
  const assembler = new Assembler("f", bits);
  assembler.emit(mnemonic, ...operands);
  return hex(assembler.finish().bytes);
}

describe("refusals", () => {
  const cases: [name: string, bits: 16 | 32 | 64, mnemonic: string, operands: Operand[], message: RegExp][] = [
    ["unknown instruction", 64, "mvo", [reg("rax")], /^unknown instruction 'mvo'$/],
    ["unknown register", 64, "inc", [reg("rxx")], /^unknown register 'rxx'$/],
    [
      "operands of different size",
      64,
      "add",
      [reg("rax"), reg("ebx")],
      /^add rax, ebx: no such combination of operands; add takes rm8, r8 \|/,
    ],
    ["number of operands", 64, "hlt", [reg("rax")], /^hlt rax: takes 0 operands$/],
    [
      "immediate out of range",
      64,
      "add",
      [reg("rax"), imm(1n << 40n)],
      /^add rax, 0x10000000000: 0x10000000000 does not fit imm32s$/,
    ],
    ["byte out of range", 64, "mov", [reg("al"), imm(256n)], /^mov al, 0x100: 0x100 does not fit imm8$/],
    [
      "high byte with REX register",
      64,
      "mov",
      [reg("ah"), reg("r9b")],
      /^mov ah, r9b: ah cannot stand in an instruction with a REX prefix/,
    ],
    ["high byte with REX.W", 64, "movzx", [reg("rax"), reg("ch")], /^movzx rax, ch: ch cannot stand/],
    [
      "64-bit register in 32-bit code",
      32,
      "mov",
      [reg("rax"), imm(1n)],
      /^mov rax, 1: not in 32-bit code, only in 64-bit code$/,
    ],
    [
      "extended register in 32-bit code",
      32,
      "mov",
      [reg("r8d"), imm(1n)],
      /^mov r8d, 1: r8d exists only in 64-bit code$/,
    ],
    ["sil in 32-bit code", 32, "mov", [reg("sil"), imm(1n)], /sil exists only in 64-bit code/],
    ["syscall in 16-bit code", 16, "syscall", [], /^syscall: does not exist in 16-bit code$/],
    [
      "memory of unknown size",
      64,
      "mov",
      [mem(0, "rax"), imm(1n)],
      /^mov \[rax\], 1: size of the memory operand not known; write byte, word/,
    ],
    ["movzx of unknown size", 64, "movzx", [reg("eax"), mem(0, "rax")], /size of the memory operand not known/],
    ["rsp as index", 64, "lea", [reg("rax"), mem(0, "rax", { index: "rsp", scale: 2 })], /rsp cannot be an index/],
    [
      "16-bit address in 64-bit code",
      64,
      "lea",
      [reg("rax"), mem(0, "bx")],
      /16-bit addresses do not exist in 64-bit code/,
    ],
    [
      "base and index of different width",
      64,
      "lea",
      [reg("rax"), mem(0, "rax", { index: "ebx" })],
      /base and index differ in width/,
    ],
    [
      "16-bit address of wrong registers",
      16,
      "lea",
      [reg("ax"), mem(0, "ax")],
      /16-bit addresses are bx or bp plus si or di/,
    ],
    [
      "displacement out of range",
      64,
      "lea",
      [reg("rax"), mem(0, "rax", { displacement: 1n << 31n })],
      /displacement does not fit 32 bits/,
    ],
    ["segment as base", 64, "lea", [reg("rax"), mem(0, "ds")], /ds cannot be part of an address/],
    ["rip in 32-bit code", 32, "lea", [reg("eax"), mem(0, "rip")], /relative addresses exist only in 64-bit code/],
    ["load of cs", 64, "mov", [reg("cs"), reg("ax")], /^mov cs: not possible; use ljmp or lretq$/],
    [
      "far jump in 64-bit code",
      64,
      "ljmp",
      [{ kind: "far", selector: 8, offset: { kind: "immediate", value: 0n } }],
      /not in 64-bit code/,
    ],
    [
      "far selector",
      32,
      "ljmp",
      [{ kind: "far", selector: 65536, offset: { kind: "immediate", value: 0n } }],
      /selector 65536 does not fit 16 bits/,
    ],
  ];
  it.each(cases)("%s", (_name, bits, mnemonic, operands, message) => {
    const run = (): string => encoded(bits, mnemonic, ...operands);
    expect(run).toThrow(AssemblerError);
    expect(run).toThrow(message);
  });

  it("prefixes stand only before what they modify", () => {
    const lock =
      (mnemonic: string, ...operands: Operand[]) =>
      (): void => {
        const assembler = new Assembler("f", 64);
        assembler.emit("lock");
        assembler.emit(mnemonic, ...operands);
      };
    expect(lock("mov", mem(32, "rax"), reg("eax"))).toThrow(/^lock: 'mov' cannot be locked/);
    expect(lock("add", reg("eax"), mem(32, "rax"))).toThrow(/no memory destination/);
    expect(lock("add", mem(32, "rax"), reg("eax"))).not.toThrow();
    const rep = new Assembler("f", 64);
    rep.emit("rep");
    expect(() => rep.emit("add", reg("eax"), reg("eax"))).toThrow(/^rep: 'add' is no string instruction$/);
    const last = new Assembler("f", 64);
    last.emit("lock");
    expect(() => last.finish()).toThrow(/^lock: no instruction follows$/);
  });

  it("labels: undefined, twice, out of reach", () => {
    const undefinedLabel = new Assembler("f", 64);
    undefinedLabel.emit("jmp", label("nowhere"));
    expect(() => undefinedLabel.finish()).toThrow(/^label 'nowhere' is not defined$/);
    const twice = new Assembler("f", 64);
    twice.label("a");
    expect(() => twice.label("a")).toThrow(/^label 'a' is defined twice$/);
    const far = new Assembler("f", 64);
    far.label("a");
    for (let i = 0; i < 130; i++) far.emit("nop");
    far.emit("loop", label("a"));
    expect(() => far.finish()).toThrow(/^'a' is out of reach: -132 bytes away$/);
  });
});

describe("jumps", () => {
  it.each([
    [64, 126, 2],
    [64, 127, 2],
    [64, 128, 5],
    [32, 128, 5],
    [16, 127, 2],
    [16, 128, 3],
  ] as const)("%i-bit forward jump over %i bytes takes %i bytes", (bits, gap, bytes) => {
    const assembler = new Assembler("f", bits);
    assembler.emit("jmp", label("end"));
    for (let i = 0; i < gap; i++) assembler.emit("nop");
    assembler.label("end");
    assembler.emit("hlt");
    const code = assembler.finish();
    expect(code.bytes.length).toBe(gap + 1 + bytes);
    expect(code.labels.get("end")).toBe(gap + bytes);
  });

  it("a long jump inside pushes another one over the limit, and lines, labels and relocations move along", () => {
    const assembler = new Assembler("f", 64);
    assembler.line(0, 1, 1);
    assembler.emit("jmp", label("end"));
    assembler.line(0, 2, 1);
    assembler.emit("je", label("end2"));
    for (let i = 0; i < 124; i++) assembler.emit("nop");
    assembler.line(0, 3, 1);
    assembler.label("end");
    assembler.emit("call", symbol("g"));
    assembler.label("end2");
    assembler.line(0, 4, 1);
    assembler.emit("mov", reg("eax"), symbol("end2", 3n));
    const code = assembler.finish();
    expect(hex(code.bytes.subarray(0, 11))).toBe(`e982000000${"0f8481000000"}`);
    expect(code.lines.map((row) => row.offset)).toEqual([0, 5, 135, 140]);
    expect(code.labels.get("end2")).toBe(140);
    expect(code.relocations).toEqual([
      { offset: 136, kind: "rel32", expression: { plus: "g", minus: null, addend: 0n }, trailing: 0 },
      { offset: 141, kind: "abs32", expression: { plus: "f", minus: null, addend: 143n }, trailing: 0 },
    ]);
  });
});

describe("symbols", () => {
  it("a label against a symbol, and labels against each other", () => {
    const assembler = new Assembler("f", 64);
    assembler.emit("mov", reg("eax"), symbol("a", 0x8000n, "base"));
    assembler.emit("lea", reg("rax"), mem(0, "rip", { symbol: { plus: "a", minus: null, addend: 0n } }));
    assembler.label("a");
    assembler.emit("cmp", mem(8, "rip", { symbol: { plus: "datum", minus: null, addend: 1n } }), imm(5n));
    assembler.label("b");
    assembler.emit("mov", reg("ecx"), symbol("b", 0n, "a"));
    const code = assembler.finish();
    expect(hex(code.bytes)).toBe("b800000000488d0500000000803d0000000005b907000000");
    expect(code.relocations).toEqual([
      { offset: 1, kind: "abs32", expression: { plus: "f", minus: "base", addend: 0x800cn }, trailing: 0 },
      { offset: 14, kind: "rel32", expression: { plus: "datum", minus: null, addend: 1n }, trailing: 1 },
    ]);
  });
});

it("resize names the same register in another width", () => {
  expect(["rax", "r9d", "sil", "ah"].map((name) => resize(name, 8))).toEqual(["al", "r9b", "sil", "al"]);
  expect(resize("r13w", 64)).toBe("r13");
});
