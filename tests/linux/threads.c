/* Threads: signals to one of them, masks that it inherits, robust locks, restartable sequences, and waits that end. */
#include "lines.h"
#include <pthread.h>
#include <stddef.h>

static volatile int tid, ready, done;
static pthread_t main_;
static void where(int s) { printf("  signal %d in the %s thread\n", s, pthread_equal(pthread_self(), main_) ? "main" : "other"); done++; }
static void await(volatile int *what, int value) { while (*what != value) usleep(100); }
static void handle(int s, int flags) {
  struct sigaction a = {.sa_handler = where, .sa_flags = flags};
  sigaction(s, &a, NULL);
}

static unsigned word;
static void *waits(void *_) {
  tid = syscall(SYS_gettid), ready = 1;
  S(SYS_futex, &word, 128, 0, NULL, NULL, 0);
  ready = 2;
  S(SYS_futex, &word, 128, 0, NULL, NULL, 0);
  return NULL;
}
static void interrupted(void) {
  pthread_t t;
  handle(SIGUSR1, 0);
  pthread_create(&t, NULL, waits, NULL);
  await(&ready, 1);
  usleep(2000);
  pthread_kill(t, SIGUSR1);
  await(&ready, 2);
  handle(SIGUSR1, SA_RESTART);
  usleep(2000);
  pthread_kill(t, SIGUSR1);
  await(&done, 2);
  usleep(2000);
  word = 1;
  long woken = syscall(SYS_futex, &word, 129, 1);
  pthread_join(t, NULL);
  printf("woken %ld\n", woken);
  S(SYS_tgkill, getpid(), tid, 0);
}

/* A signal to the process goes to a thread that does not block it. */
static void *takes(void *_) {
  sigset_t set;
  pthread_sigmask(SIG_BLOCK, NULL, &set);
  printf("inherited %lx\n", *(unsigned long *)&set);
  sigdelset(&set, SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &set, NULL);
  ready = 3;
  await(&done, 1);
  return NULL;
}
static void chosen(void) {
  sigset_t set;
  pthread_t t;
  sigemptyset(&set), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  handle(SIGUSR2, 0);
  done = 0;
  pthread_create(&t, NULL, takes, NULL);
  await(&ready, 3);
  kill(getpid(), SIGUSR2);
  pthread_join(t, NULL);
  /* One that all block waits for who unblocks it first. */
  T(kill(getpid(), SIGUSR2));
  done = 0;
  pthread_create(&t, NULL, takes, NULL);
  pthread_join(t, NULL);
  sigpending(&set);
  printf("pending %lx\n", *(unsigned long *)&set);
  sigemptyset(&set);
  pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static pthread_mutex_t lock;
static void *dies(void *_) {
  pthread_mutex_lock(&lock);
  ready = 4;
  usleep(2000);
  return NULL;
}
static void robust(void) {
  pthread_mutexattr_t a;
  pthread_t t;
  pthread_mutexattr_init(&a);
  pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&lock, &a);
  pthread_create(&t, NULL, dies, NULL);
  await(&ready, 4);
  int r = pthread_mutex_lock(&lock);
  printf("owner dead %d\n", r == EOWNERDEAD);
  T(pthread_mutex_consistent(&lock));
  T(pthread_mutex_unlock(&lock));
  pthread_join(t, NULL);
  pthread_create(&t, NULL, dies, NULL);
  pthread_join(t, NULL);
  printf("owner dead %d\n", pthread_mutex_lock(&lock) == EOWNERDEAD);
  T(pthread_mutex_unlock(&lock));
  printf("not recoverable %d\n", pthread_mutex_lock(&lock) == ENOTRECOVERABLE);
}

/* A sequence that a signal interrupts goes on at its abort. */
struct rseq_ { unsigned start, cpu; unsigned long section; unsigned flags, node, concurrency, more; } area __attribute__((aligned(32)));
struct section { unsigned version, flags; unsigned long start, length, abort; } __attribute__((aligned(32)));
static void *sequence(void *_) {
  long aborted = 0;
#ifdef __GLIBC__
  extern const ptrdiff_t __rseq_offset __attribute__((weak));
  extern const unsigned __rseq_size __attribute__((weak));
  if (&__rseq_offset) {
    void *own = (char *)__builtin_thread_pointer() + __rseq_offset;
    S(SYS_rseq, own, 32, 0, 0x53053053);
    if (syscall(SYS_rseq, own, 32, 1, 0x53053053) != 0) printf("cannot unregister\n");
  }
#endif
  S(SYS_rseq, &area, 32, 2, 0x12345678);
  S(SYS_rseq, (char *)&area + 8, 32, 0, 0x12345678);
  S(SYS_rseq, &area, 32, 1, 0x12345678);
  S(SYS_rseq, &area, 32, 0, 0x12345678);
  S(SYS_rseq, &area, 32, 0, 0x12345678);
  S(SYS_rseq, &area, 32, 0, 1);
  S(SYS_rseq, &area, 32, 1, 1);
  printf("cpu %d\n", area.start == area.cpu && (int)area.cpu >= 0);
  static struct section s;
  tid = syscall(SYS_gettid), ready = 5;
  __asm__ volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, 8+%[s]; lea 2f(%%rip), %%rcx; sub %%rax, %%rcx; mov %%rcx, 16+%[s]\n"
      "lea 3f(%%rip), %%rax; mov %%rax, 24+%[s]; lea %[s], %%rax; mov %%rax, %[section]\n"
      "1: pause; cmpl $0, %[done]; je 1b; jmp 1b\n2: jmp 4f\n"
      ".byte 0x0f, 0xb9, 0x3d\n.long 0x12345678\n3: movq $1, %[aborted]\n4:"
      : [aborted] "+m"(aborted), [s] "+m"(s), [section] "+m"(area.section)
      : [done] "m"(done) : "rax", "rcx", "memory");
  /* Linux aborts it when it takes the processor away, too. */
  await(&done, 1);
  printf("aborted %ld, section %lu\n", aborted, area.section);
  S(SYS_rseq, &area, 32, 1, 0x12345678);
  printf("cpu %d\n", area.cpu);
  return NULL;
}
static void sequences(void) {
  pthread_t t;
  done = 0;
  pthread_create(&t, NULL, sequence, NULL);
  await(&ready, 5);
  usleep(3000);
  pthread_kill(t, SIGUSR1);
  pthread_join(t, NULL);
}
int main(void) {
  setvbuf(stdout, NULL, _IOFBF, 65536);
  main_ = pthread_self();
  interrupted();
  chosen();
  robust();
  sequences();
  return 0;
}
