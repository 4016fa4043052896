/**
 * House rules that a program can check: imports point down, FFI only in named places, no other files at the top level.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { specifiersIn } from "../../images/sources.ts";
import { circles } from "./circles.ts";

const root = path.resolve(import.meta.dirname, "../..");
const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter(Boolean);
const sources = files.filter((f) => f.endsWith(".ts") && fs.existsSync(path.join(root, f)));

/** Layer of each folder; the longest matching prefix counts. */
const LAYERS: readonly (readonly [prefix: string, layer: number, area: string])[] = [
  ["toolchain/lib/", 0, "lib"],
  ["kernel/abi/", 1, "abi"],
  ["emulator/abi/", 1, "abi"],
  ["kernel/", 2, "kernel"],
  ["userland/", 2, "userland"],
  ["emulator/cli/", 3, "cli"],
  ["emulator/", 2, "emulator"],
  ["toolchain/", 2, "toolchain"],
  ["images/", 3, "images"],
  ["tests/", 4, "tests"],
];
const KERNEL_FLOORS = ["abi", "arch", "mm", "core", "syscall", "drivers", "net", "io", "job", "boot"];

const placeOf = (file: string): readonly [string, number, string] =>
  LAYERS.find(([prefix]) => file.startsWith(prefix)) ?? ["", 4, "top"];

const importsOf = (file: string): string[] => specifiersIn(fs.readFileSync(path.join(root, file), "utf8"));
const relative = (file: string, to: string): string =>
  path.posix.normalize(path.posix.join(path.posix.dirname(file), to));

/** Every import that breaks a rule, as one line. */
function violations(check: (file: string, target: string, isPackage: boolean) => string | null): string[] {
  const found: string[] = [];
  for (const file of sources)
    for (const to of importsOf(file)) {
      const isPackage = !to.startsWith(".");
      const why = check(file, isPackage ? to : relative(file, to), isPackage);
      if (why) found.push(`${file} imports ${to}: ${why}`);
    }
  return found;
}

describe("layers", () => {
  it("sees the tree", () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(importsOf("toolchain/ir/ir.ts")).toEqual(["../link/debug.ts", "./ops.ts"]);
  });

  it("imports point down, and folders of layer 2 never import each other", () => {
    const found = violations((file, target, isPackage) => {
      if (isPackage) return null;
      const [, from, area] = placeOf(file);
      const [, to, other] = placeOf(target);
      if (to > from) return "points up";
      return from === 2 && to === 2 && area !== other ? `${area} stands beside ${other}` : null;
    });
    expect(found).toEqual([]);
  });

  it("the kernel's floors stand on those before them", () => {
    const floor = (file: string): number => KERNEL_FLOORS.indexOf(file.split("/")[1]!);
    const found = violations((file, target, isPackage) => {
      if (isPackage || !file.startsWith("kernel/") || !target.startsWith("kernel/")) return null;
      return floor(target) > floor(file) ? "a higher floor" : null;
    });
    expect(found).toEqual([]);
    expect(sources.filter((f) => f.startsWith("kernel/")).every((f) => floor(f) >= 0)).toBe(true);
  });

  it("files form no circles, types included", () => {
    const known = new Set(sources);
    const found = circles(sources, (file) =>
      importsOf(file)
        .filter((to) => to.startsWith("."))
        .map((to) => relative(file, to))
        .filter((to) => known.has(to)),
    );
    expect(found.map((c) => c.join(" "))).toEqual([]);
  });

  it("only the engines in emulator/cpu import koffi, only the frontend's adapter the TypeScript compiler", () => {
    const found = violations((file, target) => {
      if (target === "koffi" && !/^emulator\/cpu\/(unicorn|native\/memory\.ts)/.test(file)) return "koffi";
      return target === "typescript" && !file.startsWith("toolchain/frontend/") ? "typescript" : null;
    });
    expect(found).toEqual([]);
  });

  it("comments and pages have at most 120 columns, aligned tables and quoted output aside", () => {
    const isComment = (line: string): boolean =>
      /^\s*(\*|\/\*|\/\/)/.test(line) && !/\S {3,}\S|biome-ignore|^\s*\/\* *\d+ \*\//.test(line);
    const long = files
      .filter((f) => /\.(ts|mjs|md)$/.test(f) && !f.includes("/cases/") && !f.endsWith("EVENTS.md"))
      .filter((f) => fs.existsSync(path.join(root, f)))
      .flatMap((f) => {
        let text = fs.readFileSync(path.join(root, f), "utf8");
        // Quoted output is exempt; its lines still count.
        if (f.endsWith(".md")) text = text.replace(/^```.*?^```/gms, (block) => block.replace(/[^\n]/g, ""));
        const lines = text.split("\n").map((line, i) => ({ line, at: `${f}:${i + 1}` }));
        return lines.filter(
          ({ line }) => line.length > 120 && (f.endsWith(".md") ? !/^\|/.test(line) : isComment(line)),
        );
      });
    expect(long.map(({ at }) => at)).toEqual([]);
  });

  it("files that pages name exist", () => {
    const pages = files.filter((f) => f.endsWith(".md") && !f.includes("/cases/") && fs.existsSync(path.join(root, f)));
    const missing = pages.flatMap((f) => {
      const text = fs.readFileSync(path.join(root, f), "utf8").replace(/^```.*?^```/gms, "");
      const names = [...text.matchAll(/`((?:[\w-]+\/|\.\.\/)*[\w.-]+\.(?:ts|mjs|md|sh|json|py))`/g)].map(
        ([, name]) => name!,
      );
      return names
        .filter((name) => !/NAME/.test(name))
        .filter((name) => !files.some((known) => `/${known}`.endsWith(`/${name.replace(/^(\.\.\/)+/, "")}`)))
        .map((name) => `${f}: ${name}`);
    });
    expect([...new Set(missing)]).toEqual([]);
  });

  it("a kernel function whose comment says that a lock is held asserts it", () => {
    const found = sources
      .filter((f) => f.startsWith("kernel/"))
      .flatMap((f) => {
        const text = fs.readFileSync(path.join(root, f), "utf8");
        const functions = text.matchAll(
          /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n(?:export )?function (\w+)\([\s\S]*?\{\n([\s\S]*?)\n\}/g,
        );
        return [...functions]
          .filter(([, comment]) => /\bunder (the |`)(\w+ )?(\w*)lock\b|caller holds the \w*\s?lock/i.test(comment!))
          .filter(([, , , body]) => !body!.includes("assertHeld("))
          .map(([, , name]) => `${f}: ${name}`);
      });
    expect(found).toEqual([]);
  });

  it("the subset imports nothing from packages", () => {
    const subset = (file: string): boolean => /^(kernel|userland|toolchain\/lib\/rt)\//.test(file);
    expect(violations((file, _target, isPackage) => (subset(file) && isPackage ? "a package" : null))).toEqual([]);
  });

  it("host time and randomness stay in clock.ts and prng.ts", () => {
    const found = sources
      .filter((f) => /^(toolchain|emulator)\//.test(f) && !/(clock|prng)\.ts$/.test(f))
      .filter((f) =>
        /\bDate\.now|new Date\b|performance\.now|Math\.random|process\.hrtime/.test(
          fs.readFileSync(path.join(root, f), "utf8"),
        ),
      );
    expect(found).toEqual([]);
  });

  it("the top level holds what the design names", () => {
    const top = new Set(files.map((f) => f.split("/")[0]!).filter((f) => !f.startsWith(".")));
    const allowed = [
      "package.json",
      "tsconfig.json",
      "Makefile",
      "toolchain",
      "kernel",
      "emulator",
      "userland",
      "images",
      "tests",
      "README.md",
      "ARCHITECTURE.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
      "LICENSE",
    ];
    const config = ["package-lock.json", "biome.jsonc", "vitest.config.ts"];
    expect([...top].filter((f) => !allowed.includes(f) && !config.includes(f))).toEqual([]);
  });
});

describe("circles", () => {
  const of = (edges: Record<string, string[]>): string[][] => circles(Object.keys(edges), (file) => edges[file]!);
  it("are found through any number of files, and only where they are", () => {
    expect(of({ a: ["b", "c"], b: ["c"], c: [] })).toEqual([]);
    expect(of({ a: ["b"], b: ["c"], c: ["a", "d"], d: ["e"], e: ["d"], f: ["a"] })).toEqual([
      ["a", "b", "c"],
      ["d", "e"],
    ]);
  });
});
