/* The twelve kernels, each in the file of its name; each gives its checksum. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

uint64_t pagewalk(void);
uint64_t ring(void);
uint64_t hash(void);
uint64_t sort(void);
uint64_t bitscan(void);
uint64_t strings(void);
uint64_t matrix(void);
uint64_t stencil(void);
uint64_t list(void);
uint64_t dispatch(void);
uint64_t division(void);
uint64_t crc(void);
