/* Says which signals come. "input": waits for standard input; "spin": computes; else waits for signals. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t last, count;
static void handler(int s) { last = s; count++; }
static void handle(int s) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_handler = handler;
  sigaction(s, &a, NULL);
}
int main(int argc, char **argv) {
  char what = argc > 1 ? argv[1][0] : ' ', text[20];
  setvbuf(stdout, NULL, _IOLBF, 0);
  handle(SIGUSR1);
  handle(SIGINT);
  puts("ready");
  for (int seen = 0;;) {
    if (what == 'i') {
      long n = read(0, text, sizeof text);
      printf("read %ld %s\n", n, n < 0 ? strerror(errno) : "");
      if (n >= 0) return (int)n;
    } else if (what == ' ') pause();
    if (count != seen) printf("signal %d\n", last), seen = count;
  }
}
