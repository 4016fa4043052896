/** The library's upcalls: pages that open when they are touched, and a word at the end. */
import "../../../userland/lib/start.ts";
import { MapFlag, Prot } from "../../../kernel/abi/process.ts";
import { flush, print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { mmap, mprotect } from "../../../userland/lib/syscall.ts";
import { onExit, onFault } from "../../../userland/lib/upcall.ts";

const PAGES: u64 = 4;
class Count {
  faults: u64 = 0;
}
const count: Count = new Count();

function open(address: u64, _error: u64, _context: u64, argument: u64): void {
  count.faults += argument;
  mprotect(address & ~u64(4095), 4096, Prot.READ | Prot.WRITE);
}
function atEnd(waitStatus: u64, argument: u64): void {
  const o = stdout();
  print(o, cstr("end "));
  printDecimal(o, waitStatus);
  print(o, cstr(" argument "));
  printDecimal(o, argument);
  print(o, cstr(" faults "));
  printDecimal(o, count.faults);
  print(o, cstr("\n"));
  flush(o);
}
export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const at: i64 = mmap(0, PAGES * 4096, Prot.NONE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
  if (at < 0 || onFault(u64(at), PAGES * 4096, open, 10) < 0 || onExit(atEnd, 7) < 0) return 1;
  const words = cast<ptr<u64>>(u64(at));
  for (let i: u64 = 0; i < PAGES; i++) volatileWrite(addr(words[i * 512]), i);
  return 3;
}
