/** Prints many lines: each is a request to the I/O node and a reply. */
import "../../../userland/lib/start.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  for (let i: u64 = 1; i <= 60; i++) {
    print(stdout(), cstr("line "));
    printDecimal(stdout(), i);
    print(stdout(), cstr("\n"));
  }
  return 0;
}
