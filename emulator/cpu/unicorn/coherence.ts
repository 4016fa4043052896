/**
 * Keeps translated code coherent. Every instance caches its own translations and notices only its own writes, so code
 * that another core, DMA or the host writes would stay stale. For each 4 KB frame this file tracks which cores may hold
 * code of it and which may write it without asking. A core that starts to execute a frame removes the other cores'
 * right to write it; a core that starts to write it drops the others' translations. Both happen in a TLB fill, so they
 * are exact and cost nothing later.
 *
 * An instance notices its own writes only through the virtual page that the code runs at. So the same rules apply
 * within one core: if a frame has code at one virtual page, a write through another page drops the translations, and
 * code that runs at another page removes the right to write.
 */
import type { Address, Binding } from "./binding.ts";
import { ACCESS_FETCH, ACCESS_WRITE, type AccessKind } from "../x86/access.ts";
import { GRANT_FETCH, GRANT_WRITE } from "../x86/pagewalk.ts";

const FRAME_BYTES = 4096;
const SEVERAL = -1;

export class CodeCoherence {
  /** Bit n of word frame * words + n / 32: core n may have translations of the frame, or may write it. */
  private readonly executes: Uint32Array;
  private readonly writes: Uint32Array;
  private readonly words: number;
  /**
   * By core: the virtual page that the translations of a frame come from, SEVERAL if more than one. Valid while the bit
   * in `executes` is set.
   */
  private readonly codePages: Map<number, number>[];
  /**
   * The last fill has dropped the filling core's own translations, possibly including the running one. The core clears
   * this flag.
   */
  ownDropped = false;

  constructor(
    private readonly unicorn: Binding,
    ramBytes: number,
    private readonly handles: readonly Address[],
  ) {
    this.words = Math.ceil(handles.length / 32);
    this.codePages = handles.map(() => new Map());
    const frames = Math.ceil(ramBytes / FRAME_BYTES);
    this.executes = new Uint32Array(frames * this.words);
    this.writes = new Uint32Array(frames * this.words);
  }

  /**
   * A core fills its TLB for a frame of RAM at a virtual page. Returns the permissions that it may use without asking
   * again.
   */
  fill(core: number, virtualPage: number, ramOffset: number, access: AccessKind, granted: number): number {
    const frame = Math.floor(ramOffset / FRAME_BYTES);
    const first = frame * this.words;
    const own = first + (core >>> 5);
    const bit = 1 << (core & 31);
    const { executes, writes } = this;
    const codePages = this.codePages[core];
    if (access === ACCESS_FETCH) {
      const known = executes[own] & bit ? codePages.get(frame) : undefined;
      if (known !== virtualPage) {
        codePages.set(frame, known === undefined ? virtualPage : SEVERAL);
        if (writes[own] & bit) {
          writes[own] &= ~bit;
          this.unicorn.flushTlb(this.handles[core]);
        }
      }
      this.takeFromOthers(writes, first, own, bit, (handle) => this.unicorn.flushTlb(handle));
      executes[own] |= bit;
      return writes[own] & bit ? granted : granted & ~GRANT_WRITE;
    }
    const aliased = (executes[own] & bit) !== 0 && codePages.get(frame) !== virtualPage;
    if (access === ACCESS_WRITE) {
      if (aliased) {
        this.unicorn.invalidateCode(this.handles[core], ramOffset, ramOffset + FRAME_BYTES);
        this.unicorn.flushTlb(this.handles[core]);
        executes[own] &= ~bit;
        this.ownDropped = true;
      }
      this.takeFromOthers(executes, first, own, bit, (handle) => {
        this.unicorn.invalidateCode(handle, ramOffset, ramOffset + FRAME_BYTES);
        this.unicorn.flushTlb(handle);
      });
      writes[own] |= bit;
    } else if (granted & GRANT_WRITE && !(writes[own] & bit)) {
      // A read of a frame that no other core executes: grant the write too, so that the write that often follows needs
      // no second fill.
      if (aliased || this.othersIn(executes, first, own, bit)) granted &= ~GRANT_WRITE;
      else writes[own] |= bit;
    }
    return executes[own] & bit ? granted : granted & ~GRANT_FETCH;
  }

  /** Something other than translated code has written RAM: [ramOffset, ramOffset + length). */
  written(ramOffset: number, length: number): void {
    const end = ramOffset + length;
    for (let frame = Math.floor(ramOffset / FRAME_BYTES); frame * FRAME_BYTES < end; frame++) {
      for (let word = 0; word < this.words; word++) {
        const cores = this.executes[frame * this.words + word];
        if (cores === 0) continue;
        for (let bit = 0; bit < 32; bit++) {
          if (!(cores & (1 << bit))) continue;
          this.unicorn.invalidateCode(
            this.handles[word * 32 + bit],
            Math.max(ramOffset, frame * FRAME_BYTES),
            Math.min(end, (frame + 1) * FRAME_BYTES),
          );
        }
      }
    }
  }

  /** Drops a core's translations of the instruction at a linear address, whatever its frame. */
  dropCodeAt(core: number, linear: bigint): void {
    const page = Number(BigInt.asUintN(48, linear) >> 12n);
    const inPage = Number(linear & 0xfffn);
    const word = core >>> 5;
    const bit = 1 << (core & 31);
    for (const [frame, codePage] of this.codePages[core]) {
      if ((codePage !== page && codePage !== SEVERAL) || !(this.executes[frame * this.words + word] & bit)) continue;
      const offset = frame * FRAME_BYTES + inPage;
      this.unicorn.invalidateCode(this.handles[core], offset, offset + 1);
    }
  }

  /** All of RAM is about to change. */
  dropAll(): void {
    this.written(0, (this.executes.length / this.words) * FRAME_BYTES);
  }

  private othersIn(rights: Uint32Array, first: number, own: number, bit: number): boolean {
    for (let word = first; word < first + this.words; word++)
      if (word === own ? rights[word] & ~bit : rights[word]) return true;
    return false;
  }

  private takeFromOthers(
    rights: Uint32Array,
    first: number,
    own: number,
    bit: number,
    revoke: (handle: Address) => void,
  ): void {
    if (!this.othersIn(rights, first, own, bit)) return;
    for (let word = 0; word < this.words; word++) {
      const others = first + word === own ? rights[first + word] & ~bit : rights[first + word];
      for (let index = 0; index < 32; index++) if (others & (1 << index)) revoke(this.handles[word * 32 + index]);
      rights[first + word] &= ~others;
    }
  }
}
