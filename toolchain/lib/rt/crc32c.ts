/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720 B.4), eight bytes a step (slicing-by-8; Kounavis,
 * Berry, 2005). Call `crc32cStart` once before the first use: it fills the tables.
 */
const POLYNOMIAL: u32 = 0x82f6_3b78;
/** tables[256 * k + b]: the remainder of byte b followed by k zero bytes. */
const tables: arr<u32, 2048> = zeroed();

export function crc32cStart(): void {
  for (let b: u32 = 0; b < 256; b++) {
    let r: u32 = b;
    for (let bit: u32 = 0; bit < 8; bit++) r = (r & 1) !== 0 ? (r >> 1) ^ POLYNOMIAL : r >> 1;
    tables[b] = r;
  }
  for (let i: u32 = 256; i < 2048; i++) {
    const before: u32 = tables[i - 256];
    tables[i] = (before >> 8) ^ tables[before & 255];
  }
}

/** Continues a running remainder (start with 0xffffffff, invert the last one). */
export function crc32cUpdate(remainder: u32, data: ptr<u8>, lengthBytes: u64): u32 {
  let r: u32 = remainder;
  let i: u64 = 0;
  while (i + 8 <= lengthBytes) {
    const word: u64 = cast<ptr<u64>>(addr(data[i]))[0] ^ u64(r);
    const low: u32 = u32(word);
    const high: u32 = u32(word >> 32);
    r =
      tables[1792 + (low & 255)] ^
      tables[1536 + ((low >> 8) & 255)] ^
      tables[1280 + ((low >> 16) & 255)] ^
      tables[1024 + (low >> 24)] ^
      tables[768 + (high & 255)] ^
      tables[512 + ((high >> 8) & 255)] ^
      tables[256 + ((high >> 16) & 255)] ^
      tables[high >> 24];
    i += 8;
  }
  while (i < lengthBytes) {
    r = (r >> 8) ^ tables[(r ^ data[i]) & 255];
    i++;
  }
  return r;
}

export function crc32c(data: ptr<u8>, lengthBytes: u64): u32 {
  return ~crc32cUpdate(0xffff_ffff, data, lengthBytes);
}
