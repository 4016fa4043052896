/**
 * gdb's machine interface, as editors use it: the commands of .vscode/launch.json, then breakpoints with conditions,
 * steps, frames, variables and registers over MI, on a machine of two nodes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot, temporaryFolder } from "../system/command.ts";
import { gdbVersion } from "./serve.ts";
import { Command } from "./waiting.ts";

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** A gdb that speaks MI. One command at a time. */
class MachineInterface {
  private readonly child: ChildProcess;
  private lines: string[] = [];
  private rest = "";
  private wake = (): void => {};
  private over = false;

  constructor() {
    this.child = spawn("gdb", ["-q", "-nx", "--interpreter=mi2"], {
      cwd: packageRoot,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (piece: string) => {
      const parts = (this.rest + piece).split("\n");
      this.rest = parts.pop()!;
      this.lines.push(...parts);
      this.wake();
    });
    this.child.once("close", () => {
      this.over = true;
      this.wake();
    });
  }

  /** Everything up to the result of the command and, if it has set the program going, up to its stop. */
  async ask(command: string): Promise<string> {
    this.lines = [];
    this.child.stdin!.write(`${command}\n`);
    const has = (start: string): boolean => this.lines.some((line) => line.startsWith(start));
    const isDone = (): boolean => has("^done") || has("^error") || (has("^running") && has("*stopped"));
    while (!isDone() && !this.over) await new Promise<void>((resolve) => (this.wake = resolve));
    return this.lines.join("\n");
  }
  async end(): Promise<void> {
    if (this.over) return;
    this.child.stdin!.end("-gdb-exit\n");
    await new Promise((resolve) => this.child.once("close", resolve));
  }
}

describe("gdb's machine interface", () => {
  it("a machine of two nodes: breakpoints with conditions, steps, frames, variables", async (context) => {
    if (gdbVersion() === undefined) return context.skip("no gdb on this host");
    const command = new Command(path.join(folder, "socket"), "--gdb", ["--nodes", "2", "--strict", "ring"]);
    await command.invited;
    const gdb = new MachineInterface();
    const launch = JSON.parse(fs.readFileSync(path.join(packageRoot, ".vscode/launch.json"), "utf8")) as {
      configurations: { customLaunchSetupCommands: { text: string }[] }[];
    };
    for (const { text } of launch.configurations[0]!.customLaunchSetupCommands) {
      const console = text.replace("${workspaceFolder}/images/out/gdb.socket.gdb", `${command.socket}.gdb`);
      expect(console).not.toBe(text);
      expect(await gdb.ask(`-interpreter-exec console "${console}"`)).toMatch(/^\*stopped/m);
    }
    const told: string[] = [];
    const ask = async (text: string): Promise<string> => {
      const answer = await gdb.ask(text);
      told.push(answer);
      return answer;
    };
    expect(await ask('-break-insert -f -c "me == 1" lap')).toMatch(/^\^done,bkpt=\{number="1",.*cond="me == 1"/m);
    expect(await ask("-exec-continue")).toMatch(
      /^\*stopped,reason="breakpoint-hit",.*func="lap",args=\[\{name="me",value="1"\}/m,
    );
    expect(await ask("-stack-list-frames")).toMatch(/func="lap".*func="main".*func="start".*func="_start"/);
    expect(await ask("-stack-list-variables --simple-values")).toMatch(/name="me",arg="1",type="u32",value="1"/);
    const threads = await ask("-thread-info");
    for (const thread of ["1.1", "1.2", "2.1", "2.2"]) expect(threads).toContain(`target-id="Thread ${thread}"`);
    expect(threads).toContain('name="n2.c0 user ring rank 1"');
    expect(await ask("-exec-next")).toMatch(/^\*stopped,reason="end-stepping-range",.*func="lap"/m);
    expect(await ask("-exec-step")).toMatch(/^\*stopped,reason="end-stepping-range",.*func="receive"/m);
    expect(await ask("-exec-finish")).toMatch(/^\*stopped,reason="function-finished",.*func="lap"/m);
    expect(await ask("-var-create - * tokens")).toMatch(/numchild="2",value="\{\.\.\.\}",type="struct Tokens"/);
    expect(await ask("-data-list-register-values x 16")).toMatch(/number="16",value="0x4[0-9a-f]+"/);
    expect(await ask("-data-disassemble -s $pc -e $pc+8 -- 0")).toMatch(/func-name="lap"/);
    // Another condition, which holds on the other node only.
    expect(await ask('-break-condition 1 "me == 0 && tokens.arrived == 4"')).toMatch(/^\^done/m);
    expect(await ask("-exec-continue")).toMatch(/^\*stopped,reason="breakpoint-hit",.*name="me",value="0"/m);
    expect(await ask("-data-evaluate-expression tokens.arrived")).toMatch(/value="4"/);
    expect(await ask("-break-delete 1")).toMatch(/^\^done/m);
    expect(await ask("-break-watch tokens.leaving")).toMatch(/^\^done,(?:hw-)?wpt=/m);
    expect(await ask("-exec-continue")).toMatch(/^\*stopped,reason="watchpoint-trigger",.*old="3",new="5"/m);
    expect(told.join("\n")).not.toMatch(/Error in testing|\^error/);
    await gdb.ask('-interpreter-exec console "kill"');
    await gdb.end();
    await command.end();
    expect(command.status).toBe(130);
  });
});
