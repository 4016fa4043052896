/**
 * Which frames of a node's RAM are code. A frame that a core executes from is in no core's table for writes, so every
 * write to it comes here, as do the writes of devices and debuggers: then the links of all cores to its translations
 * are dropped. What the translations were of is a page's content, so they stay, for whoever has that content again.
 */
import { type CodePage, PAGE } from "./cache.ts";

/** A core, as far as code coherence goes. */
export interface CodeUser {
  /** Its links to translations of this frame are void. */
  forgetCode(frame: number): void;
  /** It may not write to this frame without asking. */
  forgetWrites(frame: number): void;
}

export class CodeFrames {
  readonly users: CodeUser[] = [];
  /** By frame: 1: holds code; 2: may be in a table for writes. */
  private readonly state: Uint8Array;
  private readonly pages = new Map<number, Map<number, CodePage>>();
  /** Of the cache whose pages these are. */
  private generation = 0;

  constructor(ramBytes: number) {
    this.state = new Uint8Array(ramBytes / PAGE);
  }

  isCode(offset: number): boolean {
    return (this.state[Math.floor(offset / PAGE)] & 1) !== 0;
  }
  /** An instruction of the frame is about to be executed by itself: a write to it is told, as for translated code. */
  noteFetched(offset: number): void {
    this.protect(Math.floor(offset / PAGE));
  }
  private protect(frame: number): void {
    if (this.state[frame] & 1) return;
    if (this.state[frame] & 2) for (const user of this.users) user.forgetWrites(frame);
    this.state[frame] = 1;
  }
  /** The frame gets into a core's table for writes. */
  noteWritable(offset: number): void {
    this.state[Math.floor(offset / PAGE)] |= 2;
  }

  /**
   * Translations of the frame at a linear page and in a mode (both in `key`), of the cache's `generation`; `find` looks
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

  /** RAM has been written, or is about to be: [offset, offset + length). */
  written(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / PAGE);
    for (let frame = Math.floor(offset / PAGE); frame <= last; frame++) {
      if (!(this.state[frame] & 1)) continue;
      this.state[frame] &= ~1;
      this.pages.delete(frame);
      for (const user of this.users) user.forgetCode(frame);
    }
  }

  /** Translations have been dropped, or pages are to be split otherwise. */
  forgetAll(): void {
    for (const frame of [...this.pages.keys()]) this.written(frame * PAGE, 1);
  }
}
