/** The user's view: the jobs, their output and statuses, and that a run can be reproduced. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { margay, temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));
const lines = (text: string): string[] => text.split("\n").filter(Boolean);

describe("hello", () => {
  it("prints one line a rank, and a summary on stderr", () => {
    const r = margay(["run", "hello"]);
    expect(r.stderr).toMatch(/virtual.*wall.*instructions.*MIPS/s);
    expect(r.status).toBe(0);
    const said = lines(r.stdout).sort();
    expect(said).toHaveLength(4);
    said.forEach((line, rank) => {
      expect(line).toMatch(new RegExp(`^hello from rank ${rank} of 4 on nid ${rank + 1} core [01]$`));
    });
  });
  it("--label marks each line with its rank", () => {
    const r = margay(["run", "--nodes", "2", "--label", "hello"]);
    expect(
      lines(r.stdout)
        .sort()
        .map((l) => l.slice(0, 24)),
    ).toEqual(["[0] hello from rank 0 of", "[1] hello from rank 1 of"]);
  });
  it.each([
    [1, 1],
    [3, 8],
  ])("runs on %i nodes of %i cores", (nodes, cores) => {
    const r = margay(["run", "--nodes", `${nodes}`, "--cores", `${cores}`, "--fanout", "1", "hello"]);
    expect(r.status).toBe(0);
    expect(lines(r.stdout)).toHaveLength(nodes);
  });
});

describe("determinism", () => {
  it("two traces of ring on eight nodes are equal byte for byte, the second beside a busy loop on the host", () => {
    const trace = (name: string): Buffer => {
      const file = path.join(dir, name);
      const r = margay(["run", "--nodes", "8", "--cores", "4", "--fanout", "2", "--trace", file, "ring"]);
      expect(r.status).toBe(0);
      expect(r.stdout).toMatch(/^ring: 8 ranks, mean hop \d+ ns\n$/);
      return fs.readFileSync(file);
    };
    const quiet = trace("quiet");
    const busy = [0, 1].map(() => spawn(process.execPath, ["-e", "for (;;) {}"]));
    try {
      expect(trace("busy").equals(quiet)).toBe(true);
    } finally {
      for (const b of busy) b.kill("SIGKILL");
    }
    expect(quiet.length).toBeGreaterThan(10_000);
  });
});

describe("files", () => {
  it("does the same on equal roots, leaves its files in the root and touches nothing else", () => {
    const outside = path.join(dir, "outside");
    fs.writeFileSync(outside, "untouched");
    const names = ["a", "b"];
    const runs = names.map((name) => {
      const root = path.join(dir, name, "root");
      fs.mkdirSync(root, { recursive: true });
      const file = path.join(dir, `${name}.trace`);
      const r = margay(["run", "--nodes", "2", "--root", root, "--trace", file, "files"]);
      expect(r.stderr).not.toMatch(/margay: /);
      expect(r.status).toBe(0);
      return {
        trace: fs.readFileSync(file, "utf8"),
        stdout: r.stdout,
        left: fs.readdirSync(root).sort(),
        beside: fs.readdirSync(path.join(dir, name)),
      };
    });
    // The header contains the command line of the run, including the root; every event is the same.
    const [first, second] = runs.map(({ trace }, i) => {
      const [header, ...events] = trace.split("\n");
      return { header: header!.replaceAll(path.join(dir, names[i]!), "DIR"), events };
    });
    expect(second!.header).toBe(first!.header);
    expect(first!.events.length).toBeGreaterThan(100);
    expect(second!.events.join("\n") === first!.events.join("\n")).toBe(true);
    expect(runs[1]!.stdout).toBe(runs[0]!.stdout);
    expect(runs[0]!.left.length).toBeGreaterThanOrEqual(2);
    expect(runs[0]!.beside).toEqual(["root"]);
    expect(fs.readFileSync(outside, "utf8")).toBe("untouched");
  });
});

describe("exit", () => {
  it("--limit ends with 124", () => {
    const r = margay(["run", "--nodes", "2", "--limit", "100us", "hello"]);
    expect(r.status).toBe(124);
    expect(r.stderr).toMatch(/^margay: .*limit/m);
  });
  it("--help and --version", () => {
    for (const args of [["--help"], ["run", "--help"], ["boot", "--help"], ["build", "--help"], ["--version"]]) {
      const r = margay(args);
      expect(r.status).toBe(0);
      expect(r.stderr).toBe("");
      expect(r.stdout.length).toBeGreaterThan(4);
    }
  });
});
