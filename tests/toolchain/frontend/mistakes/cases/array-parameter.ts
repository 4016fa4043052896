export function sum(values: u64[]): u64 {
  let total: u64 = 0;
  for (let i: u64 = 0; i < values.length; i++) total += values[i];
  return total;
}
