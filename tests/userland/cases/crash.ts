/** Rank 1 writes where nothing is mapped; the others end well. */
import "../../../userland/lib/start.ts";
import { rank } from "../../../userland/lib/margay.ts";

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (rank() === 1) volatileWrite(cast<ptr<u32>>(0x1234_5000), 1);
  return 0;
}
