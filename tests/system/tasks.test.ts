/**
 * Several tasks of a job on a node, from the command line: placement, output, load, ends, signals, faults, debuggers.
 * Runs are strict: rules of the trace, interrupts off for 20 µs at most.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { margay, temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));
const lines = (text: string): string[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .sort();

/** Compiles a static program for the root; undefined: this host cannot. */
function compiled(name: string, source: string, ...flags: string[]): string | undefined {
  fs.writeFileSync(path.join(dir, `${name}.c`), source);
  const to = path.join(dir, name);
  const { status } = spawnSync("gcc", ["-O1", "-static", ...flags, "-o", to, `${to}.c`]);
  return status === 0 ? `/${name}` : undefined;
}
const calls = `
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static long rank(void) { return syscall(4096); }
`;

describe("tasks on a node", () => {
  for (const [nodes, perNode] of [
    [1, 1],
    [1, 2],
    [2, 2],
    [4, 2],
    [3, 4],
    [1, 8],
    [2, 8],
  ] as const) {
    it(`${nodes} × ${perNode}: every rank runs once, on its node and its first core`, () => {
      const r = margay(
        `run --strict --label --nodes ${nodes} --cores 8 --tasks-per-node ${perNode} --fanout 2 hello`.split(" "),
      );
      const size = nodes * perNode;
      const expected = Array.from({ length: size }, (_, rank) => {
        const core = (rank % perNode) * Math.floor(8 / perNode);
        return `[${rank}] hello from rank ${rank} of ${size} on nid ${Math.floor(rank / perNode) + 1} core ${core}`;
      });
      expect(r.stderr).not.toContain("margay: ");
      expect([r.status, lines(r.stdout)]).toEqual([0, expected.sort()]);
    });
  }
  it("messages go round between tasks of one node and of others, with either distribution", () => {
    for (const distribution of ["block", "cyclic"]) {
      const line = `run --strict --nodes 3 --cores 4 -n 7 --distribution ${distribution} --fanout 1 ring`;
      const r = margay(line.split(" "));
      expect(r.stdout, r.stderr).toMatch(/^ring: 7 ranks, mean hop \d+ ns\n$/);
      expect(r.status).toBe(0);
    }
  });
  it("a list of cores for each task", () => {
    const r = margay("run --strict --nodes 1 --cores 8 -n 3 --bind 7,1:0:2-3 hello".split(" "));
    expect(lines(r.stdout).map((line) => line.replace(/.*core /, ""))).toEqual(["1", "0", "2"]);
  });
  it("a command for each range of ranks, with its own arguments", () => {
    fs.writeFileSync(path.join(dir, "text"), "the text\n");
    const line = ["run", "--strict", "--label", "--nodes", "2", "--root", dir, "--map", "0-2=hello,3=files x"];
    const r = margay(line);
    expect(r.stdout).toContain("[1] hello from rank 1 of 4 on nid 1");
    expect(r.stdout).toMatch(/^\[3\] /m);
    expect(r.stdout).not.toContain("[3] hello");
  });
  it("over faulty links", () => {
    const line = "run --strict --nodes 2 --cores 4 --tasks-per-node 4 --faults drop=3%,dup=2%,corrupt=1% --seed 5 ring";
    const r = margay(line.split(" "));
    expect(r.stdout, r.stderr).toMatch(/^ring: 8 ranks/);
    expect(r.status).toBe(0);
  });
});

const ends = compiled(
  "ends",
  `${calls}
int main(int argc, char **argv) {
  if (rank() != atoi(argv[1])) return 0;
  if (!strcmp(argv[2], "abort")) abort();
  return atoi(argv[2]);
}`,
);
describe.skipIf(ends === undefined)("the end of one of several tasks", () => {
  const run = (...args: string[]): ReturnType<typeof margay> =>
    margay(["run", "--strict", "--nodes", "2", "--cores", "4", "--tasks-per-node", "3", "--root", dir, ends!, ...args]);
  it("names the rank that failed", () => {
    const r = run("4", "3");
    expect(r.status).toBe(3);
    expect(r.stderr).toContain("margay: rank 4 on nid 2: exit status 3\n");
  });
  it("a core report names it, too", () => {
    const r = run("2", "abort");
    expect(r.status).toBe(134);
    expect(r.stderr).toMatch(/^margay: rank 2 on nid 1 core 2: SIGABRT /m);
    expect(r.stderr).toContain("margay: rank 2 on nid 1: ended by SIGABRT\n");
  });
});

const signals = compiled(
  "signals",
  `${calls}
static volatile int got, from;
static void handler(int n, siginfo_t *info, void *c) { got = n; from = info->si_pid; }
int main(void) {
  struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &a, 0);
  int nids[2], pids[2];
  if (syscall(4099, nids, pids, 2L) != 2) return 9;
  int other = pids[1 - rank()];
  // By then the other one has its handler.
  if (rank() == 1) usleep(5000), kill(other, SIGUSR1);
  if (rank() == 1) for (;;) pause();
  while (!got);
  int there = syscall(SYS_tgkill, other, other, 0), strange = kill(4711, 0) == -1 && errno == ESRCH;
  printf("%d %d %d %d %d\\n", got, from == other, there, strange, kill(-1, 0));
  fflush(stdout);
  return kill(other, SIGKILL);
}`,
);
describe.skipIf(signals === undefined)("signals", () => {
  it("reach the job's other task on the node by its pid, and end it", () => {
    const r = margay(["run", "--strict", "--nodes", "1", "-n", "2", "--limit", "1s", "--root", dir, signals!]);
    expect(r.stdout, r.stderr).toBe("10 1 0 1 0\n");
    expect(r.stderr).toContain("margay: rank 1 on nid 1: ended by SIGKILL\n");
    expect(r.status).toBe(137);
  });
});

const hungry = compiled(
  "hungry",
  `${calls}
int main(void) {
  long pages = 0;
  while (mmap(0, 1 << 20, 3, 0x22, -1, 0) != MAP_FAILED) pages++;
  printf("%d\\n", pages >= 10 && pages < 33);
  return 0;
}`,
);
const team = compiled(
  "team",
  `#include <omp.h>
#include <stdio.h>
int main(void) {
  long sum = 0;
  #pragma omp parallel for reduction(+:sum)
  for (int i = 0; i < 1000; i++) sum += i;
  printf("%d threads, %ld\\n", omp_get_max_threads(), sum);
  return 0;
}`,
  "-fopenmp",
);
describe.skipIf(hungry === undefined || team === undefined)("what a task has", () => {
  it("is its part of the node's memory: a greedy one leaves the other its own", () => {
    const r = margay(["run", "--strict", "--nodes", "1", "-n", "2", "--root", dir, hungry!]);
    expect([r.status, r.stdout], r.stderr).toEqual([0, "1\n1\n"]);
  });
  it("are its cores: OpenMP makes as many threads in each", () => {
    const args = ["--cores", "8", "--tasks-per-node", "2", "--cores-per-task", "3", "--root", dir, team!];
    const r = margay(["run", "--strict", "--nodes", "2", ...args]);
    expect([r.status, r.stdout], r.stderr).toEqual([0, "3 threads, 499500\n".repeat(4)]);
  });
});
