export function f(p: ptr<u64>, q: ptr<u64>): void {
  let r: ptr<u64> = p;
  const d = p - q;
  const n = p + 1;
  r++;
}
