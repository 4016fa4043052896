/* Shared mappings of files: what is stored reaches the file and every other mapping, and what lies past its end is no
 * memory. With an argument: stores, and ends in that way. */
#include "lines.h"
#include <setjmp.h>

#define PAGE 4096l
#define BASE ((char *)0x600000000)
static sigjmp_buf back;
static void fault(int s, siginfo_t *i, void *u) {
  printf("  signal %d code %d at %ld\n", s, i->si_code, (char *)i->si_addr - BASE);
  siglongjmp(back, 1);
}
#define TOUCH(what) do { if (sigsetjmp(back, 1) == 0) { printf("%s: %d\n", #what, (int)(what)); } } while (0)
static void A(void *p) { printf("  map %s\n", p == MAP_FAILED ? strerror(errno) : "ok"); }
static void M(long at, long bytes, int prot, int flags, int fd, long offset) { A(mmap(BASE + at, bytes, prot, flags | MAP_FIXED, fd, offset)); }
#define RW (PROT_READ | PROT_WRITE)
static void filled(const char *name, long bytes) {
  int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0644);
  for (long i = 0; i < bytes; i++) { char c = 'a' + i / PAGE; write(fd, &c, 1 + 0 * i); if (i == 0 && bytes > 64) { char b[PAGE]; for (long p = 0; p * PAGE < bytes; p++) { memset(b, 'a' + p, PAGE); pwrite(fd, b, bytes - p * PAGE < PAGE ? bytes - p * PAGE : PAGE, p * PAGE); } break; } }
  close(fd);
}
static char at(const char *name, long offset) {
  char c = '?';
  int fd = open(name, O_RDONLY);
  pread(fd, &c, 1, offset);
  close(fd);
  return c;
}
static long size(const char *name) { struct stat s; return stat(name, &s) < 0 ? -1 : s.st_size; }

static void stores(void) {
  filled("one", 3 * PAGE);
  int fd = open("one", O_RDWR);
  M(0, 3 * PAGE, RW, MAP_SHARED, fd, 0);
  printf("%c%c%c\n", BASE[0], BASE[PAGE], BASE[2 * PAGE + 1]);
  T(close(fd));
  BASE[0] = 'X';
  BASE[2 * PAGE + 7] = 'Y';
  T(msync(BASE, 3 * PAGE, MS_SYNC));
  printf("file %c%c%c\n", at("one", 0), at("one", PAGE), at("one", 2 * PAGE + 7));
  BASE[PAGE] = 'Z';
  T(msync(BASE, 3 * PAGE, MS_SYNC | MS_ASYNC));
  T(msync(BASE + 1, PAGE, MS_SYNC));
  T(msync(BASE, 4 * PAGE, MS_SYNC));
  printf("file %c\n", at("one", PAGE));
  BASE[PAGE] = 'W';
  T(munmap(BASE + PAGE, PAGE));
  printf("file %c\n", at("one", PAGE));
  TOUCH(BASE[PAGE]);
  BASE[1] = 'V';
  T(munmap(BASE, 3 * PAGE));
  printf("file %c%c%c size %ld\n", at("one", 0), at("one", 1), at("one", 2), size("one"));
  T(msync(BASE, PAGE, MS_SYNC));
}
static void two(void) {
  filled("two", 4 * PAGE);
  int fd = open("two", O_RDWR), only = open("two", O_RDONLY);
  M(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
  M(8 * PAGE, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
  M(16 * PAGE, 4 * PAGE, PROT_READ, MAP_SHARED, only, 0);
  M(24 * PAGE, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
  BASE[PAGE] = '1';
  BASE[9 * PAGE] = '2';
  printf("%c%c %c%c %c%c\n", BASE[8 * PAGE], BASE[2 * PAGE], BASE[17 * PAGE], BASE[18 * PAGE], BASE[24 * PAGE], BASE[27 * PAGE]);
  TOUCH(BASE[16 * PAGE] = 1);
  T(mprotect(BASE + 16 * PAGE, PAGE, RW));
  T(mprotect(BASE + 16 * PAGE, PAGE, PROT_NONE));
  TOUCH(BASE[16 * PAGE]);
  T(mprotect(BASE + 16 * PAGE, PAGE, PROT_READ));
  TOUCH(BASE[16 * PAGE]);
  T(mprotect(BASE, PAGE, PROT_READ));
  TOUCH(BASE[0] = 1);
  T(mprotect(BASE, PAGE, RW));
  TOUCH(BASE[0] = '3');
  printf("%c\n", BASE[16 * PAGE]);
  /* A page that was stored to, then protected, then unmapped. */
  BASE[3 * PAGE] = '4';
  T(mprotect(BASE + 3 * PAGE, PAGE, PROT_NONE));
  T(munmap(BASE + 3 * PAGE, PAGE));
  printf("file %c\n", at("two", 3 * PAGE));
  /* Replaced by memory, and by another part of the file. */
  BASE[2 * PAGE] = '5';
  M(2 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("%d %c file %c\n", BASE[2 * PAGE], BASE[9 * PAGE], at("two", 2 * PAGE));
  M(PAGE, PAGE, RW, MAP_SHARED, fd, 0);
  printf("%c\n", BASE[PAGE]);
  T(madvise(BASE, PAGE, MADV_DONTNEED));
  printf("%c\n", BASE[0]);
  /* Read into it, and written from it. */
  T(pread(only, BASE + 100, 3, 3 * PAGE));
  printf("%.4s\n", BASE + 16 * PAGE + 99);
  T(msync(BASE, PAGE, MS_SYNC));
  printf("file %c\n", at("two", 100));
  T(pwrite(fd, BASE, 1, 50));
  T(munmap(BASE, 32 * PAGE));
  printf("file %c%c%c\n", at("two", 0), at("two", PAGE), at("two", 50));
  close(fd), close(only);
}
static void ends(void) {
  filled("three", PAGE + 100);
  int fd = open("three", O_RDWR);
  M(0, 4 * PAGE, RW, MAP_SHARED, fd, 0);
  M(8 * PAGE, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
  TOUCH(BASE[PAGE + 99]);
  TOUCH(BASE[PAGE + 100]);
  TOUCH(BASE[2 * PAGE]);
  TOUCH(BASE[3 * PAGE] = 1);
  TOUCH(BASE[9 * PAGE + 99]);
  TOUCH(BASE[10 * PAGE]);
  TOUCH(pread(fd, BASE + 2 * PAGE, 1, 0));
  BASE[PAGE + 200] = 'n';
  T(msync(BASE, PAGE * 4, MS_SYNC));
  printf("size %ld\n", size("three"));
  /* It grows. */
  T(ftruncate(fd, 3 * PAGE));
  TOUCH(BASE[2 * PAGE]);
  TOUCH(BASE[2 * PAGE + 5] = 'g');
  TOUCH(BASE[3 * PAGE]);
  T(msync(BASE, 4 * PAGE, MS_SYNC));
  printf("file %c size %ld\n", at("three", 2 * PAGE + 5), size("three"));
  /* It shrinks. */
  BASE[50] = 's';
  T(ftruncate(fd, 40));
  TOUCH(BASE[PAGE]);
  TOUCH(BASE[39]);
  TOUCH(BASE[50]);
  T(close(open("three", O_RDWR | O_TRUNC)));
  TOUCH(BASE[0]);
  T(truncate("three", PAGE));
  TOUCH(BASE[50]);
  TOUCH(BASE[2 * PAGE]);
  T(munmap(BASE, 16 * PAGE));
  printf("size %ld\n", size("three"));
  M(0, PAGE, RW, MAP_SHARED, fd, 64 * PAGE);
  TOUCH(BASE[0]);
  T(munmap(BASE, PAGE));
  close(fd);
}
static void moves(void) {
  filled("four", 6 * PAGE);
  int fd = open("four", O_RDWR);
  M(0, 2 * PAGE, RW, MAP_SHARED, fd, PAGE);
  BASE[0] = 'm';
  A(mremap(BASE, 2 * PAGE, 4 * PAGE, 0));
  printf("%c%c%c\n", BASE[0], BASE[2 * PAGE], BASE[3 * PAGE]);
  A(mremap(BASE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 16 * PAGE));
  printf("%c%c\n", BASE[16 * PAGE], BASE[19 * PAGE]);
  TOUCH(BASE[0]);
  A(mremap(BASE + 16 * PAGE, 4 * PAGE, PAGE, 0));
  TOUCH(BASE[17 * PAGE]);
  A(mremap(BASE + 16 * PAGE, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE));
  BASE[1] = 'o';
  printf("%c%c\n", BASE[0], BASE[16 * PAGE + 1]);
  T(munmap(BASE, 32 * PAGE));
  printf("file %c%c\n", at("four", PAGE), at("four", PAGE + 1));
  close(fd);
}
static void refused(void) {
  filled("five", PAGE);
  int fd = open("five", O_RDWR), only = open("five", O_RDONLY), out = open("five", O_WRONLY), dir = open(".", O_RDONLY);
  M(0, PAGE, RW, MAP_SHARED, only, 0);
  M(0, PAGE, PROT_READ, MAP_SHARED, out, 0);
  M(0, PAGE, PROT_WRITE, MAP_SHARED, out, 0);
  M(0, PAGE, RW, MAP_SHARED, dir, 0);
  M(0, PAGE, RW, MAP_SHARED, 99, 0);
  M(0, PAGE, RW, MAP_SHARED, fd, 1);
  M(0, 0, RW, MAP_SHARED, fd, 0);
  M(0, PAGE, RW, MAP_SHARED | MAP_PRIVATE, fd, 0);
  T(unlink("five"));
  M(0, PAGE, RW, MAP_SHARED, fd, 0);
  BASE[0] = 'u';
  char c = 0;
  T(msync(BASE, PAGE, MS_SYNC));
  T(pread(fd, &c, 1, 0));
  printf("%c\n", c);
  close(fd), close(only), close(out), close(dir);
  TOUCH(BASE[1]);
  T(munmap(BASE, PAGE));
  int zero = open("/dev/zero", O_RDWR);
  M(0, 2 * PAGE, RW, MAP_SHARED, zero, 0);
  BASE[PAGE] = 1;
  printf("%d%d\n", BASE[0], BASE[PAGE]);
  close(zero);
  int shm = open("/dev/shm/margay-test", O_CREAT | O_RDWR, 0600);
  T(ftruncate(shm, 2 * PAGE));
  M(0, 2 * PAGE, RW, MAP_SHARED, shm, 0);
  M(4 * PAGE, 2 * PAGE, RW, MAP_SHARED, shm, 0);
  BASE[0] = 's';
  printf("%c\n", BASE[4 * PAGE]);
  T(unlink("/dev/shm/margay-test"));
  T(close(shm));
}
/* More than a shipment, and pages that are not stored to stay as they are. */
static void large(void) {
  filled("six", 100 * PAGE);
  int fd = open("six", O_RDWR);
  M(0, 100 * PAGE, RW, MAP_SHARED, fd, 0);
  for (int i = 0; i < 100; i++) if (i % 3) BASE[i * PAGE + i] = 'l';
  T(munmap(BASE, 100 * PAGE));
  int wrong = 0;
  for (int i = 0; i < 100; i++) wrong += at("six", i * PAGE + i) != (i % 3 ? 'l' : (char)('a' + i));
  printf("wrong %d\n", wrong);
  for (int i = 0; i < 300; i++) {
    void *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, (i % 100) * PAGE);
    if (p == MAP_FAILED) { printf("%d: %s\n", i, strerror(errno)); break; }
    if (i % 2) munmap(p, PAGE);
  }
  close(fd);
}

int main(int argc, char **argv) {
  struct sigaction a;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) {
    filled("end", 2 * PAGE);
    int fd = open("end", O_RDWR);
    M(0, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    close(fd);
    BASE[0] = argv[1][0];
    BASE[PAGE] = argv[1][0];
    switch (argv[1][0]) {
      case 'e': exit(0);
      case 'k': kill(getpid(), SIGKILL);
      case 't': kill(getpid(), SIGTERM);
      case 'a': abort();
      default: _exit(0);
    }
  }
  memset(&a, 0, sizeof a);
  a.sa_sigaction = fault;
  a.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGBUS, &a, NULL);
  sigaction(SIGSEGV, &a, NULL);
  stores();
  two();
  ends();
  moves();
  refused();
  large();
  return 0;
}
