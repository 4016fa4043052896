/**
 * Bad input: one line on stderr that says what, where and what to do; exit status 2; nothing on stdout; nothing left
 * running.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { margay, packageRoot, temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));
const file = (name: string, content: Uint8Array | string): string => {
  const p = path.join(dir, name);
  fs.writeFileSync(p, content);
  return p;
};
const kernel = fs.readFileSync(path.join(packageRoot, "images/out/kernel.elf"));
const patched = (offset: number, byte: number): Buffer => {
  const copy = Buffer.from(kernel);
  copy[offset] = byte;
  return copy;
};

const cases: readonly (readonly [what: string, args: readonly string[], stderr: RegExp])[] = [
  ["no command", [], /./s],
  ["unknown command", ["fly"], /fly/],
  ["unknown option", ["run", "--wings", "2", "hello"], /wings/],
  ["option without value", ["run", "--nodes"], /nodes/],
  ["option given twice", ["run", "--nodes", "2", "--nodes", "3", "hello"], /--nodes given twice/],
  ["no program", ["run"], /program/i],
  ["--nodes 0", ["run", "--nodes", "0", "hello"], /bad --nodes: '0'/],
  ["--nodes x", ["run", "--nodes", "x", "hello"], /bad --nodes: 'x'/],
  ["--nodes -1", ["run", "--nodes=-1", "hello"], /bad --nodes: '-1'/],
  ["--cores 65", ["run", "--cores", "65", "hello"], /bad --cores: '65'/],
  ["--fanout 0", ["run", "--fanout", "0", "hello"], /bad --fanout: '0'/],
  ["memory too small", ["run", "--mem", "1M", "hello"], /bad --mem: '1M'.*16M/],
  ["memory no size", ["run", "--mem", "lots", "hello"], /bad --mem: 'lots'/],
  ["--limit no time", ["run", "--limit", "soon", "hello"], /bad --limit: 'soon'/],
  ["--seed no number", ["run", "--seed", "dice", "hello"], /bad --seed: 'dice'/],
  ["--show unknown", ["run", "--show", "weather", "hello"], /weather/],
  ["root does not exist", ["run", "--root", path.join(dir, "nowhere"), "hello"], /nowhere/],
  ["root is a file", ["run", "--root", file("plain", "x"), "hello"], /plain.*director/],
  ["trace cannot be written", ["run", "--trace", path.join(dir, "no/such/folder"), "hello"], /no\/such\/folder/],
  ["unknown built-in job", ["run", "nosuchjob"], /nosuchjob/],
  ["kernel missing", ["run", "--kernel", path.join(dir, "none.elf"), "hello"], /none\.elf/],
  ["boot: missing image", ["boot", path.join(dir, "none.elf")], /none\.elf.*no such file/],
  ["boot: unknown recipe", ["boot", "nosuchimage"], /nosuchimage/],
  ["boot: empty file", ["boot", file("empty", "")], /empty/],
  ["boot: text", ["boot", file("readme.txt", "hello, this is a text and no kernel\n".repeat(10))], /not an ELF/],
  ["boot: truncated ELF", ["boot", file("cut.elf", kernel.subarray(0, 4096))], /truncated/],
  ["boot: truncated header", ["boot", file("cut40.elf", kernel.subarray(0, 40))], /truncated/],
  ["boot: 32-bit ELF", ["boot", file("elf32", patched(4, 1))], /32-bit/],
  ["boot: foreign ELF", ["boot", file("arm.elf", patched(18, 0xb7))], /AArch64.*x86-64/],
  ["boot: no PVH note", ["boot", path.join(packageRoot, "images/out/bin/hello")], /PVH/],
  ["boot: bad --until", ["boot", "kernel", "--until", "nosuch.event"], /nosuch\.event/],
  ["boot: missing module", ["boot", "kernel", "--module", path.join(dir, "mod")], /mod.*no such file/],
  ["build: unknown image", ["build", "castle"], /castle/],
];

describe("refused before anything starts", () => {
  it.each(cases)("%s", (_what, args, expected) => {
    const r = margay(args);
    expect(r.stderr).toMatch(expected);
    expect(r.status).toBe(2);
    expect(r.stdout).toBe("");
    // Without a command the help is shown.
    if (args.length) expect(r.stderr.trimEnd().split("\n")).toHaveLength(1);
    if (args.length) expect(r.stderr).toMatch(/^margay: /);
  });
});

describe("refused by the machine", () => {
  const root = path.join(dir, "root");
  fs.mkdirSync(root);
  fs.writeFileSync(path.join(root, "text"), "no program\n");
  it.each([
    ["a program that is not in the root", "/missing", /missing.*no such file|no such file.*missing/],
    ["a file that is no program", "/text", /text/],
    ["a directory", "/", /./],
  ])("%s: a NACK from init, status 2", (_what, program, expected) => {
    const r = margay(["run", "--nodes", "2", "--root", root, program]);
    expect(r.status).toBe(2);
    expect(r.stdout).toBe("");
    const line = r.stderr.split("\n").filter((l) => l.startsWith("margay: "));
    expect(line).toHaveLength(1);
    expect(line[0]).toMatch(expected);
  });
  it("leaves nothing running", () => {
    const left = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })
      .split("\n")
      .filter((l) => l.includes("margay.js") && l.includes(dir));
    expect(left).toEqual([]);
  });
});
