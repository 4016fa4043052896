/**
 * Block operations on memory, for kernel and programs. Lengths are in bytes; nothing is checked. Copies and fills use
 * `rep` string instructions, eight bytes per iteration, one virtual nanosecond each.
 */

/** Copies forward; the ranges must not overlap, unless `to` is below `from`. */
export function memcpy(to: ptr<u8>, from: ptr<u8>, lengthBytes: u64): void {
  asm({
    in: { rdi: to, rsi: from, rcx: lengthBytes >> 3, rdx: lengthBytes & 7 },
    clobber: ["rdi", "rsi", "rcx", "memory"],
  })`
    rep movsq
    mov rcx, rdx
    rep movsb
  `;
}

/** Copies between ranges that may overlap. */
export function memmove(to: ptr<u8>, from: ptr<u8>, lengthBytes: u64): void {
  const distance: u64 = cast<u64>(to) - cast<u64>(from);
  if (distance >= lengthBytes) {
    memcpy(to, from, lengthBytes);
    return;
  }
  for (let i: u64 = lengthBytes; i > 0; i--) to[i - 1] = from[i - 1];
}

export function memset(to: ptr<u8>, value: u8, lengthBytes: u64): void {
  const pattern: u64 = u64(value) * 0x0101_0101_0101_0101;
  asm({
    in: { rdi: to, rax: pattern, rcx: lengthBytes >> 3, rdx: lengthBytes & 7 },
    clobber: ["rdi", "rcx", "memory"],
  })`
    rep stosq
    mov rcx, rdx
    rep stosb
  `;
}

/**
 * Returns a negative number, 0 or a positive number if the first different byte of `a` is below, equal to or above that
 * of `b`.
 */
export function memcmp(a: ptr<u8>, b: ptr<u8>, lengthBytes: u64): i32 {
  for (let i: u64 = 0; i < lengthBytes; i++) {
    if (a[i] !== b[i]) return i32(a[i]) - i32(b[i]);
  }
  return 0;
}
