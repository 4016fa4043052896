/* Memory: mmap, munmap, mprotect, mremap, madvise, msync, mincore, the mlock family. Addresses are chosen here. */
#include "lines.h"
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

#define PAGE 4096L
#define BASE ((char *)0x300000000000)
#define OTHER ((char *)0x380000000000)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
/* Calls that return an address: where it is not one of ours, only that there is one. */
#define A(call)                                                                         \
  do {                                                                                  \
    errno = 0;                                                                          \
    char *r_ = (char *)(call);                                                          \
    if (r_ == (char *)-1) printf("%s = -1 %s\n", #call, strerror(errno));               \
    else if (r_ >= BASE && r_ < OTHER + (1L << 40)) printf("%s = %p\n", #call, r_);      \
    else printf("%s = an address\n", #call);                                            \
  } while (0)

/* Whether the kernel finds a byte readable, writable. */
static int readable(const char *at) {
  int out = open("probe", O_CREAT | O_TRUNC | O_WRONLY, 0600);
  long n = syscall(SYS_write, out, at, 1);
  close(out);
  return n == 1;
}
static int writable(char *at) {
  int fd = open("/dev/zero", O_RDONLY);
  long n = syscall(SYS_read, fd, at, 1);
  close(fd);
  return n == 1;
}
static void access_of(const char *what, char *at) { printf("%s: r%d w%d\n", what, readable(at), writable(at)); }

static void mapping(void) {
  A(mmap(BASE, 4 * PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED_NOREPLACE, -1, 0));
  A(mmap(BASE + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0));
  A(mmap(BASE + PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  access_of("first", BASE);
  access_of("second", BASE + PAGE);
  access_of("third", BASE + 2 * PAGE);
  A(mmap(BASE + 1, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  A(mmap(BASE, 0, PROT_READ, ANON | MAP_FIXED, -1, 0));
  A(mmap(0, 0, PROT_READ, ANON, -1, 0));
  A(mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
  A(mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS | 3, -1, 0));
  A(mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS | 4, -1, 0));
  A(mmap(0, -PAGE, PROT_READ, ANON, -1, 0));
  A(mmap((void *)(1L << 47), PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  A(mmap((void *)(1L << 47), PAGE, PROT_READ, ANON, -1, 0));
  A(syscall(SYS_mmap, 0, PAGE, PROT_READ, ANON, -1, 1));
  A(mmap(0, PAGE, PROT_NONE, ANON, -1, 0));
  A(mmap(0, PAGE, 64, ANON, -1, 0));
  T(munmap(BASE + 3 * PAGE, PAGE));
  T(munmap(BASE + 3 * PAGE, PAGE));
  T(munmap(BASE + 1, PAGE));
  T(munmap(BASE, 0));
  T(munmap(BASE, -PAGE));
  T(munmap((void *)(1L << 47), PAGE));
  access_of("fourth", BASE + 3 * PAGE);
}

static void protection(void) {
  T(mprotect(BASE, PAGE, PROT_READ));
  access_of("first", BASE);
  T(mprotect(BASE, PAGE, PROT_NONE));
  access_of("first", BASE);
  T(mprotect(BASE, PAGE, PROT_READ | PROT_WRITE));
  access_of("first", BASE);
  T(mprotect(BASE + 1, PAGE, PROT_READ));
  T(mprotect(BASE, 0, PROT_READ));
  T(mprotect(BASE, 4 * PAGE, PROT_READ | PROT_WRITE));
  access_of("second", BASE + PAGE);
  T(mprotect(BASE, PAGE, 64));
  T(mprotect(BASE + 8 * PAGE, PAGE, PROT_READ));
  T(mprotect((void *)(1L << 47), PAGE, PROT_READ));
  memset(BASE, 'a', 3 * PAGE);
  T(madvise(BASE, PAGE, MADV_DONTNEED));
  printf("%d %c\n", BASE[5], BASE[PAGE]);
  T(madvise(BASE + 1, PAGE, MADV_DONTNEED));
  T(madvise(BASE, 0, MADV_DONTNEED));
  T(madvise(BASE, 8 * PAGE, MADV_DONTNEED));
  T(madvise(BASE, PAGE, 12345));
  T(madvise(BASE, PAGE, MADV_WILLNEED));
  T(madvise(BASE, PAGE, MADV_SEQUENTIAL));
}

static void moving(void) {
  A(mmap(BASE, 8 * PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0));
  A(mmap(BASE + 9 * PAGE, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  for (int i = 0; i < 8; i++) BASE[i * PAGE] = 'a' + i;
  A(mremap(BASE, 8 * PAGE, 6 * PAGE, 0));
  access_of("cut", BASE + 6 * PAGE);
  A(mremap(BASE, 6 * PAGE, 8 * PAGE, 0));
  printf("%c %d\n", BASE[5 * PAGE], BASE[6 * PAGE]);
  A(mremap(BASE, 8 * PAGE, 16 * PAGE, 0));
  char *moved = mremap(BASE, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
  printf("%d %c %c %d %d\n", moved != (char *)-1 && moved != BASE, moved[0], moved[5 * PAGE], moved[7 * PAGE], moved[15 * PAGE]);
  access_of("left", BASE);
  A(mremap(moved, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 16 * PAGE));
  printf("%c %c\n", BASE[16 * PAGE], BASE[21 * PAGE]);
  A(mremap(BASE + 16 * PAGE, PAGE, PAGE, MREMAP_FIXED, OTHER));
  A(mremap(BASE + 16 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, OTHER + 1));
  A(mremap(BASE + 16 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 17 * PAGE));
  A(mremap(BASE + 16 * PAGE + 1, PAGE, PAGE, MREMAP_MAYMOVE));
  A(mremap(BASE + 16 * PAGE, PAGE, 0, MREMAP_MAYMOVE));
  A(mremap(BASE + 16 * PAGE, PAGE, PAGE, 64));
  A(mremap(BASE + 16 * PAGE, 0, PAGE, MREMAP_MAYMOVE));
  A(mremap(BASE + 100 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
  A(mremap(BASE + 16 * PAGE, 64 * PAGE, 65 * PAGE, MREMAP_MAYMOVE));
  A(mremap(BASE + 16 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, OTHER));
  printf("%c %d\n", OTHER[0], BASE[16 * PAGE]);
  A(mremap(BASE + 16 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
}

static void locking(void) {
  unsigned char there[8];
  A(mmap(BASE, 4 * PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0));
  T(munmap(BASE + 4 * PAGE, 4 * PAGE));
  T(mlock(BASE, 4 * PAGE));
  T(mlock(BASE + 7, 1));
  T(mlock(BASE, 6 * PAGE));
  T(munlock(BASE, 4 * PAGE));
  T(munlock(BASE + 4 * PAGE, PAGE));
  S(SYS_mlock2, BASE, PAGE, MLOCK_ONFAULT);
  S(SYS_mlock2, BASE, PAGE, 2);
  T(mlockall(0));
  T(mlockall(8));
  T(munlockall());
  memset(BASE, 1, 4 * PAGE);
  T(mincore(BASE, 4 * PAGE, there));
  printf("%d %d\n", there[0] & 1, there[3] & 1);
  T(mincore(BASE + 1, PAGE, there));
  T(mincore(BASE, 6 * PAGE, there));
  T(mincore(BASE, PAGE, NOWHERE));
  T(mincore(BASE, PAGE, KERNEL));
  T(msync(BASE, PAGE, MS_SYNC));
  T(msync(BASE, PAGE, MS_ASYNC | MS_INVALIDATE));
  T(msync(BASE, PAGE, MS_ASYNC | MS_SYNC));
  T(msync(BASE, PAGE, 64));
  T(msync(BASE + 1, PAGE, MS_SYNC));
  T(msync(BASE, 6 * PAGE, MS_SYNC));
  T(msync(BASE, 0, MS_SYNC));
}

static void files(void) {
  put("text", "what the file holds");
  int fd = open("text", O_RDONLY);
  int both = open("text", O_RDWR);
  int only = open("text", O_WRONLY);
  int directory = open(".", O_RDONLY);
  A(mmap(BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0));
  printf("%.19s %d\n", BASE, BASE[19]);
  access_of("read-only", BASE);
  A(mmap(BASE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0));
  BASE[0] = 'W';
  printf("%.19s\n", BASE);
  show("text");
  A(mmap(BASE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0));
  printf("%.4s\n", BASE);
  A(mmap(BASE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
  A(mmap(BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, only, 0));
  A(mmap(BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, directory, 0));
  A(mmap(BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 99, 0));
  A(mmap(BASE, 0, PROT_READ, MAP_PRIVATE | MAP_FIXED, 99, 0));
  A(mmap(BASE, 0, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0));
  A(syscall(SYS_mmap, BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 100));
  A(mmap(BASE, PAGE, PROT_READ, MAP_FIXED | 4, fd, 0));
  A(mmap(BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, both, 0));
  printf("%.4s\n", BASE);
  close(fd);
  printf("%.4s\n", BASE);
  int zero = open("/dev/zero", O_RDWR);
  A(mmap(BASE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, zero, 0));
  printf("%d\n", BASE[0]);
  A(mmap(BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, open("/dev/null", O_RDONLY), 0));
}

/* Memory that comes with the first touch. */
static void reserving(void) {
  const long gigabytes = 64L << 30;
  A(mmap(OTHER, gigabytes, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0));
  access_of("reserved", OTHER);
  T(mprotect(OTHER, gigabytes, PROT_READ | PROT_WRITE));
  OTHER[gigabytes - 1] = 5;
  printf("%d %d\n", OTHER[0], OTHER[gigabytes - 1]);
  access_of("untouched", OTHER + gigabytes / 2);
  T(madvise(OTHER, gigabytes, MADV_DONTNEED));
  printf("%d\n", OTHER[gigabytes - 1]);
  T(mprotect(OTHER + PAGE, PAGE, PROT_READ));
  access_of("first", OTHER);
  access_of("second", OTHER + PAGE);
  T(munmap(OTHER, gigabytes));
  access_of("gone", OTHER);
  char large[3 << 20];
  memset(large, 3, sizeof large);
  printf("%d\n", large[100]);
}

int main(void) {
  mapping();
  protection();
  moving();
  locking();
  files();
  reserving();
  return 0;
}
