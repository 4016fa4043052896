/** Prints rank, size, nid and core: one line per rank. */
import "../lib/start.ts";
import { core, nid, rank, size } from "../lib/margay.ts";
import { print, printDecimal, stdout } from "../lib/stdio.ts";

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const o = stdout();
  print(o, cstr("hello from rank "));
  printDecimal(o, rank());
  print(o, cstr(" of "));
  printDecimal(o, size());
  print(o, cstr(" on nid "));
  printDecimal(o, nid());
  print(o, cstr(" core "));
  printDecimal(o, core());
  print(o, cstr("\n"));
  return 0;
}
