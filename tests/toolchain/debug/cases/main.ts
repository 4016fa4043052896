/** Runs every case with a seed that no compiler knows, and prints the sum. */
import { loops } from "./loops.ts";
import { sort } from "./sort.ts";
import { list } from "./list.ts";
import { floats } from "./floats.ts";
import { scanner } from "./scanner.ts";
import { calls } from "./calls.ts";
import { narrow } from "./narrow.ts";

const digits: arr<u8, 24> = zeroed();

export function _start(): void {
  attr({ naked: true, symbol: "_start", keep: true });
  asm`xor ebp, ebp; mov rdi, [rsp]; and rsp, -16; call ${main}; ud2`;
}

function systemCall(number: u64, a: u64, b: u64, c: u64): void {
  attr({ inline: "never" });
  asm({ in: { rax: number, rdi: a, rsi: b, rdx: c }, clobber: ["rcx", "r11", "memory"] })`syscall`;
}

export function run(seed: u64): u64 {
  attr({ inline: "never", symbol: "run" });
  return loops(seed) + sort(seed) + list(seed) + floats(seed) + scanner(seed) + calls(seed) + narrow(seed);
}

function main(argc: u64): never {
  let rest: u64 = run(argc);
  let at: u64 = 23;
  digits[at] = 10;
  for (; rest !== 0; rest = rest / 10) digits[--at] = u8(48 + (rest % 10));
  systemCall(1, 1, cast<u64>(addr(digits[at])), 24 - at);
  systemCall(60, 0, 0, 0);
  unreachable();
}
