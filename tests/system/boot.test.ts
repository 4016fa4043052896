/** `margay boot` and `margay build` as a user types them, and Ctrl-C. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compiled, program } from "../compiled.ts";
import { margay, packageRoot, temporaryFolder } from "./command.ts";

const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true }));
const lines = (text: string): string[] => text.split("\n").filter(Boolean);

describe("boot", () => {
  it("prints the console on stdout up to the ready line, and ends when nothing is left to do", () => {
    const r = margay(["boot", "kernel"]);
    expect(r.status).toBe(0);
    expect(lines(r.stdout).at(-1)).toBe("margay: ready nid=1 cpus=1 mem=64 net=up");
    expect(r.stderr).toMatch(/virtual.*wall.*instructions.*MIPS/);
  });
  it("takes cores, memory and a path instead of a recipe's name", () => {
    const r = margay(["boot", path.join(packageRoot, "images/out/kernel.elf"), "--cores", "8", "--mem", "1G"]);
    expect(r.status).toBe(0);
    expect(lines(r.stdout).at(-1)).toBe("margay: ready nid=1 cpus=8 mem=1024 net=up");
  });
  it("takes a module and more of a command line", () => {
    const module = path.join(dir, "module");
    fs.writeFileSync(module, "x".repeat(10_000));
    const r = margay(["boot", "kernel", "--module", module, "--append", "anything=else"]);
    expect(r.status).toBe(0);
    expect(r.stdout).toMatch(/^margay: ready /m);
  });
  it.each([
    ["ready", 0, /^margay: ready /m],
    ["console:processors", 0, /processors/],
    ["sys.enter", 3, /never came/],
    ["core.startup", 0, /./],
    ["irq.eoi", 0, /./],
    ["time:50us", 0, /./],
    ["console:no such text", 3, /never came/],
  ])("--until %s ends with status %i", (event, status, text) => {
    const r = margay(["boot", "kernel", "--cores", "2", "--until", event]);
    expect(r.stdout + r.stderr).toMatch(text);
    expect(r.status).toBe(status);
  });
  it("--limit ends a boot that is not through", () => {
    expect(margay(["boot", "kernel", "--limit", "10us"]).status).toBe(124);
  });
  it("--show prints events to stderr; --trace writes them to a file, twice the same", () => {
    const shown = margay(["boot", "kernel", "--cores", "2", "--show", "core,node.ready"]);
    expect(lines(shown.stderr).filter((l) => /n1\.c1 +core\.(init|startup)/.test(l)).length).toBeGreaterThanOrEqual(2);
    const traces = ["a", "b"].map((name) => {
      const file = path.join(dir, name);
      expect(margay(["boot", "kernel", "--cores", "3", "--trace", file]).status).toBe(0);
      return fs.readFileSync(file, "utf8");
    });
    expect(traces[1]).toBe(traces[0]);
    expect(traces[0]).toMatch(/"console","margay: ready/);
  });
});

describe("build", () => {
  it("writes an image and its map elsewhere, the same bytes as in images/out", () => {
    const r = margay(["build", "init", "--out", dir]);
    expect(r.stderr).toBe("");
    expect(r.status).toBe(0);
    for (const name of ["init.bin", "init.elf", "maps/init.map"])
      expect(
        fs.readFileSync(path.join(dir, name)).equals(fs.readFileSync(path.join(packageRoot, "images/out", name))),
      ).toBe(true);
  });
  it.each([
    ["ir", /func .*init/],
    ["map", /init_entry/],
    ["layout", /JobParameters/],
  ])("--emit %s prints a stage", (stage, text) => {
    const r = margay(["build", "init", "--emit", stage]);
    expect(r.status).toBe(0);
    expect(r.stdout).toMatch(text);
  });
  it("--emit of an unknown stage is refused", () => {
    expect(margay(["build", "init", "--emit", "poetry"])).toMatchObject({ status: 2, stdout: "" });
  });
});

describe("Ctrl-C", () => {
  it("is SIGINT for every rank: the job ends, what it printed is kept, the status is 130", async () => {
    const spin = compiled(program(path.join(packageRoot, "tests/system/programs/spin.ts")));
    fs.writeFileSync(path.join(dir, "spin"), spin, { mode: 0o755 });
    const child = spawn(process.execPath, [
      path.join(packageRoot, "dist/margay.js"),
      "run",
      "--nodes",
      "2",
      "--root",
      dir,
      "/spin",
    ]);
    let stdout = "";
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.stdout.on("data", (text) => {
      stdout += text;
      if (lines(stdout).length === 2) child.kill("SIGINT");
    });
    const status = await new Promise<number | null>((resolve) => child.on("exit", resolve));
    expect(stderr).toMatch(/^margay: SIGINT to the job at [\s\S]*\nmargay: rank 0 on nid 1: ended by SIGINT\n/);
    expect(lines(stdout)).toEqual(["spinning", "spinning"]);
    expect(status).toBe(130);
  });
});
