/** Proves what the linker decides itself: reachability, order, addresses, relocation, diagnostics. */
import { describe, expect, it } from "vitest";
import { LinkError, link } from "../../../toolchain/link/link.ts";
import type { Chunk, Layout, LinkedImage, Relocation } from "../../../toolchain/link/object.ts";
import { KERNEL_LAYOUT, PROGRAM_LAYOUT, code, datum, kernel, module, program, symbol, text } from "./samples.ts";

const FLAT: Layout = { kind: "flat", entry: "_start", base: 0n, address: 0x7000_0000_0000n };
const start = code("_start", 64, 1);
const refer = (kind: Relocation["kind"], plus: string, minus: string | null = null, addend = 0n): Relocation => ({
  offset: 0,
  kind,
  expression: { plus, minus, addend },
  trailing: 0,
});
const build = (layout: Layout, ...chunks: Chunk[]): LinkedImage => link(module("m", "a.ts", ...chunks), layout);
const names = (image: LinkedImage): string[] => image.symbols.map(({ name }) => name);
function problemsOf(layout: Layout, ...chunks: Chunk[]): readonly string[] {
  try {
    build(layout, ...chunks);
  } catch (error) {
    if (error instanceof LinkError) return error.problems;
    throw error;
  }
  return [];
}
/** Value of the linker symbol `name`, from the map. */
const boundOf = (image: LinkedImage, name: string): string | undefined =>
  new RegExp(`^([0-9a-f]{16}) .* ${name}$`, "m").exec(image.map)?.[1];

describe("reachability", () => {
  it("takes the entry, kept chunks and what they refer to, and nothing else", () => {
    const image = build(
      PROGRAM_LAYOUT,
      start`call ${symbol("used")}`,
      code("used", 64, 2)`lea rax, [rip + ${symbol("table")}]`,
      code("unused", 64, 3)`call ${symbol("nowhere")}`,
      datum("table", new Uint8Array(8), { relocations: [refer("abs64", "leaf")] }),
      datum("leaf", 16),
      datum("kept", new Uint8Array(1), { keep: true }),
      datum("dropped", 8),
    );
    expect(names(image).sort()).toEqual(["_start", "kept", "leaf", "table", "used"]);
  });

  it("the bounds of a custom section keep all of it", () => {
    const entry = start`lea rax, [rip + __drivers_start]; lea rcx, [rip + __drivers_end]`;
    const driver = (name: string): Chunk => datum(name, new Uint8Array(8), { section: ".drivers", readonly: true });
    expect(names(build(PROGRAM_LAYOUT, entry, driver("uart"), driver("net")))).toEqual(["_start", "uart", "net"]);
    expect(names(build(PROGRAM_LAYOUT, start`ret`, driver("uart")))).toEqual(["_start"]);
  });
});

describe("layout", () => {
  const sections = (image: LinkedImage): string[] => [...new Set(image.symbols.map(({ section }) => section))];
  const kept = { keep: true } as const;

  it("orders sections: boot, code, read-only, data, zero; standard ones first", () => {
    const image = build(
      PROGRAM_LAYOUT,
      datum("z", 8, kept),
      datum("custom", text("x"), { ...kept, section: ".percpu" }),
      datum("d", text("x"), kept),
      datum("ro", text("x"), { ...kept, section: ".rodata", readonly: true }),
      datum("notes", text("x"), { ...kept, section: ".build", readonly: true }),
      code("irq", 64, 1, { section: ".text.irq" })`ret`,
      code("trampoline", 16, 1, { ...kept, section: ".trampoline" })`cli`,
      start`call ${symbol("irq")}`,
      datum("tables", 4096, { ...kept, section: ".boot.bss", align: 4096 }),
      code("boot", 32, 1, { ...kept, section: ".boot.text" })`cli`,
    );
    expect(sections(image)).toEqual([
      ".boot.text",
      ".boot.bss",
      ".text",
      ".text.irq",
      ".trampoline",
      ".rodata",
      ".build",
      ".data",
      ".percpu",
      ".bss",
    ]);
    for (const [i, current] of image.symbols.entries()) {
      if (i > 0)
        expect(current.address).toBeGreaterThanOrEqual(
          image.symbols[i - 1].address + BigInt(image.symbols[i - 1].size),
        );
    }
    expect(boundOf(image, "__text_irq_start")).toBe(
      image.symbols
        .find(({ name }) => name === "irq")
        ?.address.toString(16)
        .padStart(16, "0"),
    );
  });

  it("aligns chunks, and starts a page where the permission changes", () => {
    const image = build(
      PROGRAM_LAYOUT,
      start`ret`,
      datum("a", text("x"), kept),
      datum("b", text("yz"), { ...kept, align: 64 }),
      datum("c", 1, { ...kept, align: 256 }),
    );
    expect(image.symbols.map(({ name, address }) => [name, address])).toEqual([
      ["_start", 0x40_0000n],
      ["a", 0x40_1000n],
      ["b", 0x40_1040n],
      ["c", 0x40_1100n],
    ]);
    expect(boundOf(image, "__image_end")).toBe("0000000000401101");
    expect(boundOf(image, "__rodata_start")).toBe(boundOf(image, "__rodata_end"));
  });

  it("flat: header first, one run without gaps for pages, zero data written out", () => {
    const image = build(
      FLAT,
      start`mov al, [rip + ${symbol("zeros")}]`,
      datum("zeros", 16),
      datum("header", new Uint8Array(8), {
        ...kept,
        section: ".header",
        readonly: true,
        relocations: [refer("abs64", "_start")],
      }),
    );
    expect(image.symbols.map(({ name, address }) => [name, address - FLAT.address])).toEqual([
      ["header", 0n],
      ["_start", 16n],
      ["zeros", 24n],
    ]);
    expect(Buffer.from(image.flat ?? []).toString("hex")).toBe(
      `1000000000700000${"00".repeat(8)}8a0502000000${"00".repeat(2 + 16)}`,
    );
  });

  it("equal input gives equal bytes", () => {
    for (const [make, layout] of [
      [program, PROGRAM_LAYOUT],
      [() => kernel(3n), KERNEL_LAYOUT],
    ] as const) {
      expect(Buffer.from(link(make(), layout).elf).equals(link(make(), layout).elf)).toBe(true);
    }
  });
});

describe("relocation", () => {
  /** Bytes of a field of kind `kind` at 0x7000_0000_0010, filled with `plus - minus + addend`. */
  function field(kind: Relocation["kind"], addend: bigint, minus: string | null = null, trailing = 0): string {
    const relocation = { ...refer(kind, "__image_start", minus, addend), trailing };
    const image = build(
      FLAT,
      start`ret`,
      datum("field", new Uint8Array(8), { keep: true, align: 16, relocations: [relocation] }),
    );
    return Buffer.from(image.flat?.subarray(16, 24) ?? []).toString("hex");
  }
  it.each<[Relocation["kind"], bigint, string | null, number, string]>([
    ["abs64", 0x12n, null, 0, "1200000000700000"],
    ["abs32", 0x89ab_cdefn, "__image_start", 0, "efcdab8900000000"],
    ["abs32", -2n, "__image_start", 0, "feffffff00000000"],
    ["abs32s", -2n, "__image_start", 0, "feffffff00000000"],
    ["abs16", 0xfffen, "__image_start", 0, "feff000000000000"],
    ["abs8", 0x7fn, "__image_start", 0, "7f00000000000000"],
    ["rel32", 0n, null, 0, "ecffffff00000000"],
    ["rel32", 0n, null, 4, "e8ffffff00000000"],
    ["rel8", 0n, null, 0, "ef00000000000000"],
  ])("%s, addend %i minus %s, trailing %i", (kind, addend, minus, trailing, expected) => {
    expect(field(kind, addend, minus, trailing)).toBe(expected);
  });

  it.each<[Relocation["kind"], bigint, string | null, RegExp]>([
    ["abs32", 0n, null, /^field\+0x0 \(\.data\): abs32 of '__image_start' is 0x700000000000, which does not fit$/],
    ["abs32s", 0n, null, /abs32s of '__image_start' is 0x700000000000/],
    ["abs32s", 0x8000_0000n, "__image_start", /abs32s of '__image_start - __image_start' is 0x80000000/],
    ["abs32", 0x1_0000_0000n, "__image_start", /does not fit$/],
    ["abs16", 0x1_0000n, "__image_start", /abs16 .* is 0x10000, which does not fit$/],
    ["abs8", -129n, "__image_start", /abs8 .* is -0x81, which does not fit$/],
    ["rel32", 0x8000_0020n, null, /rel32 of '__image_start' is 0x8000000c, which does not fit$/],
    ["rel8", 0x100n, null, /rel8 of '__image_start'/],
  ])("%s with addend %i minus %s overflows", (kind, addend, minus, message) => {
    expect(() => field(kind, addend, minus)).toThrow(LinkError);
    expect(() => field(kind, addend, minus)).toThrow(message);
  });
});

describe("diagnostics", () => {
  it("names every undefined symbol with who refers to it", () => {
    const problems = problemsOf(
      PROGRAM_LAYOUT,
      start`call ${symbol("missing")}; call ${symbol("other")}; call ${symbol("f")}`,
      code("f", 64, 2)`jmp ${symbol("missing")}`,
    );
    expect(problems).toEqual([
      "symbol 'missing' is not defined; referred to by _start, f",
      "symbol 'other' is not defined; referred to by _start",
    ]);
  });
  it.each<[string, Layout, Chunk[], string]>([
    ["no entry", PROGRAM_LAYOUT, [], "symbol '_start' is not defined; referred to by the entry of the image"],
    ["twice", PROGRAM_LAYOUT, [start`ret`, start`ret`], "symbol '_start' is defined twice"],
    [
      "alignment",
      PROGRAM_LAYOUT,
      [start`ret`, datum("x", 8, { keep: true, align: 3 })],
      "x: alignment 3 is no power of two",
    ],
    [
      "too many bytes",
      PROGRAM_LAYOUT,
      [start`ret`, datum("x", text("abc"), { keep: true, size: 2 })],
      "x: 3 bytes in a size of 2",
    ],
    [
      "address",
      { ...PROGRAM_LAYOUT, address: 0x40_0010n },
      [start`ret`],
      "image address 0x400010 is not at the start of a page",
    ],
    [
      "relocation outside",
      PROGRAM_LAYOUT,
      [start`ret`, datum("x", new Uint8Array(4), { keep: true, relocations: [refer("abs64", "x")] })],
      "x (.data): relocation at 0 lies outside its 4 bytes",
    ],
    [
      "zero data",
      PROGRAM_LAYOUT,
      [start`ret`, datum("x", 8, { keep: true, relocations: [refer("abs64", "x")] })],
      "x: zero data with relocations",
    ],
  ])("%s", (_name, layout, chunks, message) => {
    expect(problemsOf(layout, ...chunks)).toEqual([message]);
  });
});
