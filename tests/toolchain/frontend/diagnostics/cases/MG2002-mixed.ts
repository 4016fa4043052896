export function f(x64: u64, x32: u32, s32: i32, s64: i64, d: f64, p: ptr<u64>, q: ptr<u32>): void {
  const a = x64 + s64;
  const b = x32 < s32;
  const c = d * x64;
  const e = x64 > 3 ? x64 : s64;
  const g = x64 === d;
  const h = cast<ptr<u64>>(q) === q;
}
