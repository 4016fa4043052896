/**
 * The page walk and the rights of an access against cases retyped from the Intel SDM, volume 3: 4.5.4 (formats), 4.6.1
 * (rights), 4.7 (error codes: P=1, W/R=2, U/S=4, RSVD=8, I/D=16), 4.8 (accessed and dirty).
 */
import { describe, expect, it } from "vitest";
import { FAULT, NOT_CANONICAL } from "../../emulator/cpu/x86/mmu.ts";
import { PlainCpu } from "./plain-cpu.ts";

const NX = 1n << 63n;
const VA = 0x40_0000n;
const R = 0;
const W = 1;
const X = 2;
const K = 0;
const U = 1;
/** Supervisor access by the processor itself. */
const I = 2;
const SMEP = 1 << 20;
const SMAP = 1 << 21;

interface Case {
  readonly name: string;
  readonly entry: bigint;
  readonly level?: number;
  readonly table?: bigint;
  readonly access: 0 | 1 | 2;
  readonly as: 0 | 1 | 2;
  readonly cr0?: number;
  readonly cr4?: number;
  readonly efer?: number;
  readonly ac?: boolean;
  /** Error code, or "ok". */
  readonly is: number | "ok";
}
const NO_WP = 0x8000_0033;
const NO_NXE = 0x501;

// biome-ignore format: a table
const cases: Case[] = [
  { name: "not present, supervisor read",            entry: 0n,             access: R, as: K, is: 0 },
  { name: "not present, supervisor write",           entry: 0n,             access: W, as: K, is: 2 },
  { name: "not present, supervisor fetch, NXE",      entry: 0n,             access: X, as: K, is: 16 },
  { name: "not present, fetch, neither NXE nor SMEP", entry: 0n,            access: X, as: K, efer: NO_NXE, is: 0 },
  { name: "not present, fetch, SMEP alone",          entry: 0n,             access: X, as: K, efer: NO_NXE, cr4: SMEP, is: 16 },
  { name: "not present, user read",                  entry: 0n,             access: R, as: U, is: 4 },
  { name: "not present, user write",                 entry: 0n,             access: W, as: U, is: 6 },
  { name: "not present, user fetch",                 entry: 0n,             access: X, as: U, is: 20 },
  { name: "user page, user read",                    entry: 0x5000n | 5n,   access: R, as: U, is: "ok" },
  { name: "user page read-only, user write",         entry: 0x5000n | 5n,   access: W, as: U, is: 7 },
  { name: "user page writable, user write",          entry: 0x5000n | 7n,   access: W, as: U, is: "ok" },
  { name: "supervisor page, user read",              entry: 0x5000n | 3n,   access: R, as: U, is: 5 },
  { name: "supervisor page, user write",             entry: 0x5000n | 3n,   access: W, as: U, is: 7 },
  { name: "supervisor page, user fetch",             entry: 0x5000n | 3n,   access: X, as: U, is: 21 },
  { name: "supervisor table above a user page",      entry: 0x5000n | 7n, table: 3n, access: R, as: U, is: 5 },
  { name: "read-only table above a writable page",   entry: 0x5000n | 7n, table: 5n, access: W, as: U, is: 7 },
  { name: "NX in the table",                         entry: 0x5000n | 7n, table: NX | 7n, access: X, as: U, is: 21 },
  { name: "NX page, user fetch",                     entry: NX | 0x5007n,   access: X, as: U, is: 21 },
  { name: "NX page, supervisor fetch",               entry: NX | 0x5003n,   access: X, as: K, is: 17 },
  { name: "NX page, read",                           entry: NX | 0x5007n,   access: R, as: U, is: "ok" },
  { name: "NX without NXE is reserved",              entry: NX | 0x5007n,   access: R, as: U, efer: NO_NXE, is: 13 },
  { name: "WP=1: supervisor write to read-only",     entry: 0x5000n | 1n,   access: W, as: K, is: 3 },
  { name: "WP=0: supervisor write to read-only",     entry: 0x5000n | 1n,   access: W, as: K, cr0: NO_WP, is: "ok" },
  { name: "WP=0: supervisor write to user read-only", entry: 0x5000n | 5n,  access: W, as: K, cr0: NO_WP, is: "ok" },
  { name: "WP=0 does not help the user",             entry: 0x5000n | 5n,   access: W, as: U, cr0: NO_WP, is: 7 },
  { name: "SMEP: supervisor fetch of user page",     entry: 0x5000n | 5n,   access: X, as: K, cr4: SMEP, is: 17 },
  { name: "no SMEP: supervisor fetch of user page",  entry: 0x5000n | 5n,   access: X, as: K, is: "ok" },
  { name: "SMAP: supervisor read of user page",      entry: 0x5000n | 7n,   access: R, as: K, cr4: SMAP, is: 1 },
  { name: "SMAP: supervisor write of user page",     entry: 0x5000n | 7n,   access: W, as: K, cr4: SMAP, is: 3 },
  { name: "SMAP with AC",                            entry: 0x5000n | 7n,   access: W, as: K, cr4: SMAP, ac: true, is: "ok" },
  { name: "SMAP: AC does not help implicit access",  entry: 0x5000n | 7n,   access: R, as: I, cr4: SMAP, ac: true, is: 1 },
  { name: "SMAP: WP=0 does not help",                entry: 0x5000n | 7n,   access: W, as: K, cr4: SMAP, cr0: NO_WP, is: 3 },
  { name: "SMAP does not touch fetches",             entry: 0x5000n | 5n,   access: X, as: K, cr4: SMAP, is: "ok" },
  { name: "implicit access to supervisor page",      entry: 0x5000n | 3n,   access: R, as: I, cr4: SMAP, is: "ok" },
  { name: "address bit 40 is reserved",              entry: (1n << 40n) | 7n, access: R, as: U, is: 13 },
  { name: "address bit 51 is reserved, write",       entry: (1n << 51n) | 7n, access: W, as: U, is: 15 },
  { name: "reserved bit, supervisor fetch",          entry: (1n << 45n) | 7n, access: X, as: K, is: 25 },
  { name: "reserved wins over rights",               entry: (1n << 45n) | 1n, access: W, as: U, is: 15 },
  { name: "bits 52 to 62 are ignored",               entry: (0x7ffn << 52n) | 0x5007n, access: R, as: U, is: "ok" },
  { name: "2 MB page",                               entry: 0x20_0087n, level: 1, access: W, as: U, is: "ok" },
  { name: "2 MB page with PAT",                      entry: 0x20_1087n, level: 1, access: W, as: U, is: "ok" },
  { name: "2 MB page, bit 13 reserved",              entry: 0x20_2087n, level: 1, access: R, as: K, is: 9 },
  { name: "2 MB page, bit 20 reserved",              entry: 0x30_0087n, level: 1, access: R, as: K, is: 9 },
  { name: "1 GB page",                               entry: 0x87n, level: 2,   access: W, as: U, is: "ok" },
  { name: "1 GB page, bit 29 reserved",              entry: 0x2000_0087n, level: 2, access: R, as: U, is: 13 },
  { name: "1 GB page, bit 13 reserved",              entry: 0x2087n, level: 2, access: R, as: U, is: 13 },
  { name: "PML4 entry with bit 7",                   entry: 0x87n, level: 3,   access: R, as: K, is: 9 },
];

describe("page walk", () => {
  it.each(cases)("$name", (test) => {
    const cpu = new PlainCpu();
    cpu.cr0 = test.cr0 ?? cpu.cr0;
    cpu.cr4 |= test.cr4 ?? 0;
    cpu.efer = test.efer ?? cpu.efer;
    cpu.alignmentCheck = test.ac ?? false;
    cpu.map(VA, test.entry, test.level ?? 0, test.table ?? 7n);
    const page = cpu.mmu.translate(Number(VA) + 0x123, 0, test.access, test.as);
    if (test.is === "ok") expect(page).not.toBe(FAULT);
    else expect({ page, error: cpu.mmu.errorCode }).toEqual({ page: FAULT, error: test.is });
  });

  it("adds up physical addresses of every size", () => {
    const cpu = new PlainCpu();
    cpu.map(0x1234_5678_9000n, 0xff_1234_5007n);
    expect(cpu.mmu.translate(0x5678_9abc, 0x1234, R, U)).toBe(0xff_1234_5000);
    cpu.map(0xffff_8000_0020_0000n, 0x80_0060_0087n, 1);
    expect(cpu.mmu.translate(0x0023_4567, 0xffff_8000, R, U)).toBe(0x80_0063_4000);
    cpu.map(0xffff_ffff_8000_0000n, 0x81_4000_0083n, 2);
    expect(cpu.mmu.translate(0xbfff_ffff, 0xffff_ffff, R, K)).toBe(0x81_7fff_f000);
    expect(cpu.mmu.peek(0xffff_ffff_bfff_fabcn)).toBe(0x81_7fff_fabc);
  });

  it("rejects non-canonical addresses with #GP and walks the edges", () => {
    const cpu = new PlainCpu();
    for (const high of [0x8000, 0x7fff_ffff, 0xffff_7fff, 0x8000_0000]) {
      expect(cpu.mmu.translate(0, high, R, K)).toBe(FAULT);
      expect(cpu.mmu.errorCode).toBe(NOT_CANONICAL);
    }
    for (const high of [0x7fff, 0xffff_8000]) {
      expect(cpu.mmu.translate(0, high, R, K)).toBe(FAULT);
      expect(cpu.mmu.errorCode).toBe(0);
    }
  });

  it("faults with reserved bits where a table lies outside RAM", () => {
    const cpu = new PlainCpu();
    cpu.cr3 = 0xf000_0000;
    expect(cpu.mmu.translate(0, 0, R, K)).toBe(FAULT);
    expect(cpu.mmu.errorCode).toBe(9);
  });

  it("sets accessed bits on success only, and dirty at the first write", () => {
    const cpu = new PlainCpu();
    const path = cpu.map(VA, 0x5005n);
    const bits = (): number[] => path.map((at) => Number(cpu.quad(at) & 0x60n));
    expect(cpu.mmu.translate(Number(VA), 0, W, U)).toBe(FAULT);
    expect(bits()).toEqual([0, 0, 0, 0]);
    expect(cpu.mmu.translate(Number(VA), 0, R, U)).toBe(0x5000);
    expect(bits()).toEqual([0x20, 0x20, 0x20, 0x20]);
    cpu.setQuad(path[3], 0x5007n);
    expect(cpu.mmu.translate(Number(VA), 0, W, U)).toBe(0x5000);
    expect(bits()).toEqual([0x20, 0x20, 0x20, 0x60]);
  });

  it("grants write beside a read only once the page is dirty", () => {
    const cpu = new PlainCpu();
    cpu.map(VA, 0x5007n);
    cpu.mmu.translate(Number(VA), 0, R, U);
    expect(cpu.mmu.granted).toBe(5);
    cpu.mmu.translate(Number(VA), 0, W, U);
    cpu.mmu.translate(Number(VA), 0, R, U);
    expect(cpu.mmu.granted).toBe(7);
  });

  it("peeks without setting anything", () => {
    const cpu = new PlainCpu();
    const path = cpu.map(VA, 0x5001n);
    expect(cpu.mmu.peek(VA + 5n)).toBe(0x5005);
    expect(cpu.mmu.peek(VA + 0x1000n)).toBeUndefined();
    expect(path.map((at) => cpu.quad(at) & 0x60n)).toEqual([0n, 0n, 0n, 0n]);
    expect(cpu.mmu.tlb.size).toBe(0);
  });

  it("is the identity with paging off", () => {
    const cpu = new PlainCpu();
    cpu.cr0 = 0x11;
    expect(cpu.mmu.translate(0xdead_beef, 0, W, K)).toBe(0xdead_b000);
    expect(cpu.mmu.tlb.size).toBe(0);
  });
});
