/**
 * Prints its inputs: each variable of its environment, each read of standard input with its length, and the file `here`
 * of its working directory. One line each, marked with the rank.
 */
import "../../../userland/lib/start.ts";
import { Open } from "../../../kernel/abi/io.ts";
import { rank } from "../../../userland/lib/margay.ts";
import { flush, print, printBytes, printDecimal, printSigned, stdout } from "../../../userland/lib/stdio.ts";
import { close, open, read } from "../../../userland/lib/syscall.ts";

const buffer: arr<u8, 512> = zeroed();

export function main(_argc: i32, _argv: ptr<ptr<u8>>, envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  for (let i: u64 = 0; cast<u64>(envp[i]) !== 0; i++) {
    begin(cstr("env "));
    print(stdout(), envp[i]);
    print(stdout(), cstr("\n"));
  }
  const here: i64 = open(cstr("here"), Open.RDONLY, 0);
  readAll(cstr("here "), i32(here));
  if (here >= 0) close(i32(here));
  readAll(cstr("read "), 0);
  flush(stdout());
  return 0;
}

function begin(what: ptr<u8>): void {
  print(stdout(), cstr("rank "));
  printDecimal(stdout(), rank());
  print(stdout(), cstr(": "));
  print(stdout(), what);
}

/** To the end, which is a length of 0, or to an error, which is negative. */
function readAll(what: ptr<u8>, fd: i32): void {
  let n: i64 = 1;
  while (n > 0) {
    n = read(fd, addr(buffer[0]), buffer.length);
    begin(what);
    printSigned(stdout(), n);
    if (n > 0) {
      print(stdout(), cstr(" "));
      printBytes(stdout(), addr(buffer[0]), u64(n));
    }
    if (n <= 0 || buffer[u64(n) - 1] !== 10) print(stdout(), cstr("\n"));
  }
}
