/** The architectural TLB (Intel SDM vol. 3, 4.10): which entries stay stale, and what flushes them. */
import { describe, expect, it } from "vitest";
import { FAULT } from "../../emulator/cpu/x86/mmu.ts";
import { PlainCpu } from "./plain-cpu.ts";

const VA = 0x40_0000;
const R = 0;
const W = 1;
const X = 2;
const K = 0;
const U = 1;
const PGE = 0x80;

/** A page at VA, already in the TLB, whose entry then changes to `changed`. */
function stale(entry: bigint, changed: bigint, level = 0) {
  const cpu = new PlainCpu();
  cpu.cr4 |= PGE;
  const path = cpu.map(BigInt(VA), entry, level);
  cpu.mmu.translate(VA, 0, R, K);
  cpu.setQuad(path[path.length - 1], changed);
  return { cpu, at: path[path.length - 1] };
}

describe("architectural TLB", () => {
  it("keeps a moved page until INVLPG", () => {
    const { cpu } = stale(0x5007n, 0x6007n);
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(0x5000);
    expect(cpu.mmu.translate(VA, 0, R, U)).toBe(0x5000);
    cpu.mmu.invalidatePage(VA + 0xfff, 0);
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(0x6000);
  });

  it("keeps a page that is no longer present", () => {
    const { cpu } = stale(0x5007n, 0n);
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(0x5000);
    cpu.mmu.invalidatePage(VA, 0);
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(FAULT);
  });

  it("walks again for more rights than it has, and nothing old survives that", () => {
    const { cpu } = stale(0x5005n, 0x6007n);
    expect(cpu.mmu.translate(VA, 0, W, U)).toBe(0x6000);
    expect(cpu.mmu.entryLeft).toBe(true);
    expect(cpu.mmu.translate(VA, 0, R, U)).toBe(0x6000);
  });

  it("loses the entry when the access that it does not grant faults", () => {
    const { cpu } = stale(0x5005n, 0n);
    expect(cpu.mmu.translate(VA, 0, W, U)).toBe(FAULT);
    expect(cpu.mmu.errorCode).toBe(6);
    expect(cpu.mmu.translate(VA, 0, R, U)).toBe(FAULT);
  });

  it("walks again at the first write through a clean entry, to set the dirty bit", () => {
    const { cpu, at } = stale(0x5007n, 0x5007n);
    expect(cpu.mmu.translate(VA, 0, W, U)).toBe(0x5000);
    expect(cpu.quad(at) & 0x40n).toBe(0x40n);
    expect(cpu.mmu.entryLeft).toBe(false);
    cpu.setQuad(at, 0n);
    expect(cpu.mmu.translate(VA, 0, W, U)).toBe(0x5000);
  });

  it("applies WP, SMEP and SMAP at the time of use", () => {
    const { cpu } = stale(0x5065n, 0x5065n);
    expect(cpu.mmu.translate(VA, 0, W, K)).toBe(FAULT);
    cpu.cr0 &= ~0x1_0000;
    expect(cpu.mmu.translate(VA, 0, W, K)).toBe(0x5000);
    cpu.cr4 |= 1 << 21;
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(FAULT);
    expect(cpu.mmu.translate(VA, 0, X, K)).toBe(0x5000);
    cpu.cr4 |= 1 << 20;
    expect(cpu.mmu.translate(VA, 0, X, K)).toBe(FAULT);
  });

  it("INVLPG drops the whole large page and says so", () => {
    const { cpu } = stale(0x87n, 0x20_0087n, 1);
    expect(cpu.mmu.translate(VA + 0x12_3000, 0, R, K)).toBe(0x12_3000);
    expect(cpu.mmu.invalidatePage(VA + 0x1f_f000, 0)).toBe(true);
    expect(cpu.mmu.translate(VA + 0x12_3000, 0, R, K)).toBe(0x32_3000);
  });

  it("MOV to CR3 spares global pages, INVLPG does not", () => {
    const { cpu, at } = stale(0x5107n, 0x6107n);
    cpu.mmu.tlb.flushNonGlobal();
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(0x5000);
    cpu.mmu.invalidatePage(VA, 0);
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(0x6000);
    cpu.setQuad(at, 0x7007n);
    cpu.mmu.invalidatePage(VA, 0);
    cpu.mmu.translate(VA, 0, R, K);
    cpu.setQuad(at, 0x5007n);
    cpu.mmu.tlb.flushNonGlobal();
    expect(cpu.mmu.translate(VA, 0, R, K)).toBe(0x5000);
  });

  it("knows no global pages without CR4.PGE", () => {
    const cpu = new PlainCpu();
    cpu.map(BigInt(VA), 0x5107n);
    cpu.mmu.translate(VA, 0, R, K);
    cpu.mmu.tlb.flushNonGlobal();
    expect(cpu.mmu.tlb.size).toBe(0);
  });

  it.each([
    { what: "CR0.PG", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr0(0x8001_0033, 0x1_0033), flushes: true },
    { what: "CR0.WP", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr0(0x8001_0033, 0x8000_0033), flushes: false },
    { what: "CR4.PGE", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr4(0xa0, 0x20), flushes: true },
    { what: "CR4.SMEP set", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr4(0x20, 0x10_0020), flushes: true },
    { what: "CR4.SMEP cleared", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr4(0x10_0020, 0x20), flushes: false },
    { what: "CR4.SMAP", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr4(0x20, 0x20_0020), flushes: false },
    { what: "CR4 unchanged", flush: (cpu: PlainCpu) => cpu.mmu.flushForCr4(0xa0, 0xa0), flushes: false },
    { what: "EFER.NXE", flush: (cpu: PlainCpu) => cpu.mmu.flushForEfer(0xd01, 0x501), flushes: true },
    { what: "EFER.SCE", flush: (cpu: PlainCpu) => cpu.mmu.flushForEfer(0xd01, 0xd00), flushes: false },
  ])("$what: flushes all = $flushes", ({ flush, flushes }) => {
    const { cpu } = stale(0x5107n, 0x6107n);
    expect(flush(cpu)).toBe(flushes);
    expect(cpu.mmu.tlb.size).toBe(flushes ? 0 : 1);
  });

  it("is saved in a fixed order and restored whole, high half included", () => {
    const cpu = new PlainCpu();
    cpu.cr4 |= PGE;
    cpu.map(0xffff_ffff_8000_0000n, 0x183n, 1);
    cpu.map(BigInt(VA), (1n << 63n) | 0x5005n);
    cpu.map(0x4000_0000n, 0x87n, 2);
    cpu.mmu.translate(0x8012_3456, 0xffff_ffff, W, K);
    cpu.mmu.translate(0x7fff_ffff, 0, R, U);
    cpu.mmu.translate(VA, 0, R, U);
    const saved = cpu.mmu.tlb.save();
    expect(saved).toEqual([
      { virtual: 0x40_0000n, physical: 0x5000, bytes: 0x1000, permissions: 1, user: true, global: false, dirty: false },
      {
        virtual: 0x4000_0000n,
        physical: 0,
        bytes: 0x4000_0000,
        permissions: 7,
        user: true,
        global: false,
        dirty: false,
      },
      {
        virtual: 0xffff_ffff_8000_0000n,
        physical: 0,
        bytes: 0x20_0000,
        permissions: 7,
        user: false,
        global: true,
        dirty: true,
      },
    ]);
    const other = new PlainCpu();
    other.mmu.tlb.restore(saved);
    expect(other.mmu.tlb.save()).toEqual(saved);
    expect(other.mmu.translate(0x8012_3456, 0xffff_ffff, W, K)).toBe(0x12_3000);
  });
});
