/** A processor without an engine: plain fields, real RAM, real page walk and TLB. `map` writes page tables. */
import { Mmu } from "../../emulator/cpu/x86/mmu.ts";
import {
  ACCESS_READ,
  ACCESS_WRITE,
  type CpuAccess,
  type PagingRegisters,
  type PhysicalMemory,
  type Privilege,
} from "../../emulator/cpu/x86/access.ts";
import type { Segment } from "../../emulator/cpu/engine.ts";

/** Code and data descriptors as tables hold them; bits 40…55 of the descriptor are `bits`. */
export const descriptor = (bits: number, base = 0, limit = 0xfffff): bigint =>
  (BigInt(limit) & 0xffffn) |
  ((BigInt(base) & 0xff_ffffn) << 16n) |
  (BigInt(bits) << 40n) |
  ((BigInt(limit) >> 16n) << 48n) |
  ((BigInt(base) >> 24n) << 56n);

export class PlainCpu implements CpuAccess, PagingRegisters, PhysicalMemory {
  cr0 = 0x8001_0033;
  cr2 = 0n;
  cr3 = 0x1000;
  cr4 = 0x20;
  efer = 0xd01;
  alignmentCheck = false;
  rip = 0x40_0000n;
  rflags = 0x202n;
  cpl = 0;
  interruptShadow = false;
  gdtr = { base: 0x8000n, limit: 0x5f };
  idtr = { base: 0x9000n, limit: 0xfff };
  readonly words = new Uint32Array((4 << 20) / 4);
  readonly view = new DataView(this.words.buffer);
  readonly registers: bigint[] = new Array<bigint>(16).fill(0n);
  readonly segments: Segment[] = Array.from({ length: 8 }, () => ({
    selector: 0,
    base: 0n,
    limit: 0xffff_ffff,
    flags: 0xcf_9300,
  }));
  readonly mmu = new Mmu(this, this);
  tablesWritten = 0;
  private nextTable = 0x2000;

  offsetOf(physical: number): number {
    return physical < this.words.length * 4 ? physical : -1;
  }
  written(): void {
    this.tablesWritten++;
  }
  gpr(index: number): bigint {
    return this.registers[index];
  }
  setGpr(index: number, value: bigint): void {
    this.registers[index] = value;
  }
  segment(index: number): Segment {
    return this.segments[index];
  }
  setSegment(index: number, segment: Segment): void {
    this.segments[index] = segment;
    if (index === 1) this.cpl = segment.selector & 3;
  }
  readLinear(address: bigint, bytes: number, privilege: Privilege): bigint {
    let value = 0n;
    for (let byte = 0; byte < bytes; byte++)
      value |=
        BigInt(this.view.getUint8(this.mmu.translateOrThrow(address + BigInt(byte), ACCESS_READ, privilege))) <<
        BigInt(8 * byte);
    return value;
  }
  writeLinear(address: bigint, bytes: number, value: bigint, privilege: Privilege): void {
    for (let byte = 0; byte < bytes; byte++) {
      this.view.setUint8(
        this.mmu.translateOrThrow(address + BigInt(byte), ACCESS_WRITE, privilege),
        Number((value >> BigInt(8 * byte)) & 0xffn),
      );
    }
  }

  checkWrite(address: bigint, bytes: number, privilege: Privilege): void {
    for (let byte = 0; byte < bytes; byte++) this.mmu.translateOrThrow(address + BigInt(byte), ACCESS_WRITE, privilege);
  }

  quad(physical: number): bigint {
    return this.view.getBigUint64(physical, true);
  }
  setQuad(physical: number, value: bigint): void {
    this.view.setBigUint64(physical, BigInt.asUintN(64, value), true);
  }

  /**
   * Maps a page of 4 KB (level 0), 2 MB (1) or 1 GB (2): its entry is `entry` as given, tables on the way have
   * `tableBits`. Returns the physical addresses of the entries used, from the PML4 down.
   */
  map(virtual: bigint, entry: bigint, level = 0, tableBits = 7n): number[] {
    let table = this.cr3 & ~0xfff;
    const path: number[] = [];
    for (let depth = 3; depth > level; depth--) {
      const at = table + Number((virtual >> BigInt(12 + 9 * depth)) & 511n) * 8;
      path.push(at);
      if (!(this.quad(at) & 1n)) {
        this.setQuad(at, BigInt(this.nextTable) | tableBits);
        this.nextTable += 0x1000;
      }
      table = Number(this.quad(at) & 0xf_ffff_f000n);
    }
    const at = table + Number((virtual >> BigInt(12 + 9 * level)) & 511n) * 8;
    this.setQuad(at, entry);
    return [...path, at];
  }

  /** Identity-maps the first 2 MB for the supervisor: tables, stacks and code of the tests. */
  mapLow(): void {
    this.map(0n, 0x83n, 1);
  }
}
