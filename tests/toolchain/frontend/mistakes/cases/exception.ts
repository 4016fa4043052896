const EINVAL: i64 = 22;
export function parse(digit: u8): i64 {
  if (digit > 9) throw new Error("no digit");
  return digit;
}
export function parseOr(digit: u8, other: i64): i64 {
  try {
    return parse(digit);
  } catch (e) {
    return other;
  }
}
