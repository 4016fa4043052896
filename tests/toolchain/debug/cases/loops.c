/* Loops: what changes each turn, what a branch changes, what only lives for a while. */
#include "cases.h"

static uint64_t gcd(uint64_t a, uint64_t b) {
  uint64_t x = a;
  uint64_t y = b;
  while (y != 0) {
    const uint64_t rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}

static uint64_t steps(uint64_t start) {
  uint64_t n = start;
  uint64_t count = 0;
  uint64_t highest = start;
  while (n != 1) {
    if ((n & 1) == 0) {
      n = n >> 1;
    } else {
      n = n * 3 + 1;
    }
    if (n > highest) highest = n;
    count++;
  }
  return count * 1000 + highest;
}

KEPT uint64_t loops(uint64_t seed) {
  uint64_t sum = 0;
  for (uint64_t i = 1; i < 4; i++) {
    const uint64_t divisor = gcd(seed * 12 * i, 18);
    const uint64_t length = steps(seed + i + 2);
    sum = sum * 7 + divisor;
    sum += length;
  }
  const uint64_t half = sum >> 1;
  return half ^ sum;
}
