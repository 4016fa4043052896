/**
 * CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected, initial and final inversion. Source: RFC 3720 section 12.1
 * and appendix B.4. Processes eight bytes a step ("slicing by 8").
 */
const POLYNOMIAL_REFLECTED = 0x82f63b78;
const SLICES = 8;

/** Table k holds the CRC of byte b followed by k zero bytes at [k * 256 + b]. */
const tables: Uint32Array = buildTables();

function buildTables(): Uint32Array {
  const t = new Uint32Array(SLICES * 256);
  for (let b = 0; b < 256; b++) {
    let crc = b;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL_REFLECTED : crc >>> 1;
    t[b] = crc >>> 0;
  }
  for (let k = 1; k < SLICES; k++) {
    for (let b = 0; b < 256; b++) {
      const previous = t[(k - 1) * 256 + b]!;
      t[k * 256 + b] = (t[previous & 0xff]! ^ (previous >>> 8)) >>> 0;
    }
  }
  return t;
}

/** CRC-32C of `bytes`; `previous` is the CRC of the bytes before them. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const t = tables;
  let crc = ~previous;
  let i = 0;
  const wide = bytes.length & ~7;
  while (i < wide) {
    const low = crc ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
    crc =
      t[1792 + (low & 0xff)]! ^
      t[1536 + ((low >>> 8) & 0xff)]! ^
      t[1280 + ((low >>> 16) & 0xff)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + bytes[i + 4]!]! ^
      t[512 + bytes[i + 5]!]! ^
      t[256 + bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!;
    i += 8;
  }
  while (i < bytes.length) crc = t[(crc ^ bytes[i++]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
