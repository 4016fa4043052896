/**
 * Lengths of the kernel's hot paths in instructions: one retired instruction is one tick of the TSC. `call N`: getpid
 * from `syscall` to `sysretq`, both counted. `spinning`: from now on interrupts arrive that need only an EOI;
 * `interrupt N`: from the first instruction of the handler to `iretq`, both counted, as the program sees them.
 */
import "../../../userland/lib/start.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { flush, print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";

/** Instructions between the two readings, besides the call: the first rdtsc, shl, or, mov, mov. */
const AROUND_CALL: u64 = 5;
/** An iteration longer by this was interrupted. */
const GAP: u64 = 40;
const INTERRUPTS: u64 = 5;
const TURNS: u64 = 200_000;

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  let least: u64 = 0xffff_ffff;
  for (let i: u64 = 0; i < 10; i++) {
    const n: u64 = nullCall() - AROUND_CALL;
    if (n < least) least = n;
  }
  report(cstr("call "), least);
  print(stdout(), cstr("spinning\n"));
  flush(stdout());
  let turn: u64 = 0xffff_ffff;
  least = 0xffff_ffff;
  let seen: u64 = 0;
  let before: u64 = readTsc();
  for (let i: u64 = 0; i < TURNS && seen < INTERRUPTS; i++) {
    const now: u64 = readTsc();
    const taken: u64 = now - before;
    before = now;
    if (taken < turn) turn = taken;
    else if (taken >= turn + GAP) {
      seen++;
      if (taken - turn < least) least = taken - turn;
    }
  }
  if (seen < INTERRUPTS) return 1;
  report(cstr("interrupt "), least);
  return 0;
}

function report(what: ptr<u8>, n: u64): void {
  const o = stdout();
  print(o, what);
  printDecimal(o, n);
  print(o, cstr("\n"));
}

function nullCall(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rcx", "rdx", "r8", "r11", "memory"] })`
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r8, rax
    mov eax, ${Syscall.GETPID}
    syscall
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, r8
  `;
}

function readTsc(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rdx"] })`rdtsc; shl rdx, 32; or rax, rdx`;
}
