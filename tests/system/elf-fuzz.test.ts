/**
 * Mutated executables: ELF files whose headers, program headers, dynamic sections, bytes or lengths are wrong, and
 * scripts whose first line is wrong. Whatever the file says, its job is refused, ends or is killed; there must be no
 * panic, no lost node and nothing left of the task (the kernel checks after each: job/check.ts), and good jobs must run
 * in between. `make elf N=10000 SEED=1` for long campaigns.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { Prng } from "../../emulator/machine/prng.ts";
import { packageRoot, temporaryFolder } from "./command.ts";
import { Bench } from "./jobs.ts";

const campaign = process.env["ELF_FILES"];
const total = Number(campaign ?? 120);
const firstSeed = Number(process.env["ELF_SEED"] ?? 1);
/** Files per machine. */
const FILES_A_SEED = 40;
const GOOD_EVERY = 10;
/** A mutated program that runs longer loops for ever. */
const LONGEST_NS = 4e6;

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true }));

// ---- what is mutated -----------------------------------------------------------------------------------------------
const START = `
.globl _start
_start: mov $1, %edi; lea text(%rip), %rsi; mov $3, %edx; mov $1, %eax; syscall
  mov stored(%rip), %rdi; mov $231, %eax; syscall
.section .rodata
text: .ascii "ok\\n"
.data
stored: .quad 7
.bss
.lcomm space, 20000
`;
function assembled(name: string, ...flags: string[]): Buffer {
  const file = path.join(folder, name);
  const r = spawnSync("gcc", ["-nostdlib", "-x", "assembler", ...flags, "-o", file, "-"], { input: START });
  if (r.status !== 0) throw new Error(r.stderr.toString());
  const bytes = fs.readFileSync(file);
  fs.rmSync(file);
  return bytes;
}
/** Interpreter of the dynamic one. */
const LINKER = "/linker";
const linker = assembled("linker", "-static-pie");
const originals: Readonly<Record<string, Buffer>> = {
  job: fs.readFileSync(path.join(packageRoot, "images/out/bin/hello")),
  static: assembled("static", "-static"),
  "static-PIE": linker,
  dynamic: assembled("dynamic", "-pie", `-Wl,--dynamic-linker=${LINKER}`),
  script: Buffer.from("#!/static  -x y\nrest\n"),
};

/** Offsets and sizes in bytes. Source: ELF-64 object file format, figures 2 and 6. */
const HEADER_FIELDS = [4, 5, 6, 7, 16, 18, 20, 24, 32, 40, 48, 52, 54, 56, 58, 60, 62] as const;
const HEADER_SIZES = [1, 1, 1, 1, 2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2] as const;
const SEGMENT_FIELDS = [0, 4, 8, 16, 24, 32, 40, 48] as const;
const SEGMENT_SIZES = [4, 4, 8, 8, 8, 8, 8, 8] as const;
const HEADER_BYTES = 64;
const SEGMENT_BYTES = 56;

type Mutation = (bytes: Buffer, random: Prng) => Buffer;
const below = (random: Prng, n: number): number => random.next() % n;
/** Values at the edges of pages, of the user's addresses, of canonical addresses and of the field. */
function value(random: Prng, before: bigint): bigint {
  const near = BigInt(below(random, 5)) - 2n;
  const edges = [
    0n,
    1n << BigInt(below(random, 64)),
    0x1000n,
    0x0000_7fff_ffff_f000n,
    0x0000_8000_0000_0000n,
    0xffff_8000_0000_0000n,
    0xffff_ffff_8010_0000n,
    (1n << 64n) - 1n,
    before,
    before ^ (1n << BigInt(below(random, 64))),
  ];
  return BigInt.asUintN(64, edges[below(random, edges.length)]! + near);
}
function store(bytes: Buffer, at: number, size: number, random: Prng): void {
  if (at + size > bytes.length) return;
  const read = (): bigint => {
    let v = 0n;
    for (let i = size - 1; i >= 0; i--) v = (v << 8n) | BigInt(bytes[at + i]!);
    return v;
  };
  let v = value(random, read());
  for (let i = 0; i < size; i++, v >>= 8n) bytes[at + i] = Number(v & 0xffn);
}
const segmentsOf = (bytes: Buffer): number => (bytes.length < HEADER_BYTES ? 0 : bytes.readUInt16LE(56));
const segmentAt = (bytes: Buffer, random: Prng): number =>
  HEADER_BYTES + below(random, Math.max(1, Math.min(16, segmentsOf(bytes)))) * SEGMENT_BYTES;
const mutations: readonly Mutation[] = [
  (bytes, random) => {
    const field = below(random, HEADER_FIELDS.length);
    store(bytes, HEADER_FIELDS[field]!, HEADER_SIZES[field]!, random);
    return bytes;
  },
  ...Array.from(
    { length: 4 },
    (): Mutation => (bytes, random) => {
      const field = below(random, SEGMENT_FIELDS.length);
      store(bytes, segmentAt(bytes, random) + SEGMENT_FIELDS[field]!, SEGMENT_SIZES[field]!, random);
      return bytes;
    },
  ),
  // Two segments of the same place, or in the wrong order.
  (bytes, random) => {
    const from = segmentAt(bytes, random);
    if (from < bytes.length) bytes.copy(bytes, segmentAt(bytes, random), from, from + SEGMENT_BYTES);
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, below(random, bytes.length + 1)),
  (bytes, random) => {
    for (let n = below(random, 16); n >= 0; n--) bytes[below(random, bytes.length)] = random.next() & 0xff;
    return bytes;
  },
  (bytes, random) => {
    const at = below(random, Math.min(bytes.length, 0x400));
    bytes[at]! ^= 1 << below(random, 8);
    return bytes;
  },
];
function mutated(random: Prng): { readonly name: string; readonly bytes: Buffer } {
  const names = Object.keys(originals);
  const name = names[below(random, names.length)]!;
  let bytes: Buffer = Buffer.from(originals[name]!);
  for (let n = below(random, 3); n >= 0 && bytes.length > 0; n--)
    bytes = mutations[below(random, mutations.length)]!(bytes, random);
  return { name, bytes };
}

// ---- the runs ------------------------------------------------------------------------------------------------------
function attack(seed: number, counts: Map<string, number>): void {
  const root = path.join(folder, String(seed));
  fs.mkdirSync(root);
  fs.writeFileSync(path.join(root, "static"), originals["static"]!, { mode: 0o755 });
  fs.writeFileSync(path.join(root, LINKER), linker, { mode: 0o755 });
  const bench = new Bench({ nodes: 1, cores: 2, root, traced: false });
  const random = new Prng(seed);
  try {
    bench.boot();
    for (let i = 0; i < FILES_A_SEED; i++) {
      const { name, bytes } = mutated(random);
      fs.writeFileSync(path.join(root, "mutant"), bytes, { mode: 0o755 });
      const replay = `file ${i} of seed ${seed} (${name}): make elf N=${FILES_A_SEED} SEED=${seed}`;
      const id = bench.submit({ program: "/mutant" });
      if (!bench.ends(id, LONGEST_NS)) {
        expect(bench.machine.fault?.text, replay).toBeUndefined();
        bench.service.kill(id, Math.max(bench.now, bench.machine.time));
        expect(bench.ends(id, 1e9), `${replay}\n${bench.machine.fault?.text ?? ""}\n${bench.console}`).toBe(true);
      }
      const { result } = bench.finish(id);
      expect(bench.console, replay).not.toMatch(/panic|unexpected/);
      expect(result, replay).not.toHaveProperty("lostNid");
      expect(bench.io.taskCount, replay).toBe(0);
      counts.set(result.kind, (counts.get(result.kind) ?? 0) + 1);
      if (i % GOOD_EVERY !== GOOD_EVERY - 1) continue;
      expect(bench.run({ program: "/static" }), replay).toMatchObject({
        result: { kind: "exited", waitStatus: 7 << 8 },
        stdout: "ok\n",
      });
    }
  } finally {
    bench.close();
    fs.rmSync(root, { recursive: true });
  }
}

it(`${total} mutated executables`, { timeout: 60_000 + total * 2000 }, () => {
  const counts = new Map<string, number>();
  const seeds = Math.ceil(total / FILES_A_SEED);
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    attack(seed, counts);
    if (campaign !== undefined && seed % 10 === 0)
      console.log(`seed ${seed}: ${(seed - firstSeed + 1) * FILES_A_SEED} files`);
  }
  console.log(`elf: ${seeds * FILES_A_SEED} files: ${[...counts].map(([what, n]) => `${what} ${n}`).join(", ")}`);
  // Some are refused, some still run.
  for (const kind of ["refused", "exited"]) expect(counts.get(kind) ?? 0, kind).toBeGreaterThan(5);
});
