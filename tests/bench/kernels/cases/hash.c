/* Hash table: open addressing with linear probing, FNV-1a over the bytes of the key; inserts, then hits and misses. */
#include "kernels.h"

#define SLOTS 16384
static uint64_t keys[SLOTS], values[SLOTS];

static uint64_t fnv1a(uint64_t key) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (uint64_t i = 0; i < 64; i += 8) {
    h ^= (key >> i) & 255;
    h *= 0x100000001b3ull;
  }
  return h;
}

/* Slot of the key, or the free one where it belongs; key 0 means free. */
static uint64_t slot_of(uint64_t key) {
  uint64_t slot = fnv1a(key) & (SLOTS - 1);
  while (keys[slot] != 0 && keys[slot] != key) slot = (slot + 1) & (SLOTS - 1);
  return slot;
}

uint64_t hash(void) {
  for (uint64_t i = 0; i < SLOTS; i++) keys[i] = 0;
  uint64_t x = 7;
  for (uint64_t n = 0; n < 10000; n++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t key = (x >> 40) | 1;
    uint64_t slot = slot_of(key);
    if (keys[slot] == 0) {
      keys[slot] = key;
      values[slot] = n;
    } else {
      values[slot] += n;
    }
  }
  uint64_t sum = 0;
  x = 7;
  for (uint64_t n = 0; n < 100000; n++) {
    x = n % 10000 == 0 ? 7 + (n & 1) : x * 6364136223846793005ull + 1442695040888963407ull;
    uint64_t key = (x >> 40) | 1;
    uint64_t slot = slot_of(key);
    sum = sum * 3 + (keys[slot] == key ? values[slot] : slot);
  }
  return sum;
}
