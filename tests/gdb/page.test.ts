/**
 * DEBUGGING.md is correct: its session is read from the page and executed by a real gdb, command by command. No command
 * may fail, and each output line on the page must appear, in order, apart from numbers. All commands of its monitor
 * table exist.
 */
import fs from "node:fs";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { margay, packageRoot, temporaryFolder } from "../system/command.ts";
import { gdbVersion } from "./serve.ts";

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
/** Addresses, lines and times change with every build. */
const plain = (text: string): string =>
  text
    .replace(/0x[0-9a-f]+|\d+/g, "#")
    .replace(/\s+/g, " ")
    .trim();

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
