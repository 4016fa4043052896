const EINVAL: i64 = 22;
export function parse(digit: u8): i64 {
  if (digit > 9) return -EINVAL;
  return digit;
}
export function parseOr(digit: u8, other: i64): i64 {
  const value = parse(digit);
  return value >= 0 ? value : other;
}
