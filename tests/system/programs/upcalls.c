/* Upcalls for faults and for the end, by syscall(2). The first argument says what to try. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define FAULT_HANDLER 4105
#define EXIT_HANDLER 4106
#define EXIT 4107
#define PAGE 4096l
#define BASE ((char *)0x600000000)
void fault_return(void), exit_return(void);
asm("fault_return: mov $15, %eax; syscall");
asm("exit_return: mov $4107, %eax; syscall; hlt");
#define T(call) do { errno = 0; long r_ = (long)(call); printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerror(errno) : ""); } while (0)

static volatile int calls;
static volatile char *stack_low;
static void open_page(unsigned long address, unsigned long error, ucontext_t *c, void *argument) {
  calls++;
  if (argument) printf("  fault at %ld error %ld argument %ld rip %d\n", (char *)address - BASE, error, (long)argument,
                       c->uc_mcontext.gregs[REG_CR2] == (long)address);
  mprotect((void *)(address & -PAGE), PAGE, PROT_READ | PROT_WRITE);
}
static void bad(unsigned long address, unsigned long error, ucontext_t *c, void *argument) {
  calls++;
  *(volatile char *)8 = 1;
}
static void same(unsigned long address, unsigned long error, ucontext_t *c, void *argument) {
  calls++;
  *(volatile char *)address = 1;
}
static void nested(unsigned long address, unsigned long error, ucontext_t *c, void *argument) {
  calls++;
  /* The next page is not there, either. */
  if ((char *)address < BASE + 60 * PAGE) *(volatile char *)(address + PAGE) = 1;
  mprotect((void *)(address & -PAGE), PAGE, PROT_READ | PROT_WRITE);
}
static void skip(unsigned long address, unsigned long error, ucontext_t *c, void *argument) {
  calls++;
  c->uc_mcontext.gregs[REG_RIP] += 2;
  c->uc_mcontext.gregs[REG_RBX] = 42;
}
static int ends;
static void at_end(int status, void *argument) {
  ends++;
  printf("end %x argument %ld pid %d\n", status, (long)argument, getpid() == syscall(SYS_gettid));
  if ((long)argument == 2) _exit(5);
  if ((long)argument == 3) *(volatile char *)8 = 1;
  if ((long)argument == 4) syscall(EXIT_HANDLER, at_end, exit_return, 0);
}
static void *thread(void *unused) { usleep(1000); return NULL; }
static long watch(long at, long bytes, void *entry, long argument) { return syscall(FAULT_HANDLER, BASE + at, bytes, entry, fault_return, argument); }
static unsigned long ticks(void) { unsigned a, d; asm volatile("rdtsc" : "=a"(a), "=d"(d)); return (unsigned long)d << 32 | a; }

int main(int argc, char **argv) {
  char what = argv[1][0];
  setvbuf(stdout, NULL, _IOLBF, 0);
  mmap(BASE, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  switch (what) {
    case 'f': {
      T(watch(0, 64 * PAGE, open_page, 7));
      BASE[5] = 'x';
      printf("%c %d\n", BASE[5], BASE[PAGE]);
      mprotect(BASE, PAGE, PROT_READ);
      BASE[6] = 'y';
      T(calls);
      T(watch(0, PAGE, open_page, 7));
      T(watch(64 * PAGE, PAGE, open_page, 7));
      T(watch(0, 64 * PAGE, nested, 0));
      calls = 0;
      BASE[10 * PAGE] = 1;
      T(calls);
      T(watch(0, 64 * PAGE, skip, 0));
      mprotect(BASE, PAGE, PROT_NONE);
      long value = 1;
      asm volatile("mov %1, %%rax; mov $1, %%ebx; movb %%bl, (%%rax); mov %%rbx, %0" : "=r"(value) : "r"(BASE) : "rax", "rbx", "memory");
      T(value);
      T(watch(0, 64 * PAGE, open_page, 0));
      mprotect(BASE, 64 * PAGE, PROT_NONE);
      char *alternate = malloc(65536);
      stack_t s = {alternate, 0, 65536};
      sigaltstack(&s, NULL);
      BASE[0] = 1;
      s.ss_flags = SS_DISABLE;
      sigaltstack(&s, NULL);
      unsigned long least = ~0ul;
      for (int i = 1; i < 20; i++) {
        unsigned long start = ticks();
        BASE[i * PAGE] = 1;
        unsigned long took = ticks() - start;
        if (took < least) least = took;
      }
      unsigned long start = ticks();
      mprotect(BASE, PAGE, PROT_READ | PROT_WRITE);
      printf("instructions %lu\n", least - (ticks() - start));
      T(watch(64 * PAGE, PAGE, NULL, 0));
      T(watch(128 * PAGE, PAGE, NULL, 0));
      T(watch(0, 64 * PAGE, NULL, 0));
      T(watch(0, 0, open_page, 0));
      T(watch(1, PAGE, open_page, 0));
      T(syscall(FAULT_HANDLER, -PAGE, PAGE, open_page, fault_return, 0));
      T(watch(0, PAGE, (void *)0xffff800000000000, 0));
      T(syscall(FAULT_HANDLER, BASE, PAGE, open_page, (void *)-1l, 0));
      T(syscall(EXIT_HANDLER, (void *)0xffffffff80000000, exit_return, 0));
      T(syscall(EXIT_HANDLER, at_end, (void *)-8l, 0));
      T(syscall(EXIT));
      for (int i = 0; i < 17; i++) if (watch(200 * PAGE + i * PAGE, PAGE, open_page, 0) < 0) printf("%d: %s\n", i, strerror(errno));
      exit(0);
    }
    /* Ends with a report: a handler that faults, one that is nowhere, ones that never come back. */
    case 'b': watch(0, PAGE, bad, 0); BASE[0] = 1; break;
    case 's': watch(0, PAGE, same, 0); BASE[0] = 1; break;
    case 'n': watch(0, PAGE, BASE + PAGE, 0); BASE[0] = 1; break;
    case 'i': watch(0, 64 * PAGE, BASE + PAGE, 0); BASE[0] = 1; break;
    case 'r': syscall(FAULT_HANDLER, BASE, PAGE, open_page, BASE + PAGE, 0); BASE[0] = 1; break;
    case 'k': asm volatile("mov %0, %%rsp; movb $1, (%1)" :: "r"((char *)4096), "r"(BASE)); break;
    /* The end: exit_group, exit of the last thread, signals. */
    case 'e': T(syscall(EXIT_HANDLER, at_end, exit_return, argv[2] ? atol(argv[2]) : 1)); exit(3);
    case 'p': syscall(EXIT_HANDLER, at_end, exit_return, 1); fflush(stdout); syscall(SYS_exit, 4);
    case 't': syscall(EXIT_HANDLER, at_end, exit_return, 1); raise(SIGTERM); break;
    case 'v': syscall(EXIT_HANDLER, at_end, exit_return, 1); *(volatile char *)8 = 1; break;
    case 'w': syscall(EXIT_HANDLER, at_end, exit_return, 1); pause(); break;
    case 'K': syscall(EXIT_HANDLER, at_end, exit_return, 1); kill(getpid(), SIGKILL); break;
    case 'x': syscall(EXIT_HANDLER, BASE, exit_return, 1); exit(3);
    case 'o': syscall(EXIT_HANDLER, at_end, exit_return, 1); asm volatile("mov %0, %%rsp; push %%rax" :: "r"((char *)4096)); break;
    case 'c': { pthread_t t; syscall(EXIT_HANDLER, at_end, exit_return, 1); pthread_create(&t, NULL, thread, NULL); syscall(SYS_exit, 6); }
    case 'd': syscall(EXIT_HANDLER, at_end, exit_return, 1); syscall(EXIT_HANDLER, NULL, NULL, 0); exit(7);
  }
  printf("still here\n");
  return 0;
}
