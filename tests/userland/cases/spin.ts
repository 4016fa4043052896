/** Says that it runs, then runs for ever. */
import "../../../userland/lib/start.ts";
import { rank } from "../../../userland/lib/margay.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  print(stdout(), cstr("spin "));
  printDecimal(stdout(), rank());
  print(stdout(), cstr("\n"));
  for (;;) asm`pause`;
}
