/**
 * Proves what debuggers read from an image: a hand-made program with every kind of type, scope and location in gdb; and
 * the built images in readelf, llvm-dwarfdump and gdb, which must not report any problem.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { link } from "../../../toolchain/link/link.ts";
import { debugSample } from "./debug-sample.ts";
import { PROGRAM_LAYOUT } from "./samples.ts";
import { buildWalk, eachImage, gdb, needs, onLinux, packageRoot, run } from "./tools.ts";

let folder = "";
let sample = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "margay-debug-"));
  sample = join(folder, "sample");
  writeFileSync(sample, link(debugSample(), PROGRAM_LAYOUT).elf, { mode: 0o755 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const clean = (file: string): void => {
  const { status, stdout, stderr } = run(
    "readelf",
    "-W",
    "--debug-dump=info,abbrev,line,decodedline,frames,frames-interp,loc,Ranges,str",
    file,
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).not.toMatch(/warning|corrupt|<unknown/i);
};
const verified = (file: string): void => {
  const { status, stdout } = run("llvm-dwarfdump", "--verify", file);
  expect({ status, end: stdout.trim().split("\n").at(-1) }, stdout).toEqual({ status: 0, end: "No errors." });
};
/**
 * One of gdb's complaints also occurs with gcc's output: a copy within a copy is not in the abstract instance of the
 * outer one.
 */
const uncomplaining = (file: string): void => {
  const { stdout, stderr } = gdb(file, [
    "set complaints 1000",
    `file ${file}`,
    "maint expand-symtabs",
    "maint check-symtabs",
  ]);
  expect(
    `${stdout}${stderr}`.replaceAll(
      /^During symbol reading: Child DIE \w+ and its abstract origin \w+ have different parents\n/gm,
      "",
    ),
  ).toBe("");
};

needs("readelf", "readelf reads without a warning", () => {
  it("the sample", () => clean(sample));
  eachImage(clean);
});
needs("llvm-dwarfdump", "llvm-dwarfdump verifies", () => {
  it("the sample", () => verified(sample));
  eachImage(verified);
});
needs("gdb", "gdb reads without a complaint", () => {
  it("the sample", () => uncomplaining(sample));
  eachImage(uncomplaining);
});

it("equal input gives equal bytes", () => {
  expect(Buffer.from(link(debugSample(), PROGRAM_LAYOUT).elf).equals(link(debugSample(), PROGRAM_LAYOUT).elf)).toBe(
    true,
  );
});

needs("gdb", "in gdb", () => {
  /** Output of the last of `commands`. */
  const shown = (...commands: string[]): string => {
    const { stdout } = gdb(sample, [...commands.slice(0, -1), "echo @@\\n", commands[commands.length - 1]]);
    return stdout.slice(stdout.lastIndexOf("@@\n") + 3).trim();
  };

  it("constants and enumerators, whether code uses them or not; labels of assembly", () => {
    const told = (image: string, commands: readonly string[]): string[] => {
      const { stdout, stderr } = gdb(join(packageRoot, "images/out", image), [...commands]);
      expect(stderr).toBe("");
      return stdout.trim().split("\n");
    };
    expect(
      told("bin/ring", [
        "output PORTAL_USER",
        "echo \\n",
        "ptype MatchOption",
        "print (enum MatchOption)5",
        "output EBADF",
        "echo \\n",
        "print/x TOKEN_MATCH",
        "whatis EBADF",
        "print 'userland/jobs/ring.ts'::LAPS",
      ]),
    ).toEqual([
      "1",
      "type = enum MatchOption {ALLOW_PUT = 1, ALLOW_GET, USE_ONCE = 4, MANAGE_LOCAL = 8, TRUNCATE = 16}",
      "$1 = (ALLOW_PUT | USE_ONCE)",
      "EBADF",
      "$2 = 0x746f6b656e",
      "type = enum Errno",
      "$3 = 8",
    ]);
    const lines = told("kernel.elf", ["break irq", "break irq:handled", "list irq"]);
    expect(lines.slice(0, 2)).toEqual([
      expect.stringMatching(/^Breakpoint 1 at 0xffffffff801[0-9a-f]+: file kernel\/arch\/trap\.ts, line \d+\.$/),
      expect.stringMatching(/^Breakpoint 2 at 0xffffffff801[0-9a-f]+: file kernel\/arch\/trap\.ts, line \d+\.$/),
    ]);
    expect(lines.slice(2).join("\n")).toMatch(/^\d+\t {2}irq:$/m);
  });

  describe("types and variables without a process", () => {
    it.each([
      ["whatis first", "type = struct Node"],
      [
        "ptype Node",
        `type = struct Node {
    u32 value;
    struct Node *next;
    u8 tags[4];
    enum Colour colour;
    u64 (*apply)(struct Node *, i32);
}`,
      ],
      ["ptype Address", "type = void *"],
      ["ptype Colour", "type = enum Colour {RED = 1, BLUE = -2}"],
      ["ptype struct Pair", "type = struct Pair {\n    u64 a;\n    u64 b;\n}"],
      ["print first.next->tags[3]", "$1 = 4 '\\004'"],
      ["print first.colour", "$1 = BLUE"],
      ["print first.apply", "$1 = (u64 (*)(struct Node *, i32)) 0x400060 <twice>"],
      ["print sizeof(Node)", "$1 = 32"],
      ["ptype twice", "type = u64 (u64)"],
      ["whatis outer", "type = void (u64, struct Node *)"],
      // A name in two files.
      ["print sizeof('other.ts'::first)", "$1 = 8"],
      [
        "info line debug-sample.ts:22",
        /^Line 22 of .* starts at address 0x40003e <outer\+14> and ends at 0x40004c <outer\+28>\.$/m,
      ],
    ])("%s", (command, expected) => {
      if (typeof expected === "string") expect(shown(command)).toBe(expected);
      else expect(shown(command)).toMatch(expected);
    });

    it("scopes: places of variables", () => {
      const out = shown("info scope *0x400045");
      expect(out).toMatch(
        /Symbol n is multi-location:\s+Range 0x400030-0x400045: a variable in \$rdi\s+Range 0x400045-0x40004c: a variable in \$rcx/,
      );
      expect(out).toContain("Symbol node is a variable in $rsi, length 8.");
      expect(out).toMatch(/Symbol slot is [\s\S]*DW_OP_fbreg -48/);
      expect(out).toContain("Symbol gone is optimized out.");
    });
    it("breakpoints on an inlined function stand at its copies and at itself", () => {
      expect(shown("break twice", "info breakpoints")).toMatch(
        /1\.1\s.* 0x0*400039 in twice at .*:30\n1\.2\s.* 0x0*400060 in twice at .*:30/,
      );
      expect(shown("break outer", "info breakpoints")).toMatch(/0x0*400039 in outer at .*:21/);
    });
  });

  describe("in the process", () => {
    const stopped = (stops: number, ...commands: string[]): string =>
      shown("run", ...Array.from({ length: stops - 1 }, () => "continue"), ...commands);
    onLinux("a copy has its caller's frame behind it", () => {
      const out = shown("break *0x400039", "run", "bt");
      expect(out).toMatch(
        /^#0 +twice \(x=5\) at .*:30\n#1 +outer \(n=5, node=0x401000 <first>\) at .*:21\n#2 +0x0*400011 in _start \(\) at .*:12$/,
      );
    });
    onLinux("locals: registers, memory, frame, constants, computed values, addresses, pieces, what is lost", () => {
      const out = stopped(2, "info locals");
      for (const line of [
        "doubled = 10",
        "pair = {a = 10, b = 7}",
        "half = {a = <optimized out>, b = 18446744073709551600}",
        "slot = 10",
        "flag = true",
        "half_pi = 1.5707963267948966",
        "where = 0x401000 <first>",
        'copy = {value = 42, next = 0x401000 <first>, tags = "\\001\\002\\003\\004", colour = BLUE, apply = 0x400060 <twice>}',
        "behind = 67305985",
        "gone = <optimized out>",
        "lost = <optimized out>",
      ]) {
        expect(out.split("\n")).toContain(line);
      }
      expect(stopped(2, "info args")).toBe("n = 5\nnode = 0x401000 <first>");
    });
    onLinux("a location begins and ends where it is said to", () => {
      expect(shown("break *0x400039", "break *0x40003d", "run", "print y")).toBe("$1 = <optimized out>");
      expect(shown("break *0x400039", "break *0x40003d", "run", "continue", "print y")).toBe("$1 = 10");
      expect(shown("run", "print pair")).toBe("$1 = <optimized out>");
      expect(shown("run", "continue", "print late")).toMatch(/^\$1 = \d+$/);
      expect(shown("run", "continue", "stepi", "print n")).toBe("$1 = <optimized out>");
    });
    onLinux("the stack ends at the entry without a warning", () => {
      const { stdout, stderr } = gdb(sample, ["run", "continue", "bt"]);
      expect(stdout).toMatch(/#1 +0x0*400011 in _start \(\) at .*:12\n$/);
      expect(stderr.replaceAll(/^warning: .*ASLR.*\n|.*address space randomization.*\n/gm, "")).toBe("");
    });
  });
});

needs("gdb", "a compiled program in gdb", () => {
  onLinux("steps by statements, into and out of functions, and sees copies as functions", () => {
    const file = join(folder, "walk");
    buildWalk(file, true);
    const source = readFileSync(join(packageRoot, "tests/toolchain/link/guest/walk.ts"), "utf8").split("\n");
    const lineOf = (text: string): number => source.findIndex((line) => line.includes(text)) + 1;
    const inlined = lineOf("steps[0] = ");
    const said = gdb(file, [
      "break walk",
      "run",
      "next",
      "next",
      "step",
      "echo @args\\n",
      "info args",
      "finish",
      `break walk.ts:${inlined}`,
      "continue",
      "echo @bt\\n",
      "bt",
      "up",
      "echo @locals\\n",
      "info locals",
      "break sumOf",
      "continue",
      "print *p",
      "next",
      "echo @end\\n",
    ])
      // The value of a parameter at entry, if callers describe it.
      .stdout.replaceAll(/=\w+@entry=/g, "=");
    const part = (name: string): string => said.slice(said.indexOf(`@${name}\n`) + name.length + 2).split("\n@")[0];
    // Stops: the statement after the frame set-up, then one line per `next`, then the called function's first
    // statement.
    const walk = lineOf("for (let i: u64 = 0; i < 5");
    expect(said).toContain(`Breakpoint 1, walk () at tests/toolchain/link/guest/walk.ts:${walk}\n`);
    expect(said).toMatch(
      new RegExp(`^${walk + 1}\\t.*\n${walk + 2}\\t.*\nmany \\(a=1, .*h=8\\) at .*:${lineOf("leaf(a + g)")}$`, "m"),
    );
    expect(part("args")).toMatch(/^a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nf = 6\ng = 7\nh = 8\n/);
    expect(said).toContain("Value returned is $1 = 345");
    expect(part("bt")).toMatch(
      new RegExp(
        `^#0 +twice \\(x=0\\) at .*:${inlined}\n#1 +corners \\(s=0x\\w+ <shape>, count=4\\) at .*\n#2 .* in walk \\(\\) at .*\n#3 .* in _start \\(\\) at`,
      ),
    );
    for (const line of ["i = 0", "a = 5", "d = 21", "h = 36", "total = 0"])
      expect(part("locals").split("\n")).toContain(line);
    expect(said).toContain("$2 = {x = 26, y = 10}");
    expect(said.slice(said.lastIndexOf("$2 ="))).toMatch(/corners \(s=0x\w+ <shape>, count=4\) at /);
  });
});
