/* Numbers with a fraction: a small matrix product, a root by Newton's method, conversions. */
#include "cases.h"

static double a[6] = {1.5, 2.0, -0.5, 4.0, 0.25, 3.0};
static double b[6] = {2.0, 1.0, 0.5, -1.0, 4.0, 8.0};

static double cell(uint64_t row, uint64_t column) {
  double sum = 0.0;
  for (uint64_t k = 0; k < 3; k++) {
    const double left = a[row * 3 + k];
    const double right = b[k * 2 + column];
    sum += left * right;
  }
  return sum;
}

static double root(double square) {
  double x = square;
  uint32_t turns = 0;
  while (turns < 6) {
    const double quotient = square / x;
    x = (x + quotient) * 0.5;
    turns++;
  }
  return x;
}

KEPT uint64_t floats(uint64_t seed) {
  const double scale = (double)seed + 0.5;
  double trace = 0.0;
  for (uint64_t i = 0; i < 2; i++) {
    const double entry = cell(i, i);
    trace += entry * scale;
  }
  const double side = root(trace * trace + 2.0);
  const uint64_t cents = (uint64_t)(side * 100.0);
  return cents;
}
