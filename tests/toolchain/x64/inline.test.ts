/**
 * Proves that the inline-assembly parser accepts what the language promises, and points at the character where it
 * fails.
 */
import { describe, expect, it } from "vitest";
import type { AsmBlock, AsmOperand } from "../../../toolchain/ir/ir.ts";
import { Prng } from "../../../toolchain/lib/prng.ts";
import { Assembler } from "../../../toolchain/x64/assembler.ts";
import { formatInstruction } from "../../../toolchain/x64/format.ts";
import { assembleInline, checkAsm } from "../../../toolchain/x64/inline.ts";
import type { CodeSink, Operand } from "../../../toolchain/x64/operand.ts";

const symbol = (name: string): AsmOperand => ({ kind: "symbol", name });
const constant = (value: bigint): AsmOperand => ({ kind: "const", value });
const input = (index: number): AsmOperand => ({ kind: "in", index });
const ret: AsmOperand = { kind: "ret" };

function block(bits: 16 | 32 | 64): (pieces: TemplateStringsArray, ...operands: AsmOperand[]) => AsmBlock {
  return (pieces, ...operands) => ({
    pieces: [...pieces],
    operands,
    bits,
    inputs: [],
    out: null,
    clobbers: [],
    clobbersMemory: false,
    loc: { file: 0, line: 10, column: 3 },
  });
}
const asm16 = block(16);
const asm32 = block(32);
const asm64 = block(64);

class Recorder implements CodeSink {
  readonly text: string[] = [];
  emit(mnemonic: string, ...operands: Operand[]): void {
    this.text.push(formatInstruction(mnemonic, operands));
  }
  label(name: string): void {
    this.text.push(`${name}:`);
  }
  line(): void {}
}
const names = ["rcx", "esi", "r8w"];
function read(source: AsmBlock): string[] {
  const recorder = new Recorder();
  assembleInline(source, (index) => names[index], "rax", recorder, "L1.");
  return recorder.text;
}

describe("reading", () => {
  it.each<[name: string, source: AsmBlock, expected: string[]]>([
    ["statements and comments", asm64`sti; hlt # ; not this\n\tcli\n`, ["sti", "hlt", "cli"]],
    ["a comment swallows operands", asm64`sti # ${symbol("x")} more\ncli`, ["sti", "cli"]],
    ["result register", asm64`mov ${ret}, cr3`, ["mov rax, cr3"]],
    ["run-time operands in their widths", asm64`mov ${input(1)}, [${input(0)} + 8]`, ["mov esi, [rcx + 8]"]],
    ["constants", asm64`mov ecx, ${constant(0xc000_0080n)}`, ["mov ecx, 0xc0000080"]],
    [
      "symbols",
      asm64`call ${symbol("handler")}; lea rax, [rip + ${symbol("table")} + 8]`,
      ["call handler", "lea rax, [rip + table + 8]"],
    ],
    [
      "symbol minus constant",
      asm32`mov eax, ${symbol("pml4")} - ${constant(0xffff_ffff_8000_0000n)}`,
      ["mov eax, pml4 - 0xffffffff80000000"],
    ],
    [
      "symbol minus symbol",
      asm16`lgdt [${symbol("gdtr")} - ${symbol("start")} + 0x8000]`,
      ["lgdt [gdtr - start + 0x8000]"],
    ],
    ["linker symbols", asm64`lea rdi, [rip + __bss_start]`, ["lea rdi, [rip + __bss_start]"]],
    ["sizes", asm64`inc byte ptr [rax]; inc qword ptr gs:[0x10]`, ["inc byte ptr [rax]", "inc qword ptr gs:[0x10]"]],
    ["base, index, scale", asm64`mov eax, fs:[rbx + rcx*4 - 12]`, ["mov eax, fs:[rbx + rcx*4 - 0xc]"]],
    ["index first", asm64`lea rax, [8*rcx + rbx]`, ["lea rax, [rbx + rcx*8]"]],
    ["scale by constant operand", asm64`lea rax, [rcx*${constant(8n)} + ${symbol("t")}]`, ["lea rax, [rcx*8 + t]"]],
    [
      "expressions",
      asm64`mov eax, 1 << 5 | 0b11 + 0x1_0 * (2 + 1) - 10 & ~1`,
      [`mov eax, 0x${((1 << 5) | ((0b11 + 0x10 * 3 - 10) & ~1)).toString(16)}`],
    ],
    ["negative", asm64`add rsp, -8`, ["add rsp, -8"]],
    ["prefixes", asm64`lock xadd [rdi], eax; rep movsb`, ["lock", "xadd [rdi], eax", "rep", "movsb"]],
    ["far jump", asm32`ljmp 0x08, ${symbol("long")} - ${constant(16n)}`, ["ljmp 8, long - 0x10"]],
    ["far jump to a label", asm16`ljmp 0x08, here; here: hlt`, ["ljmp 8, L1.here", "L1.here:", "hlt"]],
    ["indirect far jump", asm64`ljmp [rax]`, ["ljmp [rax]"]],
    ["named labels", asm64`again: dec rcx; jnz again`, ["L1.again:", "dec rcx", "jnz L1.again"]],
    [
      "numeric labels",
      asm64`1: jmp 1f; jmp 1b; 1: jmp 1b`,
      ["L1.1.1:", "jmp L1.1.2", "jmp L1.1.1", "L1.1.2:", "jmp L1.1.2"],
    ],
    ["label 0 backward", asm64`0: loop 0b`, ["L1.0.1:", "loop L1.0.1"]],
    [
      "label as address",
      asm64`lea rax, [rip + out]; out: push rax`,
      ["lea rax, [rip + L1.out]", "L1.out:", "push rax"],
    ],
    ["label difference", asm16`mov ax, b - a; a: nop; b: nop`, ["mov ax, L1.b - L1.a", "L1.a:", "nop", "L1.b:", "nop"]],
    ["upper case", asm64`MOV EAX, DWORD PTR [RBX]`, ["mov eax, dword ptr [rbx]"]],
  ])("%s", (_name, source, expected) => {
    expect(checkAsm(source)).toEqual([]);
    expect(read(source)).toEqual(expected);
  });

  it("encodes 16-, 32- and 64-bit code", () => {
    const bytes = (source: AsmBlock): string => {
      const assembler = new Assembler("f", source.bits);
      assembleInline(source, (index) => names[index], "rax", assembler, "L1.");
      return Buffer.from(assembler.finish().bytes).toString("hex");
    };
    expect(bytes(asm16`cli; xor ax, ax; mov ds, ax; mov eax, cr0; or al, 1; mov cr0, eax; ljmp 8, 0x8100`)).toBe(
      "fa31c08ed80f20c00c010f22c066ea008100000800",
    );
    expect(bytes(asm32`mov ecx, 0xc0000080; rdmsr; bts eax, 8; wrmsr; ljmp 8, 0x100200`)).toBe(
      "b9800000c00f320fbae8080f30ea000210000800",
    );
    expect(bytes(asm64`swapgs; mov gs:[8], rsp; 1: pause; jmp 1b`)).toBe("0f01f8654889242508000000f390ebfc");
  });

  it("gives each line of the text its line of the source", () => {
    const assembler = new Assembler("f", 64);
    assembleInline(
      asm64`
      cli; hlt
      ud2`,
      () => "",
      null,
      assembler,
      "",
    );
    expect(assembler.finish().lines).toEqual([
      { offset: 0, file: 0, line: 11, column: 7 },
      { offset: 1, file: 0, line: 11, column: 12 },
      { offset: 2, file: 0, line: 12, column: 7 },
    ]);
  });
});

describe("problems", () => {
  it.each<[name: string, source: AsmBlock, message: RegExp, piece: number, offset: number]>([
    ["unknown instruction", asm64`sti; mvo rax, 1`, /^unknown instruction 'mvo'$/, 0, 5],
    [
      "unknown name",
      asm64`mov rax, counter`,
      /^'counter' is no register and no label of this block; write \$\{counter\}/,
      0,
      9,
    ],
    ["directive", asm64`.byte 0x90`, /^directives such as '\.byte' do not exist here/, 0, 0],
    ["size without ptr", asm64`inc dword [rax]`, /^write 'dword ptr/, 0, 4],
    ["operands that fit no form", asm64`add rax, ebx`, /no such combination of operands/, 0, 0],
    ["after an operand", asm64`mov ${ret}, cr3; add rax, bl`, /no such combination/, 1, 7],
    ["no width fits", asm64`mov cr3, ${symbol("x")}`, /no such combination/, 0, 0],
    ["widths that fit nowhere", asm64`ltr ${constant(3n)}`, /no such combination/, 0, 0],
    ["missing label", asm64`jmp 1f`, /^no label '1:' stands behind this statement$/, 0, 4],
    ["label twice", asm64`a: nop; a: nop`, /^label 'a' is defined twice$/, 0, 8],
    ["label named as a register", asm64`rax: nop`, /^label 'rax' has the name of a register$/, 0, 0],
    ["two symbols added", asm64`mov eax, ${symbol("a")} + ${symbol("b")}`, /two cannot be added$/, 1, 1],
    [
      "symbol subtracted from nothing",
      asm64`mov eax, 4 - ${symbol("a")}`,
      /can only be subtracted from another symbol$/,
      0,
      9,
    ],
    ["symbol times", asm64`mov eax, ${symbol("a")} * 2`, /^'\*' takes constants only/, 1, 1],
    ["register sum outside brackets", asm64`mov rax, rbx + 8`, /write it in \[ \]$/, 0, 9],
    ["three registers", asm64`lea rax, [rbx + rcx + rdx]`, /at most a base and an index$/, 0, 9],
    ["scale 3", asm64`lea rax, [rbx*3]`, /^scale 3 is not 1, 2, 4 or 8$/, 0, 9],
    ["unclosed bracket", asm64`mov rax, [rbx`, /^'\]' expected/, 0, 10],
    ["missing operand", asm64`mov rax,`, /operand expected/, 0, 7],
    ["trailing text", asm64`mov rax rbx`, /^unexpected 'rbx'$/, 0, 8],
    ["stray character", asm64`mov rax, @`, /^unexpected character '@'$/, 0, 9],
    ["bad number", asm64`mov rax, 12ab`, /^'12ab' is no number$/, 0, 9],
    ["result without register", asm64`mov rax, rbx; lock mov [rax], ebx`, /^lock: 'mov' cannot be locked/, 0, 19],
  ])("%s", (_name, source, message, piece, offset) => {
    const problems = checkAsm(source);
    expect(problems[0]?.message).toMatch(message);
    expect([problems[0].piece, problems[0].offset]).toEqual([piece, offset]);
  });

  it("reports every statement that is wrong", () => {
    expect(checkAsm(asm64`foo; nop; bar\nbaz rax`).map((problem) => problem.message)).toEqual([
      "unknown instruction 'foo'",
      "unknown instruction 'bar'",
      "unknown instruction 'baz'",
    ]);
  });

  it("judges run-time operands by their widths where they are known", () => {
    const source = asm64`out dx, ${input(0)}`;
    expect(checkAsm(source)).toHaveLength(1);
    const wide = asm64`mov cr3, ${input(0)}`;
    expect(checkAsm(wide)).toEqual([]);
    expect(checkAsm(wide, { of: () => "ecx", ret: null })[0].message).toMatch(
      /^mov cr3, ecx: not in 64-bit code, only in 32-bit code$/,
    );
  });

  it("never fails otherwise, whatever the text", () => {
    const prng = new Prng(12345);
    const random = (n: number): number => prng.below(n);
    const words =
      'mov rax eax al cr3 fs : [ ] ( ) + - * << | ~ , ; \n # lock rep ljmp 1: 1b 1f 0x 0xff 12z dword ptr byte label jmp xmm0 rip . @ $ é "'.split(
        " ",
      );
    for (let i = 0; i < 3000; i++) {
      const text = Array.from({ length: 1 + random(9) }, () => words[random(words.length)]).join(
        random(4) === 0 ? "" : " ",
      );
      const source: AsmBlock = {
        ...asm64``,
        pieces: [text, ""],
        operands: [[ret, input(0), symbol("s"), constant(7n)][random(4)]],
      };
      const problems = checkAsm(source);
      for (const problem of problems) expect(problem.offset).toBeLessThanOrEqual(source.pieces[problem.piece].length);
    }
  });
});
