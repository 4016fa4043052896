/* Five-point stencil, i32, 130 × 130 with a border, 30 sweeps between two grids. */
#include "kernels.h"

#define N 130
static int32_t first[N * N], second[N * N];

static void sweep(int32_t *to, const int32_t *from) {
  for (uint64_t y = 1; y < N - 1; y++)
    for (uint64_t x = 1; x < N - 1; x++) {
      uint64_t at = y * N + x;
      to[at] = (from[at] * 4 + from[at - 1] + from[at + 1] + from[at - N] + from[at + N]) >> 3;
    }
}

uint64_t stencil(void) {
  int32_t *from = first, *to = second;
  for (uint64_t i = 0; i < N * N; i++) {
    from[i] = (int32_t)((i * 7919) & 0xffff);
    to[i] = from[i];
  }
  for (uint64_t round = 0; round < 30; round++) {
    sweep(to, from);
    int32_t *other = from;
    from = to;
    to = other;
  }
  uint64_t sum = 0;
  for (uint64_t i = 0; i < N * N; i++) sum = sum * 31 + (uint64_t)(int64_t)from[i];
  return sum;
}
