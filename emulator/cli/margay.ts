/**
 * The `margay` command: splits the line, runs one command, and turns every failure into one line and an exit status.
 */
import { describeFailure, EXIT_REFUSED } from "./errors.ts";
import { print, printError } from "./output.ts";
import { packageVersion } from "./package.ts";
import { type Parsed, parseLine } from "./parse.ts";

async function main(argv: readonly string[]): Promise<number> {
  const line = parseLine(argv);
  switch (line.kind) {
    case "version":
      print(`${packageVersion()}\n`);
      return 0;
    case "help":
      await printHelp(line.topic, print);
      return 0;
    case "nothing":
      await printHelp(undefined, printError);
      return EXIT_REFUSED;
    case "command":
      return run(line.parsed);
  }
}

/** Each command is loaded on demand. */
async function run(parsed: Parsed): Promise<number> {
  const { command, texts, operands } = parsed;
  switch (command.name) {
    case "build":
      return (await import("./build.ts")).buildCommand(operands, texts);
    case "boot":
      return (await import("./boot.ts")).bootCommand(parsed);
    case "run":
    case "trace record":
      return (await import("./run.ts")).runCommand(await withTraceFile(parsed));
    case "debug":
      return debug(parsed);
    case "trace show":
      return (await import("./traceview.ts")).showCommand(operands[0]!, texts);
    case "trace diff":
      return (await import("./traceview.ts")).diffCommand(operands[0]!, operands[1]!, texts);
    case "trace export":
      return (await import("./traceview.ts")).exportCommand(operands[0]!, texts);
    case "trace events":
      print((await import("../trace/catalogue.ts")).eventCatalogue());
      return 0;
    case "syscalls":
      return (await import("./syscalls.ts")).syscallsCommand(parsed);
    case "completion":
      return completion(operands[0]!);
    case "help":
      return help(parsed);
    default:
      throw new Error(`command line: '${command.name}' does nothing`);
  }
}

/** Default output file of `trace record`. */
async function withTraceFile(parsed: Parsed): Promise<Parsed> {
  if (parsed.command.name === "run" || parsed.texts["output"] !== undefined) return parsed;
  const { defaults } = await import("./limits.ts");
  return { ...parsed, texts: { ...parsed.texts, output: defaults.traceFile } };
}

/** The rest of a `debug` line is itself a whole command line. */
async function debug(parsed: Parsed): Promise<number> {
  const { debugLine } = await import("./debug.ts");
  const about = debugLine(parsed);
  const line = parseLine(about.rest);
  if (line.kind === "help") {
    await printHelp(line.topic, print);
    return 0;
  }
  if (line.kind !== "command") throw new Error(`command line: '${about.rest.join(" ")}' under debug`);
  if (line.parsed.command.name === "boot") return (await import("./boot.ts")).bootCommand(line.parsed, about);
  return (await import("./run.ts")).runCommand(line.parsed, about);
}

async function completion(shell: string): Promise<number> {
  const { completionScript, shells } = await import("./completion.ts");
  const known = shells.find((s) => s === shell);
  if (known === undefined) {
    const { UserError } = await import("./errors.ts");
    throw new UserError("no such shell", `'${shell}'`, `give ${shells.join(", ")}`);
  }
  print(completionScript(known));
  return 0;
}

async function help({ texts, operands }: Parsed): Promise<number> {
  if (texts["man"] !== undefined) {
    print((await import("./manpage.ts")).manPage(packageVersion()));
    return 0;
  }
  const { helpTopic } = await import("./parse.ts");
  await printHelp(helpTopic(operands), print);
  return 0;
}

async function printHelp(topic: string | undefined, write: (text: string) => void): Promise<void> {
  write((await import("./help.ts")).helpText(topic, process.stdout.isTTY ? process.stdout.columns : undefined));
}

function fail(error: unknown): void {
  const { line, status } = describeFailure(error);
  if (line !== undefined) printError(`${line}\n`);
  process.exitCode = status;
}

// An error outside every promise: of a stream or a timer.
process.on("uncaughtException", (error) => {
  fail(error);
  process.exit();
});
main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
}, fail);
