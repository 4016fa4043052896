/** NUL-terminated strings and number parsing, for kernel and programs. */

export function stringLength(s: ptr<u8>): u64 {
  let n: u64 = 0;
  while (s[n] !== 0) n++;
  return n;
}

/** Length, at most `limit`; `limit` = no NUL before it. */
export function stringLengthMax(s: ptr<u8>, limit: u64): u64 {
  let n: u64 = 0;
  while (n < limit && s[n] !== 0) n++;
  return n;
}

export function stringsEqual(a: ptr<u8>, b: ptr<u8>): boolean {
  let i: u64 = 0;
  while (a[i] === b[i]) {
    if (a[i] === 0) return true;
    i++;
  }
  return false;
}

export function startsWith(s: ptr<u8>, prefix: ptr<u8>): boolean {
  for (let i: u64 = 0; prefix[i] !== 0; i++) {
    if (s[i] !== prefix[i]) return false;
  }
  return true;
}

export function isDigit(c: u8): boolean {
  return c >= 48 && c <= 57;
}

/** Result of `parseDecimal`. */
export class ParsedNumber {
  value: u64 = 0;
  /** Characters read; 0 = no number, or one above 2^64 - 1. */
  length: u64 = 0;
}

export function parseDecimal(s: ptr<u8>, result: ptr<ParsedNumber>): void {
  let value: u64 = 0;
  let n: u64 = 0;
  result.value = 0;
  result.length = 0;
  while (isDigit(s[n])) {
    const digit: u64 = u64(s[n]) - 48;
    if (value > (0xffff_ffff_ffff_ffff - digit) / 10) return;
    value = value * 10 + digit;
    n++;
  }
  result.value = value;
  result.length = n;
}

/** Writes `value` in decimal without a NUL. `to` holds 20 bytes. Returns the number of characters. */
export function formatDecimal(to: ptr<u8>, value: u64): u64 {
  let count: u64 = 1;
  for (let rest: u64 = value / 10; rest !== 0; rest = rest / 10) count++;
  let rest: u64 = value;
  for (let i: u64 = count; i > 0; i--) {
    to[i - 1] = u8(48 + (rest % 10));
    rest = rest / 10;
  }
  return count;
}

/** Writes the low `digits` hexadecimal digits of `value` without a NUL. */
export function formatHex(to: ptr<u8>, value: u64, digits: u64): void {
  let rest: u64 = value;
  for (let i: u64 = digits; i > 0; i--) {
    const digit: u64 = rest & 15;
    to[i - 1] = u8(digit < 10 ? 48 + digit : 87 + digit);
    rest = rest >> 4;
  }
}
