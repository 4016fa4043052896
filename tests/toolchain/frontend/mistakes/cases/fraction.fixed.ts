export function scale(x: u64): u64 {
  return u64(f64(x) * 1.5);
}
