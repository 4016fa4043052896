/** Scripted sessions of a real gdb by `margay debug`, in named sections, and checks of what each section printed. */
import fs from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { margay, type Result, temporaryFolder } from "../system/command.ts";

export interface Session {
  readonly result: Result;
  /** What a section printed on stdout. */
  section(name: string): string;
}

/** A command that fails, and does not end the script. */
export const tried = (command: string): string[] => [
  "python",
  `try: gdb.execute("${command}")`,
  "except gdb.error as error: print(error)",
  "end",
];

/** `script`: commands by section; each section prints `== NAME` first. `args`: those of `margay debug`. */
export function debugged(script: Readonly<Record<string, readonly string[]>>, args: readonly string[]): Session {
  const folder = temporaryFolder();
  const file = path.join(folder, "script.gdb");
  const commands = Object.entries(script).flatMap(([name, lines]) => [`echo == ${name}\\n`, ...lines]);
  const settings = ["set width 0", "set confirm off", "set height 0", "set print entry-values no"];
  fs.writeFileSync(file, [...settings, ...commands, ""].join("\n"));
  const result = margay(["debug", "--batch", "--script", file, ...args]);
  fs.rmSync(folder, { recursive: true, force: true });
  const sections = new Map(
    result.stdout
      .split(/^== /m)
      .slice(1)
      .map((section) => {
        const end = section.indexOf("\n");
        return [section.slice(0, end), section.slice(end + 1)];
      }),
  );
  return {
    result,
    section: (name) => sections.get(name) ?? `no such section:\n${result.stdout}\n${result.stderr}`,
  };
}

/** Each pattern matches after the one before it. */
export function expectInOrder({ result, section }: Session, name: string, expected: readonly RegExp[]): void {
  const text = section(name);
  let rest = text;
  for (const pattern of expected) {
    const found = pattern.exec(rest);
    expect(found, `${pattern} in:\n${rest}\n--- all of it:\n${text}\n--- stderr:\n${result.stderr}`).not.toBeNull();
    rest = rest.slice(found!.index + found![0].length);
  }
}
