/** The command line: how a line is split, and that any line causes at most one line of refusal. */
import { describe, expect, it } from "vitest";
import { commands, optionsOf } from "../../emulator/cli/definitions.ts";
import { describeFailure, UserError } from "../../emulator/cli/errors.ts";
import { machineSettings } from "../../emulator/cli/inputs.ts";
import { jobSetup } from "../../emulator/cli/jobsetup.ts";
import { checkMemory } from "../../emulator/cli/memory.ts";
import { type Line, type Parsed, parseLine } from "../../emulator/cli/parse.ts";
import { parseSelection } from "../../emulator/cli/tracing.ts";
import { parseUntil } from "../../emulator/cli/until.ts";
import { Random } from "../fabric/random.ts";

const parse = (...argv: string[]): Parsed => {
  const line = parseLine(argv);
  if (line.kind !== "command") throw new Error(`${line.kind}, no command`);
  return line.parsed;
};
/** The one line that a mistake causes. */
const refusal = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    const { line, status } = describeFailure(error);
    expect([status, line?.includes("internal")], String(line)).toEqual([2, false]);
    return line!;
  }
  return "";
};

describe("a line is split", () => {
  it.each<[string[], Partial<Record<string, string>>, string[]]>([
    [["run", "hello"], {}, ["hello"]],
    [["run", "--nodes", "2", "hello", "--nodes", "3"], { nodes: "2" }, ["hello", "--nodes", "3"]],
    [["run", "--nodes=2", "--label", "hello", "-x"], { nodes: "2", label: "true" }, ["hello", "-x"]],
    [["run", "--nodes", "2", "--", "hello", "--", "x"], { nodes: "2" }, ["hello", "--", "x"]],
    [["run", "--", "--odd"], {}, ["--odd"]],
    [["run", "-n", "2", "hello"], { ranks: "2" }, ["hello"]],
    [["run", "-n2", "hello"], { ranks: "2" }, ["hello"]],
    [["run", "-n=2", "hello"], { ranks: "2" }, ["hello"]],
    [["run", "--append=--a=b", "hello"], { append: "--a=b" }, ["hello"]],
    [["run", "--nodes", "-1", "hello"], { nodes: "-1" }, ["hello"]],
    [["run", "--root=", ""], { root: "" }, [""]],
    [["boot", "kernel", "--cores", "2"], { cores: "2" }, ["kernel"]],
    [["trace", "record", "-o", "a", "ring", "--output", "b"], { output: "a" }, ["ring", "--output", "b"]],
    [["trace", "diff", "a", "--kind", "sys", "b"], { kind: "sys" }, ["a", "b"]],
  ])("%j", (argv, texts, operands) => {
    const parsed = parse(...argv);
    expect([parsed.texts, parsed.operands]).toEqual([texts, operands]);
  });
  it("what may be given again keeps its order", () => {
    expect(parse("run", "--env", "A=1", "--env=B", "--mount", "a:/b", "--env", "A=2", "hello").lists).toEqual({
      env: ["A=1", "B", "A=2"],
      mount: ["a:/b"],
      signal: [],
    });
  });
  it.each<[string[], Partial<Line>]>([
    [[], { kind: "nothing" }],
    [["-V"], { kind: "version" }],
    [["--version"], { kind: "version" }],
    [["-h"], { kind: "help", topic: undefined }],
    [["run", "--help"], { kind: "help", topic: "run" }],
    [["run", "--nodes", "2", "-h", "hello"], { kind: "help", topic: "run" }],
    [["trace", "--help"], { kind: "help", topic: "trace" }],
    [["trace", "show", "--help"], { kind: "help", topic: "trace show" }],
  ])("%j", (argv, line) => expect(parseLine(argv)).toEqual(line));
});

describe("a mistake is one line that names the command's own help", () => {
  // biome-ignore format: a table
  it.each<[string[], string]>([
    [["fly"],                            "margay: no such command: 'fly': there are build, boot, run, debug, trace, syscalls, completion, help"],
    [["-x"],                             "margay: unknown option: '-x': `margay --help` lists the commands"],
    [["run", "--wings", "2", "hello"],   "margay: unknown option: '--wings': `margay run --help` lists the options"],
    [["run", "-w", "hello"],             "margay: unknown option: '-w': `margay run --help` lists the options"],
    [["boot", "--=1", "kernel"],         "margay: unknown option: '--=1': `margay boot --help` lists the options"],
    [["trace", "show", "--wings", "a"],  "margay: unknown option: '--wings': `margay trace show --help` lists the options"],
    [["run", "--nodes"],                 "margay: no value: --nodes: give --nodes N"],
    [["run", "--nodes", "--label", "x"], "margay: no value: --nodes: give --nodes N"],
    [["run", "--hash=no", "hello"],      "margay: --hash takes no value: '--hash=no': `margay run --help` lists the options"],
    [["run", "--nodes=1", "--nodes=2", "x"], "margay: --nodes given twice: '1', '2': give it once"],
    [["run"],                            "margay: no PROGRAM: margay run: give `margay run PROGRAM [ARGS…]`"],
    [["boot", "a", "b"],                 "margay: one argument too many: 'b': `margay boot --help` lists the options"],
    [["trace"],                          "margay: no trace command: margay trace: give record, show, diff, export, events"],
    [["trace", "sing"],                  "margay: no such trace command: 'sing': there are record, show, diff, export, events"],
    [["trace", "diff", "a"],             "margay: no second FILE: margay trace diff: give `margay trace diff A B`"],
    [["run", "a\nb\u001b[31m", "--x\n"].slice(0, 1).concat("--x\n\u001b[31m"), "margay: unknown option: '--x\\n\\x1b[31m': `margay run --help` lists the options"],
  ])("%j", (argv, line) => expect(refusal(() => parseLine(argv))).toBe(line));
});

describe("the job's side", () => {
  const setup = (...argv: string[]): ReturnType<typeof jobSetup> =>
    jobSetup(parse("run", ...argv), { HERE: "value", EMPTY: "" });
  const placed = (line: string): ReturnType<typeof jobSetup>["placement"] =>
    setup(...line.split(" "), "hello").placement;
  it("a rank a node, on the first nodes, with all their cores", () => {
    expect(setup("hello").placement).toEqual({ nids: [1, 2, 3, 4] });
    expect(placed("--nodes 8 -n 3")).toEqual({ nids: [1, 2, 3] });
  });
  it("more ranks than nodes are spread as equally as possible, in blocks or in turn", () => {
    const cores = [0b11n, 0b1100n];
    expect(placed("--nodes 2 --cores 4 -n 4")).toEqual({ nids: [1, 1, 2, 2], coresOfRank: [...cores, ...cores] });
    expect(placed("--nodes 4 --cores 2 -n 6").nids).toEqual([1, 1, 2, 2, 3, 4]);
    const cyclic = placed("--nodes 4 --cores 2 -n 6 --distribution cyclic");
    expect(cyclic).toEqual({ nids: [1, 2, 3, 4, 1, 2], coresOfRank: [1n, 1n, 1n, 1n, 2n, 2n] });
  });
  it("--tasks-per-node fills the nodes one after the other", () => {
    expect(placed("--nodes 2 --cores 4 --tasks-per-node 4").nids).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
    expect(placed("--nodes 3 --cores 3 --tasks-per-node 3 -n 5").nids).toEqual([1, 1, 1, 2, 2]);
    expect(placed("--nodes 1 --cores 64 --tasks-per-node 64").coresOfRank?.at(-1)).toBe(1n << 63n);
  });
  it("cores by number or by list", () => {
    expect(placed("--nodes 1 --cores 8 --tasks-per-node 3").coresOfRank).toEqual([0b11n, 0b1100n, 0b110000n]);
    expect(placed("--nodes 1 --cores 8 --tasks-per-node 2 --cores-per-task 1").coresOfRank).toEqual([1n, 2n]);
    expect(placed("--nodes 2 --cores 8 --cores-per-task 3").coresOfRank).toEqual([7n, 7n]);
    expect(placed("--nodes 1 --cores 8 -n 2 --bind 7,1-2:0")).toEqual({ nids: [1, 1], coresOfRank: [0x86n, 1n] });
    expect(placed("--nodes 1 --cores 8 -n 1 --bind 7:0").coresOfRank).toEqual([0x80n]);
  });
  // biome-ignore format: a table
  it.each([
    ["-n 300", "bad --ranks: 300 ranks on 4 nodes, a node has one core for each at most: give --nodes 5 too"],
    ["-n 9 --tasks-per-node 2", "bad --ranks: 9 ranks on 4 nodes, 2 on each: give --nodes 5 too"],
    ["-n 5000", "bad --ranks: '5000': give a whole number from 1 to 4096"],
    ["-n 0", "bad --ranks: '0': give a whole number from 1 to 4096"],
    ["--tasks-per-node 65", "bad --tasks-per-node: '65': give a whole number from 1 to 64"],
    ["--nodes 256 --cores 64 --tasks-per-node 64", "bad --ranks: 16384 ranks: give at most 4096"],
    ["-n 5 --nodes 1", "too many tasks: 5 tasks on a node of 2 cores: give --cores 5"],
    ["-n 2 --nodes 1 --cores 4 --cores-per-task 3", "bad --cores-per-task: 2 tasks of 3 cores on a node of 4: give --cores 6"],
    ["--cores-per-task 65", "bad --cores-per-task: '65': give a whole number from 1 to 64"],
    ["--nodes 1 --cores 64 -n 2 --cores-per-task 33", "bad --cores-per-task: 2 tasks of 33 cores on a node of 64: give at most 32"],
    ["--bind 0 --cores-per-task 1", "bad --bind: with --cores-per-task: give one of them"],
    ["--bind 0-1:1 -n 2 --nodes 1", "bad --bind: '0-1:1': core 1 is in lists 0 and 1: give disjoint lists of cores, one for each task of a node, as 0-1:2,4"],
    ["--bind 0,0", "bad --bind: '0,0': core 0 is in a list twice: give disjoint lists of cores, one for each task of a node, as 0-1:2,4"],
    ["--bind 2", "bad --bind: '2': there is no core 2: a node has cores 0 to 1: see --cores"],
    ["--bind 1-0", "bad --bind: '1-0': 1-0 descends: give disjoint lists of cores, one for each task of a node, as 0-1:2,4"],
    ["--bind 0: --nodes 1", "bad --bind: '0:': '' is no core: give disjoint lists of cores, one for each task of a node, as 0-1:2,4"],
    ["--bind 0 -n 2 --nodes 1", "bad --bind: '0': 1 lists for 2 tasks on a node: give a list for each task, joined by ':'"],
    ["--distribution plane", "bad --distribution: 'plane': give block or cyclic"],
  ])("%s is refused", (line, text) => expect(refusal(() => placed(line))).toBe(`margay: ${text}`));

  const mapped = (map: string, ...more: string[]): ReturnType<typeof jobSetup> =>
    setup("--cores", "8", "--map", map, ...more);
  it("a command for each range of ranks", () => {
    expect(mapped("0-3=a,4-7=b")).toMatchObject({
      commands: [["a"], ["b"]],
      programOfRank: [0, 0, 0, 0, 1, 1, 1, 1],
      placement: { nids: [1, 1, 2, 2, 3, 3, 4, 4] },
    });
    expect(mapped('1,3=b \'x y\' "q\\"" \\  z=1,x,0,2=/bin/a -v', "-n", "4")).toMatchObject({
      commands: [
        ["b", "x y", 'q"', " ", "z=1,x"],
        ["/bin/a", "-v"],
      ],
      programOfRank: [1, 0, 1, 0],
    });
  });
  // biome-ignore format: a table
  it.each([
    ["", "''"],
    ["a", "'a'"],
    ["0=", "ranks 0 have no program"],
    ["0=  ", "ranks 0 have no program"],
    ["0=a,2=b", "rank 1 has no program: name every rank from 0 on"],
    ["0-1=a,1=b", "rank 1 has two programs: give each rank one"],
    ["3-1=a", "ranks 3-1: give ascending ranks below 4096"],
    ["0-9999999=a", "ranks 0-9999999: give ascending ranks below 4096"],
    ["0=a 'x", "'a 'x': a quote is not closed: close it, or write \\' or \\\""],
  ])("--map %j is refused", (map, text) => expect(refusal(() => mapped(map))).toContain(`margay: bad --map: ${text}`));
  it("--map stands for PROGRAM and --ranks", () => {
    expect(refusal(() => mapped("0=a", "hello"))).toBe("margay: PROGRAM with --map: 'hello': give one of them");
    expect(refusal(() => mapped("0=a", "-n", "2"))).toBe(
      "margay: bad --map: it names 1 ranks, --ranks 2: leave out --ranks",
    );
    expect(refusal(() => setup("--nodes", "1"))).toMatch(/^margay: no PROGRAM: margay run: /);
  });
  it("variables: set, passed on, set again", () => {
    expect(setup("hello").envp).toEqual([]);
    expect(
      setup("--env", "A=1=2", "--env", "HERE", "--env", "EMPTY", "--env", "B=", "--env", "A=3", "hello").envp,
    ).toEqual(["A=3", "HERE=value", "EMPTY=", "B="]);
    expect(refusal(() => setup("--env", "GONE", "hello"))).toBe(
      "margay: bad --env: 'GONE' is not set here: give GONE=VALUE",
    );
    expect(refusal(() => setup("--env", "=x", "hello"))).toMatch(/^margay: bad --env: '=x': give NAME=VALUE/);
  });
  it("what the program's stack does not hold is refused with the figures", () => {
    const many = Array.from({ length: 200_000 }, (_, i) => `${i}`);
    const line = parseLine(["run", "hello", ...many]);
    expect(refusal(() => line.kind === "command" && jobSetup(line.parsed, {}))).toMatch(
      /^margay: arguments too long: 200001 arguments and 0 variables take \d+ bytes of the stack \(errno 7, E2BIG\): give at most \d+, or/,
    );
    expect(refusal(() => setup("--env", `A=${"x".repeat(2 ** 21)}`, "hello"))).toMatch(
      /^margay: arguments too long: 1 arg/,
    );
    expect(setup("hello", "x".repeat(2 ** 20)).commands[0]).toHaveLength(2);
  });
});

describe("memory", () => {
  const gb = 2 ** 30;
  it("what does not fit is refused with the figures", () => {
    expect(refusal(() => checkMemory(256, { cores: 64, memBytes: 3 * gb }, 16 * gb))).toMatch(
      /^margay: not enough memory: 256 × 3G of RAM and \d+\.\d GB for 16384 cores are \d+\.\d GB, this host has 16\.0 GB free: give fewer/,
    );
    checkMemory(4, { cores: 2, memBytes: 64 << 20 }, gb);
    expect(refusal(() => checkMemory(4, { cores: 2, memBytes: 64 << 20 }, gb / 4))).toMatch(
      /^margay: not enough memory: /,
    );
  });
});

describe("no line makes more than one line", () => {
  /** All checks of a parsed line that need no files. */
  const check = (line: Line): void => {
    if (line.kind !== "command") return;
    const { command, texts } = line.parsed;
    if (["run", "boot", "trace record"].includes(command.name)) {
      machineSettings(texts, 1);
      parseSelection(texts, "show");
      if (texts["until"] !== undefined) parseUntil(texts["until"]);
    }
    if (command.name === "run" || command.name === "trace record") jobSetup(line.parsed, {});
    if (command.name.startsWith("trace ") && command.name !== "trace record") parseSelection(texts, "kind");
  };
  // biome-ignore format: a table
  const values = [
    "", " ", "0", "-1", "1", "2", "64", "65", "257", "1e3", "NaN", "Infinity", "-Infinity", "0x10", "0xzz", "1.5", "99999999999999999999", "1M", "64M", "64m", "3G",
    "4G", "1T", "64MB", "10ms", "1us", "0ns", "-5us", "5", "1h", "90s", "1:30", ":", "=", ",", "--", "-", "a=b", "=b", "1,2", "1-4", "4-1", "n1", "c0", "sys,irq",
    "drop=1%", "drop=101%", "drop=", "cut=2:1ms", "cut=x", "ready", "time:", "time:1ms", "console:", "\n", "a\nb", "\u001b[31m", "\u0000x", "ü", "💥", "\ud800", "../..",
    "/", "x".repeat(5000), "%s%n", "`id`", "$(id)", "'", "\"", "\\n", "\\q", "__proto__", "constructor", "toString",
  ];
  const words = commands.flatMap((c) => c.name.split(" "));
  const names = [...new Set(commands.flatMap((c) => optionsOf(c).map((o) => `--${o.name}`)))];

  it("every option with every odd value, inline and apart, and twice", () => {
    let refused = 0;
    for (const command of commands)
      for (const { name } of optionsOf(command))
        for (const value of values)
          for (const form of [
            [`--${name}=${value}`],
            [`--${name}`, value],
            [`--${name}=${value}`, `--${name}`, value],
          ]) {
            const argv = [...command.name.split(" "), ...form, "hello", "b"];
            const line = refusal(() => check(parseLine(argv)));
            if (line !== "") refused++;
            expect(line.split("\n").length, JSON.stringify(argv)).toBe(1);
            expect(line === "" || /^margay: [^\p{Cc}]+$/u.test(line), JSON.stringify(argv)).toBe(true);
          }
    expect(refused).toBeGreaterThan(3000);
  });
  it("random lines", () => {
    for (let seed = 1; seed <= 5000; seed++) {
      const random = new Random(seed);
      const pick = (list: readonly string[]): string => list[random.below(list.length)]!;
      const argv = random.chance(90) ? pick(commands.map((c) => c.name)).split(" ") : [];
      for (let n = random.below(7); n > 0; n--) {
        const name = random.chance(20) ? pick(values) : pick(names);
        argv.push(
          random.chance(50)
            ? name
            : random.chance(50)
              ? `${name}=${pick(values)}`
              : pick([...values, ...words, "-n", "-o", "-h", "-n5", "-"]),
        );
      }
      const line = refusal(() => check(parseLine(argv)));
      expect(line === "" || /^margay: [^\p{Cc}]+$/u.test(line), `seed ${seed}: ${JSON.stringify(argv)}`).toBe(true);
    }
  });
});

describe("failures that are no user's mistake", () => {
  it("never print a stack, and have their own status", () => {
    expect(describeFailure(new TypeError("x is undefined\n at y"))).toEqual({
      line: "margay: internal error: TypeError: x is undefined\\n at y: please report it with the command line (MARGAY_STACK=1 shows where)",
      status: 70,
    });
    const host = Object.assign(new Error("EMFILE"), { code: "EMFILE", syscall: "open", path: "/a" });
    expect(describeFailure(host)).toEqual({
      line: "margay: /a: too many open files: the host refused open",
      status: 74,
    });
    expect(describeFailure(new RangeError("Array buffer allocation failed")).status).toBe(2);
    expect(describeFailure("text").line).toMatch(/^margay: internal error: text: /);
    expect(describeFailure(undefined).status).toBe(70);
    expect(describeFailure(new UserError("a", "b\u0085\u2028c", "x".repeat(3000))).line).toHaveLength(1000);
  });
});
