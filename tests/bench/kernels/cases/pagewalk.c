/* Page-table walk: four levels of 512 entries, 2 MB and 4 KB leaves, some not present; a translation is the entry's frame and the offset. */
#include "kernels.h"

#define PRESENT 1ull
#define LARGE 0x80ull
#define FRAME 0x000ffffffffff000ull
#define PAGES 80
static uint64_t arena[41472];
static uint64_t used;

static uint64_t *new_table(void) {
  uint64_t start = ((uint64_t)arena + 4095) & FRAME;
  uint64_t *table = (uint64_t *)(start + used * 4096);
  for (uint64_t i = 0; i < 512; i++) table[i] = 0;
  used++;
  return table;
}

static uint64_t *table_at(uint64_t *table, uint64_t index) {
  if ((table[index] & PRESENT) == 0) table[index] = (uint64_t)new_table() | PRESENT;
  return (uint64_t *)(table[index] & FRAME);
}

static void map(uint64_t *root, uint64_t virtual, uint64_t frame, bool large) {
  uint64_t *directories = table_at(root, (virtual >> 39) & 511);
  uint64_t *directory = table_at(directories, (virtual >> 30) & 511);
  uint64_t at = (virtual >> 21) & 511;
  if (large) {
    directory[at] = frame | LARGE | PRESENT;
    return;
  }
  uint64_t *table = table_at(directory, at);
  table[(virtual >> 12) & 511] = frame | PRESENT;
}

static uint64_t translate(const uint64_t *root, uint64_t virtual) {
  const uint64_t *table = root;
  for (uint64_t shift = 39; shift > 12; shift -= 9) {
    uint64_t entry = table[(virtual >> shift) & 511];
    if ((entry & PRESENT) == 0) return 0;
    if ((entry & LARGE) != 0) {
      uint64_t mask = (1ull << shift) - 1;
      return (entry & FRAME & ~mask) | (virtual & mask);
    }
    table = (const uint64_t *)(entry & FRAME);
  }
  uint64_t entry = table[(virtual >> 12) & 511];
  return (entry & PRESENT) != 0 ? (entry & FRAME) | (virtual & 4095) : 0;
}

uint64_t pagewalk(void) {
  used = 0;
  uint64_t *root = new_table();
  for (uint64_t i = 0; i < 4096; i++) map(root, 0x7f0000000000 + (i << 12), (i * 7 + 3) << 12, false);
  for (uint64_t i = 0; i < 256; i++) map(root, 0x40000000 + (i << 21), (i + 1) << 21, true);
  uint64_t x = 88172645463325252ull;
  uint64_t sum = used > PAGES ? 1 : 0;
  for (uint64_t n = 0; n < 250000; n++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    uint64_t virtual = (n & 1) != 0 ? 0x7f0000000000 + (x & 0x1ffffff) : 0x40000000 + (x & 0x3fffffff);
    sum = sum * 3 + translate(root, virtual);
  }
  return sum;
}
