/** `--faults`, `--hash`, `--keys` and explained backtraces, from a user's view. */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { assemble, hasAssembler } from "../machine/guest.ts";
import { margay, packageRoot, temporaryFolder } from "./command.ts";

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true }));

if (!hasAssembler)
  console.log("tests/system/faults-command: --keys skipped: GNU as and ld are needed: install binutils");

describe("refused in one line", () => {
  it.each([
    ["--faults", "drop=150%", /bad --faults: 'drop=150%': give a rate from 0% to 100%/],
    ["--faults", "gamma=1%", /bad --faults: unknown fault 'gamma'/],
    ["--faults", "", /bad --faults: nothing given/],
    ["--keys", "naïve", /bad --keys: 'ï' is on no key/],
  ])("%s %s", (option, value, expected) => {
    const r = margay(["run", `${option}=${value}`, "hello"]);
    expect(r.stderr).toMatch(expected);
    expect([r.status, r.stdout, r.stderr.trimEnd().split("\n").length]).toEqual([2, "", 1]);
  });
});

describe("--faults", () => {
  const run = (...options: string[]) => margay(["run", "--nodes", "2", "--cores", "1", "--hash", ...options, "hello"]);
  const counts = (stderr: string) => /^link faults: (.*)$/m.exec(stderr)?.[1];
  const hash = (stderr: string) => /^state hash ([0-9a-f]{64})$/m.exec(stderr)?.[1];
  it("tells what happened, from the seed alone; the job's output is the same", () => {
    const sound = run();
    const spec = "drop=10%,dup=10%,corrupt=10%,reorder=10%,delay=10%";
    const [a, b, c] = [1, 1, 2].map((seed) => run("--seed", `${seed}`, "--faults", spec));
    for (const r of [sound, a!, b!, c!]) {
      expect(r.status).toBe(0);
      expect(r.stdout.split("\n").sort()).toEqual(sound.stdout.split("\n").sort());
      expect(hash(r.stderr)).toBeDefined();
    }
    expect(counts(sound.stderr)).toBeUndefined();
    expect(counts(a!.stderr)).toMatch(/^\d+ frames: .*\d+ dropped/);
    expect([counts(b!.stderr), hash(b!.stderr)]).toEqual([counts(a!.stderr), hash(a!.stderr)]);
    expect(hash(c!.stderr)).not.toBe(hash(a!.stderr));
  });
});

describe("--hash", () => {
  it("of a boot is a function of what was asked for", () => {
    const hash = (...options: string[]) =>
      /^state hash ([0-9a-f]{64})$/m.exec(
        margay(["boot", "kernel", "--hash", "--until", "ready", ...options]).stderr,
      )?.[1];
    const first = hash();
    expect(first).toBeDefined();
    expect(hash()).toBe(first);
    expect(hash("--mem", "128M")).not.toBe(first);
  });
});

/** Prints that it is ready, then each scan code on its own line; resets after the newline key is released. */
const keyboardGuest = `
.intel_syntax noprefix
.code32
.globl start
start:
    mov esp, 0x7c00
    mov esi, offset ready
    mov ecx, 20
    mov dx, 0x3f8
    rep outsb
1:  in al, 0x64
    test al, 1
    jz 1b
    in al, 0x60
    mov ebx, eax
    movzx eax, bl
    shr eax, 4
    mov al, [hex+eax]
    out dx, al
    movzx eax, bl
    and eax, 15
    mov al, [hex+eax]
    out dx, al
    mov al, 10
    out dx, al
    cmp bl, 0x9c
    jne 1b
    mov al, 0xfe
    out 0x64, al
    hlt
ready: .ascii "margay: ready nid=1\\n"
hex: .ascii "0123456789abcdef"
`;

describe("--keys", () => {
  it.skipIf(!hasAssembler)("types scan code set 1, one key a virtual ms after ready", () => {
    const image = path.join(folder, "keys.elf");
    fs.writeFileSync(image, assemble(keyboardGuest).image);
    const trace = path.join(folder, "keys.trace");
    const r = margay([
      "boot",
      image,
      "--keys",
      "aB 1\\n",
      "--limit",
      "20ms",
      "--trace",
      trace,
      "--show",
      "node.ready,console",
    ]);
    // IBM PS/2 Technical Reference: A 1e, left shift 2a, B 30, space 39, 1 02, Enter 1c; break codes with bit 7.
    expect(r.stdout.trim().split("\n")).toEqual([
      "margay: ready nid=1",
      ..."1e 9e 2a 30 b0 aa 39 b9 02 82 1c 9c".split(" "),
    ]);
    expect(r.status).toBe(0);
    // One JSON value per line: [time, nid, core, kind, words…] (trace/file.ts).
    const events = fs
      .readFileSync(trace, "utf8")
      .trimEnd()
      .split("\n")
      .slice(1, -1)
      .map((line) => JSON.parse(line) as [number, number, number, string, string]);
    const ready = events.find(([, , , kind]) => kind === "node.ready")![0];
    const keys = events
      .filter(([, , , kind, line]) => kind === "console" && /^[0-9a-f]{2}$/.test(line))
      .map(([time]) => Math.floor((time - ready) / 1e6));
    expect(keys).toEqual([1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 5]);
  });
  it.skipIf(!hasAssembler)("without it there is no keyboard", () => {
    const image = path.join(folder, "nokeys.elf");
    fs.writeFileSync(image, assemble(keyboardGuest).image);
    // Port 0x64 reads 0xff and port 0x60 too: the guest prints ff for ever.
    expect(margay(["boot", image, "--limit", "1ms"]).stdout).toMatch(/^margay: ready nid=1\nff\nff\n/);
  });
});

describe("a panic's backtrace", () => {
  it("is explained on stderr: symbol and source line of each address", () => {
    const kernel = fs.readFileSync(path.join(packageRoot, "images/out/kernel.elf"));
    // SVR's address in lapicStart becomes one that is not mapped: the kernel faults there and panics.
    const operand = Buffer.alloc(8);
    operand.writeBigUInt64LE(0xffff_8000_fee0_00f0n);
    const image = Buffer.from(kernel);
    image.writeBigUInt64LE(0x10n, kernel.indexOf(operand));
    const file = path.join(folder, "broken.elf");
    fs.writeFileSync(file, image);
    const r = margay(["boot", file]);
    expect(r.status).toBe(3);
    expect(r.stdout).toMatch(/panic: page fault/);
    expect(r.stderr).toMatch(/^ {4}0x[0-9a-f]{16} \w+(\+0x[0-9a-f]+)?, kernel\/arch\/lapic\.ts:\d+$/m);
    expect(r.stderr).toMatch(/kernel\/boot\/\w+\.ts:\d+$/m);
  });
});
