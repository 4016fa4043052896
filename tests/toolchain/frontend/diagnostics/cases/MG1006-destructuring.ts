class Pair { a: u64 = 0; b: u64 = 0; }
export function f(p: ptr<Pair>, q: u64): u64 {
  const { a, b } = p;
  return a + b;
}
export function g(p: ptr<Pair>): void {
  let x: u64 = 0;
  [x] = [1];
  const rows: arr<u64, 3> = [1, ...[2, 3]];
  take(...[1, 2]);
}
export function take(a: u64, b: u64): void {}
export function h({ a }: Pair): u64 { return a; }
