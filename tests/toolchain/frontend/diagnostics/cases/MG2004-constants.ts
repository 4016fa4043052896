export function f(): f64 {
  const a: u8 = 300;
  const b: u32 = -1;
  const c: u64 = 0.5;
  const d: i64 = 0xffff_ffff_ffff_ffff;
  const e: u16 = ~0x1_ffff;
  const fine: u64 = ~0xfff;
  return 9007199254740993;
}
