/**
 * Tracks which frames of a node's RAM hold code. A frame that a core executes from is in no core's table for writes, so
 * every write to it is reported here; devices and debuggers report their writes as well. Then all cores drop their
 * links to its translations. The translations themselves stay, for any page that has this content again.
 */
import { type CodePage, PAGE } from "./cache.ts";

/** A core, as far as code coherence goes. */
export interface CodeUser {
  /** Its links to translations of this frame are void. */
  forgetCode(frame: number): void;
  /** It must not write to this frame without asking. */
  forgetWrites(frame: number): void;
}

export class CodeFrames {
  readonly users: CodeUser[] = [];
  /** By frame. 1: holds code; 2: may be in a table for writes. */
  private readonly state: Uint8Array;
  private readonly pages = new Map<number, Map<number, CodePage>>();
  /** Generation of the cache that owns these pages. */
  private generation = 0;

  constructor(ramBytes: number) {
    this.state = new Uint8Array(ramBytes / PAGE);
  }

  isCode(offset: number): boolean {
    return (this.state[Math.floor(offset / PAGE)] & 1) !== 0;
  }
  /**
   * An instruction of the frame is about to be executed by itself: a write to it must be reported, as for translated
   * code.
   */
  noteFetched(offset: number): void {
    this.protect(Math.floor(offset / PAGE));
  }
  private protect(frame: number): void {
    if (this.state[frame] & 1) return;
    if (this.state[frame] & 2) for (const user of this.users) user.forgetWrites(frame);
    this.state[frame] = 1;
  }
  /** The frame is about to enter a core's table for writes. */
  noteWritable(offset: number): void {
    this.state[Math.floor(offset / PAGE)] |= 2;
  }

  /**
   * Translations of the frame for a linear page and a mode (both in `key`), of the cache's `generation`. `find` looks
   * them up by content.
   */
  page(offset: number, key: number, generation: number, find: () => CodePage): CodePage {
    if (generation !== this.generation) this.forgetAll();
    this.generation = generation;
    const frame = Math.floor(offset / PAGE);
    let known = this.pages.get(frame);
    if (known === undefined) {
      known = new Map();
      this.pages.set(frame, known);
    }
    let page = known.get(key);
    if (page === undefined) {
      this.protect(frame);
      page = find();
      known.set(key, page);
    }
    return page;
  }

  /** RAM has been written, or is about to be written: [offset, offset + length). */
  written(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / PAGE);
    for (let frame = Math.floor(offset / PAGE); frame <= last; frame++) {
      if (!(this.state[frame] & 1)) continue;
      this.state[frame] &= ~1;
      this.pages.delete(frame);
      for (const user of this.users) user.forgetCode(frame);
    }
  }

  /** Translations have been dropped, or pages must be split differently. */
  forgetAll(): void {
    for (const frame of [...this.pages.keys()]) this.written(frame * PAGE, 1);
  }
}
