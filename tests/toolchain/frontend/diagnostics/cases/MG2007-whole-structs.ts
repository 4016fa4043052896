class P { x: u64 = 0; }
let one: P = new P();
export function f(p: ptr<P>): void {
  const copied: P = p[0];
  p[0] = one;
  const alias = one;
  p[0] = { x: 1 };
}
export function take(p: P): void {}
export function give(): P { return one; }
export function g(n: u64): void { const q = n > 1 ? one : one; }
