/** Reports that it runs, then computes for ever. */
import "../../../userland/lib/start.ts";
import { flush, print, stdout } from "../../../userland/lib/stdio.ts";

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const o = stdout();
  print(o, cstr("spinning\n"));
  flush(o);
  while (true) asm`pause`;
}
