/* CRC-32C: tables by shifting, then a byte a step and eight bytes a step (slicing-by-8; Kounavis and Berry, 2005). */
#include "kernels.h"

#define SIZE 32768
static uint32_t tables[2048];
static uint8_t data[SIZE];

static void make_tables(void) {
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t r = b;
    for (uint32_t bit = 0; bit < 8; bit++) r = (r & 1) != 0 ? (r >> 1) ^ 0x82f63b78u : r >> 1;
    tables[b] = r;
  }
  for (uint32_t i = 256; i < 2048; i++) {
    uint32_t before = tables[i - 256];
    tables[i] = (before >> 8) ^ tables[before & 255];
  }
}

static uint32_t by_bytes(uint32_t r, const uint8_t *p, uint64_t length_bytes) {
  for (uint64_t i = 0; i < length_bytes; i++) r = (r >> 8) ^ tables[(r ^ p[i]) & 255];
  return r;
}

static uint32_t by_eights(uint32_t r, const uint8_t *p, uint64_t length_bytes) {
  for (uint64_t i = 0; i < length_bytes; i += 8) {
    uint64_t word;
    memcpy(&word, &p[i], sizeof word);
    word ^= r;
    uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);
    r = tables[1792 + (low & 255)] ^ tables[1536 + ((low >> 8) & 255)] ^ tables[1280 + ((low >> 16) & 255)] ^ tables[1024 + (low >> 24)] ^
        tables[768 + (high & 255)] ^ tables[512 + ((high >> 8) & 255)] ^ tables[256 + ((high >> 16) & 255)] ^ tables[high >> 24];
  }
  return r;
}

uint64_t crc(void) {
  make_tables();
  uint64_t x = 13;
  for (uint64_t i = 0; i < SIZE; i++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    data[i] = (uint8_t)(x >> 56);
  }
  uint32_t r = 0xffffffffu;
  for (uint64_t round = 0; round < 8; round++) {
    r = by_bytes(r, data, SIZE / 2);
    r = by_eights(r, data, SIZE);
  }
  return (uint32_t)~r;
}
