/*
 * Driver: `main INDEX CALLS` calls kernel INDEX so often and prints its checksum and the least processor time of one call in ns,
 * as main.ts does.
 */
#include "kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t (*const kernels[])(void) = {
  pagewalk, ring, hash, sort, bitscan, strings, matrix, stencil, list, dispatch, division, crc,
};

static uint64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  uint64_t (*kernel)(void) = kernels[atoi(argv[1])];
  int calls = atoi(argv[2]);
  uint64_t least = UINT64_MAX, sum = 0;
  for (int i = 0; i < calls; i++) {
    uint64_t start = clock_ns();
    uint64_t value = kernel();
    uint64_t taken = clock_ns() - start;
    sum = sum * 31 + value;
    if (taken < least) least = taken;
  }
  printf("%llu %llu\n", (unsigned long long)sum, (unsigned long long)least);
  return 0;
}
