/* chmod, chown, access, truncate, utimensat, stat, statx, umask, statfs and their kin. */
#include "lines.h"
#include <sys/auxv.h>
#define OWN_USER ((uid_t)getauxval(AT_UID))
#define OWN_GROUP ((gid_t)getauxval(AT_GID))
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

static void times(const char *name) {
  struct stat s;
  lstat(name, &s);
  printf("%s: %ld.%09ld %ld.%09ld\n", name, (long)s.st_atim.tv_sec, s.st_atim.tv_nsec, (long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}
static void modes(void) {
  T(umask(077));
  T(umask(022));
  T(umask(01777));
  T(umask(022));
  T(chmod("file", 0600));
  about("file");
  T(chmod("file", 04751));
  about("file");
  T(chown("file", OWN_USER, -1));
  about("file");
  T(chmod("file", 02711));
  T(lchown("file", -1, OWN_GROUP));
  about("file");
  T(chmod("file", 0644));
  T(chmod("none", 0644));
  T(chmod("", 0644));
  T(chmod("file/x", 0644));
  T(chmod("dangling", 0644));
  T(chmod(NOWHERE, 0644));
  T(chmod("link", 0640));
  about("file");
  about("link");
  T(chmod("dir", 01700));
  about("dir");
  int fd = open("file", O_RDONLY);
  T(fchmod(fd, 0604));
  about("file");
  T(fchmod(99, 0604));
  T(fchmodat(AT_FDCWD, "file", 0644, 0));
  S(SYS_fchmodat, 99, "file", 0644);
  int path = open("file", O_PATH);
  T(fchmod(path, 0644));
  T(fchown(path, -1, -1));
  T(chown("file", 0, -1));
  T(chown("file", -1, 0));
  T(chown("file", -1, -1));
  T(chown("none", -1, -1));
  T(chown("dangling", -1, -1));
  T(lchown("dangling", -1, -1));
  T(fchown(fd, OWN_USER, OWN_GROUP));
  T(fchown(fd, 12345, -1));
  T(fchown(99, -1, -1));
  T(fchownat(AT_FDCWD, "file", -1, -1, 1));
  T(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
  T(fchownat(fd, "", -1, -1, 0));
  close(fd);
  close(path);
}
static void accesses(void) {
  chmod("file", 0400);
  chmod("exec", 0100);
  T(access("file", F_OK));
  T(access("file", R_OK));
  T(access("file", W_OK));
  T(access("file", X_OK));
  T(access("exec", X_OK));
  T(access("exec", R_OK | X_OK));
  T(access("file", 8));
  T(access("file", -1));
  T(access("none", F_OK));
  T(access("file/x", F_OK));
  T(access("dangling", F_OK));
  T(access("", F_OK));
  T(access(NOWHERE, F_OK));
  S(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW);
  S(SYS_faccessat2, AT_FDCWD, "file", R_OK, AT_EACCESS);
  S(SYS_faccessat2, AT_FDCWD, "file", R_OK, 1);
  S(SYS_faccessat, 99, "file", R_OK);
  S(SYS_faccessat, 99, "/", R_OK);
  T(open("file", O_WRONLY));
  T(open("exec", O_RDONLY));
  chmod("file", 0644);
  chmod("exec", 0755);
  chmod("dir", 0600);
  T(access("dir/x", F_OK));
  chmod("dir", 0755);
}
static void lengths(void) {
  put("t", "0123456789");
  T(truncate("t", 4));
  show("t");
  T(truncate("t", 8));
  show("t");
  T(truncate("t", -1));
  T(truncate("none", 1));
  T(truncate("dir", 1));
  T(truncate("", 1));
  T(truncate(NOWHERE, 1));
  T(truncate("dangling", 1));
  T(truncate("link", 3));
  show("file");
  chmod("t", 0444);
  T(truncate("t", 1));
  chmod("t", 0644);
  int fd = open("t", O_RDWR);
  T(ftruncate(fd, 2));
  T(ftruncate(fd, -2));
  T(ftruncate(99, 2));
  T(lseek(fd, 0, SEEK_END));
  int readOnly = open("t", O_RDONLY);
  T(ftruncate(readOnly, 1));
  int dir = open("dir", O_RDONLY);
  T(ftruncate(dir, 1));
  T(ftruncate(open("t", O_PATH), 1));
  T(posix_fallocate(fd, 0, 100));
  about("t");
  S(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 0L, 1000L);
  about("t");
  S(SYS_fallocate, fd, 0, -1L, 10L);
  S(SYS_fallocate, fd, 0, 0L, 0L);
  S(SYS_fallocate, readOnly, 0, 0L, 10L);
  S(SYS_fallocate, 99, 0, 0L, 10L);
  S(SYS_fallocate, fd, 0x1000, 0L, 10L);
  S(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0L, 10L);
  T(pwrite(fd, "abcdef", 6, 0));
  S(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1L, 3L);
  show("t");
}
static void stamps(void) {
  struct timespec t[2] = {{1000, 5}, {2000, 999999999}};
  T(utimensat(AT_FDCWD, "file", t, 0));
  times("file");
  t[0].tv_nsec = UTIME_OMIT;
  t[1].tv_sec = -5;
  T(utimensat(AT_FDCWD, "file", t, 0));
  times("file");
  t[1].tv_nsec = 1000000000;
  T(utimensat(AT_FDCWD, "file", t, 0));
  t[1].tv_nsec = UTIME_OMIT;
  T(utimensat(AT_FDCWD, "none", t, 0));
  T(utimensat(AT_FDCWD, "none", NULL, 0));
  T(utimensat(AT_FDCWD, "file", NULL, 0));
  S(SYS_utimensat, AT_FDCWD, "file", NOWHERE, 0);
  T(utimensat(AT_FDCWD, "file", NULL, 1));
  T(utimensat(99, "file", NULL, 0));
  t[0] = t[1] = (struct timespec){77, 0};
  T(utimensat(AT_FDCWD, "dangling", t, AT_SYMLINK_NOFOLLOW));
  times("dangling");
  T(utimensat(AT_FDCWD, "dangling", t, 0));
  int fd = open("file", O_RDONLY);
  T(futimens(fd, t));
  times("file");
  T(futimens(99, t));
  S(SYS_utimensat, fd, NULL, t, AT_SYMLINK_NOFOLLOW);
  S(SYS_utimensat, AT_FDCWD, NULL, t, 0);
  struct timeval v[2] = {{11, 500000}, {22, 999999}};
  S(SYS_utimes, "file", v);
  times("file");
  v[0].tv_usec = 1000000;
  S(SYS_utimes, "file", v);
  S(SYS_utimes, "none", NULL);
  v[0].tv_usec = 1;
  S(SYS_futimesat, AT_FDCWD, "file", v);
  times("file");
  S(SYS_futimesat, fd, NULL, v);
  struct utimbuf u = {33, 44};
  S(SYS_utime, "file", &u);
  times("file");
  S(SYS_utime, "file", NOWHERE);
  S(SYS_utime, "none", &u);
}
static void states(void) {
  struct stat s, other;
  T(stat("file", &s));
  T(stat("link", &other));
  printf("same %d uid %d gid %d regular %d block %ld\n", s.st_ino == other.st_ino && s.st_dev == other.st_dev, s.st_uid == OWN_USER, s.st_gid == OWN_GROUP, S_ISREG(s.st_mode), (long)s.st_blksize);
  T(lstat("link", &other));
  printf("link %d size %ld other %d\n", S_ISLNK(other.st_mode), (long)other.st_size, s.st_ino != other.st_ino);
  T(stat("dangling", &s));
  T(lstat("dangling/", &s));
  T(stat("", &s));
  T(stat("file/", &s));
  T(stat("link/", &s));
  S(SYS_stat, "file", NOWHERE);
  S(SYS_stat, "none", NOWHERE);
  T(stat(NOWHERE, &s));
  T(fstat(99, &s));
  S(SYS_fstat, 1, NOWHERE);
  int fd = open("file", O_PATH);
  T(fstat(fd, &s));
  S(SYS_newfstatat, fd, "", &s, AT_EMPTY_PATH);
  S(SYS_newfstatat, fd, "", &s, 0);
  S(SYS_newfstatat, AT_FDCWD, "", &s, AT_EMPTY_PATH);
  printf("directory %d\n", S_ISDIR(s.st_mode));
  S(SYS_newfstatat, fd, "x", &s, 0);
  S(SYS_newfstatat, 99, "x", &s, 0);
  S(SYS_newfstatat, AT_FDCWD, "file", &s, 0x10000);
#ifdef STATX_BASIC_STATS
  struct statx x;
  memset(&x, 0, sizeof x);
  S(SYS_statx, AT_FDCWD, "file", 0, STATX_BASIC_STATS, &x);
  printf("%x mode %o size %ld uid %d links %d mtime %ld\n", x.stx_mask & STATX_BASIC_STATS, x.stx_mode, (long)x.stx_size, x.stx_uid == OWN_USER, x.stx_nlink, (long)x.stx_mtime.tv_sec);
  S(SYS_statx, AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x);
  printf("mode %o\n", x.stx_mode);
  S(SYS_statx, AT_FDCWD, "none", 0, STATX_BASIC_STATS, &x);
  S(SYS_statx, AT_FDCWD, "file", 0x80000, STATX_BASIC_STATS, &x);
  S(SYS_statx, AT_FDCWD, "file", 0, 0x80000000u, &x);
  S(SYS_statx, AT_FDCWD, "file", 0x6000, STATX_BASIC_STATS, &x);
  S(SYS_statx, AT_FDCWD, "file", 0, STATX_BASIC_STATS, NOWHERE);
  S(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x);
#endif
  struct statfs f;
  T(statfs("file", &f));
  printf("name %ld\n", (long)f.f_namelen);
  T(statfs("none", &f));
  S(SYS_statfs, "file", NOWHERE);
  T(fstatfs(fd, &f));
  T(fstatfs(99, &f));
}

int main(void) {
  umask(022);
  put("file", "content");
  put("exec", "content");
  mkdir("dir", 0755);
  put("dir/x", "x");
  symlink("file", "link");
  symlink("nothing", "dangling");
  modes();
  accesses();
  lengths();
  stamps();
  states();
  return 0;
}
