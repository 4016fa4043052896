/**
 * A program not written for Margay: glibc, static, with pthreads, compiled by the host's gcc. Four threads on four
 * cores.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { margay, temporaryFolder } from "./command.ts";

const source = `
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static __thread long mine;
static long counter;
static void *work(void *argument) {
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < 500; i++) { pthread_mutex_lock(&mutex); counter++; mine++; pthread_mutex_unlock(&mutex); }
  return (void *)((long)argument + mine);
}
int main(void) {
  pthread_t threads[4];
  int refused = -1;
  pthread_barrier_init(&barrier, NULL, 4);
  for (long i = 0; i < 4 && refused < 0; i++) if (i < 3 ? pthread_create(&threads[i], NULL, work, (void *)i) : 0) refused = i;
  long own = (long)work((void *)3);
  for (long i = 0; i < 3; i++) { void *result; pthread_join(threads[i], &result); if ((long)result != i + 500) return 2; }
  printf("refused %d, counter %ld, own %ld\\n", refused, counter, own);
  return 0;
}
`;
const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));
fs.writeFileSync(path.join(dir, "pthreads.c"), source);
const compiled = spawnSync("gcc", [
  "-O2",
  "-static",
  "-pthread",
  "-o",
  path.join(dir, "pthreads"),
  path.join(dir, "pthreads.c"),
]);
const reason =
  compiled.status === 0
    ? null
    : `no static pthread program: ${compiled.error?.message ?? compiled.stderr.toString().trim()}`;
if (reason !== null) console.log(`tests/system/pthreads skipped: ${reason}`);

describe.skipIf(reason !== null)("a static glibc program", () => {
  it("creates, synchronises and joins pthreads, with thread-local data", () => {
    const r = margay(["run", "--nodes", "1", "--cores", "4", "--limit", "200ms", "--root", dir, "/pthreads"]);
    expect(r.stdout).toBe("refused -1, counter 2000, own 503\n");
    expect(r.status).toBe(0);
  });
});
