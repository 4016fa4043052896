class T { x: u64 = 0; }
export function f(p: ptr<T>, n: u64, d: f64, b: boolean, t: ptr<u32>): boolean {
  const a: u64 = p;
  const c: f64 = n;
  const e: u64 = d;
  const g: ptr<T> = 0x1000;
  const h: u64 = b;
  const k: ptr<u64> = t;
  const l: u64 = u64(p);
  const m = b & 1;
  return n & 1;
}
