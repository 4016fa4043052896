/**
 * Real programs: what Debian's packages and compilers make runs unmodified on Margay, with the host's files as its
 * root, and prints what it prints on Linux, with the same status.
 */
import { type Built, comparePrograms, PYTHON, type Program } from "./programs.ts";

const HELLO = `
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
  printf("hello, %d arguments, %s, %.3f\\n", argc, argv[1], atof("2.5"));
  return 7;
}`;
const THREADS = `
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t together;
static __thread int own;
static long total;
static void *work(void *argument) {
  pthread_barrier_wait(&together);
  for (own = 0; own < 1000; own++) {
    pthread_mutex_lock(&lock);
    total += (long)argument;
    pthread_mutex_unlock(&lock);
  }
  return (void *)(long)own;
}
int main(void) {
  pthread_t threads[3];
  void *result;
  pthread_barrier_init(&together, 0, 4);
  for (long i = 0; i < 3; i++) if (pthread_create(&threads[i], 0, work, (void *)(i + 2)) != 0) return 1;
  work((void *)1);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], &result);
  printf("%ld %ld\\n", total, (long)result);
  return 0;
}`;
const OPENMP = `
#include <omp.h>
#include <stdio.h>
int main(void) {
  double sum = 0;
  int threads = 0;
  #pragma omp parallel
  {
    #pragma omp single
    threads = omp_get_num_threads();
  }
  #pragma omp parallel for reduction(+ : sum)
  for (int i = 1; i <= 100000; i++) sum += 1.0 / ((double)i * i);
  printf("%d threads, %.6f\\n", threads, sum);
  return 0;
}`;
const DLOPEN = `
#include <dlfcn.h>
#include <stdio.h>
int main(void) {
  void *library = dlopen("libm.so.6", RTLD_NOW);
  double (*cosine)(double) = (double (*)(double))dlsym(library, "cos");
  printf("%.9f\\n", cosine(1));
  return dlclose(library);
}`;
const COUNTING_MALLOC = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int calls;
int puts(const char *text) {
  int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "puts");
  calls++;
  return next(calls == 1 ? "first, by the preloaded library" : text);
}`;
const PUTS = `
#include <stdio.h>
int main(void) { puts("one"); puts("two"); return 0; }`;
const SIGNALS = `
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static volatile int seen;
static void handler(int number, siginfo_t *info, void *context) { seen = number * 1000 + info->si_code; (void)context; }
int main(int argc, char **argv) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGUSR1, &action, 0);
  raise(SIGUSR1);
  printf("%d\\n", seen);
  fflush(stdout);
  if (argc > 1 && argv[1][0] == 'a') abort();
  if (argc > 1 && argv[1][0] == 't') raise(SIGTERM);
  return 0;
}`;
const CPLUSPLUS = `
#include <algorithm>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
int main() {
  std::vector<int> numbers{3, 1, 2};
  std::sort(numbers.begin(), numbers.end());
  std::map<std::string, int> counts{{"b", 2}, {"a", 1}};
  for (int n : numbers) std::cout << n << ' ';
  for (auto &[key, value] : counts) std::cout << key << value << ' ';
  try { throw std::runtime_error("caught"); } catch (const std::exception &e) { std::cout << e.what() << std::endl; }
}`;
const FORTRAN = `
program main
  real(8) :: a(3, 3)
  integer :: i, j
  do i = 1, 3
    do j = 1, 3
      a(i, j) = i * 10 + j
    end do
  end do
  print '(3f8.2)', matmul(a, transpose(a))
end program main`;
const SCRIPT = `
import json, hashlib, math, re, sys, threading, ctypes, sqlite3, zlib, os
print(json.dumps({"a": [1, 2.5, None], "b": "\\u00e4"}, sort_keys=True))
print(hashlib.sha256(b"margay").hexdigest(), zlib.crc32(b"margay"))
print(ctypes.CDLL("libc.so.6").strlen(b"twelve bytes"), re.findall(r"\\d+", "a1b22"))
db = sqlite3.connect("python.db")
db.execute("create table t (n integer)")
db.executemany("insert into t values (?)", [(i,) for i in range(10)])
db.commit()
print(db.execute("select sum(n), count(*) from t").fetchone(), os.path.getsize("python.db"))
results = []
threads = [threading.Thread(target=lambda i=i: results.append(i * i)) for i in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(results), math.pi, sys.version_info[:2])
try:
    open("/none/such")
except OSError as e:
    print(type(e).__name__, e.errno)
sys.exit(3)
`;

const gcc = (source: string, ...flags: string[]): Built => ({ compiler: "gcc", flags: ["-x", "c", ...flags], source });
const musl = (source: string, ...flags: string[]): Built => ({
  compiler: "musl-gcc",
  flags: ["-x", "c", ...flags],
  source,
});

const programs: readonly Program[] = [
  ...(
    [
      ["static glibc", gcc(HELLO, "-static")],
      ["static-PIE glibc", gcc(HELLO, "-static-pie")],
      ["dynamic glibc", gcc(HELLO)],
      ["static musl", musl(HELLO, "-static")],
      ["static-PIE musl", musl(HELLO, "-static-pie", "-fPIE")],
      ["dynamic musl", musl(HELLO)],
    ] as const
  ).map(([name, built]) => ({ name: `hello, ${name}`, argv: ["./hello", "x"], build: { hello: built } })),
  { name: "4 pthreads, static", argv: ["./threads"], build: { threads: gcc(THREADS, "-static", "-pthread") } },
  { name: "4 pthreads, dynamic", argv: ["./threads"], build: { threads: gcc(THREADS, "-pthread") } },
  { name: "4 pthreads, musl", argv: ["./threads"], build: { threads: musl(THREADS, "-static", "-pthread") } },
  {
    name: "OpenMP with OMP_NUM_THREADS",
    argv: ["./openmp"],
    env: ["OMP_NUM_THREADS=4"],
    build: { openmp: gcc(OPENMP, "-fopenmp") },
  },
  { name: "dlopen", argv: ["./dlopen"], build: { dlopen: gcc(DLOPEN) } },
  {
    name: "LD_PRELOAD",
    argv: ["./puts"],
    env: ["LD_PRELOAD=./preload.so"],
    build: { puts: gcc(PUTS), "preload.so": gcc(COUNTING_MALLOC, "-shared", "-fPIC") },
  },
  { name: "a signal handler", argv: ["./signals"], build: { signals: gcc(SIGNALS) } },
  { name: "abort", argv: ["./signals", "a"], build: { signals: gcc(SIGNALS) } },
  { name: "SIGTERM by default", argv: ["./signals", "t"], build: { signals: gcc(SIGNALS) } },
  {
    name: "C++ with exceptions",
    argv: ["./cplusplus"],
    build: { cplusplus: { compiler: "g++", flags: ["-x", "c++"], source: CPLUSPLUS } },
  },
  {
    name: "Fortran",
    argv: ["./fortran"],
    build: { fortran: { compiler: "gfortran", flags: ["-x", "f95"], source: FORTRAN } },
  },
  { name: "dash", argv: ["/usr/bin/dash", "-c", "i=0; while [ $i -lt 300 ]; do i=$((i+1)); done; echo $i"] },
  {
    name: "a script",
    argv: ["./script", "a b", "c"],
    files: {
      script: '#!/usr/bin/dash -e\necho "$0 $# $1"\nread line < input\necho "$line"\nexit 5\n',
      input: "read\n",
    },
  },
  {
    name: "lua",
    argv: ["/usr/bin/lua5.4", "-e", "local s = 0 for i = 1, 3000 do s = s + i end print(s, math.sqrt(2))"],
  },
  {
    name: "gawk",
    argv: ["/usr/bin/gawk", 'BEGIN { for (i = 1; i <= 100; i++) s += i; print s, sprintf("%.3f", log(2)) }'],
  },
  {
    name: "perl",
    argv: ["/usr/bin/perl", "-e", 'my $s = 0; $s += $_ for 1..1000; my %h = (a => 1); print "$s $h{a}\\n"'],
  },
  {
    name: "sqlite3, a database in a file",
    argv: [
      "/usr/bin/sqlite3",
      "test.db",
      "create table t(a, b); insert into t values (1, 'x'), (2, 'y'); select sum(a), group_concat(b) from t;",
    ],
  },
  {
    name: "tcc, and the program that it makes",
    argv: ["/usr/bin/tcc", "-o", "made", "hello.c"],
    then: ["./made", "x"],
    files: { "hello.c": HELLO },
  },
  { name: "python -S", argv: [PYTHON, "-B", "-S", "-c", "print(1)"] },
  { name: "python, its modules", argv: [PYTHON, "-B", "script.py"], files: { "script.py": SCRIPT } },
];

comparePrograms(programs);
