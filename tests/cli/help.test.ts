/** Help, man page and completions are made from the definitions and agree with the command. */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it, vi } from "vitest";
import { completionScript, shells } from "../../emulator/cli/completion.ts";
import { commands, optionsOf } from "../../emulator/cli/definitions.ts";
import { helpText, optionName } from "../../emulator/cli/help.ts";
import { machineSettings } from "../../emulator/cli/inputs.ts";
import { jobSetup } from "../../emulator/cli/jobsetup.ts";
import { manPage } from "../../emulator/cli/manpage.ts";
import { parseLine } from "../../emulator/cli/parse.ts";
import { temporaryFolder } from "../system/command.ts";

const has = (command: string): boolean => spawnSync("which", [command]).status === 0;

describe("help", () => {
  it.each(commands.map((c) => [c.name] as const))(
    "%s lists every option with its default, no line is too long",
    (name) => {
      const command = commands.find((c) => c.name === name)!;
      const text = helpText(name, 100);
      const flat = text.replace(/\s+/g, " ");
      for (const o of optionsOf(command)) {
        expect(text).toContain(`  ${optionName(o)}`);
        if (o.default !== undefined) expect(flat).toContain(`(default: ${o.default})`);
      }
      for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(104);
      expect(text).not.toContain("\u001b");
    },
  );
  it("run has its options in groups, the faults one by one, and examples", () => {
    const text = helpText("run");
    const titles = text.split("\n").filter((l) => /^[A-Z].*:$/.test(l));
    expect(titles).toEqual(["Machine:", "Job:", "Trace:", "Debugger:", "Faults:", "Examples:", "Exit status:"]);
    for (const fault of ["drop=", "dup=", "corrupt=", "reorder=", "delay=", "cut=NID:FROM[:UNTIL]"])
      expect(text).toContain(`    ${fault}`);
    expect(text.split("\n").filter((l) => l.startsWith("  margay run "))).toHaveLength(3);
  });
  it("a default is what is taken where nothing is given", () => {
    const option = (command: string, name: string): string =>
      optionsOf(commands.find((c) => c.name === command)!).find((o) => o.name === name)!.default!;
    const parsed = (argv: string[]) => {
      const line = parseLine(argv);
      if (line.kind !== "command") throw new Error(line.kind);
      return line.parsed;
    };
    vi.stubEnv("MARGAY_ENGINE", undefined);
    for (const command of ["run", "trace record", "boot"]) {
      const given = optionsOf(commands.find((c) => c.name === command)!).filter((o) => o.default !== undefined);
      const words = [...command.split(" "), ...given.flatMap((o) => [`--${o.name}`, o.default!]), "hello"];
      const cores = Number(option(command, "cores"));
      expect(machineSettings(parsed(words).texts, 99)).toEqual(machineSettings({}, cores));
      if (command !== "boot")
        expect(jobSetup(parsed(words))).toEqual(jobSetup(parsed([...command.split(" "), "hello"])));
    }
  });
  it("every example is a line that the parser takes", () => {
    const examples = commands.flatMap((c) => c.examples ?? []);
    expect(examples.length).toBeGreaterThan(8);
    for (const { line } of examples) {
      if (!line.startsWith("margay ")) continue;
      expect(parseLine(line.split(" ").slice(1)).kind, line).toBe("command");
    }
  });
});

describe("man page", () => {
  const page = manPage("1.2.3");
  it("names every command, option and exit status, and no other option", () => {
    const plain = page
      .replace(/\\f[BIR]/g, "")
      .replace(/\\-/g, "-")
      .replace(/\\e/g, "\\");
    const listed = new Set([...plain.matchAll(/^(?:-\w, )?--([a-z-]+)/gm)].map((m) => m[1]!));
    expect([...listed].sort()).toEqual([...new Set(commands.flatMap((c) => optionsOf(c).map((o) => o.name)))].sort());
    for (const c of commands) expect(plain).toContain(`.SS margay ${c.name}`);
    expect(plain).toMatch(/^141$/m);
  });
  if (!has("groff") && !has("mandoc")) console.log("tests/cli/help: man page not checked: no groff, no mandoc");
  it.skipIf(!has("groff") && !has("mandoc"))("is roff without a warning", () => {
    const r = has("mandoc")
      ? spawnSync("mandoc", ["-T", "lint", "-W", "warning"], { input: page, encoding: "utf8" })
      : spawnSync("groff", ["-man", "-Tutf8", "-ww", "-z"], { input: page, encoding: "utf8" });
    expect(r.stdout + r.stderr).toBe("");
  });
});

describe("completion", () => {
  it.each(shells)("%s knows every command and option", (shell) => {
    const script = completionScript(shell);
    for (const c of commands) {
      expect(script).toContain(c.name.split(" ")[0]!);
      for (const o of optionsOf(c))
        expect(script).toMatch(new RegExp(`${shell === "fish" ? "-l " : "--"}${o.name}\\b`));
    }
  });
  it.each([
    ["zsh", ["-n"]],
    ["fish", ["-n"]],
    ["bash", ["-n"]],
  ] as const)("%s takes the script's syntax, where it is installed", (shell, args) => {
    if (!has(shell)) return;
    const file = path.join(temporaryFolder(), "script");
    fs.writeFileSync(file, completionScript(shell));
    execFileSync(shell, [...args, file]);
    fs.rmSync(path.dirname(file), { recursive: true });
  });
  it("bash completes commands, options, words and images", () => {
    const complete = (...words: string[]): string[] => {
      const script = `${completionScript("bash")}
COMP_WORDS=(margay ${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length}; _margay; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const out = execFileSync("bash", ["-c", script], { encoding: "utf8", cwd: "/" });
      return out.split("\n").filter(Boolean);
    };
    expect(complete("b")).toEqual(["build", "boot"]);
    expect(complete("run", "--ch")).toEqual(["--chdir"]);
    expect(complete("run", "--fa")).toEqual(["--fanout", "--faults"]);
    expect(complete("run", "he")).toContain("hello");
    expect(complete("boot", "ker")).toEqual(["kernel"]);
    expect(complete("trace", "")).toEqual(["record", "show", "diff", "export", "events", "--help"]);
    expect(complete("trace", "show", "--format", "")).toEqual(["full", "golden"]);
    expect(complete("trace", "diff", "--ig")).toEqual(["--ignore"]);
    expect(complete("completion", "")).toEqual(["bash", "zsh", "fish"]);
    expect(complete("run", "--root", "/et")).toEqual(["/etc"]);
  });
});
