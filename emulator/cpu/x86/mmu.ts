/**
 * Translation as a program sees it: first the architectural TLB, then the page walk, whose result enters the TLB.
 *
 * If a TLB entry does not grant an access, the walk is repeated. AMD's processors do this; Intel's may first fault with
 * the stale rights; in both cases no stale entry survives a fault on its address. So granting more rights needs no
 * INVLPG; removing rights or moving a page does.
 */
import { Cr0, Cr4, Efer } from "../../abi/x86.ts";
import {
  ACCESS_WRITE,
  type AccessKind,
  Fault,
  type PagingRegisters,
  type PhysicalMemory,
  type Privilege,
} from "./access.ts";
import {
  GRANT_ALL,
  GRANT_WRITE,
  grants,
  isCanonical,
  PageWalk,
  pagingEnabled,
  TranslationFlag,
  WALK_OK,
} from "./pagewalk.ts";
import { pageOf, Tlb } from "./tlb.ts";

/** `translate` returns this for a fault: see `errorCode`. */
export const FAULT = -1;
/** `errorCode` of a non-canonical address: #GP(0) instead of #PF. */
export const NOT_CANONICAL = -1;

const TWO_32 = 0x1_0000_0000;

export class Mmu {
  readonly tlb = new Tlb();
  /**
   * After a success: the other accesses that the page grants to the same privilege (GRANT_ bits); write only once D is
   * set.
   */
  granted = 0;
  /** After a fault: the #PF error code, or NOT_CANONICAL. */
  errorCode = 0;
  /**
   * The last call replaced or dropped an entry, so copies of it elsewhere (an engine's own TLB) must be dropped. The
   * caller resets this flag.
   */
  entryLeft = false;
  private readonly walker: PageWalk;

  constructor(
    private readonly registers: PagingRegisters,
    memory: PhysicalMemory,
  ) {
    this.walker = new PageWalk(memory);
  }

  /** Physical address of the 4 KB page of a linear address, or FAULT. Fills the TLB, sets accessed and dirty bits. */
  translate(low: number, high: number, access: AccessKind, privilege: Privilege): number {
    const registers = this.registers;
    if (!pagingEnabled(registers)) {
      this.granted = GRANT_ALL;
      return low - (low & 0xfff);
    }
    if (!isCanonical(high)) {
      this.errorCode = NOT_CANONICAL;
      return FAULT;
    }
    const page = pageOf(low, high);
    const entry = this.tlb.lookup(page);
    if (entry !== undefined) {
      const granted = grants(entry.flags, privilege, registers);
      if (granted & (1 << access) && (access !== ACCESS_WRITE || entry.flags & TranslationFlag.DIRTY)) {
        this.granted = entry.flags & TranslationFlag.DIRTY ? granted : granted & ~GRANT_WRITE;
        return entry.physical + (page % (entry.bytes / 4096)) * 4096;
      }
    }
    const walker = this.walker;
    const error = walker.walk(registers, low, high, access, privilege);
    if (error !== WALK_OK) {
      if (entry !== undefined) {
        this.tlb.invalidatePage(page);
        this.entryLeft = true;
      }
      this.errorCode = error;
      return FAULT;
    }
    if (entry !== undefined) {
      const sameButDirty =
        walker.physical === entry.physical &&
        walker.bytes === entry.bytes &&
        (walker.flags & ~TranslationFlag.DIRTY) === (entry.flags & ~TranslationFlag.DIRTY);
      if (sameButDirty) {
        entry.flags = walker.flags;
      } else {
        this.tlb.invalidatePage(page);
        this.entryLeft = true;
        this.tlb.insert(page, walker.physical, walker.bytes, walker.flags);
      }
    } else {
      this.tlb.insert(page, walker.physical, walker.bytes, walker.flags);
    }
    const granted = grants(walker.flags, privilege, registers);
    this.granted = walker.flags & TranslationFlag.DIRTY ? granted : granted & ~GRANT_WRITE;
    return walker.physical + (page % (walker.bytes / 4096)) * 4096;
  }

  /** Physical address of a byte, for the processor's own accesses. Throws Fault. */
  translateOrThrow(address: bigint, access: AccessKind, privilege: Privilege): number {
    const low = Number(address & 0xffff_ffffn);
    const page = this.translate(low, Number((address >> 32n) & 0xffff_ffffn), access, privilege);
    if (page !== FAULT) return page + (low & 0xfff);
    if (this.errorCode === NOT_CANONICAL) throw new Fault(13, 0);
    throw new Fault(14, this.errorCode, address);
  }

  /** INVLPG. True: engines must drop more than this 4 KB page. For a non-canonical address it does nothing. */
  invalidatePage(low: number, high: number): boolean {
    return isCanonical(high) && this.tlb.invalidatePage(pageOf(low, high));
  }

  /** Reads only the page tables: no TLB, no rights, no bits are set. undefined: not mapped. */
  peek(address: bigint): number | undefined {
    const low = Number(address & 0xffff_ffffn);
    const high = Number((address >> 32n) & 0xffff_ffffn);
    if (!pagingEnabled(this.registers)) return low;
    if (!isCanonical(high) || this.walker.walk(this.registers, low, high, 0, 0, false) !== WALK_OK) return undefined;
    const offsetLow = low % Math.min(this.walker.bytes, TWO_32);
    return this.walker.physical + offsetLow;
  }

  /** As the core would translate it now, including stale entries; fills and sets nothing. undefined: not mapped. */
  resident(address: bigint): number | undefined {
    if (pagingEnabled(this.registers)) {
      const entry = this.tlb.lookup(Number(BigInt.asUintN(48, address) >> 12n));
      if (entry !== undefined) return entry.physical + Number(address & BigInt(entry.bytes - 1));
    }
    return this.peek(address);
  }

  /**
   * The effect of a write to a control register or EFER on the TLB (SDM vol. 3, 4.10.4.1), by old and new value. True:
   * flushed. SMAP is not in that list: this model computes rights at every use, so no entry must be dropped.
   */
  flushForCr0(previous: number, next: number): boolean {
    return this.flushIf(((previous ^ next) & Cr0.PG) !== 0);
  }

  flushForCr4(previous: number, next: number): boolean {
    const changed = previous ^ next;
    return this.flushIf((changed & (Cr4.PGE | Cr4.PAE)) !== 0 || (changed & next & Cr4.SMEP) !== 0);
  }

  /** Not in the manual's list, which leaves it to software; AMD's processors flush. */
  flushForEfer(previous: number, next: number): boolean {
    return this.flushIf(((previous ^ next) & Efer.NXE) !== 0);
  }

  private flushIf(condition: boolean): boolean {
    if (condition) this.tlb.flushAll();
    return condition;
  }
}
