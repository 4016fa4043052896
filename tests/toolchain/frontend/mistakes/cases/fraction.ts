export function scale(x: u64): u64 {
  return x * 1.5;
}
