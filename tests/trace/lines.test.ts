/**
 * Source positions and symbolised dumps: our line-table reader is compared with binutils' addr2line on our own linker's
 * output.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { Prng } from "../../emulator/machine/prng.ts";
import { LineTable } from "../../emulator/trace/lines.ts";
import { Backtraces, Symboliser } from "../../emulator/trace/symbolise.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";

const root = path.resolve(import.meta.dirname, "../..");
const out = path.join(root, "images/out");
const read = (name: string): Uint8Array => fs.readFileSync(path.join(out, name));
const kernel = read("kernel.elf");
const addressOf = (name: string): bigint => SymbolTable.fromElf(kernel).find(name)!.address;

describe("line table", () => {
  it.each(["kernel.elf", "init.elf", "bin/hello"])(
    "%s: agrees with addr2line on random addresses in its code",
    (name) => {
      const elf = read(name);
      const table = LineTable.fromElf(elf);
      const text = execFileSync("readelf", ["-SW", path.join(out, name)], { encoding: "utf8" });
      const [, start, bytes] = /\.text\s+PROGBITS\s+([0-9a-f]+)\s+[0-9a-f]+\s+([0-9a-f]+)/.exec(text)!;
      const random = new Prng(1);
      const addresses = Array.from(
        { length: 500 },
        () => BigInt(`0x${start}`) + BigInt(random.below(Number.parseInt(bytes!, 16))),
      );
      const expected = execFileSync("addr2line", ["-e", path.join(out, name)], {
        input: addresses.map((a) => a.toString(16)).join("\n"),
        encoding: "utf8",
      });
      const theirs = expected
        .trimEnd()
        .split("\n")
        .map((line) => line.replace(/^\.\//, "").replace(/ \(discriminator \d+\)$/, ""));
      let known = 0;
      addresses.forEach((address, i) => {
        // addr2line prints unknown code as ??:0 or ??:?, and compiler-generated code as FILE:? or FILE:0.
        const position = theirs[i]!.replace(/^.*:[?0]$/, "?");
        if (position !== "?") known++;
        expect(table.sourceOf(address) ?? "?", `0x${address.toString(16)}`).toBe(position);
      });
      expect(known).toBeGreaterThan(250);
    },
  );
  it("knows nothing outside of code, and never throws on what is no line table", () => {
    expect(LineTable.fromElf(kernel).at(0n)).toBeUndefined();
    expect(LineTable.fromElf(kernel).at(0xffff_ffff_ffff_ffffn)).toBeUndefined();
    expect(LineTable.fromElf(new Uint8Array(10)).at(0n)).toBeUndefined();
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Prng(seed);
      const damaged = kernel.slice(0, random.chance(1, 3) ? random.below(kernel.length) : kernel.length);
      for (let n = random.below(200); n > 0 && damaged.length > 0; n--)
        damaged[random.below(damaged.length)] = random.next();
      const table = LineTable.fromElf(damaged);
      expect(() => table.at(addressOf("bootMain")), `seed ${seed}`).not.toThrow();
      expect(() => SymbolTable.fromElf(damaged), `seed ${seed}`).not.toThrow();
    }
  });
});

describe("symboliser", () => {
  const symboliser = new Symboliser([kernel, read("init.elf")]);
  it("names symbol and line; a return address is on its call's line", () => {
    const address = addressOf("bootMain");
    expect(symboliser.describe(address)).toMatch(/^bootMain, kernel\/boot\/main\.ts:\d+$/);
    expect(symboliser.describe(address + 1n)).toMatch(/^bootMain\+0x1, kernel\/boot\/main\.ts:\d+$/);
    expect(symboliser.describe(0x123n)).toBeUndefined();
    // The first byte of a function as a return address: the line belongs to the code before it.
    expect(symboliser.describeReturn(address)).not.toBe(symboliser.describe(address));
  });
  it("explains the kernel's backtraces, and leaves other lines alone", () => {
    const backtraces = new Backtraces(symboliser);
    const hex = addressOf("bootMain").toString(16);
    expect(backtraces.explain(`  rip=0x${hex} rsp=0x0000000000000000`)).toEqual([]);
    const lines = backtraces.explain(`  backtrace: 0x${hex} 0x${hex} 0x0000000000000123`);
    expect(lines[0]).toMatch(new RegExp(`^ {4}0x${hex} bootMain, kernel/boot/main.ts:\\d+$`));
    expect(lines[1]).toContain(`0x${hex} bootMain`);
    expect(lines[1]).not.toBe(lines[0]);
    expect(lines[2]).toBe("    0x0000000000000123 ?");
    expect(lines).toHaveLength(3);
  });
});
