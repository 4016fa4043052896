/* Quicksort (median of three, recursion on both sides) down to 16 elements, then insertion sort; u32 keys. */
#include "kernels.h"

#define COUNT 20000
static uint32_t items[COUNT];

static void insertion_sort(uint32_t *a, int64_t low, int64_t high) {
  for (int64_t i = low + 1; i <= high; i++) {
    uint32_t x = a[i];
    int64_t j = i - 1;
    while (j >= low && a[j] > x) {
      a[j + 1] = a[j];
      j--;
    }
    a[j + 1] = x;
  }
}

static void swap(uint32_t *a, int64_t i, int64_t j) {
  uint32_t x = a[i];
  a[i] = a[j];
  a[j] = x;
}

static void quicksort(uint32_t *a, int64_t low, int64_t high) {
  if (high - low < 16) {
    insertion_sort(a, low, high);
    return;
  }
  int64_t middle = low + (high - low) / 2;
  if (a[middle] < a[low]) swap(a, middle, low);
  if (a[high] < a[low]) swap(a, high, low);
  if (a[high] < a[middle]) swap(a, high, middle);
  uint32_t pivot = a[middle];
  int64_t i = low, j = high;
  while (i <= j) {
    while (a[i] < pivot) i++;
    while (a[j] > pivot) j--;
    if (i <= j) {
      swap(a, i, j);
      i++;
      j--;
    }
  }
  quicksort(a, low, j);
  quicksort(a, i, high);
}

uint64_t sort(void) {
  uint32_t x = 2463534242u;
  for (uint64_t i = 0; i < COUNT; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    items[i] = x;
  }
  quicksort(items, 0, COUNT - 1);
  uint64_t sum = 0;
  for (uint64_t i = 1; i < COUNT; i++) {
    if (items[i - 1] > items[i]) return 0;
    sum = sum * 31 + items[i];
  }
  return sum;
}
