/** Prints arguments and environment, and exits with ten times its rank. */
import "../../../userland/lib/start.ts";
import { rank } from "../../../userland/lib/margay.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";

export function main(argc: i32, argv: ptr<ptr<u8>>, envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const o = stdout();
  print(o, cstr("rank "));
  printDecimal(o, rank());
  for (let i: i32 = 0; i < argc; i++) {
    print(o, cstr(" ["));
    print(o, argv[i]);
    print(o, cstr("]"));
  }
  for (let i: i32 = 0; cast<u64>(envp[i]) !== 0; i++) {
    print(o, cstr(" {"));
    print(o, envp[i]);
    print(o, cstr("}"));
  }
  print(o, cstr("\n"));
  return i32(rank() * 10);
}
