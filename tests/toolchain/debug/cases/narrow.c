/* Narrow and signed integers, shifts, structs on the stack, many values that live at once. */
#include "cases.h"

struct point {
  int32_t x;
  int32_t y;
};
struct box {
  struct point low;
  struct point high;
  uint64_t area;
};

static uint16_t checksum(uint64_t data) {
  uint32_t sum = 0;
  for (uint64_t i = 0; i < 4; i++) {
    const uint16_t part = (uint16_t)(data >> (i * 16));
    sum += (uint32_t)part;
  }
  const uint16_t folded = (uint16_t)((uint16_t)(sum & 0xffff) + (uint16_t)(sum >> 16));
  return (uint16_t)~folded;
}

static int64_t extend(int8_t byte, int16_t word) {
  const int64_t wide = (int64_t)byte;
  const int64_t scaled = wide * 16;
  const int64_t result = scaled - (int64_t)word;
  return result;
}

static uint64_t grow(struct box *box, int32_t by) {
  const int32_t width = box->high.x - box->low.x + by;
  const int32_t height = box->high.y - box->low.y + by;
  box->high.x += by;
  box->high.y += by;
  box->area = (uint64_t)(uint32_t)(width * height);
  return box->area;
}

KEPT static uint64_t many(uint64_t seed) {
  uint64_t a = seed;
  uint64_t b = a + 1;
  uint64_t c = b * 2;
  uint64_t d = c ^ a;
  uint64_t e = d + 5;
  uint64_t f = e * 3;
  uint64_t g = f - b;
  uint64_t h = g ^ 77;
  for (uint64_t i = 0; i < 3; i++) {
    const uint64_t t = a + h;
    a = b ^ i;
    b = c + 1;
    c = d * 3;
    d = e + t;
    e = f ^ a;
    f = g + b;
    g = h - c;
    h = t;
  }
  return a + b + c + d + e + f + g + h;
}

KEPT uint64_t narrow(uint64_t seed) {
  const uint16_t sum = checksum(seed * 0x123456789abcdef1ull);
  const int64_t extended = extend((int8_t)-3, (int16_t)((int16_t)seed * 100));
  struct box box = {{0, 0}, {0, 0}, 0};
  box.low.x = (int32_t)seed;
  box.high.x = 9;
  box.high.y = (int32_t)((uint32_t)sum & 15);
  const uint64_t area = grow(&box, 2);
  struct point corner = {0, 0};
  corner.x = box.high.x;
  corner.y = box.high.y - 1;
  const int32_t diagonal = corner.x * corner.x + corner.y * corner.y;
  const uint64_t mixed = many(seed);
  return (uint64_t)sum + (uint64_t)extended + area * 7 + (uint64_t)(uint32_t)diagonal + mixed;
}
