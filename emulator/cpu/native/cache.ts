/**
 * All translations of the process. A page of code is identified by its content, its linear address and the mode that it
 * runs in, so cores and nodes with equal pages share its blocks. A block branches directly to other blocks of the same
 * page only; it reaches everything else through the core's jump cache or an exit. So what is true for a page's content
 * is true for every core that uses it.
 *
 * When the buffer is full, all translations are dropped: `generation` tells cores that their links are void.
 */
import { Emitter } from "./emit/emitter.ts";
import { emitCpuid, emitThunks } from "./emit/thunks.ts";
import { CodeMap } from "./codemap.ts";
import { emitCrashHandler, installCrashHandler } from "./crash.ts";
import type { Instruction } from "./decode.ts";
import { pageSlot } from "./environment.ts";
import { type Address, allocateCode, asEnter, type CodeMemory, type Enter } from "./memory.ts";

export const PAGE = 4096;
const BUFFER_BYTES = 32 << 20;
/** The maximum number of bytes that one translation may need, in either half. */
const MARGIN = 1 << 16;

/** Why translated code returned. */
export const ExitKind = {
  /** A direct branch inside the page whose target is not translated yet. */
  LINK: 0,
  /** The budget does not cover the block; it has been refunded. */
  SHORT: 1,
  /** The TLB does not hold an access. */
  MISS: 2,
  /** The instruction at `pc` must be interpreted. */
  INTERPRET: 3,
  /** The budget is used up; the instruction at `pc` is next. */
  BUDGET: 4,
  /** A branch to Env.TARGET by the instruction at `pc`. */
  BRANCH: 5,
  /** A direct branch to `pc`, on another page; if `at` is not 0, it can be linked. */
  FAR: 6,
  /** An instruction that is executed alone is done. */
  ALONE: 7,
  /** There may be a breakpoint at `pc`. */
  BREAKPOINT: 8,
} as const;
export type ExitKind = (typeof ExitKind)[keyof typeof ExitKind];

/** The parameters of each exit, by its number. Arrays, since there are many exits. */
export class ExitTable {
  count = 0;
  kind = new Uint8Array(1024);
  /** Linear address, signed: see ExitKind. */
  pc = new Float64Array(1024);
  /** LINK, SHORT, FAR: the displacement to patch. MISS: where to resume. Offsets in the buffer. */
  at = new Int32Array(1024);
  /** Instructions of the block's budget that have not been executed. */
  undone = new Int32Array(1024);
  /** MISS: bytes, and 0x100 for a write. */
  access = new Uint16Array(1024);
  /** INTERPRET: the instruction, decoded. */
  insn: (Instruction | undefined)[] = [];

  add(kind: ExitKind, pc: number, at: number, undone: number, access = 0, insn?: Instruction): number {
    const id = this.count++;
    if (id === this.kind.length) this.grow();
    this.kind[id] = kind;
    this.pc[id] = pc;
    this.at[id] = at;
    this.undone[id] = undone;
    this.access[id] = access;
    this.insn[id] = insn;
    return id;
  }
  private grow(): void {
    const bigger = <T extends { length: number; set(from: T): void }>(make: (n: number) => T, old: T): T => {
      const next = make(old.length * 2);
      next.set(old);
      return next;
    };
    this.kind = bigger((n) => new Uint8Array(n), this.kind);
    this.pc = bigger((n) => new Float64Array(n), this.pc);
    this.at = bigger((n) => new Int32Array(n), this.at);
    this.undone = bigger((n) => new Int32Array(n), this.undone);
    this.access = bigger((n) => new Uint16Array(n), this.access);
  }
}

/** A page of code and its translations. */
export class CodePage {
  /** Entries by offset in the page: of the block, and of the translation that counts every instruction. */
  readonly blocks = new Map<number, number>();
  readonly counted = new Map<number, number>();
  /** The value in Env.PAGES at `slot` of the cores that run this page. */
  readonly id = nextPageId++;
  readonly slot: number;

  constructor(
    readonly content: Uint8Array,
    /** Linear address of the first byte, signed. */
    readonly linear: number,
    readonly mode: number,
    /** Offsets at which there may be breakpoints; a page with breakpoints is not shared. */
    readonly points: ReadonlySet<number> | undefined,
  ) {
    this.slot = pageSlot(Math.floor(linear / PAGE), mode);
  }
}
let nextPageId = 1;

export class TranslationCache {
  readonly emitter: Emitter;
  readonly enter: Enter;
  exits = new ExitTable();
  readonly map = new CodeMap();
  generation = 0;
  /** Number of translated instructions, for statistics. */
  translated = 0;
  /** Position of the exit. */
  readonly exitAt: number;
  /** Position of the host's CPUID (thunks.ts). */
  readonly cpuidAt: number;
  readonly base: Address;
  /** Position of the next out-of-line code: the second half of the buffer. */
  cold: number;
  /** Instructions that are executed alone, keyed by their bytes. */
  readonly alone = new Map<string, number>();
  private readonly memory: CodeMemory;
  private readonly pages = new Map<number, CodePage[]>();
  private readonly first: number;

  constructor() {
    this.memory = allocateCode(BUFFER_BYTES);
    this.base = this.memory.address;
    this.emitter = new Emitter(this.memory);
    this.exitAt = emitThunks(this.emitter);
    this.cpuidAt = emitCpuid(this.emitter);
    installCrashHandler(this.memory, emitCrashHandler(this.emitter, this.exitAt));
    this.first = this.emitter.p;
    this.cold = BUFFER_BYTES / 2;
    this.enter = asEnter(this.base);
  }

  /** Makes room for one translation. May drop all translations: then `generation` changes. */
  reserve(): void {
    if (this.emitter.p < BUFFER_BYTES / 2 - MARGIN && this.cold < BUFFER_BYTES - MARGIN) return;
    this.drop();
  }
  drop(): void {
    this.emitter.p = this.first;
    this.cold = BUFFER_BYTES / 2;
    this.exits = new ExitTable();
    this.map.clear();
    this.pages.clear();
    this.alone.clear();
    this.generation++;
  }

  /** The page with this content; `frame` is the 4 KB in RAM. */
  page(frame: Uint8Array, linear: number, mode: number): CodePage {
    const key = hash(frame, linear, mode);
    let list = this.pages.get(key);
    if (list === undefined) {
      list = [];
      this.pages.set(key, list);
    }
    for (const page of list)
      if (page.linear === linear && page.mode === mode && Buffer.compare(page.content, frame) === 0) return page;
    const page = new CodePage(frame.slice(), linear, mode, undefined);
    list.push(page);
    return page;
  }
}

/** FNV-1a hash, by words. */
function hash(frame: Uint8Array, linear: number, mode: number): number {
  const words = new Uint32Array(frame.buffer, frame.byteOffset, PAGE / 4);
  let value = Math.imul(0x811c_9dc5 ^ Math.floor(linear / PAGE), 0x0100_0193) ^ mode;
  for (let index = 0; index < words.length; index++) value = Math.imul(value ^ words[index], 0x0100_0193);
  return value;
}

let shared: TranslationCache | undefined;
/** One cache for all engines of the process. Throws NativeUnavailable. */
export function translationCache(): TranslationCache {
  shared ??= new TranslationCache();
  return shared;
}
