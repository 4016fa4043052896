/**
 * The CRC-32C of the runtime against its definition, bit by bit: lengths up to 960 bytes, five apart, each at another
 * alignment and remainder, then lengths up to a whole frame and the same data in two pieces.
 * Prints `crc: N compared, F different`, and `crc: I instructions for 8192 bytes, remainder R`.
 */
import "../../../userland/lib/start.ts";
import { crc32cStart, crc32cUpdate } from "../../../toolchain/lib/rt/crc32c.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";

const SIZE: u64 = 8320;
const data: arr<u8, 8320> = zeroed();

function byDefinition(remainder: u32, p: ptr<u8>, lengthBytes: u64): u32 {
  let r: u32 = remainder;
  for (let i: u64 = 0; i < lengthBytes; i++) {
    r = r ^ u32(p[i]);
    for (let bit: u32 = 0; bit < 8; bit++) r = (r & 1) !== 0 ? (r >> 1) ^ 0x82f6_3b78 : r >> 1;
  }
  return r;
}
function readTsc(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rdx"] })`
    rdtsc
    shl rdx, 32
    or rax, rdx
  `;
}

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  crc32cStart();
  let x: u64 = 13;
  for (let i: u64 = 0; i < SIZE; i++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    data[i] = u8(x >> 56);
  }
  let compared: u64 = 0;
  let different: u64 = 0;
  let length: u64 = 0;
  while (length <= 8192) {
    const at: u64 = length % 9;
    const start: u32 = u32(x) ^ u32(length * 2654435761);
    const p = addr(data[at]);
    const expected: u32 = byDefinition(start, p, length);
    const cut: u64 = length / 3;
    compared += 2;
    if (crc32cUpdate(start, p, length) !== expected) different++;
    if (crc32cUpdate(crc32cUpdate(start, p, cut), addr(p[cut]), length - cut) !== expected) different++;
    length += length < 960 ? 5 : 977;
  }
  print(stdout(), cstr("crc: "));
  printDecimal(stdout(), compared);
  print(stdout(), cstr(" compared, "));
  printDecimal(stdout(), different);
  print(stdout(), cstr(" different\n"));
  const before: u64 = readTsc();
  const r: u32 = crc32cUpdate(0, addr(data[0]), 8192);
  const after: u64 = readTsc();
  print(stdout(), cstr("crc: "));
  printDecimal(stdout(), after - before);
  print(stdout(), cstr(" instructions for 8192 bytes, remainder "));
  printDecimal(stdout(), u64(r));
  print(stdout(), cstr("\n"));
  return 0;
}
