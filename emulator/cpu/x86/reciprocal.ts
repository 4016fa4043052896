/**
 * RCPPS, RSQRTPS and their scalar forms (Intel SDM vol. 2), exact to the last bit of single precision: processors give
 * 12 bits, and differ in them.
 */
const word = new DataView(new ArrayBuffer(4));

/** The result for a single; `square`: RSQRT. */
export function reciprocalBits(bits: number, square: boolean): number {
  const exponent = (bits >>> 23) & 0xff;
  const sign = bits & 0x8000_0000;
  if (exponent === 0xff && bits & 0x7f_ffff) return (bits | 0x40_0000) >>> 0;
  // Denormals count as 0 (SDM vol. 2, RCPPS).
  if (exponent === 0) return (sign | 0x7f80_0000) >>> 0;
  if (square && sign) return 0xffc0_0000;
  word.setUint32(0, bits, true);
  const value = word.getFloat32(0, true);
  word.setFloat32(0, square ? 1 / Math.fround(Math.sqrt(value)) : 1 / value, true);
  const result = word.getUint32(0, true);
  // A result too small is 0.
  return ((result >>> 23) & 0xff) === 0 ? (result & 0x8000_0000) >>> 0 : result;
}
