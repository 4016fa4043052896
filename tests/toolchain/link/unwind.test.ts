/**
 * Proves the call-frame rows of assembly: what is followed automatically, what directives declare, the state at labels,
 * what is refused.
 */
import { describe, expect, it } from "vitest";
import type { FrameRow } from "../../../toolchain/link/debug.ts";
import type { Chunk } from "../../../toolchain/link/object.ts";
import { code, symbol } from "./samples.ts";

const REGISTERS = [
  "rax",
  "rdx",
  "rcx",
  "rbx",
  "rsi",
  "rdi",
  "rbp",
  "rsp",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
  "ra",
];
const nameOf = (register: number): string => REGISTERS[register] ?? (register === 49 ? "rflags" : `r${register}?`);

/** `2 rsp+16 rbp-16 ra-8`: offset, CFA, saved registers at the CFA plus their offsets, held ones as `ra=rcx`. */
const shown = ({ offset, cfaRegister, cfaOffset, saved, held }: FrameRow): string =>
  [
    `${offset} ${nameOf(cfaRegister)}+${cfaOffset}`,
    ...[...saved].sort(([a], [b]) => a - b).map(([r, at]) => `${nameOf(r)}${at}`),
    ...[...(held ?? [])].sort(([a], [b]) => a - b).map(([r, by]) => `${nameOf(r)}=${nameOf(by)}`),
  ].join(" ");
const rows = ({ frame }: Chunk): string[] => frame!.rows.map(shown);
const asm = code("f", 64, 1);
const refusal = (make: () => Chunk): string => {
  try {
    make();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

describe("followed by itself", () => {
  it("a frame with its pointer, taken down by leave", () => {
    expect(
      rows(asm`push rbp; mov rbp, rsp; push rbx; sub rsp, 24; nop; lea rsp, [rbp - 8]; pop rbx; leave; ret`),
    ).toEqual([
      "0 rsp+8 ra-8",
      "1 rsp+16 rbp-16 ra-8",
      "4 rbp+16 rbp-16 ra-8",
      "5 rbp+16 rbx-24 rbp-16 ra-8",
      "15 rbp+16 rbp-16 ra-8",
      "16 rsp+8 ra-8",
    ]);
  });
  it("a leaf without a pointer", () => {
    expect(rows(asm`push r12; pushfq; pop rax; push 5; add rsp, 8; pop r12; ret`)).toEqual([
      "0 rsp+8 ra-8",
      "2 rsp+16 r12-16 ra-8",
      "3 rsp+24 r12-16 ra-8",
      "4 rsp+16 r12-16 ra-8",
      "6 rsp+24 r12-16 ra-8",
      "10 rsp+16 r12-16 ra-8",
      "12 rsp+8 ra-8",
    ]);
  });
  it("caller-saved registers are pushed, not saved; a second push saves nothing", () => {
    expect(rows(asm`push rcx; push rbx; push rbx; ret`).at(-1)).toBe("3 rsp+32 rbx-24 ra-8");
  });
  it("a frame pointer that is lent", () => {
    expect(rows(asm`push rbp; mov rbp, rsp; push rbp; xor ebp, ebp; push rax; pop rax; pop rbp; nop; ret`)).toEqual([
      "0 rsp+8 ra-8",
      "1 rsp+16 rbp-16 ra-8",
      "4 rbp+16 rbp-16 ra-8",
      "5 rsp+24 rbp-16 ra-8",
      "8 rsp+32 rbp-16 ra-8",
      "9 rsp+24 rbp-16 ra-8",
      "10 rbp+16 rbp-16 ra-8",
    ]);
  });
  it("forward jumps carry the state over a return, and long ones move the rows behind them", () => {
    const nops = "nop;".repeat(140);
    const f = code(
      "f",
      64,
      1,
    )(
      Object.assign([`push rbx; jz 1f; ${nops} pop rbx; ret; 1: pop rbx; nop; ret`], {
        raw: [],
      }) as TemplateStringsArray,
    );
    expect(rows(f)).toEqual([
      "0 rsp+8 ra-8",
      "1 rsp+16 rbx-16 ra-8",
      "148 rsp+8 ra-8",
      "149 rsp+16 rbx-16 ra-8",
      "150 rsp+8 ra-8",
    ]);
  });
  it("a call of a label is a push and a jump", () => {
    expect(rows(asm`call sub; sub: pop rax; ret`)).toEqual(["0 rsp+8 ra-8", "5 rsp+16 ra-8", "6 rsp+8 ra-8"]);
  });
  it("an unknown stack pointer ends the stack, unless rbp still knows", () => {
    expect(rows(asm`mov rsp, rdi; push rax; call ${symbol("g")}; ud2`)).toEqual(["0 rsp+8 ra-8", "3 rsp+8"]);
    expect(rows(asm`push rbp; mov rbp, rsp; and rsp, -64; push rax; leave; ret`).slice(2)).toEqual([
      "4 rbp+16 rbp-16 ra-8",
      "10 rsp+8 ra-8",
    ]);
  });
  it("where two ways meet, only what holds on both", () => {
    expect(rows(asm`jz 1f; push rbx; 1: nop; ret`)).toEqual(["0 rsp+8 ra-8", "3 rsp+8"]);
  });
  it("code that is not of 64 bits has no caller", () => {
    expect(rows(code("f", 32, 1)`push ebp; mov ebp, esp; ret`)).toEqual(["0 rsp+8"]);
    expect(rows(code("f", 16, 1)`cli; hlt`)).toEqual(["0 rsp+8"]);
  });
});

describe("directives", () => {
  it("take effect where they stand", () => {
    const f = asm`
      .cfi_signal_frame
      .cfi_def_cfa rsp, 40; .cfi_offset rip, -40; .cfi_offset rsp, -16; .cfi_offset rflags, -24
      push rax
      .cfi_def_cfa_offset 56
      nop
      .cfi_same_value rax
      nop
      .cfi_undefined rip
      iretq`;
    expect(f.frame!.signal).toBe(true);
    expect(rows(f)).toEqual([
      "0 rsp+40 rsp-16 ra-40 rflags-24",
      "1 rsp+56 rax-48 rsp-16 ra-40 rflags-24",
      "2 rsp+56 rsp-16 ra-40 rflags-24",
      "3 rsp+56 rsp-16 rflags-24",
    ]);
  });
  it("registers that hold others; states remembered and restored", () => {
    expect(
      rows(
        asm`.cfi_def_cfa rsp, 0; .cfi_register rip, rcx; nop; .cfi_remember_state; push rbx; pop rbx; sysretq; .cfi_restore_state; nop`,
      ),
    ).toEqual(["0 rsp+0 ra=rcx", "2 rsp+8 rbx-8 ra=rcx", "3 rsp+0 ra=rcx"]);
  });
  it.each([
    [() => asm`.cfi_def_cfa rsp`, /^write \.cfi_def_cfa REGISTER, OFFSET$/],
    [() => asm`.cfi_offset 5, 5`, /^write \.cfi_offset REGISTER, OFFSET$/],
    [() => asm`.cfi_offset eax, 8`, /^'eax' is no register of a frame/],
    [() => asm`.cfi_undefined rbx`, /only rip can be undefined/],
    [() => asm`.cfi_same_value rip`, /rip always changes/],
    [() => asm`.cfi_restore_state`, /write \.cfi_restore_state behind \.cfi_remember_state/],
    [() => asm`.cfi_startproc`, /^directives such as '\.cfi_startproc' do not exist here/],
    [() => asm`.byte 1`, /^directives such as '\.byte' do not exist here/],
    [() => asm`mov rax, rflags`, /rflags/],
    [() => asm`mov rax, [rflags]`, /rflags cannot be part of an address/],
  ])("refused: %#", (make, message) => {
    expect(refusal(make)).toMatch(message);
  });
});
