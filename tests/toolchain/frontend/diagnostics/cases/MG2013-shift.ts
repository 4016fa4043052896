export function f(a: u32, b: u8): u32 {
  const x = b >> 8;
  const y = rotateLeft(a, 32);
  const z = -1 >>> 1;
  return a << 32;
}
