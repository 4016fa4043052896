/**
 * Proves that other programs can use the images: binutils reads them without a warning, gdb finds lines and
 * breakpoints, Linux runs a program, and QEMU boots a kernel by its PVH note.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Prng } from "../../../toolchain/lib/prng.ts";
import { link } from "../../../toolchain/link/link.ts";
import type { Chunk, LineRow } from "../../../toolchain/link/object.ts";
import { KERNEL_LAYOUT, PROGRAM_LAYOUT, code, datum, kernel, module, program } from "./samples.ts";

const SEED = 20070329;
const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: "utf8", timeout: 20_000 });
/** Describes tests that need a command, or reports why they are skipped. */
function needs(command: string, name: string, body: () => void): void {
  if (run(command, "--version").status === 0) describe(name, body);
  else describe.skip(`${name} (skipped: no ${command} on this host)`, body);
}

let folder = "";
const path = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "margay-link-"));
  writeFileSync(path("program.elf"), link(program(), PROGRAM_LAYOUT).elf, { mode: 0o755 });
  writeFileSync(path("kernel.elf"), link(kernel(21n), KERNEL_LAYOUT).elf);
  const header = datum("header", new Uint8Array(64), { keep: true, section: ".header", readonly: true });
  const sample = program();
  const flat = { ...sample, chunks: [...sample.chunks, header] };
  writeFileSync(
    path("flat.elf"),
    link(flat, { kind: "flat", entry: "_start", base: 0n, address: 0x7000_0000_0000n }).elf,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/**
 * A chunk of `nop`s with pseudo-random line rows: far jumps back and forth, long stretches of code, other files,
 * made-up code.
 */
function stretched(name: string, next: (n: number) => number): Chunk {
  const lines: LineRow[] = [];
  let offset = 0;
  for (let i = 0; i < 60; i++) {
    const compiler = next(12) === 0;
    lines.push({
      offset,
      file: compiler ? -1 : next(3),
      line: compiler ? 0 : 1 + next(next(3) === 0 ? 30000 : 12),
      column: next(120),
    });
    offset += 1 + next(next(5) === 0 ? 700 : 18);
  }
  return code(name, 64, 1, { size: offset, bytes: new Uint8Array(offset).fill(0x90), lines, keep: true })`ret`;
}

needs("readelf", "binutils", () => {
  it.each(["program.elf", "kernel.elf", "flat.elf"])("reads %s without a warning", (name) => {
    for (const [command, ...args] of [
      ["readelf", "-aW"],
      ["readelf", "--debug-dump=info,abbrev,Ranges,decodedline"],
      ["objdump", "-dSlx"],
    ]) {
      const { status, stdout, stderr } = run(command, ...args, path(name));
      expect({ command, status, stderr }).toEqual({ command, status: 0, stderr: "" });
      expect(stdout).not.toMatch(/warning/i);
    }
  });

  it("kernel: physical addresses, PVH note, no segment that is writable and executable", () => {
    const { stdout } = run("readelf", "-lnW", path("kernel.elf"));
    expect(stdout).toMatch(/LOAD +0x\w+ 0xffffffff80100000 0x0000000000100000 0x\w+ 0x\w+ R E/);
    expect(stdout).toMatch(/LOAD +0x\w+ 0xffffffff80101000 0x0000000000101000 0x000004 0x002000 RW /);
    expect(stdout).toMatch(/Xen +0x00000008\s.*0x00000012[\s\S]*description data: 00 00 10 00 00 00 00 00/);
    expect(stdout).not.toContain("RWE");
  });

  it("symbols have their sizes", () => {
    expect(run("readelf", "-sW", path("program.elf")).stdout).toMatch(
      /0000000000400040 +8 FUNC +GLOBAL DEFAULT +1 twice/,
    );
  });

  it("decodes our line rows (random ones)", () => {
    const random = new Prng(SEED);
    const next = (n: number): number => random.below(n);
    const chunks = ["_start", "b", "c"].map((name) => stretched(name, next));
    const files = ["kernel/boot/main.ts", "kernel/mm/tlb.ts", "main2.ts"];
    const image = link({ name: "lines", files, chunks }, PROGRAM_LAYOUT);
    writeFileSync(path("lines.elf"), image.elf);
    const decoded = run("readelf", "-W", "--debug-dump=decodedline", path("lines.elf")).stdout;
    // Functions are in the tables of their files.
    const seen = [...decoded.matchAll(/^(\S+\.ts)\s+(\d+|-)\s+0x([0-9a-f]+)/gm)]
      .map(([, file, line, address]) => ({
        address: Number.parseInt(address, 16),
        end: line === "-",
        text: `${file}:${line} ${address}`,
      }))
      .sort((a, b) => a.address - b.address || Number(b.end) - Number(a.end))
      .map(({ text }) => text);
    const expected: string[] = [];
    for (const [i, chunk] of chunks.entries()) {
      let file = "main.ts";
      for (const row of chunk.lines) {
        // Compiler-generated code continues the line before it.
        if (row.file < 0) continue;
        file = files[row.file].replace(/.*\//, "");
        expected.push(`${file}:${row.line} ${(image.symbols[i].address + BigInt(row.offset)).toString(16)}`);
      }
      expected.push(`${file}:- ${(image.symbols[i].address + BigInt(chunk.size)).toString(16)}`);
    }
    expect(seen, `seed ${SEED}`).toEqual(expected);
  });
});

needs("gdb", "gdb", () => {
  const gdb = (file: string, ...commands: string[]): string =>
    run(
      "gdb",
      "-q",
      "-batch",
      "-nx",
      ...["set debuginfod enabled off", ...commands].flatMap((command) => ["-ex", command]),
      path(file),
    ).stdout;
  it("finds lines of addresses, addresses of lines, and functions", () => {
    const out = gdb(
      "program.elf",
      "info line *0x40001f",
      "info line sample.ts:41",
      "info symbol 0x400047",
      "info scope sample.ts:13",
      "list twice",
    );
    expect(out).toContain(
      'Line 17 of "tests/toolchain/link/sample.ts" starts at address 0x40001f <_start+31> and ends at 0x400024 <_start+36>.',
    );
    expect(out).toContain(
      'Line 41 of "tests/toolchain/link/sample.ts" starts at address 0x400040 <twice> and ends at 0x400047 <twice+7>.',
    );
    expect(out).toContain("twice + 7 in section .text");
  });
  it("sets a breakpoint by file and line in the high half", () => {
    expect(gdb("kernel.elf", "break sample.ts:104", "info line *0xffffffff80100000")).toMatch(
      /Breakpoint 1 at 0xffffffff80100009: file tests\/toolchain\/link\/sample.ts, line 104\./,
    );
  });
  if (process.platform === "linux" && process.arch === "x64") {
    it("stops there and steps by line", () => {
      const out = gdb(
        "program.elf",
        "set startup-with-shell off",
        "break twice",
        "run",
        "bt 1",
        "info line *$pc",
        "stepi",
        "stepi",
        "info line *$pc",
      );
      expect(out).toMatch(/Breakpoint 1, (0x0*400047 in )?twice \(\) at tests\/toolchain\/link\/sample.ts:4[12]/);
      expect(out).toMatch(/Line (18|19) of /);
    });
  }
});

if (process.platform === "linux" && process.arch === "x64") {
  it("Linux runs a program", () => {
    const { status, stdout } = run(path("program.elf"));
    expect({ status, stdout }).toEqual({ status: 42, stdout: "hello\n" });
  });
} else {
  it.skip("Linux runs a program (skipped: this host is no x86-64 Linux)", () => {});
}

needs("qemu-system-x86_64", "qemu", () => {
  it("boots a kernel by its PVH note to the debug exit", () => {
    const machine =
      "-M microvm,acpi=off -m 64 -nodefaults -no-user-config -display none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=1";
    const { status, stderr } = run("qemu-system-x86_64", ...machine.split(" "), "-kernel", path("kernel.elf"));
    expect({ status, stderr }).toEqual({ status: (21 << 1) | 1, stderr: "" });
  });
});

it("an empty module of functions has no line rows, and links", () => {
  const image = link(module("bare", "a.ts", { ...code("_start", 64, 1)`ud2`, lines: [] }), PROGRAM_LAYOUT);
  expect(image.symbols).toHaveLength(1);
});
