/**
 * A scripted session of a real gdb on two nodes that run `ring`, by `margay debug`: breakpoints by file and line in
 * kernel, init and program, steps, locals, structs, backtraces through an interrupt and through a system call, threads
 * and inferiors, watchpoints, conditions.
 */
import fs from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { margay, packageRoot, temporaryFolder } from "../system/command.ts";
import { debugged, expectInOrder, type Session, tried } from "./sections.ts";
import { gdbVersion } from "./serve.ts";

/** The line of a source file that contains `text`. */
function line(file: string, text: string): string {
  const lines = fs.readFileSync(path.join(packageRoot, file), "utf8").split("\n");
  const found = lines.flatMap((l, i) => (l.includes(text) ? [i + 1] : []));
  if (found.length !== 1) throw new Error(`${file}: '${text}' stands in ${found.length} lines`);
  return `${file}:${found[0]}`;
}
const interrupt = line(
  "kernel/drivers/virtio-net.ts",
  "write(VirtioMmio.INTERRUPT_ACK, read(VirtioMmio.INTERRUPT_STATUS))",
);
const place = line("userland/init/main.ts", "init.childCount = init.nodesBelow;");
const lap = line("userland/jobs/ring.ts", "const sent: i64 = send(next, first);");
const send = line("userland/jobs/ring.ts", "tokens.leaving = tokens.arrived + 1;");
const write = line("kernel/io/transfer.ts", "return transfer(Syscall.WRITE, call, 0);");

const script: Readonly<Record<string, readonly string[]>> = {
  threads: ["info threads", "info inferiors"],
  interrupt: [
    `break ${interrupt}`,
    "continue",
    "bt",
    "info args",
    "next",
    "next",
    "print device.receive.seen",
    "print $_thread",
    "delete",
  ],
  init: [
    `tbreak ${place}`,
    "continue",
    "bt 2",
    "print init.size",
    "print *init.parameters",
    "next",
    "print init.childCount",
  ],
  program: [`break ${lap}`, "continue", "bt", "info args", "info threads", "print exitGroup", "print printDecimal"],
  watch: ["rwatch tokens.arrived", "watch tokens.leaving", "continue", "continue", "delete"],
  finish: ["finish", "info locals"],
  step: [
    `break ${lap} if tokens.arrived == 4`,
    "continue",
    "delete",
    "print tokens",
    "step",
    "bt 2",
    "next",
    "next",
    "print r",
    "print/x r.address == &tokens.leaving",
  ],
  other: [
    `tbreak ${send}`,
    "continue",
    "info args",
    "print tokens",
    "next",
    "print tokens.leaving",
    "inferior 1",
    "thread",
    "thread 2.1",
    "print next",
  ],
  conditions: [
    // Set while the first inferior is selected; it triggers in the second.
    "break lap if me == 1",
    "continue",
    "bt 1",
    "print PORTAL_USER",
    "print MANAGE_LOCAL",
    "delete",
    "compare-sections .text",
    "compare-sections .rodata",
    "inferior 1",
  ],
  call: [
    `break ${write}`,
    "continue",
    "bt",
    "print *call",
    "print exitGroup",
    "print printDecimal",
    "delete",
    "step",
    "bt 1",
    "finish",
  ],
  system: [
    "info registers rip cr0 cr3 efer cs",
    "print $cr0",
    "print $fs_base",
    "print $mxcsr",
    "x/2i $rip",
    "monitor tasks",
    "monitor job",
  ],
};

describe("a session of gdb on two nodes", () => {
  let session: Session;
  beforeAll(() => {
    if (gdbVersion() !== undefined) session = debugged(script, ["run", "--nodes", "2", "--strict", "--hash", "ring"]);
  });

  const section = (name: string, ...expected: readonly RegExp[]): void => {
    it(name, (context) => {
      if (gdbVersion() === undefined) context.skip("no gdb on this host");
      expectInOrder(session, name, expected);
    });
  };

  it("ends well", (context) => {
    if (gdbVersion() === undefined) context.skip("no gdb on this host");
    const { result } = session;
    // gdb prints the output of monitor on its stderr.
    expect(result.stderr).toMatch(
      /^pid +job +rank .*\n1 +1 +0 of 2 .* running .*\njob +rank +task .*\n1 +0 +n1 pid 1 .* kernel write for ring rank 0\n1 +1 +n2 pid 1/,
    );
    expect(result.stderr).toMatch(/\nstate hash [0-9a-f]{64}\n2 nodes, 4 cores: [^\n]*\n$/);
    const plain = margay(["run", "--nodes", "2", "--hash", "ring"]);
    const hash = /state hash \w+/;
    expect(hash.exec(result.stderr)![0], "the machine ends as it does without a debugger").toBe(
      hash.exec(plain.stderr)![0],
    );
    expect(result.stdout).toContain("ring: 2 ranks, mean hop");
    expect(result.status).toBe(0);
  });

  section(
    "threads",
    /1\.1 +Thread 1\.1 "n1\.c0 kernel pvh_?[eE]ntry"/,
    /1\.2 .*"n1\.c1 not started"/,
    /2\.2 .*"n2\.c1 not started"/,
    /\* 1 +process 1/,
    /2 +process 2/,
  );
  section(
    "interrupt",
    /Thread \d\.1 "n\d\.c0 kernel netInterrupt" hit Breakpoint/,
    /#0 +netInterrupt .* at kernel\/drivers\/virtio-net\.ts:\d+/,
    /#1 .* in irq \(\) at kernel\/arch\/trap\.ts/,
    /#2 +<signal handler called>/,
    /#3 +\w+ \(.*\) at kernel\//,
    /#4 +\w+ \(.*\) at kernel\//,
    /#\d+ .*in enterIdle \(\) at kernel\/core\/idle\.ts/,
    /_vector = 60/,
    /\$\d+ = 0\n/,
  );
  section(
    "init",
    /Thread 1\.1 "n1\.c0 user init" hit Temporary breakpoint/,
    /#0 .*findChildren .* at userland\/init\/main\.ts/,
    /#1 .* in findPlace .* at userland\/init\/main\.ts/,
    /= 2\n/,
    /rankCount = 2/,
    /= 1\n/,
  );
  section(
    "program",
    /Thread 1\.1 "n1\.c0 user ring rank 0" hit Breakpoint/,
    /#0 +lap \(me=0, next=1, first=true\) at userland\/jobs\/ring\.ts:\d+/,
    /#1 .* in main .* at userland\/jobs\/ring\.ts/,
    /#2 .* in start .* at userland\/lib\/start\.ts/,
    /#3 .* in _start \(\) at userland\/lib\/start\.ts/,
    /me = 0\nnext = 1\nfirst = true/,
    /\* 1\.1 .*"n1\.c0 user ring rank 0"/,
    /2\.1 .*"n2\.c0 .*rank 1"/,
    // Kernel, init and program have functions of these names: here it is the program's.
    /\{void \(i32\)\} 0x4[0-9a-f]{5} <exitGroup>/,
    /\} 0x4[0-9a-f]{5} <printDecimal>/,
  );
  section(
    "watch",
    /It sees accesses to this virtual address only: not a system call/,
    /Hardware read watchpoint \d+: tokens\.arrived\n\nValue = \d+\n/,
    /Hardware watchpoint \d+: tokens\.leaving\n\nOld value = 0\nNew value = 1\n/,
  );
  section("finish", /lap \(.*next=1, first=true\)/, /Value returned is \$\d+ = /, /sent = /);
  section(
    "step",
    /\nsend \(next=1, first=false\) at userland\/jobs\/ring\.ts/,
    /#0 +send/,
    /#1 .* in lap/,
    /= \{address = 0, lengthBytes = 0/,
  );
  section(
    "other",
    /Thread 2\.1 "n2\.c0 user ring rank 1" hit Temporary breakpoint/,
    /next = 0\nfirst = false/,
    /arrived = 5/,
    /= 6\n/,
    /Switching to inferior 1/,
    /Current thread is 1\.1/,
    /Switching to thread 2\.1/,
    /= 0\n/,
  );
  section(
    "conditions",
    /^(?:(?!No frame|Error)[\s\S])*Thread 2\.1 "n2\.c0 user ring rank 1" hit Breakpoint/,
    /#0 +lap \(me=1|#0 +lap \(me=me@entry=1/,
    /= 1\n/,
    /= MANAGE_LOCAL\n/,
    /Section \.text, range 0x[0-9a-f]+ -- 0x[0-9a-f]+: matched\./,
    /Section \.rodata, range 0x[0-9a-f]+ -- 0x[0-9a-f]+: matched\./,
  );
  section(
    "call",
    /Thread 1\.1 "n1\.c0 kernel write for ring rank 0" hit Breakpoint/,
    /#0 +write \(call=0x[0-9a-f]+ .*\) at kernel\/io\/transfer\.ts/,
    /#\d .* in syscallEntry \(\) at kernel\/syscall\/entry\.ts/,
    /#\d +<signal handler called>/,
    /#\d +writeAll \(.*from=0x[0-9a-f]+ <.*> "ring: 2 ranks, mean hop .*", lengthBytes=\d+\) at userland\/lib\/stdio\.ts/,
    /#\d .*flush .* at userland\/lib\/stdio\.ts/,
    /main \(.* at userland\/jobs\/ring\.ts/,
    /a = 1, number = 1/,
    /\{.*\} 0xffffffff80[0-9a-f]{6} <exitGroup>/,
    /\{.*\} 0xffffffff80[0-9a-f]{6} <printDecimal>/,
    /transfer \(number=1, call=.*\) at kernel\/io\/transfer\.ts/,
    /Value returned is \$\d+ = \d+/,
  );
  section("system", /cr0 +0x80010033 +\[ PE MP ET NE WP PG \]/, /efer +0xd01 +\[ SCE LME LMA NXE \]/, /= \[ PE /);
});

describe("functions of the kernel", () => {
  it("are called from a frame of the kernel; a program's frame refuses, and is as before", (context) => {
    if (gdbVersion() === undefined) context.skip("no gdb on this host");
    const folder = temporaryFolder();
    const file = path.join(folder, "calls.gdb");
    const commands = [
      `break ${write}`,
      "continue",
      "print findTask(1)->pid",
      "print findRank(1, 0) == findTask(1)",
      "info registers rip",
      "delete",
      // An array of 2 MB is watched as a whole.
      "set max-value-size unlimited",
      "watch tasks",
      "continue",
      "delete",
      "tbreak exitGroup",
      "continue",
      ...tried("print findTask(1)"),
      "info registers rip",
    ];
    fs.writeFileSync(file, ["set width 0", "set confirm off", ...commands, ""].join("\n"));
    const { stdout, stderr, status } = margay(
      ["debug", "--batch", "--script", file, "run", "--nodes", "1", "--cores", "1", "hello"],
      { strict: false },
    );
    fs.rmSync(folder, { recursive: true, force: true });
    expect(stdout).toMatch(/Breakpoint 1, write .*\n.*\n\$1 = 1\n\$2 = 1\nrip +0x[0-9a-f]+ +0x[0-9a-f]+ <write/);
    expect(stdout).toMatch(/Hardware watchpoint \d+: tasks\n\nOld value = [\s\S]*?\nNew value = /);
    expect(stdout).toMatch(/GDB has restored the context to what it was before the call[\s\S]*rip .*<exitGroup/);
    expect(stderr).toMatch(
      /^margay: n1\.c0 is in user mode and cannot execute the kernel's code at 0xf+80[0-9a-f]+: stop in the kernel first\n/,
    );
    expect(stdout).toContain("hello from rank 0 of 1");
    expect(status).toBe(0);
  });
});
