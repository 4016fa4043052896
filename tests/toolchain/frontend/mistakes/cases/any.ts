export function log2(value: any): u32 {
  return 63 - countLeadingZeros(value);
}
