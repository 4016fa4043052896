/*
 * Touches all pages of a large array in .bss, of a heap block, of initialised data and of the stack, and calls code in
 * several pages, ARGV[1] times. A mark (margay_mark) and a pause after each pass.
 */
#include <stdlib.h>
#include <unistd.h>

#define DATA (16L << 20)
#define HEAP (32L << 20)
#define STACK (64L << 10)
#define PAGE 4096
#define MARGAY_MARK 4104

static char zeros[DATA];
static char initial[4L << 20] = {1};
#define CODE(n) __attribute__((noinline, aligned(4096))) static long code##n(long x) { return x * n + 1; }
CODE(1) CODE(2) CODE(3) CODE(4)

static long touch(volatile char *from, long bytes) {
  long sum = 0;
  for (long at = 0; at < bytes; at += PAGE) sum += from[at]++;
  return sum;
}

int main(int argc, char **argv) {
  volatile char stack[STACK];
  char *heap = malloc(HEAP);
  long sum = 0;
  if (heap == NULL || argc < 2) return 1;
  for (int pass = 0; pass < atoi(argv[1]); pass++) {
    sum += touch(zeros, DATA) + touch(initial, sizeof initial) + touch(heap, HEAP) + touch(stack, STACK);
    sum += code1(sum) + code2(sum) + code3(sum) + code4(sum);
    syscall(MARGAY_MARK, 1, pass);
    usleep(500);
  }
  return sum == 0;
}
