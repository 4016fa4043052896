/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720 B.4). Short data goes eight bytes a step
 * (slicing-by-8; Kounavis, Berry, 2005), about 4 instructions a byte. Long data is first folded without tables, about
 * one instruction a byte: a multiple of the polynomial that has six terms only, all of them whole bytes apart, added at
 * each word in turn, removes the word from the front and leaves it in five places further on; in the end the last
 * FOLD_BYTES hold the remainder of all. Call `crc32cStart` once before the first use: it fills the tables.
 */
import { memcpy, memset } from "./memory.ts";

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

/**
 * 1 + x^-8a + x^-8b + … with a, b, … = 65, 155, 170, 195, 209 is a multiple of the polynomial: the smallest largest
 * term of all such, none of them nearer than a word. tests/kernel/programs/crc.ts holds it against the definition.
 * What lies behind a word is kept for FOLD_BYTES, enough for the largest.
 */
const FOLD_BYTES: u64 = 224;
const FOLD_LARGEST: u64 = 209;
/** Folded at a time, and from where on it is worth while. */
const BLOCK_BYTES: u64 = 1024;
const FOLD_LEAST_BYTES: u64 = 640;

/**
 * Words of data plus what earlier words have left there; `count` is in fours. The earlier results stand before
 * `history`.
 */
function foldWords(to: ptr<u8>, data: ptr<u8>, history: ptr<u8>, count: u64): void {
  asm({
    in: { rdi: to, rsi: data, rdx: history, rcx: count },
    clobber: ["rax", "rdi", "rsi", "rdx", "rcx", "memory"],
  })`
  1:
    mov rax, [rsi]
    xor rax, [rdx - 65]
    xor rax, [rdx - 155]
    xor rax, [rdx - 170]
    xor rax, [rdx - 195]
    xor rax, [rdx - 209]
    mov [rdi], rax
    mov rax, [rsi + 8]
    xor rax, [rdx - 57]
    xor rax, [rdx - 147]
    xor rax, [rdx - 162]
    xor rax, [rdx - 187]
    xor rax, [rdx - 201]
    mov [rdi + 8], rax
    mov rax, [rsi + 16]
    xor rax, [rdx - 49]
    xor rax, [rdx - 139]
    xor rax, [rdx - 154]
    xor rax, [rdx - 179]
    xor rax, [rdx - 193]
    mov [rdi + 16], rax
    mov rax, [rsi + 24]
    xor rax, [rdx - 41]
    xor rax, [rdx - 131]
    xor rax, [rdx - 146]
    xor rax, [rdx - 171]
    xor rax, [rdx - 185]
    mov [rdi + 24], rax
    add rsi, 32
    add rdi, 32
    add rdx, 32
    dec rcx
    jnz 1b
  `;
}

/** As `crc32cUpdate`, for FOLD_LEAST_BYTES and more. */
function foldedUpdate(remainder: u32, data: ptr<u8>, lengthBytes: u64): u32 {
  /** FOLD_BYTES of what is behind, then a block. */
  const folded: arr<u8, 1248> = zeroed();
  const last: arr<u8, 224> = zeroed();
  const start = addr(folded[FOLD_BYTES]);
  // Only the largest term reaches back to it: the remainder comes in as if it were added to the first four bytes.
  cast<ptr<u32>>(addr(folded[FOLD_BYTES - FOLD_LARGEST]))[0] = remainder;
  const whole: u64 = (lengthBytes - FOLD_BYTES) & ~u64(31);
  let done: u64 = 0;
  while (done < whole) {
    const bytes: u64 = whole - done < BLOCK_BYTES ? whole - done : BLOCK_BYTES;
    foldWords(start, addr(data[done]), start, bytes / 32);
    memcpy(addr(folded[0]), addr(folded[bytes]), FOLD_BYTES);
    done += bytes;
  }
  // From here on nothing is removed any more.
  memset(start, 0, FOLD_BYTES);
  foldWords(addr(last[0]), addr(data[done]), start, FOLD_BYTES / 32);
  done += FOLD_BYTES;
  return slicedUpdate(slicedUpdate(0, addr(last[0]), FOLD_BYTES), addr(data[done]), lengthBytes - done);
}

/** Continues a running remainder (start with 0xffffffff, invert the last one). */
export function crc32cUpdate(remainder: u32, data: ptr<u8>, lengthBytes: u64): u32 {
  return lengthBytes < FOLD_LEAST_BYTES
    ? slicedUpdate(remainder, data, lengthBytes)
    : foldedUpdate(remainder, data, lengthBytes);
}
function slicedUpdate(remainder: u32, data: ptr<u8>, lengthBytes: u64): u32 {
  let r: u32 = remainder;
  let i: u64 = 0;
  while (i + 8 <= lengthBytes) {
    const word: u64 = cast<ptr<u64>>(addr(data[i]))[0] ^ u64(r);
    r =
      addr(tables[1792])[word & 255] ^
      addr(tables[1536])[(word >> 8) & 255] ^
      addr(tables[1280])[(word >> 16) & 255] ^
      addr(tables[1024])[(word >> 24) & 255] ^
      addr(tables[768])[(word >> 32) & 255] ^
      addr(tables[512])[(word >> 40) & 255] ^
      addr(tables[256])[(word >> 48) & 255] ^
      tables[word >> 56];
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
