/** `margay trace`: its subcommands for yargs. What they do is in tracerecord.ts and traceview.ts, loaded when it is asked for. */
import type { Argv, Options } from "yargs";
import { recordOptions, single } from "./options.ts";

const text = (describe: string): Options => ({ describe, type: "string", requiresArg: true, nargs: 1 });
const selection: Readonly<Record<string, Options>> = {
  kind: text("groups or kinds of events, as sys,irq.eoi,msg"),
  node: text("nodes, as 1 or 0,4-7; 0 is the service node and I/O node"),
  core: text("cores, as 0 or 0-3"),
  from: text("from this virtual time on, as 20us or 3.5ms"),
  to: text("up to this virtual time"),
};
const showOptions: Readonly<Record<string, Options>> = {
  ...selection,
  format: {
    ...text("full: a line an event, with times; golden: a section a core, names instead of addresses"),
    default: "full",
  },
};
const diffOptions: Readonly<Record<string, Options>> = {
  ...selection,
  ignore: text("time: compare what each core did in its order, with names instead of addresses"),
  context: { ...text("events shown before and behind the divergence"), default: "5" },
};
const exportOptions: Readonly<Record<string, Options>> = {
  ...selection,
  perfetto: {
    ...text("write FILE, which ui.perfetto.dev and chrome://tracing open"),
    demandOption: "say what to write",
  },
};

const EPILOGUE = `Examples:
  margay trace record --nodes 8 --output a.trace ring         a whole run into a file
  margay trace show --kind sys,msg --node 1 a.trace           what node 1 did, decoded
  margay trace show --kind irq --format golden a.trace        as the golden traces of the tests
  margay trace record --seed 2 --nodes 8 --output b.trace ring && margay trace diff a.trace b.trace
  margay trace export --perfetto a.json a.trace               open a.json at ui.perfetto.dev
  margay trace record --show insn --node 1 --core 0 --from 700us --to 710us hello
                                                              each instruction of ten virtual microseconds

Exit status: record that of the run; diff 0 equal, 1 different; 2 bad input.`;

/** `done` gets the exit status. */
export function traceCommands(y: Argv, done: (status: number) => void): Argv {
  const file = { describe: "a file that `margay trace record` wrote", type: "string", demandOption: true } as const;
  return y
    .usage("$0 trace COMMAND\n\nRecords runs and looks at them.")
    .demandCommand(1, 1, "no trace command: give record, show, diff, export or events", "one trace command at a time")
    .command(
      "record [program] [args..]",
      "run PROGRAM [ARGS…] as `margay run` does and write its trace into a file",
      (c) =>
        c
          .usage("$0 trace record [OPTIONS] PROGRAM [ARGS…]\n\nOptions as those of `margay run`.")
          .options(recordOptions),
      async (args) => {
        const { recordCommand } = await import("./tracerecord.ts");
        const line = ((args["--"] as (string | number)[] | undefined) ?? []).map(String);
        done(await recordCommand(line, single(args, Object.keys(recordOptions))));
      },
    )
    .command(
      "show <file>",
      "print a trace, decoded",
      (c) => c.positional("file", file).options(showOptions),
      async (args) => {
        const { showCommand } = await import("./traceview.ts");
        done(await showCommand(String(args["file"]), single(args, Object.keys(showOptions))));
      },
    )
    .command(
      "diff <a> <b>",
      "find and explain where two traces part",
      (c) => c.positional("a", file).positional("b", file).options(diffOptions),
      async (args) => {
        const { diffCommand } = await import("./traceview.ts");
        done(diffCommand(String(args["a"]), String(args["b"]), single(args, Object.keys(diffOptions))));
      },
    )
    .command(
      "export <file>",
      "write a trace for another tool",
      (c) => c.positional("file", file).options(exportOptions),
      async (args) => {
        const { exportCommand } = await import("./traceview.ts");
        done(exportCommand(String(args["file"]), single(args, Object.keys(exportOptions))));
      },
    )
    .command(
      "events",
      "print the catalogue of events (emulator/trace/EVENTS.md)",
      (c) => c,
      async () => {
        const { eventCatalogue } = await import("../trace/catalogue.ts");
        process.stdout.write(eventCatalogue());
        done(0);
      },
    )
    .epilogue(EPILOGUE);
}
