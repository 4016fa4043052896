/**
 * lldb on the same stub: breakpoints, steps, registers, memory, expressions, the end; and backtraces that lead through
 * an interrupt and through a system call into the program.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot, temporaryFolder } from "../system/command.ts";
import { Command } from "./waiting.ts";

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const missing = spawnSync("lldb", ["--version"]).status !== 0;
if (missing) console.log("tests/gdb/lldb skipped: no lldb on this host");

describe.skipIf(missing)("lldb", () => {
  it("a machine: backtraces through an interrupt and a system call, registers, memory, kill", async () => {
    const command = new Command(path.join(folder, "socket"), "--gdb", ["--nodes", "1", "--strict", "shootdown"]);
    const told = await command.debugger("lldb", [
      "--no-lldbinit",
      "--batch",
      ...[
        "settings set plugin.process.gdb-remote.packet-timeout 100",
        "target create images/out/kernel.elf",
        "target modules add images/out/bin/shootdown",
        "target modules load --file shootdown --slide 0",
        `process connect --plugin gdb-remote unix-connect://${command.socket}`,
        "thread list",
        "breakpoint set --name requestInterrupt --shlib kernel.elf",
        "continue",
        "bt",
        "frame select 1",
        "frame variable",
        "thread step-over",
        "thread step-out",
        "thread step-inst",
        "breakpoint delete 1",
        "breakpoint set --name munmap --shlib kernel.elf",
        "continue",
        "bt",
        "register read rip cr3",
        "register write r15 0x1234",
        "register read r15",
        "memory read --size 8 --count 1 --format x $rsp",
        "expression tasks[0].jobId",
        "expression (int)sizeof(tasks)",
        "kill",
      ].flatMap((text) => ["-o", text]),
    ]);
    const inOrder = [
      /thread #1: tid = 0x0001/,
      /stop reason = breakpoint 1\.1/,
      // From the handler, through the stub and the interrupt, into the program.
      /#0: 0xffffffff80[0-9a-f]+ kernel\.elf`requestInterrupt \[inlined\] serveRequests at crosscall\.ts/,
      /#1: 0xf+80[0-9a-f]+ kernel\.elf`requestInterrupt\(_vector=241, _device=0\)/,
      /#2: 0xf+80[0-9a-f]+ kernel\.elf`irq at trap\.ts/,
      /#3: 0xf+80[0-9a-f]+ kernel\.elf`irq\.return at trap\.ts/,
      /#4: 0x0+4[0-9a-f]+ shootdown`read\(.*\) at shootdown\.ts/,
      /#5: 0x0+4[0-9a-f]+ shootdown`threadMain\(/,
      /#6: 0x0+4[0-9a-f]+ shootdown`cloneStub at thread\.ts/,
      /_vector = 241/,
      /stop reason = step over/,
      /stop reason = step out/,
      /stop reason = instruction step into/,
      /stop reason = breakpoint 2\.1/,
      /#0: 0xf+80[0-9a-f]+ kernel\.elf`munmap\(call=0x/,
      /kernel\.elf`checkedCall/,
      /kernel\.elf`syscallEntry at entry\.ts/,
      /#\d: 0x0+4[0-9a-f]+ shootdown`.* at shootdown\.ts/,
      /shootdown`_start at start\.ts/,
      /cr3 = 0x0+[0-9a-f]+000\n/,
      /r15 = 0x0+1234\n/,
      /0xf+80[0-9a-f]+: 0x[0-9a-f]{16}\n/,
      /\(unsigned int\) \$\d+ = 1\n/,
      /\(int\) \$\d+ = \d{4,}\n/,
      /Process 1 exited with status = 9 /,
    ];
    let rest = told;
    for (const pattern of inOrder) {
      const found = pattern.exec(rest);
      expect(found, `${pattern} in:\n${rest}\n--- all of it:\n${told}`).not.toBeNull();
      rest = rest.slice(found!.index + found![0].length);
    }
    expect(told).not.toMatch(/Assertion failed|^error:/m);
    await command.end();
    expect(command.status).toBe(130);
    const page = fs.readFileSync(path.join(packageRoot, "emulator/gdb/DEBUGGING.md"), "utf8");
    const shown = [...page.matchAll(/^\(lldb\) (.*)$/gm)].map(([, text]) => text!);
    expect(shown).toHaveLength(3);
    for (const text of shown) expect(told).toContain(`(lldb) ${text.replace(/^gdb-remote 1234$/, "process connect")}`);
  });
});
