class T { a: u64 = 0; b: u64 = 0; }
export function f(p: ptr<T>, d: ptr<f64>): void {
  volatileRead(p);
  atomicAdd(d, 1);
}
