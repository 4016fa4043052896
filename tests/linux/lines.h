/* Each call and what it gave, one line each: the same on Linux and on Margay. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

/* No memory, and what is none of a program's. */
#define NOWHERE ((void *)8)
#define KERNEL ((void *)-4096)
#define T(call)                                                                        \
  do {                                                                                 \
    errno = 0;                                                                         \
    long r_ = (long)(call);                                                            \
    printf("%s = %ld%s%s\n", #call, r_, r_ < 0 ? " " : "", r_ < 0 ? strerror(errno) : ""); \
  } while (0)
#define S(...) T(syscall(__VA_ARGS__))

static inline void put(const char *name, const char *text) {
  int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) != (long)strlen(text)) printf("cannot put %s: %s\n", name, strerror(errno));
  close(fd);
}
static inline void show(const char *name) {
  char text[200] = {0};
  int fd = open(name, O_RDONLY);
  if (fd < 0) { printf("%s: %s\n", name, strerror(errno)); return; }
  long n = read(fd, text, sizeof text - 1);
  close(fd);
  printf("%s: %ld '", name, n);
  for (long i = 0; i < n; i++) if (text[i] >= ' ') putchar(text[i]); else printf("\\%d", text[i]);
  printf("'\n");
}
static inline void about(const char *name) {
  struct stat s;
  if (lstat(name, &s) < 0) { printf("%s: %s\n", name, strerror(errno)); return; }
  printf("%s: mode %o links %ld size %ld\n", name, s.st_mode, (long)s.st_nlink, S_ISDIR(s.st_mode) ? 0 : (long)s.st_size);
}
