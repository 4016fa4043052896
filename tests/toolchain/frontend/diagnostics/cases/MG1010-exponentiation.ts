export function f(x: u64): u64 {
  let y: u64 = x;
  y **= 2;
  return x ** 2 + y;
}
