export function apply(values: ptr<u64>, count: u64, f: (x: u64) => u64): void {
  for (let i: u64 = 0; i < count; i++) values[i] = f(values[i]);
}
export function shiftAll(values: ptr<u64>, count: u64, by: u64): void {
  apply(values, count, (x) => x + by);
}
