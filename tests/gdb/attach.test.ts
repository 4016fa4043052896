/**
 * Attaching again: a debugger leaves (detach, disconnect, kill -9) and another one connects, to a machine and to a job
 * of two nodes. Whatever the first one did, the second one starts with process 1, sees every thread where it is, and
 * reads registers and memory.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { programImage } from "../kernel/rig.ts";
import { realEngine } from "../machine/guest.ts";
import { temporaryFolder } from "../system/command.ts";
import { Client } from "./client.ts";
import { Command } from "./waiting.ts";
import { gdbVersion } from "./serve.ts";
import { ToyTarget } from "./toy.ts";

const engine = await realEngine();
const missing = typeof engine === "string" ? engine : gdbVersion() === undefined ? "gdb is needed" : undefined;
if (missing !== undefined) console.log(`tests/gdb/attach: sessions of gdb skipped: ${missing}`);

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
fs.writeFileSync(path.join(folder, "debuggee"), programImage("debuggee"), { mode: 0o755 });

/** Starts from process 1, with all threads of both nodes; the first frame has a source line. */
function expectWhole(told: string, threads: readonly string[]): void {
  expect(told).toMatch(/\* 1 +process 1 .*\n +2 +process 2 /);
  for (const thread of threads) expect(told).toMatch(new RegExp(`^[* ] ${thread.replace(".", "\\.")} +Thread `, "m"));
  expect(told).not.toMatch(/\?\?|internal-error|Cannot access memory|Remote failure|warning/);
}

describe.skipIf(missing !== undefined)("gdb after gdb", () => {
  it("on a machine of two nodes", async () => {
    const command = new Command(path.join(folder, "machine"), "--gdb", ["--nodes", "2", "shootdown", "1000000"]);
    const look = ["info inferiors", "info threads", "bt 1", "x/2i $pc", "print $cs & 3", "print tasks[0].jobId"];
    const threads = ["1.1", "1.2", "2.1", "2.2"];
    // The first one is stopped on node 2, and detaches.
    const first = await command.gdb([
      "break requestInterrupt",
      "continue",
      "delete",
      "tbreak requestInterrupt thread 2.2",
      "continue",
      "inferior 2",
      "detach",
      "inferior 1",
      "detach",
    ]);
    expect(first).toMatch(/hit Breakpoint/);
    expect(first).toMatch(/Inferior 2 \(process 2\) detached[\s\S]*Inferior 1 \(process 1\) detached/);
    // The machine ran meanwhile. This one closes the connection while a core of node 2 is stopped.
    const second = await command.gdb([
      ...look,
      "tbreak requestInterrupt thread 2.2",
      "continue",
      "info threads",
      "disconnect",
    ]);
    expectWhole(second, threads);
    expect(second).toMatch(/\$2 = 1\n/);
    expect(second).toMatch(/Thread 2\.2 .*hit Temporary breakpoint/);
    expect(second).toMatch(/\* 2\.2 /);
    // The machine stayed stopped; this one is killed while the machine runs.
    const third = await command.gdb([...look, "echo gone\\n", "continue"], "gone\n");
    expectWhole(third, threads);
    const fourth = await command.gdb([...look, "kill"]);
    expectWhole(fourth, threads);
    await command.end();
    expect(command.status).toBe(130);
  });

  it("on a job of two ranks", async () => {
    const command = new Command(path.join(folder, "job"), "--gdb-job", [
      "--nodes",
      "2",
      "--cores",
      "4",
      "--root",
      folder,
      "/debuggee",
    ]);
    const look = ["info inferiors", "info threads", "bt", "x/2i $pc", "print state.broken"];
    const threads = ["1.1", "1.2", "1.3", "1.4", "2.1", "2.2", "2.3", "2.4"];
    const first = await command.gdb([
      "break bump",
      "continue",
      "continue",
      "inferior 2",
      "detach",
      "detach inferior 1",
    ]);
    expect(first).toMatch(/Thread [12]\.1 .*hit Breakpoint/);
    const second = await command.gdb([...look, "break bump", "continue", "bt 1", "disconnect"]);
    expectWhole(second, threads);
    expect(second).toMatch(/hit Breakpoint 1/);
    const third = await command.gdb([...look, "echo gone\\n", "continue"], "gone\n");
    expectWhole(third, threads);
    // The ranks end one after the other; the remaining ones are shown where they are.
    const fourth = await command.gdb([
      ...look,
      "set var state.stop = 1",
      "continue",
      "inferior 2",
      "bt",
      "x/i $pc",
      "set var state.stop = 1",
      "continue",
    ]);
    expectWhole(fourth, threads);
    expect(fourth).toMatch(
      /Inferior 1 \(process 1\) exited with code 07\][\s\S]*Switching to thread 2\.1[\s\S]*#\d .*main [\s\S]*=> 0x4[0-9a-f]+ [\s\S]*Inferior 2 \(process 2\) exited with code 07\]/,
    );
    await command.end();
    expect([command.status, command.stdout]).toEqual([
      7,
      "debuggee: threads 7, awake 1, given beyond calls 0\n".repeat(2),
    ]);
  });

  it("the second of two at once is told why it is refused", async () => {
    const command = new Command(path.join(folder, "busy"), "--gdb", ["--nodes", "1", "hello"]);
    const file = path.join(folder, "refused");
    await command.gdb([`shell gdb -q -nx -batch -ex 'target extended-remote ${command.socket}' >${file} 2>&1`, "kill"]);
    const refused = fs.readFileSync(file, "utf8");
    expect(refused).toContain("margay: another debugger is connected: one at a time");
    await command.end();
  });
});

describe("what a debugger is told when it comes", () => {
  /** Threads listed by qfThreadInfo and by the XML document, and the one that `?` names. */
  function seen(client: Client): { listed: readonly string[]; documented: readonly string[]; stopped: string } {
    const listed = client.ask("qfThreadInfo").slice(1).split(",");
    const documented = [...client.ask("qXfer:threads:read::0,4000").matchAll(/id="([^"]+)"/g)].map((m) => m[1]!);
    return { listed, documented, stopped: /thread:([^;]+);/.exec(client.ask("?"))![1]! };
  }
  it.each(["D", "closed", "closed while it runs"])("after %s: a thread that it will find", (leaving) => {
    // nop; nop; jump back
    const toy = new ToyTarget(3, 2, [0x90, 0x90, 0xeb, 0xfc]);
    const client = new Client(toy).greet();
    for (const nid of [2, 3]) client.ask(`vAttach;${nid}`);
    client.ask("Hgp3.2");
    expect(client.go("vCont;s:p3.2;c")).toContain("thread:p3.2;");
    if (leaving === "D") for (const nid of [1, 2, 3]) expect(client.ask(`D;${nid}`)).toBe("OK");
    if (leaving === "closed while it runs") client.ask("vCont;c");
    client.stub.disconnected();
    expect(client.stub.running).toBe(leaving !== "closed");
    client.stub.connected();
    client.greet();
    const { listed, documented, stopped } = seen(client);
    expect(listed).toEqual(["p1.1", "p1.2"]);
    expect(documented).toEqual(listed);
    expect(listed).toContain(stopped);
    expect(client.ask("qC")).toBe(`QC${stopped}`);
    for (const nid of [2, 3]) expect(client.ask(`vAttach;${nid}`)).toMatch(new RegExp(`^T05thread:p${nid}\\.1;`));
    expect(seen(client).listed).toEqual(["p1.1", "p1.2", "p2.1", "p2.2", "p3.1", "p3.2"]);
  });
});
