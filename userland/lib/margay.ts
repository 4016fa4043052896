/**
 * The identity of the program: rank, size, nid, core. On Linux, which has none of these, a program is rank 0 of 1 on
 * nid 0.
 */
import { getcpu, margayNid, margayRank, margaySize } from "./syscall.ts";

export function rank(): u32 {
  const r: i64 = margayRank();
  return r < 0 ? 0 : u32(r);
}
export function size(): u32 {
  const n: i64 = margaySize();
  return n < 1 ? 1 : u32(n);
}
export function nid(): u32 {
  const n: i64 = margayNid();
  return n < 0 ? 0 : u32(n);
}
/** The core that this thread runs on. */
export function core(): u32 {
  let cpu: u32 = 0;
  return getcpu(addr(cpu)) < 0 ? 0 : cpu;
}
