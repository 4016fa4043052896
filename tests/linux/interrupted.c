/* Signals that come while a call waits at the I/O node: what it gives, with and without SA_RESTART, and which mask holds. */
#include "lines.h"
#include <pthread.h>

typedef unsigned long set_t;
#define BIT(s) (1ul << ((s) - 1))
static volatile int seen;
static set_t inside;

static void handler(int s) {
  seen++;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &inside, 8);
}
static void handle(int s, int flags) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_handler = handler;
  a.sa_flags = flags;
  sigaction(s, &a, NULL);
}
static void after(int ms) {
  struct itimerval t = {{0, 0}, {0, ms * 1000}};
  seen = 0;
  setitimer(ITIMER_REAL, &t, NULL);
}
static void told(void) {
  set_t now = 0;
  struct itimerval off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &off, NULL);
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8);
  printf("  seen %d inside %lx now %lx\n", seen, inside, now);
}
/* The time that is left is written back, and is less than before. */
static void left(struct timespec t) { printf("  left %d\n", t.tv_sec == 9 && t.tv_nsec > 0); }

static void polls(void) {
  struct pollfd none = {-1, POLLIN, 0};
  struct timespec t = {10, 0};
  struct timeval v = {10, 0};
  set_t mask = BIT(SIGUSR2), all = ~0ul, old;
  struct { set_t *set; size_t bytes; } masked = {&mask, 8}, blocked = {&all, 8}, odd = {&all, 7}, bad = {NOWHERE, 8};
  after(20); T(poll(&none, 1, 10000)); told();
  after(20); T(poll(NULL, 0, -1)); told();
  after(20); T(poll(NULL, 0, 60)); told();
  after(20); T(syscall(SYS_select, 0, NULL, NULL, NULL, NULL)); told();
  after(20); T(syscall(SYS_select, 0, NULL, NULL, NULL, &v)); told();
  printf("  left %d\n", v.tv_sec == 9 && v.tv_usec > 0);
  t.tv_sec = 10, t.tv_nsec = 0;
  after(20); S(SYS_ppoll, NULL, 0, &t, NULL, 0); told(); left(t);
  t.tv_sec = 10, t.tv_nsec = 0;
  after(20); S(SYS_ppoll, NULL, 0, &t, &mask, 8); told(); left(t);
  after(20); S(SYS_pselect6, 0, NULL, NULL, NULL, NULL, &masked); told();
  t.tv_sec = 10, t.tv_nsec = 0;
  after(20); S(SYS_pselect6, 0, NULL, NULL, NULL, &t, &masked); told(); left(t);
  /* Blocked outside, let in by the call. */
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
  mask = 0;
  after(20); S(SYS_ppoll, NULL, 0, NULL, &mask, 8); told();
  after(20); S(SYS_pselect6, 0, NULL, NULL, NULL, NULL, &masked); told();
  /* One that waits already. */
  raise(SIGALRM);
  S(SYS_ppoll, NULL, 0, NULL, &mask, 8); told();
  raise(SIGALRM);
  S(SYS_pselect6, 0, NULL, NULL, NULL, NULL, &masked); told();
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, 8);
  /* Let in outside, blocked by the call. */
  t.tv_sec = 0, t.tv_nsec = 60000000;
  after(20); S(SYS_ppoll, NULL, 0, &t, &all, 8); told();
  t.tv_sec = 0, t.tv_nsec = 60000000;
  after(20); S(SYS_pselect6, 0, NULL, NULL, NULL, &t, &blocked); told();
  S(SYS_ppoll, NULL, 0, &t, &all, 7);
  S(SYS_ppoll, NULL, 0, &t, NOWHERE, 8);
  S(SYS_pselect6, 0, NULL, NULL, NULL, &t, &odd);
  S(SYS_pselect6, 0, NULL, NULL, NULL, &t, &bad);
  told();
}

static int first, second;
static void *release(void *unused) {
  struct timespec t = {0, 60000000};
  set_t all = ~0ul;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
  nanosleep(&t, NULL);
  flock(first, LOCK_UN);
  struct flock all_of_it = {F_UNLCK, SEEK_SET, 0, 0, 0};
  fcntl(first, F_OFD_SETLK, &all_of_it);
  return NULL;
}
static void locks(void) {
  struct flock l = {F_WRLCK, SEEK_SET, 0, 10, 0};
  pthread_t thread;
  put("lock", "0123456789");
  first = open("lock", O_RDWR);
  second = open("lock", O_RDWR);
  T(flock(first, LOCK_EX));
  after(20); T(flock(second, LOCK_EX)); told();
  T(fcntl(first, F_OFD_SETLK, &l));
  after(20); T(fcntl(second, F_OFD_SETLKW, &l)); told();
  /* With SA_RESTART the call goes on until the other thread lets it. */
  handle(SIGALRM, SA_RESTART);
  T(pthread_create(&thread, NULL, release, NULL));
  after(20); T(flock(second, LOCK_EX)); told();
  T(pthread_join(thread, NULL));
  T(flock(second, LOCK_UN));
  T(flock(first, LOCK_EX));
  T(fcntl(first, F_OFD_SETLK, &l));
  T(pthread_create(&thread, NULL, release, NULL));
  after(20); T(fcntl(second, F_OFD_SETLKW, &l)); told();
  T(pthread_join(thread, NULL));
  /* These never begin again. */
  after(20); T(poll(NULL, 0, -1)); told();
  after(20); S(SYS_ppoll, NULL, 0, NULL, NULL, 0); told();
  after(20); S(SYS_pselect6, 0, NULL, NULL, NULL, NULL, NULL); told();
  handle(SIGALRM, 0);
  /* A wait that was ended leaves nothing: the next one is no deadlock, and the lock is free. */
  T(close(second));
  T(close(first));
  second = open("lock", O_RDWR);
  T(flock(second, LOCK_EX | LOCK_NB));
  T(fcntl(second, F_OFD_SETLK, &l));
  T(close(second));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  handle(SIGALRM, 0);
  polls();
  locks();
  return 0;
}
