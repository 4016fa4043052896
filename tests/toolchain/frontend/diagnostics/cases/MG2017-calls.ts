class T { x: u64 = 0; }
export function f(n: u64, t: ptr<T>): void {
  n();
  t.x();
}
