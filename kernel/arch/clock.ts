/** Time: the TSC counts nanoseconds (see cpu.ts); the epoch at boot is a boot parameter. */
import { readTsc } from "./cpu.ts";

class Clock {
  /** TSC at boot. */
  start: u64 = 0;
  /** Seconds since 1970 at boot. */
  epochSeconds: u64 = 0;
}
const clock: Clock = new Clock();

export function clockStart(epochSeconds: u64): void {
  clock.start = readTsc();
  clock.epochSeconds = epochSeconds;
}
/** Time since boot. */
export function monotonicNanoseconds(): u64 {
  return readTsc() - clock.start;
}
/** The TSC at boot: the zero of the monotonic clock. */
export function bootTsc(): u64 {
  return clock.start;
}
export function bootEpochSeconds(): u64 {
  return clock.epochSeconds;
}
/** Spins; only for the few microseconds that hardware requires. */
export function delayNanoseconds(duration: u64): void {
  const start: u64 = readTsc();
  while (readTsc() - start < duration) asm`pause`;
}
