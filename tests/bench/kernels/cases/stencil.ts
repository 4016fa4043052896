/** Five-point stencil, i32, 130 × 130 with a border, 30 sweeps between two grids. */
const N = 130;
const first: arr<i32, 16900> = zeroed();
const second: arr<i32, 16900> = zeroed();

function sweep(to: ptr<i32>, from: ptr<i32>): void {
  for (let y: u64 = 1; y < N - 1; y++) {
    for (let x: u64 = 1; x < N - 1; x++) {
      const at: u64 = y * N + x;
      to[at] = (from[at] * 4 + from[at - 1] + from[at + 1] + from[at - N] + from[at + N]) >> 3;
    }
  }
}

export function stencil(): u64 {
  let from = cast<ptr<i32>>(addr(first));
  let to = cast<ptr<i32>>(addr(second));
  for (let i: u64 = 0; i < N * N; i++) {
    from[i] = i32((i * 7919) & 0xffff);
    to[i] = from[i];
  }
  for (let round: u64 = 0; round < 30; round++) {
    sweep(to, from);
    const other = from;
    from = to;
    to = other;
  }
  let sum: u64 = 0;
  for (let i: u64 = 0; i < N * N; i++) sum = sum * 31 + u64(from[i]);
  return sum;
}
