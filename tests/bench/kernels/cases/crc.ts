/** CRC-32C: tables by shifting, then a byte a step and eight bytes a step (slicing-by-8; Kounavis and Berry, 2005). */
const SIZE = 32768;
const tables: arr<u32, 2048> = zeroed();
const data: arr<u8, 32768> = zeroed();

function makeTables(): void {
  for (let b: u32 = 0; b < 256; b++) {
    let r: u32 = b;
    for (let bit: u32 = 0; bit < 8; bit++) r = (r & 1) !== 0 ? (r >> 1) ^ 0x82f6_3b78 : r >> 1;
    tables[b] = r;
  }
  for (let i: u32 = 256; i < 2048; i++) {
    const before: u32 = tables[i - 256];
    tables[i] = (before >> 8) ^ tables[before & 255];
  }
}

function byBytes(start: u32, p: ptr<u8>, lengthBytes: u64): u32 {
  let r: u32 = start;
  for (let i: u64 = 0; i < lengthBytes; i++) r = (r >> 8) ^ tables[(r ^ p[i]) & 255];
  return r;
}

function byEights(start: u32, p: ptr<u8>, lengthBytes: u64): u32 {
  let r: u32 = start;
  for (let i: u64 = 0; i < lengthBytes; i += 8) {
    const word: u64 = cast<ptr<u64>>(addr(p[i]))[0] ^ u64(r);
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
  }
  return r;
}

export function crc(): u64 {
  makeTables();
  let x: u64 = 13;
  for (let i: u64 = 0; i < SIZE; i++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    data[i] = u8(x >> 56);
  }
  const p = cast<ptr<u8>>(addr(data));
  let r: u32 = 0xffff_ffff;
  for (let round: u64 = 0; round < 8; round++) {
    r = byBytes(r, p, SIZE / 2);
    r = byEights(r, p, SIZE);
  }
  return u64(~r);
}
