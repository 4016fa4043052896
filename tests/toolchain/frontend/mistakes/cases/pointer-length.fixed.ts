export function sum(values: ptr<u64>, count: u64): u64 {
  let total: u64 = 0;
  for (let i: u64 = 0; i < count; i++) total += values[i];
  return total;
}
