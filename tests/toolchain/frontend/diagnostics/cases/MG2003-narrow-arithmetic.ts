export function f(a: u32, b: u32, x: u64): u64 {
  const product: u64 = a * b;
  const sum: u64 = x + (a + b);
  const shifted: u64 = a << 3;
  const fine: u64 = u64(a) * u64(b);
  return product + sum + shifted + fine;
}
