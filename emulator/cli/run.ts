/** `margay run`: boots a machine, lets the service node load PROGRAM on all nodes, passes on output and status. */
import fs from "node:fs";
import path from "node:path";
import { Cause } from "../abi/net.ts";
import type { FabricHost } from "../fabric/host.ts";
import { IoNode } from "../ionode/ionode.ts";
import { type JobResult, type JobState, ServiceNode } from "../service/service.ts";
import { Backtraces, Symboliser } from "../trace/symbolise.ts";
import { ConsoleLines } from "./console.ts";
import { coreReportLines } from "./corereport.ts";
import type { DebugLine } from "./debug.ts";
import { EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_MACHINE_FAULT, EXIT_REFUSED, UserError } from "./errors.ts";
import { type Driver, openDebugger } from "./gdb.ts";
import { openJobDebugger } from "./gdbjob.ts";
import {
  imageFile,
  imagesOut,
  machineSettings,
  readArtifact,
  readImage,
  readInput,
  rootFolder,
  type Texts,
} from "./inputs.ts";
import { LabelledOutput } from "./label.ts";
import { nodeOptions } from "./nodes.ts";
import { bounds, defaults } from "./options.ts";
import { say, Session, writeAll } from "./session.ts";
import type { TraceConsumer } from "../trace/tracer.ts";
import { openTrace } from "./tracing.ts";
import { formatTime, parseCount } from "./units.ts";

/** The user that a job runs for. */
const USER_ID = 1000;

/** PROGRAM as the job sees it; a built-in job must exist, what lies in the root is init's to find. */
function programPath(program: string): string {
  if (program.includes("/")) return program;
  if (!fs.existsSync(path.join(imagesOut, "bin", program))) {
    const known = fs.existsSync(path.join(imagesOut, "bin"))
      ? fs.readdirSync(path.join(imagesOut, "bin")).sort().join(", ")
      : "none: run `make build`";
    throw new UserError(
      "no built-in job",
      program,
      `the jobs are ${known}; a program in --root needs a slash: /${program}`,
    );
  }
  return `/margay/bin/${program}`;
}

/** The program's file as far as we can see it, for its symbols; a program that is missing is init's to report. */
function programImage(program: string, root: string): readonly Uint8Array[] {
  const file = programFile(program, root);
  return file === undefined ? [] : [readInput("program", file, "")];
}
export function programFile(program: string, root: string): string | undefined {
  const file = program.includes("/") ? path.join(root, program) : path.join(imagesOut, "bin", program);
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true ? file : undefined;
}

/** Linux wait status → exit status of a shell. */
export const exitStatus = (waitStatus: number): number =>
  (waitStatus & 0x7f) === 0 ? (waitStatus >> 8) & 0xff : 128 + (waitStatus & 0x7f);

/** `record`: opens what gets the selected events instead of a trace as text. `debug`: under a gdb of its own. */
export async function runCommand(
  line: readonly string[],
  o: Texts,
  {
    record,
    debug,
  }: { readonly record?: (() => TraceConsumer) | undefined; readonly debug?: DebugLine | undefined } = {},
): Promise<number> {
  const program = line[0];
  if (program === undefined) throw new UserError("no program", "run", "give a job: `margay run hello`");
  const settings = machineSettings(o, defaults.runCores);
  const nodes = o["nodes"] === undefined ? defaults.nodes : parseCount("--nodes", o["nodes"], 1, bounds.nodes);
  const fanout = o["fanout"] === undefined ? defaults.fanout : parseCount("--fanout", o["fanout"], 1, bounds.fanout);
  const root = rootFolder(o["root"]);
  const kernel = readImage(o["kernel"] ?? "kernel");
  const initImage = readArtifact("init.bin");
  const job = programPath(program);
  /** Dumps and traces hold addresses; the images of kernel, init and program say what stands there. */
  const images = [kernel, readArtifact("init.elf"), ...programImage(program, root)];
  const symboliser = new Symboliser(images);
  const known = programFile(program, root);
  const nids = Array.from({ length: nodes }, (_, i) => i + 1);
  const machineDriver = await openDebugger(
    o,
    [
      path.resolve(imageFile(o["kernel"] ?? "kernel")),
      path.join(imagesOut, "init.elf"),
      ...(known === undefined ? [] : [known]),
    ],
    path.basename(program),
    debug,
  );
  const driver: Driver | undefined = machineDriver ?? (await openJobDebugger(o, known, nids));
  const tracing = await openTrace(o, images, undefined, record);

  const output = new LabelledOutput(o["label"] !== undefined, (nid) => nids.indexOf(nid));
  const consoles = new Map(nids.map((nid) => [nid, new ConsoleLines()]));
  let result: JobResult | null = null;
  let state: JobState | "booting" = "booting";
  let ready = 0;
  let jobId = 0;
  let service!: ServiceNode;
  let io!: IoNode;
  const backtraces = new Map(nids.map((nid) => [nid, new Backtraces(symboliser)]));
  const sayConsole = (nid: number, line: string): void => {
    for (const l of [line, ...backtraces.get(nid)!.explain(line)]) say(session, `[n${nid}] ${l}`);
  };
  /** Kernel messages behind the ready line matter to whoever runs a job; the boot lines do not. */
  const onConsole = (nid: number, text: string): void => {
    const lines = consoles.get(nid)!;
    for (const l of lines.take(text)) if (lines.ready) sayConsole(nid, l);
  };
  const services = (host: FabricHost): void => {
    service = new ServiceNode(
      host,
      {
        ready: (_nid, _personality, time) => {
          if (++ready < nodes || jobId !== 0) return;
          jobId = service.submit(
            {
              nids,
              programs: [job],
              argv: [program, ...line.slice(1)],
              envp: [],
              userId: USER_ID,
              fanout,
              cores: 0,
              initImage,
            },
            time,
          );
        },
        jobState: (_job, s) => {
          state = s;
        },
        jobEnded: (r) => {
          result = r;
        },
        coreReport: (report, nid, rank) => {
          for (const l of coreReportLines(report, nid, rank, program, symboliser)) say(session, l);
        },
      },
      tracing.sink,
    );
    io = new IoNode(
      host,
      {
        root,
        builtIn: path.join(imagesOut, "bin"),
        onOutput: ({ nid, fd, bytes }) => {
          if (fd === 1 || process.stderr.isTTY) session?.progress.clear();
          writeAll(fd, output.take(nid, fd, bytes));
        },
        epochSeconds: BigInt(settings.epochSeconds),
      },
      tracing.sink,
    );
  };

  let session: Session | null = null;
  try {
    session = new Session({
      nodes: nids.map((nid) =>
        nodeOptions({
          nid,
          nodes,
          settings,
          kernel,
          onConsole: (text) => onConsole(nid, text),
          onMailbox: (message, time) => driver?.mail?.(nid, message, time),
        }),
      ),
      settings,
      image: imageFile(o["kernel"] ?? "kernel"),
      trace: tracing.sink,
      engine: tracing.engine,
      services,
      progress: () => (state === "booting" ? `booting: ${ready} of ${nodes} nodes ready` : `${program}: ${state}`),
      ...(driver ? { driver } : {}),
    });
    const current = session;
    const reason = await session.run(
      () => result !== null,
      settings.limitNs,
      () => jobId !== 0 && service.kill(jobId, current.machine.time),
    );
    for (const fd of [1, 2]) writeAll(fd, output.rest(fd));
    let status = finish(session, reason, result, program);
    if (reason !== "until")
      for (const [nid, lines] of consoles) if (!lines.ready) for (const l of lines.all) sayConsole(nid, l);
    // The machine stops at the job's end, with its last messages on the way.
    for (const line of tracing.violations(false)) {
      say(session, line);
      status = EXIT_MACHINE_FAULT;
    }
    for (const line of session.epilogue()) say(session, line);
    say(session, session.summary());
    return driver ? await driver.close(status) : status;
  } finally {
    io?.shutDown();
    session?.close();
    tracing.close();
    driver?.remove();
  }
}

function finish(session: Session, reason: string, result: JobResult | null, program: string): number {
  if (session.wasInterrupted) {
    say(session, `margay: ${session.interruption}: the job was ended`);
    return EXIT_INTERRUPTED;
  }
  switch (reason) {
    case "until":
      break;
    case "limit":
      say(
        session,
        `margay: time limit: ${program} was still running at ${formatTime(session.machine.time)}: raise --limit`,
      );
      return EXIT_LIMIT;
    case "idle":
      say(
        session,
        "margay: machine: every core is halted and nothing is pending: look at the trace (--show job,msg,sys)",
      );
      return EXIT_MACHINE_FAULT;
    default: {
      const stop = session.machine.fault ?? session.machine.exits.at(-1);
      say(session, `margay: machine: ${stop?.text ?? reason}: look at the console above`);
      return EXIT_MACHINE_FAULT;
    }
  }
  if (result!.kind === "exited") {
    if (result!.lostNid !== undefined)
      say(session, `margay: job killed: nid ${result!.lostNid} does not answer: look at its link (--show msg)`);
    return exitStatus(result!.waitStatus);
  }
  if (result!.kind === "killed") return EXIT_INTERRUPTED;
  say(session, `margay: load refused: ${result!.text}${hint(result!.cause)}`);
  return EXIT_REFUSED;
}
const hint = (cause: number): string =>
  cause === Cause.PROGRAM_OPEN
    ? ": check the path inside --root"
    : cause === Cause.PROGRAM_FORMAT
      ? ": give a static x86-64 ELF program"
      : cause === Cause.NO_MEMORY
        ? ": give the nodes more with --mem"
        : "";
