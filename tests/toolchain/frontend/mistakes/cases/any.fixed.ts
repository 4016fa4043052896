export function log2(value: u64): u32 {
  return 63 - countLeadingZeros(value);
}
