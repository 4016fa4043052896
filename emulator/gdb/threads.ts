/**
 * Thread ids in packets: p<nid>.<core + 1>, or without multiprocess extensions one number over all cores. Source: gdb
 * manual, E.1 "thread-id".
 */
import { parseSmallHex } from "./framing.ts";
import type { CoreId, Target } from "./target.ts";

export const ALL = -1;
export const ANY = 0;
/** ALL and ANY as in the protocol. */
export interface ThreadPattern {
  readonly nid: number;
  readonly thread: number;
}

const MOST = 0x7fff_ffff;
const part = (text: string): number | undefined => (text === "-1" ? ALL : parseSmallHex(text, MOST));

export class ThreadNames {
  /** gdb supports the multiprocess extensions. */
  multiprocess = false;
  constructor(private readonly target: Target) {}

  format({ nid, core }: CoreId): string {
    return this.multiprocess
      ? `p${nid.toString(16)}.${(core + 1).toString(16)}`
      : (this.ordinal(nid) + core + 1).toString(16);
  }

  /** undefined: not a thread id. Does not check whether the thread exists. */
  parse(text: string): ThreadPattern | undefined {
    if (text.startsWith("p")) {
      const dot = text.indexOf(".");
      const nid = part(dot < 0 ? text.slice(1) : text.slice(1, dot));
      const thread = dot < 0 ? ALL : part(text.slice(dot + 1));
      return nid === undefined || thread === undefined ? undefined : { nid, thread };
    }
    const number = part(text);
    if (number === undefined) return undefined;
    if (number === ALL || number === ANY) return { nid: number, thread: number };
    for (const nid of this.target.nids) {
      const first = this.ordinal(nid);
      if (number > first && number <= first + this.target.cores(nid)) return { nid, thread: number - first };
    }
    return { nid: MOST, thread: number };
  }

  /** The core that a pattern names, or the first that matches. undefined: none. */
  resolve(pattern: ThreadPattern, nids: readonly number[] = this.target.nids): CoreId | undefined {
    const nid = pattern.nid === ALL || pattern.nid === ANY ? nids[0] : pattern.nid;
    if (nid === undefined || !nids.includes(nid)) return undefined;
    const core = pattern.thread === ALL || pattern.thread === ANY ? 0 : pattern.thread - 1;
    return core < this.target.cores(nid) ? { nid, core } : undefined;
  }

  matches(pattern: ThreadPattern, { nid, core }: CoreId): boolean {
    const fits = (wanted: number, value: number): boolean => wanted === ALL || wanted === ANY || wanted === value;
    return fits(pattern.nid, nid) && fits(pattern.thread, core + 1);
  }

  /** Number of cores of the nodes before this one. */
  private ordinal(nid: number): number {
    let count = 0;
    for (const other of this.target.nids) {
      if (other === nid) break;
      count += this.target.cores(other);
    }
    return count;
  }
}
