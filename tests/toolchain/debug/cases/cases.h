#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* Keeps a function's own code, as inline: "never" does: neither inlined nor specialised. */
#define KEPT __attribute__((noipa))

uint64_t loops(uint64_t seed);
uint64_t sort(uint64_t seed);
uint64_t list(uint64_t seed);
uint64_t floats(uint64_t seed);
uint64_t scanner(uint64_t seed);
uint64_t calls(uint64_t seed);
uint64_t narrow(uint64_t seed);
