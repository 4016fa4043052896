/* Matrix product, f64, 80 × 80, row times column. */
#include "kernels.h"

#define N 80
static double a[N * N], b[N * N], c[N * N];

static void multiply(double *to, const double *x, const double *y) {
  for (uint64_t i = 0; i < N; i++)
    for (uint64_t j = 0; j < N; j++) {
      double sum = 0;
      for (uint64_t k = 0; k < N; k++) sum += x[i * N + k] * y[k * N + j];
      to[i * N + j] = sum;
    }
}

uint64_t matrix(void) {
  for (uint64_t i = 0; i < N * N; i++) {
    a[i] = (double)(i % 17) * 0.25;
    b[i] = (double)(i % 23) - 11.5;
  }
  multiply(c, a, b);
  multiply(a, c, b);
  multiply(c, a, b);
  double sum = 0;
  for (uint64_t i = 0; i < N * N; i++) sum += c[i];
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  return bits;
}
