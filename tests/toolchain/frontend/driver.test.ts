/** The driver: source to image, run natively if the host can; its own diagnostics; the dumps of every stage. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { compile, type CompileOptions, toModule } from "../../../toolchain/compiler.ts";
import { dump, stages } from "../../../toolchain/dump.ts";
import { formatDiagnostic } from "../../../toolchain/frontend/diagnostics.ts";

const PROGRAM = `
import { total } from "./sum.ts";
class Pair { a: u32 = 2; b: u64 = 40; }
const pair: Pair = new Pair();
function exit(status: u64): never {
  asm({ in: { rax: 60, rdi: status }, clobber: ["rcx", "r11", "memory"] })\`syscall\`;
  unreachable();
}
export function _start(): void {
  attr({ naked: true });
  asm\`xor ebp, ebp; and rsp, -16; call \${main}\`;
}
function main(): never { exit(total(pair.b, pair.a)); }
`;
const SUM = "export function total(a: u64, b: u32): u64 { return a + b; }\n";

function options(files: Record<string, string>, extra: Partial<CompileOptions> = {}): CompileOptions {
  return {
    name: "test",
    roots: ["/src/main.ts"],
    packageRoot: "/src",
    entry: "_start",
    layout: { kind: "program", entry: "_start", base: 0n, address: 0x40_0000n },
    overlay: new Map(Object.entries(files).map(([name, text]) => [`/src/${name}`, text])),
    ...extra,
  };
}
const lines = (o: CompileOptions): string[] => compile(o).diagnostics.map(formatDiagnostic);

const folder = mkdtempSync(path.join(tmpdir(), "margay-driver-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("compile", () => {
  const canRun = process.platform === "linux" && process.arch === "x64";
  if (!canRun) console.log("skipped: native run (the host is not x86-64 Linux)");
  for (const optimize of [true, false]) {
    test.skipIf(!canRun)(`a program of two modules runs natively, optimize: ${optimize}`, () => {
      const { image, diagnostics } = compile(options({ "main.ts": PROGRAM, "sum.ts": SUM }, { optimize }));
      expect(diagnostics.map(formatDiagnostic)).toEqual([]);
      const file = path.join(folder, `program-${optimize}`);
      writeFileSync(file, image?.elf as Uint8Array, { mode: 0o755 });
      expect(spawnSync(file).status).toBe(42);
    });
  }

  test("equal input gives equal bytes", () => {
    const [a, b] = [1, 2].map(() => compile(options({ "main.ts": PROGRAM, "sum.ts": SUM })).image?.elf);
    expect(Buffer.compare(Buffer.from(a as Uint8Array), Buffer.from(b as Uint8Array))).toBe(0);
  });

  test("a changed file is seen, an unchanged program is served again", () => {
    expect(lines(options({ "main.ts": PROGRAM, "sum.ts": SUM }))).toEqual([]);
    expect(
      lines(options({ "main.ts": PROGRAM, "sum.ts": SUM.replace("u64, b: u32): u64", "u32, b: u32): u64") })),
    ).toEqual([
      "main.ts:13:37: error MG2001: u64 does not convert to u32 without loss; write u32(pair.b) instead",
      "sum.ts:1:53: error MG2003: a + b wraps in u32 before it becomes u64; write u64(…) around an operand instead",
    ]);
  });

  test("no entry, no file, no definition: one line each", () => {
    expect(lines(options({ "main.ts": "export function f(): void {}" }))).toEqual([
      "error MG0001: no function '_start'; write attr({ symbol: \"_start\" }) in the entry function instead",
    ]);
    expect(lines(options({}))).toEqual([
      "error MG0003: /src/main.ts does not exist; write the path of a source file instead",
    ]);
    const undefinedSymbol = lines(
      options({
        "main.ts": "declare function missing(): void;\nexport function _start(): never { missing(); unreachable(); }",
      }),
    );
    expect(undefinedSymbol).toHaveLength(1);
    expect(undefinedSymbol[0]).toMatch(/^error MG0004: .*missing/);
  });

  test("names that two modules declare are told apart by their module, others stay plain", () => {
    const files = {
      "main.ts":
        'import { two } from "./b.ts";\nfunction help(): u64 { return 1; }\nexport function _start(): never { help(); two(); unreachable(); }',
      "b.ts": "function help(): u64 { return 2; }\nexport function two(): u64 { return help(); }",
    };
    expect([...(toModule(options(files)).module?.functions.keys() ?? [])].sort()).toEqual([
      "_start",
      "b.help",
      "main.help",
      "two",
    ]);
  });

  test("only what the entry and keep declarations reach is in the image; the rest is checked all the same", () => {
    const text =
      "let a: u64 = 1; let b: u64 = 2;\n/** @keep */\nlet c: u64 = 3;\nexport function _start(): never { a++; unreachable(); }\nfunction idle(): void { b++; }\nfunction kept(): void { attr({ keep: true }); }";
    const { module } = toModule(options({ "main.ts": text }));
    expect([...(module?.functions.keys() ?? [])].sort()).toEqual(["_start", "kept"]);
    expect([...(module?.data.keys() ?? [])].sort()).toEqual(["a", "c"]);
    expect(lines(options({ "main.ts": text.replace("b++", "b = 1.5") }))).toEqual([
      "main.ts:5:29: error MG2004: 1.5 is no integer; write a whole number, or u64(1.5), instead",
    ]);
  });
});

describe("dump", () => {
  test.each(stages)("%s", (stage) => {
    const { text, diagnostics } = dump(stage, options({ "main.ts": PROGRAM, "sum.ts": SUM }));
    expect(diagnostics).toEqual([]);
    expect(text).toContain(stage === "layout" ? "b: u64" : stage === "ast" ? "FunctionDeclaration" : "main");
  });
  test("an unknown stage is named", () => {
    expect(() => dump("soup", options({ "main.ts": PROGRAM, "sum.ts": SUM }))).toThrow(/no stage is called soup/);
  });
});
