class A { x: u64 = 0; }
export function f(x: u64, p: ptr<A>): void {
  const a = typeof x;
  const b = p instanceof A;
  const c = "x" in p;
  delete p[0];
  void x;
}
