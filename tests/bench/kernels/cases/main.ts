/**
 * Driver: `main INDEX CALLS` calls kernel INDEX so often and prints its checksum and the least processor time of one
 * call in ns, as main.c does. The only assembly here makes Linux's system calls; the kernels have none.
 */
import { pagewalk } from "./pagewalk.ts";
import { ring } from "./ring.ts";
import { hash } from "./hash.ts";
import { sort } from "./sort.ts";
import { bitscan } from "./bitscan.ts";
import { strings } from "./strings.ts";
import { matrix } from "./matrix.ts";
import { stencil } from "./stencil.ts";
import { list } from "./list.ts";
import { dispatch } from "./dispatch.ts";
import { division } from "./division.ts";
import { crc } from "./crc.ts";

const WRITE: u64 = 1;
const EXIT: u64 = 60;
const CLOCK_GETTIME: u64 = 228;
const CLOCK_THREAD_CPUTIME_ID: u64 = 3;

const kernels: arr<() => u64, 12> = [
  pagewalk,
  ring,
  hash,
  sort,
  bitscan,
  strings,
  matrix,
  stencil,
  list,
  dispatch,
  division,
  crc,
];
const time: arr<u64, 2> = zeroed();
const text: arr<u8, 64> = zeroed();
let used: u64 = 0;

export function _start(): void {
  attr({ naked: true, symbol: "_start", keep: true });
  asm`xor ebp, ebp; mov rdi, rsp; and rsp, -16; call ${main}; ud2`;
}

function systemCall(number: u64, a: u64, b: u64, c: u64): i64 {
  attr({ inline: "never" });
  return asm<i64>({ in: { rax: number, rdi: a, rsi: b, rdx: c }, out: "rax", clobber: ["rcx", "r11", "memory"] })`syscall`;
}

/** `stack`: argc, argv[], null (System V ABI, AMD64 supplement 3.4.1). */
function main(stack: ptr<u64>): never {
  const argv = cast<ptr<ptr<u8>>>(addr(stack[1]));
  if (stack[0] === 3) measure(numberAt(argv[1]), numberAt(argv[2]));
  systemCall(EXIT, stack[0] === 3 ? 0 : 2, 0, 0);
  unreachable();
}

function measure(index: u64, calls: u64): void {
  const kernel = kernels[index];
  let least: u64 = 0xffff_ffff_ffff_ffff;
  let sum: u64 = 0;
  for (let i: u64 = 0; i < calls; i++) {
    const start: u64 = clockNs();
    const value: u64 = kernel();
    const taken: u64 = clockNs() - start;
    sum = sum * 31 + value;
    if (taken < least) least = taken;
  }
  decimal(sum);
  text[used++] = 32;
  decimal(least);
  text[used++] = 10;
  systemCall(WRITE, 1, cast<u64>(addr(text)), used);
}

function clockNs(): u64 {
  systemCall(CLOCK_GETTIME, CLOCK_THREAD_CPUTIME_ID, cast<u64>(addr(time)), 0);
  return volatileRead(addr(time[0])) * 1_000_000_000 + volatileRead(addr(time[1]));
}

function numberAt(s: ptr<u8>): u64 {
  let n: u64 = 0;
  for (let i: u64 = 0; s[i] !== 0; i++) n = n * 10 + u64(s[i]) - 48;
  return n;
}

function decimal(n: u64): void {
  if (n >= 10) decimal(n / 10);
  text[used++] = u8(48 + (n % 10));
}
