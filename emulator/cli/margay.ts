#!/usr/bin/env node
/** The `margay` command: parses the line, runs one subcommand, turns every failure into one line and an exit status. */
import yargs from "yargs";
import { debugLine, debugOptions } from "./debug.ts";
import { describeError, EXIT_REFUSED, UserError } from "./errors.ts";
import { bootOptions, runOptions, single, splitProgram } from "./options.ts";
import { packageVersion } from "./package.ts";
import { traceCommands } from "./tracecommands.ts";

const COMMANDS = ["build", "boot", "run", "debug", "trace", "completion"];
const EPILOGUE = `Exit status: the job's own 0–255, 128+n for signal n; 2 refused before start, 3 fault of the machine, 124 --limit, 130 Ctrl-C.`;

async function main(argv: readonly string[]): Promise<number> {
  let status = 0;
  // `debug` stands before a whole command line, which is parsed as it would be without.
  const debug = debugLine(argv);
  const parser = yargs(splitProgram(debug?.rest ?? argv))
    .scriptName("margay")
    .usage("$0 COMMAND [OPTIONS]\n\nA light-weight kernel in TypeScript on a deterministic multi-node emulator.")
    .parserConfiguration({
      "populate--": true,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "camel-case-expansion": false,
      "boolean-negation": false,
    })
    .strict()
    .demandCommand(1, 1, "no command", "one command at a time")
    .command(
      "build [images..]",
      "compile the kernel, init and the jobs (or the images named)",
      (y) =>
        y
          .positional("images", {
            describe: "recipes: kernel, init, hello, ring, files, …",
            type: "string",
            array: true,
          })
          .option("out", { describe: "output folder", type: "string", requiresArg: true })
          .option("emit", {
            describe: "print a stage of the compiler instead: ast, ir, asm, map or layout",
            type: "string",
            requiresArg: true,
          }),
      async (args) => {
        const { buildCommand } = await import("./build.ts");
        status = buildCommand(
          ((args["images"] as string[] | undefined) ?? []).map(String),
          single(args, ["out", "emit"]),
        );
      },
    )
    .command(
      "boot <image>",
      "boot IMAGE on one node; its console goes to stdout",
      (y) =>
        y
          .positional("image", { describe: "a recipe's name (kernel) or the path of a PVH ELF64", type: "string" })
          .options(bootOptions),
      async (args) => {
        const { bootCommand } = await import("./boot.ts");
        status = await bootCommand(String(args["image"]), single(args, Object.keys(bootOptions)), debug);
      },
    )
    .command(
      "run [program] [args..]",
      "boot a machine and run PROGRAM [ARGS…] as a job on all its nodes",
      (y) =>
        y
          .usage(
            "$0 run [OPTIONS] PROGRAM [ARGS…]\n\nPROGRAM without a slash is a built-in job (hello, ring, files); with one it is a path inside --root.",
          )
          .options(runOptions),
      async (args) => {
        const { runCommand } = await import("./run.ts");
        const line = ((args["--"] as (string | number)[] | undefined) ?? []).map(String);
        status = await runCommand(line, single(args, Object.keys(runOptions)), { debug });
      },
    )
    .command(
      "debug <command> [args..]",
      "start gdb on a machine: debug [--script FILE] [--batch] boot IMAGE | run PROGRAM …",
      (y) =>
        y
          .usage(
            "$0 debug [OPTIONS] boot IMAGE | run PROGRAM …\n\nNodes are gdb's inferiors, cores its threads; `monitor help` lists more.",
          )
          .options(debugOptions),
    )
    .command("trace", "record a run and look at it: record, show, diff, export, events", (y) =>
      traceCommands(y, (s) => (status = s)),
    )
    .completion("completion", "print a script for the shell's completion")
    .version(packageVersion)
    .help()
    .alias("h", "help")
    .epilogue(EPILOGUE)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .exitProcess(false)
    .fail((message, error) => {
      // yargs hands its own complaints (a missing value) as an error too.
      if (error && error.name !== "YError") throw error;
      throw new UserError(
        message.split("\n")[0]!.replace(/^(.)/, (c) => c.toLowerCase()),
        "",
        "`margay --help` lists what there is",
      );
    });
  if (argv.length === 0) {
    process.stderr.write(`${await parser.getHelp()}\n`);
    return EXIT_REFUSED;
  }
  if (!argv[0]!.startsWith("-") && !COMMANDS.includes(argv[0]!))
    throw new UserError("no such command", argv[0]!, `there are ${COMMANDS.join(", ")}`);
  await parser.parseAsync();
  return status;
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    process.stderr.write(`${describeError(error)}\n`);
    process.exitCode = error instanceof UserError ? error.status : 70;
  },
);
