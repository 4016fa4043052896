/* Bit scan over a bitmap: lowest set bit by a de Bruijn table, population count by adding in fields, first clear run of a size. */
#include "kernels.h"

#define WORDS 256
#define DE_BRUIJN 0x03f79d71b4cb0a89ull
static uint64_t bitmap[WORDS];
static uint8_t position[64];

static uint64_t lowest_bit(uint64_t x) { return position[((x & (~x + 1)) * DE_BRUIJN) >> 58]; }

static uint64_t population_count(uint64_t word) {
  uint64_t x = word - ((word >> 1) & 0x5555555555555555ull);
  x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return (x * 0x0101010101010101ull) >> 56;
}

/* First of `size` clear bits in a row; the number of bits if there is none. */
static uint64_t clear_run(uint64_t size) {
  uint64_t run = 0;
  for (uint64_t bit = 0; bit < WORDS * 64; bit++) {
    if (((bitmap[bit >> 6] >> (bit & 63)) & 1) == 0) {
      if (++run == size) return bit + 1 - size;
    } else {
      run = 0;
    }
  }
  return WORDS * 64;
}

uint64_t bitscan(void) {
  for (uint64_t i = 0; i < 64; i++) position[(DE_BRUIJN << i) >> 58] = (uint8_t)i;
  uint64_t sum = 0, x = 3;
  for (uint64_t round = 0; round < 20; round++) {
    for (uint64_t i = 0; i < WORDS; i++) {
      x = x * 6364136223846793005ull + 1442695040888963407ull;
      bitmap[i] = x ^ (x >> 29);
    }
    for (uint64_t i = 0; i < WORDS; i++) {
      sum += population_count(bitmap[i]);
      for (uint64_t word = bitmap[i]; word != 0; word &= word - 1) sum = sum * 3 + lowest_bit(word) + i;
    }
    sum += clear_run(4 + round);
  }
  return sum;
}
