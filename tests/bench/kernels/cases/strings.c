/* String scan: length, comparison, search for a word, counting of words and digits in a text of bytes. */
#include "kernels.h"

#define SIZE 16384
static uint8_t text[SIZE + 1];

static uint64_t length(const uint8_t *s) {
  uint64_t n = 0;
  while (s[n] != 0) n++;
  return n;
}

static bool starts_with(const uint8_t *s, const uint8_t *prefix) {
  uint64_t i = 0;
  while (prefix[i] != 0) {
    if (s[i] != prefix[i]) return false;
    i++;
  }
  return true;
}

static uint64_t find(const uint8_t *s, const uint8_t *word) {
  uint64_t found = 0;
  for (uint64_t i = 0; s[i] != 0; i++)
    if (starts_with(&s[i], word)) found++;
  return found;
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\n' || c == '\t'; }

static uint64_t words(const uint8_t *s) {
  uint64_t count = 0;
  bool inside = false;
  for (const uint8_t *p = s; *p != 0; p++) {
    if (is_space(*p)) inside = false;
    else if (!inside) {
      inside = true;
      count++;
    }
  }
  return count;
}

static uint64_t numbers(const uint8_t *s) {
  uint64_t sum = 0, n = 0;
  for (uint64_t i = 0; s[i] != 0; i++) {
    uint8_t c = s[i];
    if (c >= '0' && c <= '9') n = n * 10 + (uint8_t)(c - '0');
    else {
      sum += n;
      n = 0;
    }
  }
  return sum + n;
}

uint64_t strings(void) {
  const uint8_t *alphabet = (const uint8_t *)"abc d12e\nab 9";
  uint64_t x = 11;
  for (uint64_t i = 0; i < SIZE; i++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    text[i] = alphabet[(x >> 33) % 13];
  }
  text[SIZE] = 0;
  uint64_t sum = 0;
  for (uint64_t round = 0; round < 8; round++) {
    sum = sum * 7 + length(text) + find(text, (const uint8_t *)"ab ab") + words(text) * 3 + numbers(text);
    text[round * 100] = '9';
  }
  return sum;
}
