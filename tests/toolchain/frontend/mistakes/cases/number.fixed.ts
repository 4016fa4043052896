export function average(a: u64, b: u64): u64 {
  return (a + b) / 2;
}
