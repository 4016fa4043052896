/**
 * Devices of the name space under /dev, the same on every host. Source: null(4), full(4), random(4). `random` and
 * `urandom` return bytes from the run's own generator, so that a run can be repeated.
 */
import { Errno } from "../abi/errno.ts";
import type { Prng } from "../machine/prng.ts";
import { IoError } from "./hostfs.ts";

export interface Device {
  readonly name: string;
  /** st_rdev: major << 8 | minor. Source: Linux admin-guide/devices.txt. */
  readonly number: number;
  /** Bytes read; none at the end. `random`: the I/O node's own. */
  read(count: number, random: Prng): Uint8Array;
  /** Bytes taken. @throws IoError */
  write(bytes: Uint8Array): number;
  /** The terminal of the task's streams: opening it gives those streams (tty(4)). */
  readonly isTerminal?: boolean;
}
const MEMORY_MAJOR = 1 << 8;
const takesAll = (bytes: Uint8Array): number => bytes.length;
const zeros = (count: number): Uint8Array => new Uint8Array(count);
const refuses = (): never => {
  throw new IoError(Errno.ENOSPC);
};

const randomBytes = (count: number, random: Prng): Uint8Array => random.bytes(count);

// biome-ignore format: a table
export const devices: readonly Device[] = [
  { name: "null",    number: MEMORY_MAJOR | 3, read: () => zeros(0), write: takesAll },
  { name: "zero",    number: MEMORY_MAJOR | 5, read: zeros,          write: takesAll },
  { name: "full",    number: MEMORY_MAJOR | 7, read: zeros,          write: refuses },
  { name: "random",  number: MEMORY_MAJOR | 8, read: randomBytes,    write: takesAll },
  { name: "urandom", number: MEMORY_MAJOR | 9, read: randomBytes,    write: takesAll },
  { name: "tty",     number: 5 << 8,           read: () => zeros(0), write: takesAll, isTerminal: true },
];
