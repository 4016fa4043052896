/** `margay trace` as a user types it: files, exit statuses, one line for each mistake. */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseNumbers } from "../../emulator/trace/select.ts";
import { margay, packageRoot, type Result, temporaryFolder } from "../system/command.ts";

const cwd = temporaryFolder();
afterAll(() => fs.rmSync(cwd, { recursive: true }));
const run = (...args: string[]): Result => margay(["trace", ...args], { cwd });
const at = (name: string): string => path.join(cwd, name);
const record = (name: string, ...more: string[]): Result =>
  run("record", "--nodes", "2", "--cores", "1", "--output", name, ...more, "hello");

describe("record, show, diff, export", () => {
  const first = record("a.trace");
  const again = record("again.trace");
  const other = record("b.trace", "--seed", "4", "--faults", "drop=5%");
  const third = record("c.trace", "--seed", "5", "--faults", "drop=5%");

  it("a recorded run is the run, and the same line gives the same bytes", () => {
    expect([first.status, again.status, other.status, third.status], first.stderr).toEqual([0, 0, 0, 0]);
    expect(first.stdout).toBe(margay(["run", "--nodes", "2", "--cores", "1", "hello"]).stdout);
    expect(fs.readFileSync(at("again.trace"), "utf8")).toBe(fs.readFileSync(at("a.trace"), "utf8"));
  });
  it("the header makes the same run again", () => {
    const header = JSON.parse(fs.readFileSync(at("a.trace"), "utf8").split("\n")[0]!) as {
      command: string[];
      images: { file: string }[];
    };
    expect(header.command).toEqual(["run", "--nodes", "2", "--cores", "1", "hello"]);
    expect(header.images.map((i) => i.file)).toEqual([
      "images/out/kernel.elf",
      "images/out/init.elf",
      "images/out/bin/hello",
    ]);
    const file = at("full.trace");
    margay([...header.command.slice(0, -1), "--trace", file, "hello"], { strict: false });
    expect(fs.readFileSync(file, "utf8"), "run --trace and trace record write the same file").toBe(
      fs.readFileSync(at("a.trace"), "utf8"),
    );
  });
  it("a file of run --trace or boot --trace can be shown, compared and exported", () => {
    expect(
      margay(["run", "--nodes", "2", "--cores", "1", "--trace", "r.trace", "hello"], { cwd, strict: false }).status,
    ).toBe(0);
    expect(margay(["boot", "--trace", "k.trace", "kernel"], { cwd }).status).toBe(0);
    expect(run("diff", "a.trace", "r.trace")).toEqual({ status: 0, stdout: "", stderr: "" });
    for (const name of ["r.trace", "k.trace"]) {
      expect(run("show", "--kind", "console", name).stdout).toMatch(/console +line="margay: ready nid=1/);
      expect(run("diff", name, name).status).toBe(0);
      expect(run("export", "--perfetto", "x.json", name).status).toBe(0);
    }
    expect(run("diff", "r.trace", "k.trace").status).toBe(1);
  });
  it("what was shown on stderr is what the file shows", () => {
    const line = ["run", "--nodes", "2", "--cores", "1", "--show", "job,msg"];
    const shown = margay([...line, "hello"], { strict: false })
      .stderr.split("\n")
      .filter((l) => /^ *\d+ n\d/.test(l));
    margay([...line, "--trace", at("s.trace"), "hello"], { strict: false });
    expect(run("show", "s.trace").stdout.trimEnd().split("\n")).toEqual(shown);
  });
  it("show selects by kind, node, core and time", () => {
    const { stdout, status } = run(
      "show",
      "--kind",
      "sys,msg.send",
      "--node",
      "1",
      "--core",
      "0",
      "--from",
      "500us",
      "--to",
      "900us",
      "a.trace",
    );
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(10);
    for (const line of lines) {
      const [, time, place, kind] = /^ *(\d+) (\S+) +(\S+)/.exec(line)!;
      expect([place, kind!.replace("sys.enter", "sys").replace("sys.exit", "sys")]).toEqual([
        "n1.c0",
        expect.stringMatching(/^(sys|msg\.send)$/),
      ]);
      expect(Number(time)).toBeGreaterThanOrEqual(500_000);
      expect(Number(time)).toBeLessThan(900_000);
    }
    expect(stdout).toMatch(/sys\.enter +mmap addr=0x0 length=\d+ prot=READ\|WRITE\n/);
    expect(stdout).toMatch(/sys\.enter +open path=0x7\w+(<\S+>)? flags=RDONLY/);
  });
  it("show --format golden has no times", () => {
    const { stdout } = run("show", "--kind", "job", "--format", "golden", "a.trace");
    expect(stdout).toMatch(
      /^# trace v1 image=hello nodes=2 cores=1 seed=0 show=job\nn1\.c0 job\.load {6}job=1 from=n0 user=1000 bytes=\w+\n/,
    );
    expect(stdout).toMatch(/\n\nn2\.c0 job\.load/);
  });
  it.each([
    ["show", "--node", "60"],
    ["show", "--kind", "nmi.deliver"],
  ])("%s %s %s: filters that leave nothing say so", (command, option, value) => {
    const { status, stderr } = run(command, option, value, "a.trace");
    expect(stderr).toMatch(/^margay: a\.trace: none of its \d+ events is selected by [^\n]*\n$/);
    expect(status).toBe(0);
  });
  it("diff: nothing and 0 where they are equal, the first divergence and 1 where not", () => {
    expect(run("diff", "a.trace", "again.trace")).toEqual({ status: 0, stdout: "", stderr: "" });
    const exact = run("diff", "a.trace", "b.trace");
    expect(exact.status).toBe(1);
    expect(exact.stdout).toMatch(/^first divergence: event \d+: .* on n\d.* at \d+.* ns\n/);
    expect(exact.stdout).toMatch(/\na\.trace:\n> +\d+ n\d.*\n(.*\n)*b\.trace:\n> +\d+ n\d/);
    expect(exact.stdout).toMatch(/the runs differ in:\n {2}seed: 0 \| 4\n {2}command: /);
    expect(run("diff", "--ignore", "time", "a.trace", "b.trace").stdout).toMatch(
      /^first divergence: event \d+ of what n\d/,
    );
    expect(run("diff", "--kind", "node", "a.trace", "b.trace").status).toBe(0);
    // Two seeds of the same faults; a frame is dropped in only one of them.
    const seeds = run("diff", "--context", "1", "b.trace", "c.trace");
    expect(seeds.status).toBe(1);
    expect(seeds.stdout).toMatch(/^first divergence: event \d+: .*link\.fault.* on n\d/);
    expect(seeds.stdout).toMatch(/^> +\d+ n\d +link\.fault +text="drop: to n\d, /m);
  });
  it("export writes what it says", () => {
    expect(run("export", "--perfetto", "a.json", "a.trace")).toEqual({ status: 0, stdout: "", stderr: "" });
    const { traceEvents, otherData } = JSON.parse(fs.readFileSync(at("a.json"), "utf8")) as {
      traceEvents: { ph: string }[];
      otherData: unknown;
    };
    expect(traceEvents.length).toBeGreaterThan(300);
    expect(otherData).toMatchObject({ command: "margay run --nodes 2 --cores 1 hello", nodes: 2 });
  });
  it("says so where the images are others by now, and goes on without symbols", () => {
    const text = fs
      .readFileSync(at("a.trace"), "utf8")
      .replace(/"sha256":"[0-9a-f]{64}"/g, `"sha256":"${"0".repeat(64)}"`);
    fs.writeFileSync(at("old.trace"), text);
    const r = run("show", "--kind", "job", "old.trace");
    expect(r.status).toBe(0);
    expect(r.stderr).toContain(
      "margay: symbols of the kernel: images/out/kernel.elf: not the one that was traced: addresses stay numbers\n",
    );
  });
});

describe("instructions", () => {
  it("run --show insn prints each with symbol and line, and changes nothing", () => {
    const line = ["run", "--nodes", "1", "--cores", "1", "--hash"];
    const plain = margay([...line, "hello"]);
    const shown = margay([...line, "--show", "insn", "--core", "0", "--from", "100us", "--to", "100200ns", "hello"]);
    expect(shown.stdout).toBe(plain.stdout);
    const hash = /^state hash .*$/m;
    expect(hash.exec(shown.stderr)?.[0]).toBe(hash.exec(plain.stderr)![0]);
    const insns = shown.stderr.split("\n").filter((l) => / insn /.test(l));
    expect(insns).toHaveLength(200);
    expect(insns.every((l) => /^ +100\d{3} n1\.c0 +insn +0xffffffff8\w+<\S+> .*/.test(l))).toBe(true);
    expect(insns.some((l) => / {2}; (kernel|toolchain)\/\S+\.ts:\d+$/.test(l))).toBe(true);
  });
  it("a file of instructions is decoded when it is shown", () => {
    expect(record("i.trace", "--show", "insn,console", "--node", "1", "--to", "50ns").status).toBe(0);
    const { stdout } = run("show", "i.trace");
    expect(stdout.split("\n")[0]).toMatch(
      /^ +0 n1\.c0 +insn +0x10\w+<pvh_entry> \[32\] cli {2}; kernel\/boot\/pvh\.ts:\d+$/,
    );
    expect(stdout.trimEnd().split("\n")).toHaveLength(50);
  });
});

describe("mistakes are one line, status 2", () => {
  fs.writeFileSync(at("garbage.trace"), "garbage\n");
  fs.writeFileSync(
    at("cut.trace"),
    `${JSON.stringify({ margayTrace: 1, command: [], image: "x", nodes: 1, cores: 1, seed: 0, show: "all", images: [] })}\n`,
  );
  // biome-ignore format: a table
  it.each<[string[], RegExp]>([
    [[],                                                 /^margay: no trace command: margay trace: give record, show, diff, export, events$/m],
    [["sing"],                                           /^margay: .*sing/],
    [["record"],                                         /^margay: no PROGRAM: margay trace record: give `margay trace record PROGRAM \[ARGS…\]`/],
    [["record", "nosuchjob"],                            /^margay: no built-in job: nosuchjob: /],
    [["record", "--output", "no/such/a.trace", "hello"], /^margay: bad --output: no\/such\/a.trace: no such file: /],
    [["record", "--to", "1ms", "--from", "2ms", "hello"], /^margay: bad --to: '1ms': give a time after --from/],
    [["show"],                                           /^margay: no FILE: margay trace show: give /],
    [["show", "missing.trace"],                          /^margay: trace: missing.trace: no such file: /],
    [["show", "."],                                      /^margay: trace: \.: is a directory: /],
    [["show", "garbage.trace"],                          /^margay: bad trace: garbage.trace: no trace file: it has no header: record it again/],
    [["show", "cut.trace"],                              /^margay: bad trace: cut.trace: cut short behind line 1: /],
    [["diff", "cut.trace", "cut.trace"],                 /^margay: bad trace: cut.trace: cut short behind line 1/],
    [["export", "--perfetto", "x.json", "cut.trace"],    /^margay: bad trace: cut.trace: /],
    [["export", "cut.trace"],                            /^margay: missing option: --perfetto: give --perfetto FILE/],
    [["show", "--kind", "foo", "cut.trace"],             /^margay: bad --kind: no event or group 'foo': /],
    [["show", "--kind", "", "cut.trace"],                /^margay: bad --kind: no event is named/],
    [["show", "--node", "x", "cut.trace"],               /^margay: bad --node: 'x': give numbers up to 256, as 1, n2 or 1,4-7/],
    [["show", "--core", "64", "cut.trace"],              /^margay: bad --core: '64'/],
    [["show", "--from", "soon", "cut.trace"],            /^margay: bad --from: 'soon': give a virtual time/],
    [["show", "--format", "xml", "cut.trace"],           /^margay: bad --format: 'xml': give full or golden/],
    [["diff", "--ignore", "core", "cut.trace", "cut.trace"], /^margay: bad --ignore: 'core': give time/],
    [["diff", "--context", "x", "cut.trace", "cut.trace"], /^margay: bad --context: 'x'/],
  ])("%j", (args, line) => {
    const r = run(...args);
    expect(r.stderr).toMatch(line);
    expect(r.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect([r.status, r.stdout]).toEqual([2, ""]);
  });
});

it("--help has examples, and the catalogue is printed", () => {
  expect(run("export", "--help").stdout).toMatch(/margay trace export --perfetto a\.json a\.trace/);
  expect(run("--help").stdout).toMatch(/^ {2}trace export FILE /m);
  expect(run("record", "--help").stdout).toMatch(/--output.*\n(.*\n)*.*--faults/);
  expect(run("events").stdout).toBe(fs.readFileSync(path.join(packageRoot, "emulator/trace/EVENTS.md"), "utf8"));
});

it("lists of nodes and cores", () => {
  expect([...parseNumbers("1,n4-6", "n")!]).toEqual([1, 4, 5, 6]);
  for (const text of ["", "a", "3-1", "1,", "-1", "c1"]) expect(parseNumbers(text, "n")).toBeUndefined();
});
