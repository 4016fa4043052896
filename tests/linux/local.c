/* Local calls: who, limits, scheduling, clocks, threads' own calls, and what is refused the same way everywhere. */
#include "lines.h"
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/wait.h>

static void who(void) {
  unsigned a = 1, b = 2, c = 3;
  T(getpid() == syscall(SYS_gettid));
  T(getuid() == geteuid());
  T(getgid() == getegid());
  T(getpgrp() == getpgid(0));
  T(getpgid(1 << 30));
  T(getpgid(-1));
  T(getsid(1 << 30));
  T(setpgid(0, -1));
  T(setpgid(1 << 30, 0));
  S(SYS_getresuid, &a, &b, &c);
  printf("%d\n", a == getuid() && b == a && c == a);
  S(SYS_getresuid, NOWHERE, &b, &c);
  S(SYS_getresgid, &a, KERNEL, &c);
  S(SYS_setuid, getuid());
  S(SYS_setuid, getuid() + 1);
  S(SYS_setuid, -1);
  S(SYS_setgid, getgid() + 1);
  S(SYS_setreuid, -1, -1);
  S(SYS_setreuid, -1, getuid() + 1);
  S(SYS_setregid, getgid(), -1);
  S(SYS_setresuid, -1, -1, -1);
  S(SYS_setresuid, -1, -1, getuid() + 1);
  S(SYS_setresgid, getgid() + 1, -1, -1);
  T(syscall(SYS_setfsuid, -1) == getuid());
  T(syscall(SYS_setfsgid, -1) == getgid());
  T(getgroups(0, NULL));
  T(getgroups(-1, NULL));
  T(setgroups(0, NULL));
  S(SYS_personality, 0xffffffff);
  struct { unsigned version; int pid; } h = {0x20080522, 0};
  unsigned sets[6] = {9, 9, 9, 9, 9, 9};
  S(SYS_capget, &h, sets);
  printf("%x %x\n", sets[0], sets[1]);
  S(SYS_capget, NOWHERE, sets);
  S(SYS_capget, &h, NOWHERE);
  h.pid = 1 << 30;
  S(SYS_capget, &h, sets);
  h.pid = -1;
  S(SYS_capget, &h, sets);
  h.version = 1, h.pid = 0;
  S(SYS_capget, &h, NULL);
  printf("%x\n", h.version);
  h.version = 1;
  S(SYS_capget, &h, sets);
  sets[0] = 1;
  S(SYS_capset, &h, sets);
  h.pid = 1 << 30;
  S(SYS_capset, &h, sets);
}
static void controls(void) {
  char name[17] = "";
  int value = -1;
  T(prctl(PR_SET_NAME, "a name that is too long"));
  T(prctl(PR_GET_NAME, name));
  printf("%s\n", name);
  T(prctl(PR_SET_NAME, NOWHERE));
  T(prctl(PR_GET_NAME, NOWHERE));
  T(prctl(PR_SET_PDEATHSIG, 65));
  T(prctl(PR_SET_PDEATHSIG, SIGUSR1));
  T(prctl(PR_GET_PDEATHSIG, &value));
  printf("%d\n", value);
  T(prctl(PR_SET_PDEATHSIG, 0));
  T(prctl(PR_GET_DUMPABLE));
  T(prctl(PR_SET_DUMPABLE, 0));
  T(prctl(PR_GET_DUMPABLE));
  T(prctl(PR_SET_DUMPABLE, 2));
  T(prctl(PR_SET_DUMPABLE, 1));
  T(prctl(PR_GET_KEEPCAPS));
  T(prctl(PR_SET_KEEPCAPS, 2));
  T(prctl(PR_GET_TIMING));
  T(prctl(PR_SET_TIMING, 1));
  T(prctl(PR_CAPBSET_READ, 1000));
  T(prctl(PR_GET_TSC, &value));
  T(prctl(PR_SET_TSC, 9));
  T(prctl(PR_GET_TIMERSLACK));
  T(prctl(PR_SET_TIMERSLACK, 12345));
  T(prctl(PR_GET_TIMERSLACK));
  T(prctl(PR_SET_TIMERSLACK, 0));
  T(prctl(PR_GET_TIMERSLACK));
  T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
  T(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
  T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  T(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
  T(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
  T(prctl(9999));
}
static void scheduling(void) {
  struct sched_param p = {0};
  struct timespec t;
  unsigned long mask[16] = {0};
  T(sched_getscheduler(0));
  T(sched_getscheduler(-1));
  T(sched_getscheduler(1 << 30));
  T(sched_getparam(0, &p));
  T(sched_getparam(0, NULL));
  T(sched_getparam(0, NOWHERE));
  T(sched_getparam(1 << 30, &p));
  T(sched_setscheduler(0, SCHED_OTHER, &p));
  T(sched_setscheduler(0, SCHED_BATCH, &p));
  T(sched_getscheduler(0));
  T(sched_setscheduler(0, SCHED_OTHER, NULL));
  T(sched_setscheduler(0, 99, &p));
  T(sched_setscheduler(0, -1, &p));
  T(sched_setscheduler(0, SCHED_FIFO, &p));
  p.sched_priority = 1;
  T(sched_setscheduler(0, SCHED_OTHER, &p));
  T(sched_setscheduler(0, SCHED_FIFO, &p));
  T(sched_setscheduler(0, SCHED_RR, &p));
  p.sched_priority = 100;
  T(sched_setscheduler(0, SCHED_RR, &p));
  p.sched_priority = 0;
  T(sched_setparam(0, &p));
  T(sched_setparam(0, NULL));
  for (int i = -1; i < 7; i++) {
    T(sched_get_priority_max(i));
    T(sched_get_priority_min(i));
  }
  T(sched_rr_get_interval(1 << 30, &t));
  T(sched_rr_get_interval(-1, &t));
  S(SYS_sched_rr_get_interval, 0, NOWHERE);
  S(SYS_sched_getaffinity, 0, 4, mask);
  S(SYS_sched_getaffinity, 0, 9, mask);
  S(SYS_sched_getaffinity, 1 << 30, 128, mask);
  T(syscall(SYS_sched_getaffinity, 0, 128, mask) > 0);
  S(SYS_sched_getaffinity, 0, 128, NOWHERE);
  mask[0] = 0;
  S(SYS_sched_setaffinity, 0, 8, mask);
  S(SYS_sched_setaffinity, 0, 8, NOWHERE);
  S(SYS_sched_setaffinity, 1 << 30, 8, mask);
  S(SYS_getpriority, PRIO_PROCESS, 0);
  S(SYS_getpriority, 3, 0);
  S(SYS_getpriority, PRIO_PROCESS, 1 << 30);
  S(SYS_setpriority, PRIO_PROCESS, 0, 5);
  S(SYS_getpriority, PRIO_PROCESS, 0);
  S(SYS_setpriority, PRIO_PROCESS, 0, 100);
  S(SYS_getpriority, PRIO_PROCESS, 0);
  S(SYS_setpriority, PRIO_PROCESS, 0, 0);
  S(SYS_setpriority, 9, 0, 0);
  S(SYS_sched_yield);
}
static void limits(void) {
  struct rlimit r, old;
  struct rusage u;
  struct tms tms;
  S(SYS_prlimit64, 0, 16, NULL, NULL);
  S(SYS_prlimit64, 1 << 30, RLIMIT_CORE, NULL, NULL);
  S(SYS_prlimit64, 0, RLIMIT_CORE, NOWHERE, NULL);
  S(SYS_prlimit64, 0, RLIMIT_CORE, NULL, NOWHERE);
  S(SYS_getrlimit, 16, &r);
  S(SYS_getrlimit, RLIMIT_CORE, NOWHERE);
  S(SYS_setrlimit, RLIMIT_CORE, NOWHERE);
  r = (struct rlimit){2, 1};
  S(SYS_setrlimit, RLIMIT_NOFILE, &r);
  S(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &old);
  r = (struct rlimit){100, 101};
  S(SYS_setrlimit, RLIMIT_NOFILE, &r);
  S(SYS_getrlimit, RLIMIT_NOFILE, &old);
  printf("%lu %lu\n", old.rlim_cur, old.rlim_max);
  r = (struct rlimit){100, 102};
  S(SYS_setrlimit, RLIMIT_NOFILE, &r);
  T(getrusage(RUSAGE_SELF, &u));
  T(getrusage(RUSAGE_CHILDREN, &u));
  printf("%ld %ld\n", u.ru_utime.tv_sec, u.ru_maxrss);
  T(getrusage(RUSAGE_THREAD, &u));
  T(getrusage(9, &u));
  S(SYS_getrusage, 0, NOWHERE);
  T(times(&tms) >= 0);
  printf("%ld %ld\n", tms.tms_cutime, tms.tms_cstime);
  S(SYS_times, NOWHERE);
  struct sysinfo i;
  T(sysinfo(&i));
  printf("%d %d\n", i.mem_unit > 0, i.freeram <= i.totalram);
  S(SYS_sysinfo, NOWHERE);
}
static void clocks(void) {
  struct timespec t, before, wrong = {0, 1000000000}, past = {0, 1};
  struct timeval v;
  for (int clock = 0; clock < 12; clock++) {
    if (clock == 8 || clock == 9) continue; /* alarms: as the machine has a clock for them */
    T(clock_gettime(clock, &t));
    T(clock_getres(clock, NULL));
  }
  T(clock_gettime(99, &t));
  S(SYS_clock_gettime, CLOCK_REALTIME, NOWHERE);
  S(SYS_clock_getres, CLOCK_MONOTONIC, &t);
  printf("%ld %ld\n", t.tv_sec, t.tv_nsec);
  S(SYS_clock_getres, 99, &t);
  S(SYS_clock_getres, CLOCK_REALTIME, NOWHERE);
  S(SYS_clock_gettime, (~getpid() << 3) | 2, &t);
  S(SYS_clock_gettime, (~getpid() << 3) | 6, &t);
  S(SYS_clock_gettime, (~(1 << 27) << 3) | 2, &t);
  S(SYS_clock_gettime, (~0 << 3) | 3, &t);
  S(SYS_clock_settime, CLOCK_REALTIME, &wrong);
  S(SYS_clock_settime, CLOCK_REALTIME, &past);
  S(SYS_clock_settime, CLOCK_REALTIME, NOWHERE);
  S(SYS_clock_settime, CLOCK_MONOTONIC, &past);
  S(SYS_clock_settime, 99, &past);
  S(SYS_nanosleep, &wrong, NULL);
  S(SYS_nanosleep, NOWHERE, NULL);
  wrong = (struct timespec){-1, 0};
  S(SYS_nanosleep, &wrong, NULL);
  S(SYS_nanosleep, &past, NOWHERE);
  S(SYS_clock_nanosleep, 99, 0, &past, NULL);
  S(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &past, NULL);
  S(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wrong, NULL);
  S(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, NOWHERE, NULL);
  S(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL);
  S(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &past, NULL);
  clock_gettime(CLOCK_MONOTONIC, &before);
  t = before, t.tv_nsec += 3000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  S(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
  clock_gettime(CLOCK_MONOTONIC, &before);
  printf("%d\n", before.tv_sec > t.tv_sec || (before.tv_sec == t.tv_sec && before.tv_nsec >= t.tv_nsec));
  T(gettimeofday(&v, NULL));
  T(time(NULL) - v.tv_sec <= 1);
  S(SYS_gettimeofday, NOWHERE, NULL);
  S(SYS_gettimeofday, NULL, NOWHERE);
  S(SYS_gettimeofday, NULL, NULL);
  S(SYS_time, NOWHERE);
}
static void threads(void) {
  unsigned long list[3] = {0}, bytes = 0;
  void *head = NULL;
  unsigned word = 7, other = 3;
  struct timespec little = {0, 1000000}, wrong = {0, -5}, past = {1, 0};
  S(SYS_set_robust_list, list, 23);
  S(SYS_set_robust_list, list, 24);
  S(SYS_get_robust_list, 0, &head, &bytes);
  printf("%d %lu\n", head == list, bytes);
  S(SYS_get_robust_list, 1 << 30, &head, &bytes);
  S(SYS_get_robust_list, 0, NOWHERE, &bytes);
  S(SYS_get_robust_list, 0, &head, NOWHERE);
  S(SYS_set_robust_list, NULL, 24);
  S(SYS_futex, &word, 0 /* WAIT */, 8, NULL);
  S(SYS_futex, &word, 0, 7, &little);
  S(SYS_futex, &word, 128, 7, &little);
  S(SYS_futex, &word, 0, 7, &wrong);
  S(SYS_futex, &word, 0, 7, NOWHERE);
  S(SYS_futex, (char *)&word + 1, 0, 7, NULL);
  S(SYS_futex, KERNEL, 0, 7, NULL);
  S(SYS_futex, NULL, 128, 7, NULL);
  S(SYS_futex, &word, 9 /* WAIT_BITSET */, 7, &past, NULL, -1);
  S(SYS_futex, &word, 9 | 256, 7, &past, NULL, -1);
  S(SYS_futex, &word, 9, 7, &past, NULL, 0);
  S(SYS_futex, &word, 1 /* WAKE */, 1);
  S(SYS_futex, &word, 10 /* WAKE_BITSET */, 1, NULL, NULL, 0);
  S(SYS_futex, &word, 3 /* REQUEUE */, 1, 1, &other);
  S(SYS_futex, &word, 4 /* CMP_REQUEUE */, 1, 1, &other, 8);
  S(SYS_futex, &word, 4, 1, 1, &other, 7);
  S(SYS_futex, &word, 4, -1, 1, &other, 7);
  /* WAKE_OP: set, add, or, andn, xor of the other word. */
  for (unsigned op = 0; op < 5; op++) {
    S(SYS_futex, &word, 5, 1, 1, &other, op << 28 | 0 << 24 | 5 << 12 | 3);
    printf("%u\n", other);
  }
  S(SYS_futex, &word, 5, 1, 1, &other, 8u << 28 | 1 << 24 | 4 << 12 | 0);
  printf("%u\n", other);
  S(SYS_futex, &word, 5, 1, 1, NOWHERE, 0);
  S(SYS_futex, &word, 99, 1, 1, &other, 0);
  S(SYS_futex, &word, 1 | 256, 1);
  struct { unsigned long word[11]; } a;
  memset(&a, 0, sizeof a);
  S(435, NULL, 88);
  S(435, &a, 63);
  S(435, &a, 5000);
  S(435, NOWHERE, 64);
  a.word[0] = 0x80 | 0x100;
  S(435, &a, 88);
  a.word[0] = 0x10000;
  S(435, &a, 88);
  a.word[0] = 0x10800;
  S(435, &a, 88);
  a.word[0] = 0x10900, a.word[4] = SIGCHLD;
  S(435, &a, 88);
  a.word[4] = 0, a.word[5] = 4096;
  S(435, &a, 88);
  a.word[0] = 0x400000, a.word[5] = 0;
  S(435, &a, 88);
  S(SYS_clone, 0x10000, 0, 0, 0, 0);
  S(SYS_clone, 0x800, 0, 0, 0, 0);
  int cpu = -1, node = -1;
  S(SYS_getcpu, &cpu, &node, NULL);
  printf("%d %d\n", cpu >= 0, node);
  S(SYS_getcpu, NOWHERE, NULL, NULL);
  S(SYS_getcpu, NULL, NULL, NULL);
  T(syscall(SYS_membarrier, 0, 0) > 0);
}
static void waits(void) {
  int status;
  siginfo_t info;
  T(waitpid(-1, &status, 0));
  T(waitpid(-1, &status, WNOHANG));
  T(waitpid(-1, &status, 0x10));
  T(waitpid(1 << 30, &status, 0));
  S(SYS_wait4, 0x80000000, &status, 0, NULL);
  T(waitid(P_ALL, 0, &info, WEXITED));
  T(waitid(P_ALL, 0, &info, 0));
  T(waitid(P_ALL, 0, &info, WEXITED | 0x10));
  T(waitid(P_PID, 0, &info, WEXITED));
  T(waitid(P_PID, 1 << 30, &info, WEXITED));
  T(waitid(99, 0, &info, WEXITED));
}
static void arch(void) {
  unsigned long base = 0;
  S(SYS_arch_prctl, 0x1003, &base);
  printf("%d\n", base != 0);
  S(SYS_arch_prctl, 0x1003, NOWHERE);
  S(SYS_arch_prctl, 0x1001, KERNEL);
  S(SYS_arch_prctl, 0x9999, 0);
  S(SYS_restart_syscall);
}
int main(void) {
  setvbuf(stdout, NULL, _IOFBF, 65536);
  who();
  controls();
  scheduling();
  limits();
  clocks();
  threads();
  waits();
  arch();
  return 0;
}
