export function clamp(offset: i64, size: u64): u64 {
  if (offset > i64(size)) return size;
  return u64(offset);
}
