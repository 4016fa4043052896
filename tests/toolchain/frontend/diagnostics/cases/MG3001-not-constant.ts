export function now(): u64 { return 1; }
export const start: u64 = now();
export let n: u64 = 4;
export const m: u64 = n + 1;
class Box { size: u64 = now(); }
export let box: Box = new Box();
export const table: arr<u64, 2> = [1, now()];
export const enum E { A = n }
