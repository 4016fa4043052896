class Regs { low: u32 = 0; }
export function take(x: u8): void {}
export function f(x64: u64, x32: u32, s32: i32, s64: i64, r: ptr<Regs>): u32 {
  const a: u32 = x64;
  const b: u32 = s32;
  const c: u64 = s64;
  take(x32);
  r.low = x64;
  r.low += x64;
  return x64;
}
