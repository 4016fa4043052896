/* /proc/self: what it shows is what the program has done. Addresses are the program's own; the rest of a line is shown. */
#include "lines.h"
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#define PAGE 4096l
#define BASE ((char *)0x600000000)
static char text[400000];
static long whole(const char *name) {
  long n, done = 0;
  int fd = open(name, O_RDONLY);
  if (fd < 0) { printf("%s: %s\n", name, strerror(errno)); return -1; }
  while ((n = read(fd, text + done, sizeof text - 1 - done)) > 0) done += n;
  text[done] = 0;
  close(fd);
  return done;
}
/* The lines of maps between BASE and BASE + 64 pages, in pages; the name without its directory. */
static void shown(const char *what) {
  printf("%s\n", what);
  if (whole("/proc/self/maps") < 0) return;
  unsigned long last = 0;
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    unsigned long start, end, offset, inode;
    char rights[8], path[200] = "";
    unsigned major, minor;
    if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %199s", &start, &end, rights, &offset, &major, &minor, &inode, path) < 7) { printf("odd line %s\n", line); continue; }
    if (start < last || end <= start) printf("out of order %s\n", line);
    last = end;
    if (start < (unsigned long)BASE || end > (unsigned long)BASE + 64 * PAGE) continue;
    char *slash = strrchr(path, '/');
    printf("  %ld-%ld %s %lx inode %d %s\n", (start - (unsigned long)BASE) / PAGE, (end - (unsigned long)BASE) / PAGE, rights, offset,
           inode != 0, slash ? slash + 1 : path);
  }
}
/* The line that contains an address: its rights and name. */
static void where(const char *what, void *at, int named) {
  whole("/proc/self/maps");
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    unsigned long start, end;
    char rights[8], path[200] = "";
    sscanf(line, "%lx-%lx %7s %*x %*x:%*x %*u %199s", &start, &end, rights, path);
    if ((unsigned long)at < start || (unsigned long)at >= end) continue;
    char *slash = strrchr(path, '/');
    printf("%s: %s %s\n", what, rights, !named ? "" : slash ? slash + 1 : path);
    return;
  }
  printf("%s: nowhere\n", what);
}
static void field(const char *name) {
  char key[40];
  whole("/proc/self/status");
  snprintf(key, sizeof key, "%s:", name);
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    if (strncmp(line, key, strlen(key)) == 0) { printf("%s\n", line); return; }
  printf("no %s\n", name);
}
static long size_of(const char *name) {
  char key[40];
  whole("/proc/self/status");
  snprintf(key, sizeof key, "%s:", name);
  char *at = strstr(text, key);
  return at ? atol(at + strlen(key)) : -1;
}

static void maps(void) {
  shown("nothing");
  mmap(BASE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  shown("four");
  mprotect(BASE + PAGE, PAGE, PROT_READ);
  shown("one is read-only");
  mprotect(BASE + 2 * PAGE, PAGE, PROT_NONE);
  munmap(BASE + 3 * PAGE, PAGE);
  shown("one is closed, one gone");
  mprotect(BASE, 3 * PAGE, PROT_READ | PROT_EXEC);
  shown("one again");
  put("mapped", "some text");
  int fd = open("mapped", O_RDWR);
  ftruncate(fd, 8 * PAGE);
  mmap(BASE + 8 * PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 3 * PAGE);
  mmap(BASE + 10 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  mmap(BASE + 16 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  close(fd);
  shown("files");
  mprotect(BASE + 11 * PAGE, PAGE, PROT_READ);
  munmap(BASE + 8 * PAGE, PAGE);
  shown("parts of files");
  mremap(BASE + 10 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, BASE + 20 * PAGE);
  shown("moved");
  munmap(BASE, 64 * PAGE);
  shown("nothing");
}
static void *second(void *all) {
  if (all) field("Threads");
  return NULL;
}
static void none(int s) {}
static void status(void) {
  unsigned long set = 1ul << 9 | 1ul << 11;
  pthread_t thread;
  for (const char *names[] = {"Name", "Umask", "State", "Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "TracerPid", "NoNewPrivs"}, **n = names; n < names + 10; n++) field(*n);
  signal(SIGUSR2, SIG_IGN);
  signal(SIGWINCH, none);
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
  kill(getpid(), SIGUSR1);
  for (const char *names[] = {"SigPnd", "ShdPnd", "SigBlk", "SigIgn"}, **n = names; n < names + 4; n++) field(*n);
  syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
  field("SigPnd");
  whole("/proc/self/status");
  printf("WINCH caught %d\n", (int)(strtoul(strstr(text, "SigCgt:") + 8, NULL, 16) >> (SIGWINCH - 1) & 1));
  umask(077);
  field("Umask");
  umask(022);
  prctl(PR_SET_NAME, "a name");
  field("Name");
  whole("/proc/self/comm");
  printf("comm %s", text);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  field("NoNewPrivs");
  pthread_create(&thread, NULL, second, BASE);
  pthread_join(thread, NULL);
  long before = size_of("VmSize");
  mmap(BASE, 1024 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("VmSize grows by %ld kB\n", size_of("VmSize") - before);
  memset(BASE, 1, 1024 * PAGE);
  printf("VmRSS has it %d\n", size_of("VmRSS") >= 4096);
  munmap(BASE, 1024 * PAGE);
  long pid, state = 0, group;
  char name[40];
  whole("/proc/self/stat");
  printf("stat %d %s\n", sscanf(text, "%ld (%39[^)]) %c", &pid, name, (char *)&state), name);
  printf("pid %d\n", pid == getpid());
  int fields = 0;
  for (char *f = strtok(text, " "); f; f = strtok(NULL, " ")) fields++;
  printf("fields %d\n", fields);
  long pages[7] = {0};
  whole("/proc/self/statm");
  int found = sscanf(text, "%ld %ld %ld %ld %ld %ld %ld", pages, pages + 1, pages + 2, pages + 3, pages + 4, pages + 5, pages + 6);
  printf("statm %d size %d resident %d\n", found, pages[0] > 0, pages[1] > 0);
}
static void vector(void) {
  long bytes = whole("/proc/self/auxv");
  Elf64_auxv_t *v = (void *)text;
  int wrong = 0, count = 0;
  for (; v->a_type != AT_NULL; v++, count++) wrong += getauxval(v->a_type) != v->a_un.a_val;
  printf("auxv wrong %d some %d page %ld\n", wrong > 1, count > 10, getauxval(AT_PAGESZ));
  printf("ends with null %d\n", ((Elf64_auxv_t *)(text + bytes))[-1].a_type == AT_NULL);
}
int main(int argc, char **argv) {
  char link[100] = {0};
  int local;
  unsigned long defaults[4] = {0};
  setvbuf(stdout, NULL, _IOLBF, 0);
  /* Whoever started this may ignore some. */
  for (int s = 1; s <= 64; s++) syscall(SYS_rt_sigaction, s, defaults, NULL, 8);
  maps();
  where("stack", &local, 1);
  where("text", (void *)main, 1);
  where("data", text, 0);
  char *heap = sbrk(PAGE);
  where("heap", heap, 1);
  sbrk(-PAGE);
  where("heap gone", heap + PAGE, 0);
  status();
  vector();
  T(readlink("/proc/self/exe", link, sizeof link) > 0);
  printf("exe %s\n", strrchr(link, '/'));
  long bytes = whole("/proc/self/cmdline");
  printf("cmdline %ld\n", bytes);
  int fd = open("/proc/self/maps", O_RDONLY);
  T(lseek(fd, 0, SEEK_CUR));
  T(read(fd, text, 10));
  T(lseek(fd, 5, SEEK_SET));
  T(write(fd, text, 1));
  T(close(fd));
  T(open("/proc/self/maps", O_WRONLY));
  T(open("/proc/self/auxv", O_RDWR));
  return 0;
}
