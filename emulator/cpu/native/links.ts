/**
 * What a core has looked up for its translated code: links to the translations of its pages, and the tables for its
 * accesses. Both hold only what the architectural TLB grants now, and may be dropped at any time.
 */
import { Cr0 } from "../../abi/x86.ts";
import { ACCESS_FETCH, ACCESS_READ, ACCESS_WRITE } from "../x86/access.ts";
import { FAULT } from "../x86/mmu.ts";
import { GRANT_WRITE } from "../x86/pagewalk.ts";
import { NO_SPACE, spaceOf, WATCH_WRITE } from "../x86/stops.ts";
import { CodePage, PAGE, type TranslationCache } from "./cache.ts";
import { Env, type Environment, readTable, writeTable } from "./environment.ts";
import type { CodeUser } from "./frames.ts";
import { Processor } from "./processor.ts";
import type { Node } from "./registers.ts";
import type { Translator } from "./translate.ts";

const TWO_32 = 0x1_0000_0000;
/** Key of a link: linear page and translation mode. */
const MODES = 8;

export interface Link {
  readonly page: CodePage;
  readonly frame: number;
}

export abstract class CodeLinks extends Processor implements CodeUser {
  /** Code has been written since the instruction began: a string instruction that goes on is fetched again. */
  protected codeChanged = false;
  private readonly links = new Map<number, Link>();
  private generation: number;

  constructor(
    env: Environment,
    node: Node,
    protected readonly cache: TranslationCache,
    protected readonly translator: Translator,
  ) {
    super(env, node);
    this.generation = cache.generation;
  }

  /**
   * Position of the code for an address; undefined: the instruction must be executed by itself. Delivers fetch faults.
   */
  protected codeAt(pc: number): number | undefined {
    this.cache.reserve();
    const link = this.linkTo(pc);
    return link && this.translator.block(link.page, pc - link.page.linear);
  }

  protected linkTo(pc: number): Link | undefined {
    if (this.cache.generation !== this.generation) {
      this.generation = this.cache.generation;
      this.dropCodeLinks();
    }
    if (!this.ripIsCanonical) return undefined;
    const linearPage = Math.floor(pc / PAGE);
    const key = linearPage * MODES + this.translationMode;
    const link = this.links.get(key);
    if (link === undefined) return this.makeLink(linearPage, key);
    // Another page may have taken this slot.
    this.env.enterPage(link.page.slot, link.page.id);
    return link;
  }

  private makeLink(linearPage: number, key: number): Link | undefined {
    const linear = linearPage * PAGE;
    const high = Math.floor(linear / TWO_32) >>> 0;
    const physical = this.mmu.translate(linear >>> 0, high, ACCESS_FETCH, this.privilege);
    if (this.mmu.entryLeft) this.dropHostTlb();
    if (physical === FAULT) return undefined; // the step finds the fault, at its address
    const { memory, code, stops } = this.node;
    const offset = memory.offsetOf(physical);
    if (offset < 0) return undefined;
    const { generation } = this.cache;
    const page = code.page(offset, key, generation, () => {
      const content = memory.bytes.subarray(offset, offset + PAGE);
      const points = new Set<number>();
      for (const at of stops.virtualBreakpoints()) {
        const inPage = Number(BigInt.asIntN(64, at)) - linear;
        if (inPage >= 0 && inPage < PAGE) points.add(inPage);
      }
      for (const at of stops.physicalBreakpoints())
        if (at >= physical && at < physical + PAGE) points.add(at - physical);
      return points.size > 0
        ? new CodePage(content.slice(), linear, this.translationMode, points)
        : this.cache.page(content, linear, this.translationMode);
    });
    const link = { page, frame: Math.floor(offset / PAGE) };
    this.links.set(key, link);
    this.env.enterPage(page.slot, page.id);
    return link;
  }

  protected dropCodeLinks(): void {
    this.links.clear();
    this.env.forgetJumps();
  }
  forgetCode(frame: number): void {
    this.codeChanged = true;
    let any = false;
    for (const [key, link] of this.links) {
      if (link.frame !== frame) continue;
      this.links.delete(key);
      any = true;
    }
    if (any) this.env.forgetJumps();
  }
  forgetWrites(frame: number): void {
    this.env.forgetWrites(this.node.memory.address + frame * PAGE);
  }

  // ---- the tables

  /** Fills the table for the access in Env.ADDRESS. False: the table does not suffice. */
  protected fill(bytes: number, write: boolean): boolean {
    const { env, mmu } = this;
    const low = env.u32(Env.ADDRESS);
    const high = env.u32(Env.ADDRESS + 4);
    const inPage = low & 0xfff;
    if (inPage + bytes > PAGE) return false;
    const physical = mmu.translate(low, high, write ? ACCESS_WRITE : ACCESS_READ, this.privilege);
    if (mmu.entryLeft) this.dropHostTlb();
    if (physical === FAULT) return false;
    const { memory, code, stops } = this.node;
    const offset = memory.offsetOf(physical);
    if (offset < 0) return false;
    const linear = env.address64(Env.ADDRESS) - inPage;
    let writable = (mmu.granted & GRANT_WRITE) !== 0 && !code.isCode(offset);
    if (write && !writable) return false;
    if (stops.isWatching) {
      const kinds = stops.watchedKinds(BigInt.asUintN(64, BigInt(linear)), this.space, physical);
      if (kinds) {
        if (write || kinds !== WATCH_WRITE) return false;
        writable = false;
      }
    }
    const host = memory.address + offset;
    env.enterTlb(readTable(this.privilegeIndex), linear, host);
    if (writable) {
      code.noteWritable(offset);
      env.enterTlb(writeTable(this.privilegeIndex), linear, host);
    }
    return true;
  }

  invalidatePage(address: bigint): void {
    const low = Number(address & 0xffff_ffffn);
    const high = Number(address >> 32n);
    if (this.mmu.invalidatePage(low, high)) {
      this.dropHostTlb();
      return;
    }
    const linearPage = Math.floor(Number(BigInt.asIntN(64, address)) / PAGE);
    this.env.forgetPage(linearPage * PAGE);
    let any = false;
    for (let mode = 0; mode < MODES; mode++) any = this.links.delete(linearPage * MODES + mode) || any;
    if (any) this.env.forgetJumps();
  }

  /** The value to compare with `Place.space`. */
  protected get space(): number {
    return this.cr0 & Cr0.PG ? spaceOf(this.cr3) : NO_SPACE;
  }
}
