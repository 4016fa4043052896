/** Computes until the benchmark sets `state.stop` from outside. For figures of the debugger's basic operations. */
import "../../../userland/lib/start.ts";

class State {
  stop: u32 = 0;
  reserved: u32 = 0;
  turns: u64 = 0;
  page!: arr<u8, 1024>;
}
/**
 * @symbol state
 * @keep
 */
const state: State = zeroed();

function turn(): void {
  attr({ symbol: "turn", keep: true, inline: "never" });
  state.turns++;
}

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  while (volatileRead(addr(state.stop)) === 0) turn();
  return 0;
}
