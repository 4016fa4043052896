/* Arrays: insertion sort, binary search; indices, bounds, a value that is held while others move. */
#include "cases.h"

#define COUNT 10
static uint32_t values[COUNT];

static uint32_t fill(uint64_t seed) {
  uint64_t x = seed;
  uint32_t last = 0;
  for (uint64_t i = 0; i < COUNT; i++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    last = (uint32_t)(x >> 33) % 100;
    values[i] = last;
  }
  return last;
}

static uint64_t insertion_sort(void) {
  uint64_t moves = 0;
  for (uint64_t i = 1; i < COUNT; i++) {
    const uint32_t key = values[i];
    uint64_t j = i;
    while (j > 0 && values[j - 1] > key) {
      values[j] = values[j - 1];
      j--;
      moves++;
    }
    values[j] = key;
  }
  return moves;
}

static uint64_t find(uint32_t wanted) {
  uint64_t low = 0;
  uint64_t high = COUNT;
  while (low < high) {
    const uint64_t middle = (low + high) / 2;
    const uint32_t at = values[middle];
    if (at == wanted) return middle;
    if (at < wanted) low = middle + 1;
    else high = middle;
  }
  return COUNT;
}

KEPT uint64_t sort(uint64_t seed) {
  const uint32_t wanted = fill(seed);
  const uint64_t moves = insertion_sort();
  const uint64_t place = find(wanted);
  const uint64_t absent = find(101);
  return moves * 100 + place * 10 + absent;
}
