/* Division: by constants (decimal digits, dates, remainders of both signs) and by variables (greatest common divisor, powers). */
#include "kernels.h"

static uint64_t digits(uint64_t n) {
  uint64_t sum = 0;
  do {
    sum = sum * 3 + n % 10;
    n /= 10;
  } while (n != 0);
  return sum;
}

/* Day number since 1970-01-01 -> year * 10000 + month * 100 + day (Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t civil(int64_t day) {
  int64_t z = day + 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  int64_t day_of_era = z - era * 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t m = (5 * day_of_year + 2) / 153;
  int64_t month = m < 10 ? m + 3 : m - 9;
  return (year_of_era + era * 400 + (month <= 2 ? 1 : 0)) * 10000 + month * 100 + day_of_year - (153 * m + 2) / 5 + 1;
}

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b) {
  while (b != 0) {
    uint32_t r = a % b;
    a = b;
    b = r;
  }
  return a;
}

static uint32_t power(uint32_t base, uint32_t exponent, uint32_t modulus) {
  uint64_t result = 1, b = base % modulus;
  for (uint32_t e = exponent; e != 0; e >>= 1) {
    if ((e & 1) != 0) result = result * b % modulus;
    b = b * b % modulus;
  }
  return (uint32_t)result;
}

uint64_t division(void) {
  uint64_t sum = 0, x = 9;
  for (uint64_t i = 0; i < 10000; i++) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    sum += digits(x >> 20);
    sum = sum * 3 + (uint64_t)civil((int64_t)i * 13 - 50000);
    sum += (uint64_t)((int64_t)x % 1000) + (uint64_t)(int64_t)((int32_t)(x >> 32) / 7) + (uint32_t)x / 641;
    if ((i & 7) == 0) {
      sum += greatest_common_divisor((uint32_t)(x >> 33), (uint32_t)(x >> 13) | 1);
      sum += power((uint32_t)x, 65537, (uint32_t)(x >> 34) | 1);
    }
  }
  return sum;
}
