/** Faults on purpose: writes through a null pointer, two calls deep, to show a core report. */
import "../lib/start.ts";

class Particle {
  x: u64 = 0;
  next: ptr<Particle> | null = null;
}

/** Moves the particle at `p`, which is null here. */
function moveNext(p: ptr<Particle>, by: u64): void {
  attr({ inline: "never" });
  const next = cast<ptr<Particle>>(p.next);
  volatileWrite(addr(next.x), by);
}
function step(p: ptr<Particle>): u64 {
  attr({ inline: "never" });
  moveNext(p, 1);
  return p.x;
}

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const last: Particle = zeroed();
  return i32(step(addr(last)));
}
