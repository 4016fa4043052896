/*
 * Costs of system calls, threads and signals, in ticks of the time-stamp counter, which counts instructions on Margay
 * and on QEMU with -icount shift=0. Prints "NAME TICKS" for each. As the first process of a system it powers off at the
 * end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE 4096L
#define BLOCK (64 * 1024)

static unsigned long begun;
static void begin(void) { begun = __rdtsc(); }
static void end(const char *name, unsigned long count) { printf("%s %lu\n", name, (__rdtsc() - begun) / count); }
#define MEASURE(name, warm, count, statement) \
  do { \
    for (long i = 0; i < (warm); i++) { statement; } \
    begin(); \
    for (long i = 0; i < (count); i++) { statement; } \
    end(name, count); \
  } while (0)

static char *pages;
static void handler(int signal) { (void)signal; }
static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal; (void)context;
  mprotect((void *)((long)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
}

static int turn;
static void wait_for(int mine) {
  int seen;
  while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != mine) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, 0, 0, 0);
}
static void give(int other) {
  __atomic_store_n(&turn, other, __ATOMIC_RELEASE);
  syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
#define ROUNDS 200
static void *answer(void *unused) {
  for (int i = 0; i < ROUNDS; i++) { wait_for(1); give(0); }
  return unused;
}
static void *nothing(void *unused) { return unused; }

static pthread_barrier_t together;
#define MAPS 50
static void *map_and_unmap(void *ticks) {
  pthread_barrier_wait(&together);
  unsigned long start = __rdtsc();
  for (int i = 0; i < MAPS; i++) {
    char *p = mmap(0, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) abort();
    for (long at = 0; at < BLOCK; at += PAGE) p[at] = 1;
    munmap(p, BLOCK);
  }
  *(unsigned long *)ticks = (__rdtsc() - start) / MAPS;
  return 0;
}
static void threads_map(int count) {
  pthread_t threads[4];
  unsigned long ticks[4], worst = 0;
  pthread_barrier_init(&together, 0, count);
  for (int i = 1; i < count; i++) if (pthread_create(&threads[i], 0, map_and_unmap, &ticks[i])) return;
  map_and_unmap(&ticks[0]);
  for (int i = 1; i < count; i++) pthread_join(threads[i], 0);
  for (int i = 0; i < count; i++) if (ticks[i] > worst) worst = ticks[i];
  printf("maps-%d %lu\n", count, worst);
}

int main(int argc, char **argv) {
  static char block[BLOCK];
  int fd = open("file", O_CREAT | O_RDWR | O_TRUNC, 0600);
  struct timespec time;
  struct sigaction action;
  pthread_t thread;
  setvbuf(stdout, 0, _IOLBF, 0);
  MEASURE("getpid", 10, 1000, syscall(SYS_getpid));
  MEASURE("clock_gettime", 10, 1000, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time));
  MEASURE("write-1", 5, 100, pwrite(fd, block, 1, 0));
  MEASURE("write-64K", 2, 20, pwrite(fd, block, BLOCK, 0));
  MEASURE("map", 2, 50, munmap(mmap(0, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), BLOCK));
  pages = mmap(0, 300 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  MEASURE("touch", 20, 200, *pages = 1; pages += PAGE);
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, 0);
  MEASURE("signal", 5, 200, raise(SIGUSR1));
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, 0);
  pages = mmap(0, 200 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  MEASURE("fault", 5, 100, *(volatile char *)pages = 1; pages += PAGE);
  MEASURE("thread", 3, 50, pthread_create(&thread, 0, nothing, 0); pthread_join(thread, 0));
  pthread_create(&thread, 0, answer, 0);
  begin();
  for (int i = 0; i < ROUNDS; i++) { give(1); wait_for(0); }
  end("futex", ROUNDS);
  pthread_join(thread, 0);
  threads_map(1);
  if (argc > 1) threads_map(atoi(argv[1]));
  puts("done");
  if (getpid() == 1 && getppid() == 0) { sync(); reboot(RB_POWER_OFF); }
  return 0;
}
