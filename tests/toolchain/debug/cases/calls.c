/* Calls: what lives across them, recursion, small functions that are inlined twice deep, parameters that change. */
#include "cases.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
  if (value < low) return low;
  if (value > high) return high;
  return value;
}

static int64_t blend(int64_t from, int64_t to, int64_t part) {
  const int64_t whole = to - from;
  const int64_t moved = (whole * part) / 16;
  return clamp(from + moved, -100, 100);
}

KEPT static uint64_t ways(uint64_t left, uint64_t largest) {
  if (left == 0) return 1;
  if (largest == 0) return 0;
  uint64_t count = ways(left, largest - 1);
  if (left >= largest) {
    const uint64_t rest = left - largest;
    count += ways(rest, largest);
  }
  return count;
}

KEPT static uint64_t mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  const uint64_t low = a + b * 2 + c * 3 + d * 4;
  const uint64_t high = e * 5 + f * 6 + g * 7 + h * 8;
  return low ^ (high << 8);
}

KEPT static uint64_t shrink(uint64_t count) {
  uint64_t sum = 0;
  while (count > 2) {
    sum += count;
    count -= 2;
  }
  return sum * 10 + count;
}

KEPT uint64_t calls(uint64_t seed) {
  int64_t position = (int64_t)seed;
  for (int64_t i = 0; i < 3; i++) {
    const int64_t goal = i * 60 - 50;
    position = blend(position, goal, 8 + i);
  }
  const uint64_t partitions = ways(4 + seed, 3);
  const uint64_t mixed = mix(seed, 2, 3, partitions, 5, 6, 7, seed + 8);
  const uint64_t shrunk = shrink(seed + 7);
  return mixed + partitions * 3 + shrunk + (uint64_t)(position + 1000);
}
