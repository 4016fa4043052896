/* dup, fcntl with its locks, flock, close_range, ioctl; directories; poll and select; sockets. */
#include "lines.h"
#include <netinet/in.h>
#include <sys/un.h>
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static void duplicates(void) {
  int fd = open("file", O_RDONLY | O_CLOEXEC);
  T(fcntl(fd, F_GETFD));
  int copy = dup(fd);
  T(copy - fd);
  T(fcntl(copy, F_GETFD));
  char c;
  T(read(fd, &c, 1));
  T(lseek(copy, 0, SEEK_CUR));
  T(dup2(fd, 50));
  T(dup2(fd, fd));
  T(dup2(99, 99));
  T(dup2(99, 50));
  T(dup2(fd, -1));
  T(dup2(fd, 1 << 20));
  T(dup3(fd, 51, O_CLOEXEC));
  T(fcntl(51, F_GETFD));
  T(dup3(fd, fd, 0));
  T(dup3(fd, 52, 1));
  T(dup3(fd, -1, 0));
  T(dup(99));
  T(dup(-1));
  T(fcntl(fd, F_DUPFD, 60));
  T(fcntl(fd, F_DUPFD_CLOEXEC, 60));
  T(fcntl(61, F_GETFD));
  T(fcntl(fd, F_DUPFD, -1));
  T(fcntl(fd, F_DUPFD, 1 << 20));
  T(fcntl(fd, F_SETFD, 0));
  T(fcntl(fd, F_GETFD));
  T(fcntl(99, F_GETFD));
  T(fcntl(fd, 9999));
  S(SYS_close_range, 60, 61, 0);
  T(fcntl(60, F_GETFD));
  S(SYS_close_range, 50, 51, 4);
  T(fcntl(50, F_GETFD));
  S(SYS_close_range, 51, 50, 0);
  S(SYS_close_range, 50, 51, 1);
  S(SYS_close_range, 50, 51, 0);
  T(close(50));
  close(fd), close(copy);
}

static void lock(const char *what, int fd, int command, short kind, short whence, long start, long length) {
  struct flock l = {.l_type = kind, .l_whence = whence, .l_start = start, .l_len = length};
  errno = 0;
  long r = fcntl(fd, command, &l);
  printf("%s = %ld %s", what, r, r < 0 ? strerror(errno) : "");
  if (command == F_GETLK || command == F_OFD_GETLK) printf("type %d whence %d start %ld length %ld pid %d", l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len, l.l_pid > 0 ? 1 : l.l_pid);
  printf("\n");
}
static void locks(void) {
  int a = open("file", O_RDWR), b = open("file", O_RDWR), r = open("file", O_RDONLY);
  lock("write lock", a, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
  lock("own lock is in nobody's way", b, F_GETLK, F_WRLCK, SEEK_SET, 0, 10);
  lock("the same process", b, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
  lock("write on read-only", r, F_SETLK, F_WRLCK, SEEK_SET, 0, 10);
  lock("unlock", a, F_SETLK, F_UNLCK, SEEK_SET, 0, 0);
  lock("negative start", a, F_SETLK, F_WRLCK, SEEK_SET, -1, 1);
  lock("negative length", a, F_SETLK, F_WRLCK, SEEK_SET, 5, -5);
  lock("before the start", a, F_SETLK, F_WRLCK, SEEK_SET, 5, -6);
  lock("bad whence", a, F_SETLK, F_WRLCK, 9, 0, 1);
  lock("bad type", a, F_SETLK, 9, SEEK_SET, 0, 1);
  lock("from the end", a, F_SETLKW, F_RDLCK, SEEK_END, -2, 0);
  lock("bad descriptor", 99, F_SETLK, F_RDLCK, SEEK_SET, 0, 1);
  lock("open file lock", a, F_OFD_SETLK, F_WRLCK, SEEK_SET, 100, 10);
  lock("of another", b, F_OFD_SETLK, F_WRLCK, SEEK_SET, 105, 10);
  lock("who has it", b, F_OFD_GETLK, F_RDLCK, SEEK_SET, 105, 10);
  lock("elsewhere", b, F_OFD_SETLK, F_WRLCK, SEEK_SET, 110, 10);
  lock("part of it back", a, F_OFD_SETLK, F_UNLCK, SEEK_SET, 103, 4);
  lock("the rest", b, F_OFD_GETLK, F_WRLCK, SEEK_SET, 0, 0);
  lock("between", b, F_OFD_SETLK, F_WRLCK, SEEK_SET, 103, 4);
  T(fcntl(a, F_SETLK, NOWHERE));
  T(flock(a, LOCK_EX));
  T(flock(b, LOCK_SH | LOCK_NB));
  T(flock(a, LOCK_SH));
  T(flock(b, LOCK_SH | LOCK_NB));
  T(flock(b, LOCK_EX | LOCK_NB));
  T(flock(b, LOCK_UN));
  T(flock(a, LOCK_EX | LOCK_NB));
  int copy = dup(a);
  T(close(a));
  T(flock(b, LOCK_EX | LOCK_NB));
  T(close(copy));
  T(flock(b, LOCK_EX | LOCK_NB));
  T(flock(b, 0));
  T(flock(b, LOCK_SH | LOCK_EX));
  T(flock(99, LOCK_SH));
  close(b), close(r);
}

static int byName(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void directories(void) {
  mkdir("list", 0755);
  for (int i = 0; i < 40; i++) { char name[40]; snprintf(name, sizeof name, "list/%0*d", 1 + i % 20, i); put(name, ""); }
  mkdir("list/sub", 0755);
  symlink("x", "list/sym");
  char *names[100];
  int count = 0;
  DIR *d = opendir("list");
  for (struct dirent *e; (e = readdir(d));) {
    char line[300];
    snprintf(line, sizeof line, "%s %d", e->d_name, e->d_type);
    names[count++] = strdup(line);
  }
  qsort(names, count, sizeof *names, byName);
  for (int i = 0; i < count; i++) printf("%s\n", names[i]);
  rewinddir(d);
  put("list/later", "");
  int again = 0;
  rewinddir(d);
  while (readdir(d)) again++;
  T(again);
  long place = 0;
  rewinddir(d);
  readdir(d);
  place = telldir(d);
  char second[256];
  strcpy(second, readdir(d)->d_name);
  readdir(d);
  seekdir(d, place);
  T(strcmp(second, readdir(d)->d_name));
  closedir(d);
  char buffer[1024];
  int fd = open("list", O_RDONLY), file = open("file", O_RDONLY);
  S(SYS_getdents64, fd, buffer, 10);
  S(SYS_getdents64, file, buffer, sizeof buffer);
  S(SYS_getdents64, 99, buffer, sizeof buffer);
  T(syscall(SYS_getdents64, fd, buffer, 64) > 0);
  long total = 0, n;
  lseek(fd, 0, SEEK_SET);
  while ((n = syscall(SYS_getdents64, fd, buffer, 100)) > 0) total += n;
  T(total);
  T(n);
  lseek(fd, 0, SEEK_SET);
  for (total = 0; (n = syscall(SYS_getdents, fd, buffer, 300)) > 0;) total += n;
  T(total);
  char start[4096], now[4096];
  getcwd(start, sizeof start);
  T(chdir("list"));
  getcwd(now, sizeof now);
  printf("%s\n", now + strlen(start));
  T(chdir("sub"));
  T(chdir(".."));
  T(chdir("sym"));
  T(chdir("later"));
  T(chdir(""));
  T(chdir("later/x"));
  T(chdir(NOWHERE));
  T(fchdir(file));
  T(fchdir(99));
  T(rename("../list", "../renamed"));
  getcwd(now, sizeof now);
  printf("%s\n", now + strlen(start));
  T(mkdir("../other", 0755));
  T(rename("../renamed", "../other/moved"));
  getcwd(now, sizeof now);
  printf("%s\n", now + strlen(start));
  T(access("../moved", F_OK));
  T(chdir("sub"));
  T(rmdir("../sub"));
  S(SYS_getcwd, now, sizeof now);
  T(open("x", O_CREAT | O_WRONLY, 0600));
  T(mkdir("x", 0700));
  T(chdir(".."));
  T(fchdir(fd));
  S(SYS_getcwd, now, 1);
  S(SYS_getcwd, NOWHERE, 4096);
  T(chdir(start));
  chmod("other", 0600);
  T(chdir("other"));
  T(chdir("other/moved"));
  chmod("other", 0755);
  close(fd), close(file);
}

static void waiting(void) {
  int file = open("file", O_RDONLY), dir = open("other", O_RDONLY), path = open("file", O_PATH);
  struct pollfd p[6] = {{file, POLLIN | POLLOUT, 9}, {1, POLLOUT, 9}, {-1, POLLIN, 9}, {99, POLLIN, 9}, {dir, POLLIN, 9}, {path, POLLIN, 9}};
  T(poll(p, 6, 1000));
  for (int i = 0; i < 6; i++) printf("%x ", p[i].revents);
  printf("\n");
  p[0].events = 0;
  T(poll(p, 1, 1));
  T(poll(NULL, 0, 1));
  T(poll(NOWHERE, 1, 1));
  T(poll(p, 1 << 20, 1));
  struct timespec t = {0, 1000000};
  T(ppoll(p, 1, &t, NULL));
  t.tv_nsec = -1;
  T(ppoll(p, 1, &t, NULL));
  S(SYS_ppoll, p, 1, NOWHERE, NULL, 8);
  fd_set r, w;
  FD_ZERO(&r); FD_ZERO(&w);
  FD_SET(file, &r); FD_SET(1, &w); FD_SET(file, &w);
  struct timeval v = {10, 0};
  T(select(file + 1, &r, &w, NULL, &v));
  printf("%d %d %d\n", FD_ISSET(file, &r) != 0, FD_ISSET(1, &w) != 0, FD_ISSET(file, &w) != 0);
  v = (struct timeval){0, 1000};
  T(select(0, NULL, NULL, NULL, &v));
  FD_ZERO(&r); FD_SET(42, &r);
  T(select(43, &r, NULL, NULL, &v));
  /* What is beyond the table of descriptors is not looked at. Its size is inherited: 64 or a little more. */
  FD_ZERO(&r); FD_SET(98, &r); FD_SET(900, &r);
  T(dup2(file, 97));
  T(select(99, &r, NULL, NULL, &v));
  T(close(97));
  FD_CLR(98, &r);
  T(select(1000, &r, NULL, NULL, &v));
  printf("%d\n", FD_ISSET(900, &r) != 0);
  T(select(-1, &r, NULL, NULL, &v));
  v = (struct timeval){-1, 0};
  T(select(0, NULL, NULL, NULL, &v));
  T(select(1, NOWHERE, NULL, NULL, NULL));
  t = (struct timespec){0, 1000};
  T(pselect(0, NULL, NULL, NULL, &t, NULL));
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  T(poll(NULL, 0, 20));
  clock_gettime(CLOCK_MONOTONIC, &after);
  T((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 20000000);
  close(file), close(dir), close(path);
}

static void devices(void) {
  int fd = open("file", O_RDONLY), n = 0;
  struct termios t;
  struct winsize size;
  T(isatty(fd));
  T(isatty(1));
  T(ioctl(1, TCGETS, &t));
  T(ioctl(fd, TIOCGWINSZ, &size));
  T(ioctl(99, TCGETS, &t));
  T(ioctl(fd, FIONREAD, &n));
  T(n);
  T(ioctl(fd, FIONREAD, NOWHERE));
  n = 1;
  T(ioctl(fd, FIONBIO, &n));
  T(fcntl(fd, F_GETFL) & O_NONBLOCK);
  T(ioctl(fd, FIOCLEX));
  T(fcntl(fd, F_GETFD));
  T(ioctl(fd, FIONCLEX));
  T(fcntl(fd, F_GETFD));
  T(ioctl(fd, 0x9999, 0));
  char bytes[16];
  int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR), full = open("/dev/full", O_RDWR);
  T(read(zero, bytes, 16));
  T(read(null, bytes, 16));
  T(write(null, bytes, 16));
  T(write(full, bytes, 16));
  T(lseek(null, 5, SEEK_SET));
  T(open("/dev/tty", O_RDONLY | O_CLOEXEC) >= 0 ? -1 : errno);
  T(open("/dev/null/x", O_RDONLY));
  T(access("/proc/self/exe", X_OK));
  T(access("/proc/self/fd/77", F_OK));
  char text[4096] = {0};
  T(readlink("/proc/self/exe", text, sizeof text) > 0);
  printf("%s\n", strrchr(text, '/') + 1);
  int status = open("/proc/self/status", O_RDONLY);
  T(read(status, text, 5));
  printf("%.5s\n", text);
  T(open("/proc/self/status", O_WRONLY | O_TRUNC) >= 0 ? 0 : 0);
  char name[64];
  put("named", "by descriptor");
  int named = open("named", O_RDONLY);
  snprintf(name, sizeof name, "/proc/self/fd/%d", named);
  T(unlink("named"));
  show(strchr(name, 'p') ? "none" : name);
  int reopened = open(name, O_RDONLY);
  memset(text, 0, 20);
  T(read(reopened, text, 13));
  printf("%s\n", text);
}

static void sockets(void) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  int file = open("file", O_RDONLY);
  T(connect(file, (void *)&a, sizeof a));
  T(bind(99, (void *)&a, sizeof a));
  T(listen(file, 1));
  T(accept(file, NULL, NULL));
  T(shutdown(file, SHUT_RDWR));
  T(send(file, "x", 1, 0));
  T(recv(file, &a, 1, 0));
  socklen_t length = sizeof a;
  T(getsockname(file, (void *)&a, &length));
  T(getpeername(file, (void *)&a, &length));
  T(setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &length, sizeof length));
  T(getsockopt(file, SOL_SOCKET, SO_REUSEADDR, &length, &length));
  T(socket(99, SOCK_STREAM, 0));
  T(socket(AF_INET, 0x1234567, 0));
}

int main(void) {
  umask(022);
  put("file", "content of a file");
  duplicates();
  locks();
  directories();
  waiting();
  devices();
  sockets();
  return 0;
}
