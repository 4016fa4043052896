/**
 * The architectural TLB of one core (Intel SDM vol. 3, 4.10): the translations that a guest may still see after it has
 * changed its page tables. It is part of the machine's state. Entries are dropped only by INVLPG, by register writes
 * that flush, by INIT, by a page fault on their address, or when an access needs more rights and the walk is repeated;
 * never by capacity, by time or by the engine. So an engine may drop its own translations at any time.
 *
 * Unlike a real TLB it never evicts an entry. This makes a missing shootdown as visible as possible.
 */
import type { TlbEntry } from "../engine.ts";
import { TranslationFlag } from "./pagewalk.ts";

export interface Translation {
  /** Linear address / 4096, of 48 bits, not sign-extended. */
  readonly page: number;
  readonly physical: number;
  readonly bytes: number;
  /** TranslationFlag bits. */
  flags: number;
}

const PAGES_2M = 512;
const PAGES_1G = 512 * 512;

/** Number of the 4 KB page of a linear address, 36 bits. */
export const pageOf = (low: number, high: number): number => (high & 0xffff) * 0x10_0000 + (low >>> 12);

export class Tlb {
  private readonly small = new Map<number, Translation>();
  private readonly large = new Map<number, Translation>();
  private readonly huge = new Map<number, Translation>();

  get size(): number {
    return this.small.size + this.large.size + this.huge.size;
  }

  /** The entry for a 4 KB page. If pages of several sizes cover it, the smallest wins. */
  lookup(page: number): Translation | undefined {
    let entry = this.small.get(page);
    if (entry === undefined && this.large.size) entry = this.large.get(page - (page % PAGES_2M));
    if (entry === undefined && this.huge.size) entry = this.huge.get(page - (page % PAGES_1G));
    return entry;
  }

  /** `page` is any 4 KB page within. */
  insert(page: number, physical: number, bytes: number, flags: number): void {
    const first = page - (page % (bytes / 4096));
    this.of(bytes).set(first, { page: first, physical, bytes, flags });
  }

  /**
   * INVLPG, or a page fault: drops every entry that covers the page, global ones too. True if one of them was a large
   * page.
   */
  invalidatePage(page: number): boolean {
    this.small.delete(page);
    const hadLarge = this.large.delete(page - (page % PAGES_2M));
    const hadHuge = this.huge.delete(page - (page % PAGES_1G));
    return hadLarge || hadHuge;
  }

  /** MOV to CR3. */
  flushNonGlobal(): void {
    for (const map of [this.small, this.large, this.huge]) {
      for (const [page, entry] of map) if (!(entry.flags & TranslationFlag.GLOBAL)) map.delete(page);
    }
  }

  /** The writes to CR0, CR4 and EFER that flush, and INIT. */
  flushAll(): void {
    this.small.clear();
    this.large.clear();
    this.huge.clear();
  }

  /** Sorted by address, then size: equal TLBs give equal lists. */
  save(): TlbEntry[] {
    return [...this.small.values(), ...this.large.values(), ...this.huge.values()]
      .sort((a, b) => a.page - b.page || a.bytes - b.bytes)
      .map((entry) => ({
        virtual: BigInt.asUintN(64, BigInt.asIntN(48, BigInt(entry.page) * 4096n)),
        physical: entry.physical,
        bytes: entry.bytes,
        permissions:
          1 | (entry.flags & TranslationFlag.WRITABLE ? 2 : 0) | (entry.flags & TranslationFlag.NO_EXECUTE ? 0 : 4),
        user: (entry.flags & TranslationFlag.USER) !== 0,
        global: (entry.flags & TranslationFlag.GLOBAL) !== 0,
        dirty: (entry.flags & TranslationFlag.DIRTY) !== 0,
      }));
  }

  restore(entries: readonly TlbEntry[]): void {
    this.flushAll();
    for (const entry of entries) {
      const flags =
        (entry.permissions & 2 ? TranslationFlag.WRITABLE : 0) |
        (entry.permissions & 4 ? 0 : TranslationFlag.NO_EXECUTE) |
        (entry.user ? TranslationFlag.USER : 0) |
        (entry.global ? TranslationFlag.GLOBAL : 0) |
        (entry.dirty ? TranslationFlag.DIRTY : 0);
      this.insert(Number(BigInt.asUintN(48, entry.virtual) >> 12n), entry.physical, entry.bytes, flags);
    }
  }

  private of(bytes: number): Map<number, Translation> {
    return bytes === 0x1000 ? this.small : bytes === 0x20_0000 ? this.large : this.huge;
  }
}
