/**
 * DEBUGGING.md is correct: its session is read from the page and executed by a real gdb, command by command. No command
 * may fail, and each output line on the page must appear, in order, apart from numbers. Whatever else the page shows
 * as code is executed in a second session, or by another test, or is no command: a new one must be entered here.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { margay, packageRoot, temporaryFolder } from "../system/command.ts";
import { gdbVersion } from "./serve.ts";

/**
 * Executed on two nodes that run hello, where rank 0 is in exit_group: what the page shows as code, with its output.
 */
const inSession: Readonly<Record<string, readonly [command: string, shows: RegExp]>> = {
  "info inferiors": ["info inferiors", /\* 1 +process 1 [\s\S]* 2 +process 2 /],
  "inferior 2": ["inferior 2", /Switching to inferior 2 \[process 2\]/],
  "thread 2.1": ["thread 2.1", /Switching to thread 2\.1/],
  "info threads": ["info threads", /n1\.c0 kernel exitGroup for hello rank 0"[\s\S]*\* 2\.1 [\s\S]*n2\.c1 idle"/],
  "break FILE.ts:LINE": [
    "break kernel/syscall/process.ts:42",
    /Breakpoint \d+ at 0xffffffff80[0-9a-f]+: .*2 locations/,
  ],
  "info breakpoints": ["info breakpoints", /\n(\d+)\.1 +y .* inf 1\n\1\.2 +y .* inf 2\n/],
  "disable 1.2": ['eval "disable %d.2", $bpnum', /^$/],
  delete: ["delete", /^$/],
  x: ["x/2i $pc", /=> 0x[0-9a-f]+ <.*>:\t.*\n +0x/],
  "p $cr3": ["p/x $cr3", /= 0x[0-9a-f]+000\n/],
  "info all-registers": ["info all-registers", /st0 [\s\S]*mxcsr [\s\S]*cr0 [\s\S]*efer [\s\S]*idtr_limit/],
  "monitor help": ["monitor help", /\bflight\b[\s\S]*\brwatch\b/],
  "monitor tlb stale": ["monitor tlb stale", /n2\.c0: \d+ entries, 0 stale/],
  "monitor pt ADDRESS": ['eval "monitor pt %#lx", $rip', /PML4E[\s\S]*physical 0x[0-9a-f]+ in a /],
  "monitor break physical ADDRESS": ["monitor break physical 0x107000", /n2: break \d+ at physical 0x107000/],
  "monitor break space CR3 ADDRESS": [
    'eval "monitor break space %#lx %#lx", $cr3, $rip',
    /n2: break \d+ at 0x[0-9a-f]+ in space 0x[0-9a-f]+/,
  ],
  "monitor break any ADDRESS": ["monitor break any 0x400000", /n2: break \d+ at 0x400000 in every space/],
  "monitor watch physical": ["monitor watch physical 0x3000 16", /n2: watch \d+ at physical 0x3000/],
  "monitor rwatch physical": ["monitor rwatch physical 0x3000", /n2: rwatch \d+ at physical 0x3000/],
  awatch: ["monitor awatch physical 0x3000", /n2: awatch \d+ at physical 0x3000/],
  break: ["monitor break", /n2 +(\d+) +break +physical 0x107000\n/],
  nodes: ["monitor nodes", /n1 +ready [\s\S]*n2 +ready/],
  time: ["monitor time", /machine: [\d,]+ ns[\s\S]*n2\.c1/],
  "lapic [CORE]": ["monitor lapic 1", /^n2\.c1: enabled/m],
  ioapic: ["monitor ioapic", /IRQ_VIRTIO7/],
  "idt [VECTOR]": ["monitor idt 14", /0x0e #PF: interrupt gate/],
  gdt: ["monitor gdt", /KERNEL_CODE in cs/],
  "tlb [CORE] [stale]": ["monitor tlb 0 stale", /n2\.c0: \d+ entries/],
  "pt ADDRESS": ["monitor pt 0x400000", /PML4E\[0\]/],
  tasks: ["monitor tasks", /1 of 2 +1000 +running/],
  "job [ID]": ["monitor job 1", /n1 pid 1[\s\S]*n2 pid 1/],
  messages: ["monitor messages", /n2's peers:/],
  "flight [COUNT]": ["monitor flight 2", /(?:.*n2\.c0.*\n){2}/],
  "trace on [LIST]": ["monitor trace on sys", /trace: on, sys/],
  "trace off": ["monitor trace off", /trace: off/],
  "set scheduler-locking on": ["set scheduler-locking on", /^$/],
  "set schedule-multiple on": ["show schedule-multiple", /is on\./],
  $_siginfo: ["print $_siginfo", /./],
  "print findTask(1)->pid": ["print findTask(1)->pid", /= 1\n|is in user mode|is halted/],
  detach: ["detach inferiors 1 2", /Inferior 1 \(process 1\) detached[\s\S]*Inferior 2/],
};
/** Executed by another test, which contains the text. */
const elsewhere: Readonly<Record<string, readonly [test: string, text: string]>> = {
  "break FUNCTION": ["session", "break lap"],
  "set var": ["commands", "set var tokens.leaving"],
  "catch syscall": ["job", "catch syscall nanosleep"],
  "info proc": ["job", '"info proc"'],
  mappings: ["job", "info proc mappings"],
  stat: ["job", "info proc stat"],
  status: ["job", "info proc status"],
  "generate-core-file": ["job", "generate-core-file"],
  "received signal SIGSEGV": ["job", "received signal SIGSEGV"],
  "margay run --gdb-job PORT|SOCKET PROGRAM": ["job", '"--gdb-job"'],
  "margay run --core-dir DIR PROGRAM": ["core", '"--core-dir"'],
  "DIR/core.rank0": ["core", '"core.rank0"'],
  kill: ["commands", '"kill"'],
  run: ["commands", '"run"'],
  "jump *ADDRESS": ["commands", '"jump *$_"'],
  bt: ["lldb", '"bt"'],
  "target extended-remote :1234": ["attach", "target extended-remote ${"],
  "gdb -x": ["waiting", '"gdb -x"'],
  "--strict": ["session", '"--strict"'],
  ".vscode/launch.json": ["mi", ".vscode/launch.json"],
};
/** No commands: names, places, what gdb prints; and fragments of commands that stand elsewhere on the page. */
const noCommands = [
  ...["n2.c1 user hello rank 1", "n1.c0 kernel write for hello rank 0", "n1.c1 idle", "n1.c3 not started"],
  ...["irq", "kernel/arch/trap.ts", "do_irq", "requestInterrupt", "<signal handler called>", "munmap", "syscallEntry"],
  ...["kernel/abi/jobdebug.ts", "kernel/abi/syscalls.ts", "<optimized out>", "bootEntry64", "hello"],
  ...['"debug.allowBreakpointsEverywhere": true', ".vscode/settings.json", ".vscode/tasks.json"],
  "--append tlb_ipi=off",
  // gdb's own limits.
  ...["jump LINE", "frame function NAME"],
  // In the script that starts each session of two nodes (emulator/cli/gdbscript.ts).
  ...["add-inferior", "attach 2"],
  // The benchmark has no test of its own.
  "make bench ONLY=jobdebug",
];

const page = fs.readFileSync(path.join(packageRoot, "emulator/gdb/DEBUGGING.md"), "utf8");
const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

interface Step {
  readonly command: string;
  readonly shown: string[];
}
function session(): { args: readonly string[]; steps: readonly Step[] } {
  let args: readonly string[] = [];
  const steps: Step[] = [];
  for (const [, block] of page.matchAll(/```\n([\s\S]*?)```/g)) {
    if (!block!.includes("(gdb) ")) continue;
    for (const line of block!.split("\n")) {
      const started = /^\$ margay debug (.*)$/.exec(line);
      if (started !== null) args = started[1]!.split(" ");
      else if (line.startsWith("(gdb) ")) steps.push({ command: line.slice(6), shown: [] });
      else if (line.trim() !== "") steps.at(-1)!.shown.push(line);
    }
  }
  return { args, steps };
}
/**
 * Addresses, lines and times change with every build, and with them whether an interrupt comes between two lines: gdb
 * shows a frame's address only where it is not the start of one.
 */
const plain = (text: string): string =>
  text
    .replace(/0x[0-9a-f]+ in /g, "")
    .replace(/0x[0-9a-f]+|\d+/g, "#")
    .replace(/\s+/g, " ")
    .trim();

/** Code spans of the text, without blocks. */
function spans(): string[] {
  const text = page.replace(/```[\s\S]*?```/g, "");
  return [...new Set([...text.matchAll(/`([^`]+)`/g)].map(([, span]) => span!.replace(/\s+/g, " ")))];
}
it("everything that the page shows as code is executed, or is no command", () => {
  const executed = session().steps.map(({ command }) => command);
  const isExecuted = (span: string): boolean => executed.some((c) => c === span || c.startsWith(`${span} `));
  const unknown = spans().filter(
    (span) => !(span in inSession) && !(span in elsewhere) && !noCommands.includes(span) && !isExecuted(span),
  );
  expect(unknown).toEqual([]);
  for (const [span, [test, text]] of Object.entries(elsewhere)) {
    expect(spans(), span).toContain(span);
    const file = ["", ".test"].map((end) => path.join(packageRoot, `tests/gdb/${test}${end}.ts`)).find(fs.existsSync)!;
    expect(fs.readFileSync(file, "utf8"), span).toContain(text);
  }
  const blocks = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, block]) => JSON.parse(block!) as unknown);
  const launch = JSON.parse(fs.readFileSync(path.join(packageRoot, ".vscode/launch.json"), "utf8")) as {
    configurations: unknown[];
  };
  expect(launch.configurations).toEqual(blocks);
});

it("commands that the page names outside of its session", (context) => {
  if (gdbVersion() === undefined) context.skip("no gdb on this host");
  const steps = Object.entries(inSession);
  const file = path.join(folder, "named.gdb");
  fs.writeFileSync(
    file,
    [
      ...["set width 0", "set height 0", "set confirm off", "tbreak exitGroup if $cs == 8", "continue"],
      ...steps.flatMap(([, [command]], i) => [`echo \\n@@${i}\\n`, `shell echo '@@${i}' >&2`, command]),
      "echo \\n@@end\\n",
      "shell echo '@@end' >&2",
      "",
    ].join("\n"),
  );
  const { stdout, stderr, status } = margay(["debug", "--batch", "--script", file, "run", "--nodes", "2", "hello"]);
  const parts = (text: string): string[] => text.split(/^@@(?:\d+|end)\n/m).slice(1);
  const [out, err] = [parts(stdout), parts(stderr)];
  expect(out.length, `the script ended early:\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`).toBe(steps.length + 1);
  for (const [i, [span, [command, shows]]] of steps.entries()) {
    const told = `${out[i]!.trim()}\n${err[i] ?? ""}`.replace(/^\n+$/, "");
    expect(told, `${span}: ${command}`).toMatch(shows);
    expect(told, `${span}: ${command}`).not.toMatch(/^(Error|No symbol|Undefined|Cannot|warning)|usage:/m);
  }
  expect(status).toBe(0);
});

it("the page's session, and every command in it", (context) => {
  if (gdbVersion() === undefined) context.skip("no gdb on this host");
  const { args, steps } = session();
  expect(args).toContain("shootdown");
  expect(steps.length).toBeGreaterThan(40);
  const table = page.slice(page.indexOf("## monitor"), page.indexOf("## Things to know"));
  const named = [...table.matchAll(/`([a-z]+)/g)].map(([, name]) => name!).filter((name) => name !== "monitor");
  expect(named.length).toBeGreaterThan(15);
  const file = path.join(folder, "page.gdb");
  fs.writeFileSync(
    file,
    [
      "set width 0",
      "set height 0",
      "set confirm off",
      // gdb prints the output of monitor on stderr.
      "set logging file /dev/null",
      ...steps.flatMap(({ command }, i) => [`echo \\n@@${i}\\n`, `shell echo '@@${i}' >&2`, command]),
      "echo \\n@@end\\n",
      "shell echo '@@end' >&2",
      "monitor help",
      "kill",
      "",
    ].join("\n"),
  );
  const { stdout, stderr } = margay(["debug", "--batch", "--script", file, ...args]);
  const parts = (text: string): string[] => text.split(/^@@(?:\d+|end)\n/m).slice(1);
  const [out, err] = [parts(stdout), parts(stderr)];
  expect(out.length, `the script ended early:\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`).toBe(steps.length + 1);
  for (const [i, { command, shown }] of steps.entries()) {
    const told = `${out[i]}\n${err[i] ?? ""}`;
    expect(told, command).not.toMatch(
      /^(Error|No symbol|Undefined|Cannot|warning|Could not)|MIS-MATCHED|not being run/m,
    );
    let rest = plain(told);
    for (const line of shown) {
      const at = rest.indexOf(plain(line));
      expect(at, `(gdb) ${command}\nexpected: ${line}\ncame:\n${told}`).toBeGreaterThanOrEqual(0);
      rest = rest.slice(at + plain(line).length);
    }
  }
  const help = err.at(-1)!;
  for (const name of named.filter((n) => !["on", "off"].includes(n))) expect(help).toMatch(new RegExp(`\\b${name}\\b`));
});
