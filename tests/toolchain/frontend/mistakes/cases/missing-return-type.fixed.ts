export function double(x: u64): u64 {
  return x * 2;
}
