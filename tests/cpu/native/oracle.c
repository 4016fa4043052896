/*
 * Executes cases on the processor itself, in user mode: the reference for the emulated one. A case is code and a whole
 * register state; it ends with its first exception, at the latest with the INT3 after its code. The kernel loads and
 * saves the state: each signal's frame holds the result of one case and becomes the start of the next.
 *
 * stdin: the data pages' contents (DATA_BYTES), then cases; stdout: one result per case. Layout: the structs below, as
 * in oracle.ts.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE ((uint8_t *)0x40000000)
#define DATA ((uint8_t *)0x50000000)
#define READ_ONLY ((uint8_t *)0x50004000)
#define PAGE 4096
#define DATA_BYTES (2 * PAGE)
#define CHANGED_BYTES 256
#define BATCH 256

struct test {
  uint32_t offset; /* of the code in its page */
  uint32_t length;
  uint8_t code[64];
  uint64_t gpr[16];
  uint64_t rflags;
  uint8_t fx[512];
};
struct result {
  uint32_t vector, error;
  uint64_t rip, cr2, rflags;
  uint64_t gpr[16];
  uint8_t fx[512];
  uint32_t first, count; /* of the data that changed */
  uint8_t changed[CHANGED_BYTES];
};

static struct test tests[BATCH];
static struct result results[BATCH];
static uint32_t received, next_test;
static uint8_t contents[DATA_BYTES];

/* By the processor's encoding. */
static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void read_all(void *to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t n = read(0, (char *)to + done, bytes - done);
    if (n <= 0) _exit(done == 0 && n == 0 ? 0 : 3);
    done += n;
  }
}
static void write_all(const void *from, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t n = write(1, (const char *)from + done, bytes - done);
    if (n <= 0) _exit(4);
    done += n;
  }
}

static void take_result(struct result *r, const ucontext_t *c) {
  const greg_t *g = c->uc_mcontext.gregs;
  r->vector = g[REG_TRAPNO];
  r->error = g[REG_ERR];
  r->rip = g[REG_RIP];
  r->cr2 = g[REG_CR2];
  r->rflags = g[REG_EFL];
  for (int i = 0; i < 16; i++) r->gpr[i] = g[registers[i]];
  memcpy(r->fx, c->uc_mcontext.fpregs, 512);
  uint32_t first = 0, end = DATA_BYTES;
  const uint64_t *now = (const uint64_t *)DATA, *was = (const uint64_t *)contents;
  while (first < DATA_BYTES && now[first / 8] == was[first / 8]) first += 8;
  while (end > first && now[end / 8 - 1] == was[end / 8 - 1]) end -= 8;
  r->first = first;
  r->count = end - first;
  memcpy(r->changed, DATA + first, end - first < CHANGED_BYTES ? end - first : CHANGED_BYTES);
  memcpy(DATA + first, contents + first, end - first);
}

static void start(const struct test *t, ucontext_t *c) {
  greg_t *g = c->uc_mcontext.gregs;
  memset(CODE, 0xcc, 2 * PAGE);
  memcpy(CODE + t->offset, t->code, t->length);
  g[REG_RIP] = (greg_t)(CODE + t->offset);
  g[REG_EFL] = t->rflags | 0x202;
  for (int i = 0; i < 16; i++) g[registers[i]] = t->gpr[i];
  /* Keep what the kernel stores after the legacy area: the magic numbers, and in the header the parts in use. */
  uint8_t *fx = (uint8_t *)c->uc_mcontext.fpregs;
  uint32_t magic = *(uint32_t *)(fx + 464);
  memcpy(fx, t->fx, 416);
  if (magic == 0x46505853) *(uint64_t *)(fx + 512) |= 3;
}

static void next_batch(void) {
  read_all(&received, sizeof received);
  if (received == 0 || received > BATCH) _exit(0);
  read_all(tests, received * sizeof tests[0]);
  next_test = 0;
}

static int started;
static void handler(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  /* RFLAGS.AC and ID are still the case's; ID would remain set. */
  __asm__ volatile("pushfq; andq $~0x240000, (%%rsp); popfq" ::: "memory", "cc");
  ucontext_t *c = context;
  if (started) {
    take_result(&results[next_test], c);
    if (++next_test == received) {
      write_all(results, received * sizeof results[0]);
      next_batch();
    }
  } else {
    next_batch();
    started = 1;
  }
  start(&tests[next_test], c);
}

int main(void) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE;
  mmap(CODE, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
  mmap(DATA, DATA_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
  mmap(READ_ONLY, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
  read_all(contents, DATA_BYTES);
  memcpy(DATA, contents, DATA_BYTES);
  memcpy(READ_ONLY, contents, PAGE);
  mprotect(READ_ONLY, PAGE, PROT_READ);
  memset(CODE, 0xcc, 2 * PAGE);
  stack_t stack = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, 0);
  __asm__ volatile("int3");
  return 5;
}
