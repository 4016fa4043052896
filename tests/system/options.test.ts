/**
 * What a user of `margay run` requests for a job: its environment, input, directory, ranks, limits; and the summary.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compiled, program } from "../compiled.ts";
import { margay, packageRoot, type Result, temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
const root = path.join(dir, "root");
beforeAll(() => {
  fs.mkdirSync(path.join(root, "sub/deep"), { recursive: true });
  fs.symlinkSync("/sub", path.join(root, "link"));
  for (const name of ["echo", "spin"])
    fs.writeFileSync(
      path.join(root, name),
      compiled(program(path.join(packageRoot, `tests/system/programs/${name}.ts`))),
      {
        mode: 0o755,
      },
    );
  fs.writeFileSync(path.join(root, "here"), "root\n");
  fs.writeFileSync(path.join(root, "sub/here"), "sub\n");
  fs.copyFileSync(path.join(root, "echo"), path.join(root, "sub/program"));
  fs.chmodSync(path.join(root, "sub/program"), 0o755);
  fs.writeFileSync(path.join(dir, "input"), "one\ntwo\n");
});
afterAll(() => fs.rmSync(dir, { recursive: true }));
const echo = (args: readonly string[], env?: NodeJS.ProcessEnv): Result =>
  margay(["run", "--nodes", "2", "--cores", "1", "--root", root, ...args], { cwd: dir, ...(env ? { env } : {}) });
const ranks = (r: Result, rank: number): string[] =>
  r.stdout.split("\n").flatMap((l) => (l.startsWith(`rank ${rank}: `) ? [l.slice(8)] : []));

describe("environment, input, directory", () => {
  it("is empty but for --env, the same on every rank; rank 0 reads --stdin, the others nothing", () => {
    const r = echo(
      ["--env", "OMP_NUM_THREADS=4", "--env", "HOME", "--env", "OMP_NUM_THREADS=2", "--stdin", "input", "/echo"],
      {
        ...process.env,
        HOME: "/a b",
      },
    );
    expect(r.status).toBe(0);
    expect(ranks(r, 0)).toEqual([
      "env OMP_NUM_THREADS=2",
      "env HOME=/a b",
      "here 5 root",
      "here 0",
      "read 8 one",
      "read 0",
    ]);
    expect(r.stdout).toContain("two\n");
    expect(ranks(r, 1)).toEqual(["env OMP_NUM_THREADS=2", "env HOME=/a b", "here 5 root", "here 0", "read 0"]);
  });
  it("--chdir moves relative paths, PROGRAM's too, and stays inside the root", () => {
    const r = echo(["-n", "1", "--chdir", "sub/../link", "--stdin", "/dev/null", "./program"]);
    expect(ranks(r, 0)).toEqual(["here 4 sub", "here 0", "read 0"]);
    expect(ranks(echo(["-n", "1", "--chdir", "sub/deep", "--stdin", "/dev/null", "../../../../../echo"]), 0)).toEqual([
      "here -9",
      "read 0",
    ]);
  });
  it("--ranks: the first nodes run the job, the others stay idle", () => {
    const r = margay(["run", "--nodes", "3", "--cores", "1", "--ranks", "2", "hello"]);
    expect(r.stdout.trimEnd().split("\n").sort()).toEqual([
      "hello from rank 0 of 2 on nid 1 core 0",
      "hello from rank 1 of 2 on nid 2 core 0",
    ]);
  });
  it("the command's own stdin comes a line at a time, however it is cut, and always at the same virtual time", async () => {
    const run = async (
      pieces: readonly string[],
    ): Promise<{ stdout: string; hash: string | undefined; status: number | null }> => {
      const child = spawn(process.execPath, [
        path.join(packageRoot, "dist/margay.js"),
        "run",
        "--nodes",
        "2",
        "--cores",
        "1",
        "--hash",
        "--root",
        root,
        "/echo",
      ]);
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (text) => (stdout += text));
      child.stderr.on("data", (text) => (stderr += text));
      for (const piece of pieces) {
        child.stdin.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      child.stdin.end();
      const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
      return { stdout, hash: /state hash \w+/.exec(stderr)?.[0], status };
    };
    const whole = await run(["one\ntwo\nhalf"]);
    expect(ranks({ ...whole, stderr: "" }, 0).slice(2)).toEqual(["read 4 one", "read 4 two", "read 4 half", "read 0"]);
    expect(whole.status).toBe(0);
    const cut = await run(["o", "ne\nt", "wo\n", "ha", "lf"]);
    expect(cut).toEqual(whole);
  });
});

describe("limits", () => {
  it("--time ends a job that computes for ever: 124", () => {
    const r = echo(["--time", "2s", "/spin"]);
    expect([r.status, r.stdout]).toEqual([124, "spinning\nspinning\n"]);
    expect(r.stderr).toMatch(/^margay: time limit: \/spin was still running: raise --time$/m);
  });
  it("--time ends a job that waits for input: 124, and Ctrl-C: 130", async () => {
    for (const [args, signal, expected] of [
      [["--time", "2s"], undefined, 124],
      [[], "SIGINT", 130],
    ] as const) {
      const child = spawn(process.execPath, [
        path.join(packageRoot, "dist/margay.js"),
        "run",
        "--nodes",
        "1",
        "--root",
        root,
        ...args,
        "/echo",
      ]);
      // The program has printed everything before it reads; a signal may arrive shortly before or after that.
      child.stdout.once("data", () => signal && setTimeout(() => child.kill(signal), 300));
      expect(await new Promise<number | null>((resolve) => child.on("close", resolve))).toBe(expected);
    }
  });
  it("--quota stops a job's writing with EDQUOT", () => {
    const r = margay(["run", "--nodes", "1", "--cores", "1", "--root", root, "--quota", "64K", "files"]);
    expect(r.status).toBe(1);
    expect(r.stderr).toMatch(/files: rank 0: write: result -122/);
    expect(fs.statSync(path.join(root, "files.0.dat")).size).toBe(65536);
    expect(margay(["run", "--nodes", "1", "--cores", "1", "--root", root, "--quota", "1M", "files"]).status).toBe(0);
  });
});

describe("the fabric", () => {
  it("--latency and --bandwidth are the links': a hop of ring takes so much longer", () => {
    const hop = (...args: string[]): number => {
      const r = margay(["run", "--nodes", "2", "--cores", "1", ...args, "ring"]);
      expect(r.status, r.stderr).toBe(0);
      return Number(/mean hop (\d+) ns/.exec(r.stdout)![1]);
    };
    const normal = hop();
    expect(hop("--latency", "1us", "--bandwidth", "10GB/s"), "the defaults").toBe(normal);
    const slower = hop("--latency", "6us") - normal;
    expect(slower).toBeGreaterThanOrEqual(5000);
    expect(slower).toBeLessThan(7000);
    expect(hop("--bandwidth", "10MB/s")).toBeGreaterThan(normal + 10_000);
  });
});

describe("how it ended", () => {
  it("--json: one line of figures", () => {
    const r = margay(["run", "--nodes", "2", "--cores", "1", "--json", "--hash", "--faults", "drop=1%", "hello"]);
    expect(JSON.parse(r.stderr)).toEqual({
      status: 0,
      outcome: "exited",
      program: "hello",
      ranks: 2,
      nodes: 2,
      cores: 2,
      virtualNs: expect.any(Number),
      wallSeconds: expect.any(Number),
      instructions: expect.any(Number),
      linkFaults: expect.objectContaining({ frames: expect.any(Number) }),
      longestInterruptsOffNs: expect.any(Number),
      longestInterruptsOffPlace: expect.stringMatching(/^n\d\.c0, /),
      stateHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(JSON.parse(margay(["boot", "--json", "kernel"]).stderr)).toMatchObject({
      status: 0,
      image: "kernel",
      nodes: 1,
    });
  });
  it("a node that is cut before READY is named", () => {
    const idle = margay(["run", "--nodes", "3", "--cores", "1", "--faults", "cut=2:0", "hello"]);
    expect(idle.status).toBe(3);
    expect(idle.stderr).toMatch(
      /^margay: machine: nid 2 never became ready, the job was not loaded: look at the links/m,
    );
    const late = margay([
      "run",
      "--nodes",
      "3",
      "--cores",
      "1",
      "--limit",
      "5ms",
      "--faults",
      "cut=2:0,cut=3:0",
      "hello",
    ]);
    expect(late.status).toBe(124);
    expect(late.stderr).toMatch(
      /^margay: time limit: the machine was still booting at 5\.000 ms: raise --limit: nids 2 and 3 never became ready$/m,
    );
  });
  it("a refused load is one line, with nothing summed up", () => {
    const r = echo(["/none"]);
    expect(r).toEqual({
      status: 2,
      stdout: "",
      stderr: "margay: load refused: program /none: no such file (ENOENT), nid 1: check the path inside --root\n",
    });
  });
  it("with the host's / as root a job finds neither the emulator's memory nor its maps", () => {
    const loop = "too many symbolic links (ELOOP)";
    for (const [name, why] of [
      // The job's own maps, which nobody may execute.
      ["/proc/self/maps", "permission denied (EACCES)"],
      // The program itself: a link that leads to itself.
      ["/proc/self/exe", loop],
      ["/proc/1/exe", loop],
      ["/dev/fd/0", "permission denied (EACCES)"],
      ["/dev/stdin", "permission denied (EACCES)"],
    ] as const) {
      const r = margay(["run", "--nodes", "1", "--cores", "1", "--root", "/", name]);
      expect([r.status, r.stderr]).toEqual([
        2,
        `margay: load refused: program ${name}: ${why}, nid 1: check the path inside --root\n`,
      ]);
    }
  });
});

describe("--strace", () => {
  const hello = (...args: string[]): Result =>
    margay(["run", "--nodes", "2", "--cores", "1", "--hash", ...args, "hello"], { cwd: dir });
  const hash = (r: Result): string | undefined => /state hash \w+/.exec(r.stderr)?.[0];
  it("prints each rank's calls, of the program alone, and changes nothing in the run", () => {
    const plain = hello();
    const traced = hello("--strace");
    expect(traced.status).toBe(0);
    expect(traced.stdout).toBe(plain.stdout);
    expect(hash(traced)).toBeDefined();
    expect(hash(traced)).toBe(hash(plain));
    for (const rank of [0, 1]) {
      const calls = traced.stderr.split("\n").filter((l) => l.startsWith(`[${rank}.0] `));
      expect(calls[0]).toBe(`[${rank}.0] margay_rank() = ${rank}`);
      expect(calls).toContain(`[${rank}.0] write(1, "hello from rank ${rank} of 2 on nid ${rank + 1} "..., 39) = 39`);
      expect(calls.at(-1)).toBe(`[${rank}.0] exit_group(0) = ?`);
    }
  });
  it("is refused beside a debugger, which stops the machine too", () => {
    const r = hello("--strace", "--gdb", "1234");
    expect(r.status).toBe(2);
    expect(r.stderr).toBe("margay: bad --strace: with a debugger: both stop the machine: give one of them\n");
  });
});
