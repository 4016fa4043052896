export function double(x: u64) {
  return x * 2;
}
