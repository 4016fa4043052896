/* Runs every case with a seed that no compiler knows, and prints the sum. */
#include <stdio.h>
#include "cases.h"

KEPT static uint64_t run(uint64_t seed) {
  return loops(seed) + sort(seed) + list(seed) + floats(seed) + scanner(seed) + calls(seed) + narrow(seed);
}

int main(int argc, char **argv) {
  (void)argv;
  printf("%llu\n", (unsigned long long)run((uint64_t)argc));
}
