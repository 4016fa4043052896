/** Time in nanoseconds. On the machine it is virtual: one retired instruction takes one nanosecond. */
import { Clock, type Timespec } from "../../kernel/abi/process.ts";
import { clockGettime, nanosleep } from "./syscall.ts";

const NANOSECONDS: u64 = 1_000_000_000;

/** Since a fixed point in the past. */
export function nanoseconds(): u64 {
  const t: Timespec = zeroed();
  clockGettime(Clock.MONOTONIC, addr(t));
  return u64(t.seconds) * NANOSECONDS + u64(t.nanoseconds);
}

export function sleepNs(ns: u64): void {
  const t: Timespec = zeroed();
  t.seconds = i64(ns / NANOSECONDS);
  t.nanoseconds = i64(ns % NANOSECONDS);
  nanosleep(addr(t));
}
