/**
 * Division: by constants (decimal digits, dates, remainders of both signs) and by variables (greatest common divisor,
 * powers).
 */
function digits(value: u64): u64 {
  let n: u64 = value;
  let sum: u64 = 0;
  do {
    sum = sum * 3 + (n % 10);
    n /= 10;
  } while (n !== 0);
  return sum;
}

/**
 * Day number since 1970-01-01 → year * 10000 + month * 100 + day (Hinnant, "chrono-compatible low-level date
 * algorithms").
 */
function civil(day: i64): i64 {
  const z: i64 = day + 719468;
  const era: i64 = (z >= 0 ? z : z - 146096) / 146097;
  const dayOfEra: i64 = z - era * 146097;
  const yearOfEra: i64 = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
  const dayOfYear: i64 = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const m: i64 = (5 * dayOfYear + 2) / 153;
  const month: i64 = m < 10 ? m + 3 : m - 9;
  return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0)) * 10000 + month * 100 + dayOfYear - (153 * m + 2) / 5 + 1;
}

function greatestCommonDivisor(x: u32, y: u32): u32 {
  let a: u32 = x;
  let b: u32 = y;
  while (b !== 0) {
    const r: u32 = a % b;
    a = b;
    b = r;
  }
  return a;
}

function power(base: u32, exponent: u32, modulus: u32): u32 {
  let result: u64 = 1;
  let b: u64 = base % modulus;
  for (let e: u32 = exponent; e !== 0; e >>= 1) {
    if ((e & 1) !== 0) result = (result * b) % modulus;
    b = (b * b) % modulus;
  }
  return u32(result);
}

export function division(): u64 {
  let sum: u64 = 0;
  let x: u64 = 9;
  for (let i: u64 = 0; i < 10000; i++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    sum += digits(x >> 20);
    sum = sum * 3 + u64(civil(i64(i) * 13 - 50000));
    sum += u64(i64(x) % 1000) + u64(i32(x >> 32) / 7) + u64(u32(x) / 641);
    if ((i & 7) === 0) {
      sum += greatestCommonDivisor(u32(x >> 33), u32(x >> 13) | 1);
      sum += power(u32(x), 65537, u32(x >> 34) | 1);
    }
  }
  return sum;
}
