/**
 * A program with debug information made by hand, of every kind that the writer knows. It computes, in the terms of the
 * source that it claims to have:
 *
 *    1  struct Node { value: u32; next: Node*; tags: u8[4]; colour: Colour; apply: u64 (*)(Node*, i32) }
 * 10  function _start() { outer(5, &first); exit(0) } 20  function outer(n: u64, node: Node*) {
 *   21    let doubled = twice(n);        // inlined
 *   22    { let pair: Pair = { doubled, 7 }; const gone = …; trap; }
 * 24  } 30  function twice(x: u64) { let y = x + x; trap; return y }
 */
import type { DebugPiece, DebugPlace, DebugType, DebugVariable } from "../../../toolchain/link/debug.ts";
import type { Chunk, ObjectModule } from "../../../toolchain/link/object.ts";
import { code, datum, module, symbol } from "./samples.ts";

// biome-ignore format: a table
export const TYPES: readonly DebugType[] = [
  /*  0 */ { kind: "base", name: "u64", bytes: 8, encoding: "unsigned" },
  /*  1 */ { kind: "base", name: "u32", bytes: 4, encoding: "unsigned" },
  /*  2 */ { kind: "base", name: "u8", bytes: 1, encoding: "unsigned" },
  /*  3 */ { kind: "base", name: "i32", bytes: 4, encoding: "signed" },
  /*  4 */ { kind: "base", name: "f64", bytes: 8, encoding: "float" },
  /*  5 */ { kind: "base", name: "boolean", bytes: 1, encoding: "boolean" },
  /*  6 */ { kind: "struct", name: "Node", bytes: 32, file: 0, line: 1, members: [
             { name: "value", type: 1, offset: 0 }, { name: "next", type: 7, offset: 8 }, { name: "tags", type: 8, offset: 16 },
             { name: "colour", type: 9, offset: 20 }, { name: "apply", type: 11, offset: 24 } ] },
  /*  7 */ { kind: "pointer", target: 6 },
  /*  8 */ { kind: "array", element: 2, count: 4 },
  /*  9 */ { kind: "enum", name: "Colour", base: 3, values: [ { name: "RED", value: 1n }, { name: "BLUE", value: -2n } ] },
  /* 10 */ { kind: "function", result: 0, parameters: [7, 3] },
  /* 11 */ { kind: "pointer", target: 10 },
  /* 12 */ { kind: "pointer", target: -1 },
  /* 13 */ { kind: "typedef", name: "Address", target: 12 },
  /* 14 */ { kind: "struct", name: "Pair", bytes: 16, file: 0, line: 5, members: [ { name: "a", type: 0, offset: 0 }, { name: "b", type: 0, offset: 8 } ] },
  /* 15 */ { kind: "function", result: -1, parameters: [] },
];

const whole = (bytes: number, place: DebugPlace, indirect = false): DebugPiece[] => [
  { offset: 0, bytes, place, indirect },
];
const variable = (
  name: string,
  type: number,
  line: number,
  parameter: boolean,
  locations: DebugVariable["locations"],
): DebugVariable => ({
  name,
  type,
  parameter,
  file: 0,
  line,
  locations,
});

const OUTER = code("outer", 64, 20)`push rbp; mov rbp, rsp; push rbx; sub rsp, 24
  lea rbx, [rdi + rdi]; int3
  mov [rbp - 32], rbx; mov rcx, rdi; mov edi, 0; int3; nop
  add rsp, 24; pop rbx; pop rbp; ret`;
// Offsets of what stands in OUTER: prologue, lea, int3, mov, mov, mov, int3, nop, add.
const AT = {
  body: 9,
  added: 13,
  inlinedEnd: 14,
  block: 14,
  stored: 18,
  moved: 21,
  trapped: 26,
  after: 27,
  epilogue: 28,
} as const;
const rax = 0;
const rcx = 2;
const rbx = 3;
const rsi = 4;
const rdi = 5;
const rbp = 6;

export const outer: Chunk = {
  ...OUTER,
  lines: [
    { offset: 0, file: 0, line: 20, column: 1 },
    { offset: AT.body, file: 0, line: 30, column: 20, mark: "prologue end" },
    { offset: AT.added, file: 0, line: 30, column: 40 },
    { offset: AT.block, file: 0, line: 22, column: 5 },
    { offset: AT.epilogue, file: 0, line: 24, column: 1, mark: "epilogue begin" },
  ],
  debug: {
    file: 0,
    line: 20,
    result: -1,
    scopes: [
      {
        parent: -1,
        ranges: [{ start: 0, end: OUTER.size }],
        inlined: null,
        variables: [
          variable("n", 0, 20, true, [
            { start: 0, end: AT.moved, pieces: whole(8, { kind: "register", register: rdi }) },
            { start: AT.moved, end: AT.epilogue, pieces: whole(8, { kind: "register", register: rcx }) },
          ]),
          variable("node", 7, 20, true, [
            { start: 0, end: OUTER.size, pieces: whole(8, { kind: "register", register: rsi }) },
          ]),
          variable("doubled", 0, 21, false, [
            { start: AT.added, end: AT.epilogue, pieces: whole(8, { kind: "register", register: rbx }) },
          ]),
        ],
      },
      // A block without variables, left out.
      { parent: 0, ranges: [{ start: AT.body, end: AT.inlinedEnd }], inlined: null, variables: [] },
      {
        parent: 1,
        ranges: [{ start: AT.body, end: AT.inlinedEnd }],
        inlined: {
          symbol: "twice",
          sourceName: "twice",
          file: 0,
          line: 30,
          callFile: 0,
          callLine: 21,
          callColumn: 19,
          result: 0,
        },
        variables: [
          variable("x", 0, 30, true, [
            { start: AT.body, end: AT.inlinedEnd, pieces: whole(8, { kind: "register", register: rdi }) },
          ]),
          variable("y", 0, 30, false, [
            { start: AT.added, end: AT.inlinedEnd, pieces: whole(8, { kind: "computed", register: rbx, addend: 0n }) },
          ]),
        ],
      },
      {
        parent: 0,
        ranges: [
          { start: AT.block, end: AT.trapped },
          { start: AT.after, end: AT.epilogue },
        ],
        inlined: null,
        variables: [
          variable("pair", 14, 22, false, [
            {
              start: AT.stored,
              end: AT.epilogue,
              pieces: [
                { offset: 0, bytes: 8, place: { kind: "memory", register: rbp, offset: -32 }, indirect: false },
                { offset: 8, bytes: 8, place: { kind: "constant", value: 7n }, indirect: false },
              ],
            },
          ]),
          variable("half", 14, 22, false, [
            {
              start: AT.block,
              end: AT.epilogue,
              pieces: [
                { offset: 8, bytes: 8, place: { kind: "constant", value: 0xffff_ffff_ffff_fff0n }, indirect: false },
              ],
            },
          ]),
          variable("slot", 0, 22, false, [
            { start: AT.stored, end: AT.epilogue, pieces: whole(8, { kind: "frame", offset: -48 }) },
          ]),
          variable("flag", 5, 22, false, [
            { start: AT.block, end: AT.epilogue, pieces: whole(1, { kind: "constant", value: 1n }) },
          ]),
          variable("half_pi", 4, 22, false, [
            {
              start: AT.block,
              end: AT.epilogue,
              pieces: whole(8, { kind: "constant", value: 0x3ff9_21fb_5444_2d18n }),
            },
          ]),
          variable("where", 7, 22, false, [
            { start: AT.block, end: AT.epilogue, pieces: whole(8, { kind: "symbol", symbol: "first", addend: 0n }) },
          ]),
          variable("copy", 6, 22, false, [
            { start: AT.block, end: AT.epilogue, pieces: whole(32, { kind: "register", register: rsi }, true) },
          ]),
          variable("behind", 1, 22, false, [
            {
              start: AT.block,
              end: AT.epilogue,
              pieces: whole(4, { kind: "symbol", symbol: "first", addend: 16n }, true),
            },
          ]),
          variable("gone", 0, 22, false, []),
          variable("late", 0, 22, false, [
            { start: AT.after, end: AT.epilogue, pieces: whole(8, { kind: "register", register: rax }) },
          ]),
          variable("lost", 7, 22, false, [
            { start: AT.block, end: AT.epilogue, pieces: whole(8, { kind: "symbol", symbol: "unused", addend: 0n }) },
          ]),
        ],
      },
    ],
  },
};

const START = code("_start", 64, 10)`
  .cfi_undefined rip
  mov edi, 5; lea rsi, [rip + ${symbol("first")}]; call ${symbol("outer")}
  mov edi, 10; call ${symbol("twice")}
  xor edi, edi; mov eax, 60; syscall; ud2`;
const TWICE = code("twice", 64, 30)`lea rax, [rdi + rdi]; int3; ret`;

export const debugSample = (): ObjectModule => ({
  ...module(
    "sample",
    "tests/toolchain/link/debug-sample.ts",
    START,
    outer,
    {
      ...TWICE,
      debug: {
        file: 1,
        line: 30,
        result: 0,
        scopes: [
          {
            parent: -1,
            ranges: [{ start: 0, end: TWICE.size }],
            inlined: null,
            variables: [
              variable("x", 0, 30, true, [
                { start: 0, end: TWICE.size, pieces: whole(8, { kind: "register", register: rdi }) },
              ]),
            ],
          },
        ],
      },
    },
    datum(
      "first",
      new Uint8Array([
        42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0,
      ]),
      {
        datum: { type: 6, file: 0, line: 3 },
        relocations: [
          { offset: 8, kind: "abs64", expression: { plus: "first", minus: null, addend: 0n }, trailing: 0 },
          { offset: 24, kind: "abs64", expression: { plus: "twice", minus: null, addend: 0n }, trailing: 0 },
        ],
      },
    ),
    datum("lib/other.first", 8, { sourceName: "first", keep: true, datum: { type: 0, file: 1, line: 2 } }),
    datum("unused", 8, { datum: { type: 0, file: 0, line: 4 } }),
  ),
  files: ["tests/toolchain/link/debug-sample.ts", "tests/toolchain/link/other.ts"],
  types: TYPES,
});
