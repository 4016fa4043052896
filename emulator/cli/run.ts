/** `margay run`: boots a machine, has the service node load PROGRAM on its nodes, and passes on output and status. */
import path from "node:path";
import type { FabricHost } from "../fabric/host.ts";
import { IoNode, type TaskName } from "../ionode/ionode.ts";
import { type JobResult, type JobState, ServiceNode } from "../service/service.ts";
import type { TraceSink } from "../trace/sink.ts";
import { Backtraces, Symboliser } from "../trace/symbolise.ts";
import { ConsoleLines } from "./console.ts";
import { coreReportLines } from "./corereport.ts";
import { openCores } from "./cores.ts";
import type { DebugLine } from "./debug.ts";
import { loadEngine } from "./engines.ts";
import { EXIT_MACHINE_FAULT, UserError } from "./errors.ts";
import { type Driver, openDebugger } from "./gdb.ts";
import { openJobDebugger } from "./gdbjob.ts";
import { imageFile, imagesOut, machineSettings, readArtifact, readImage, rootFolder } from "./inputs.ts";
import { jobSetup } from "./jobsetup.ts";
import { forwarded, JobSignals, parseSignals } from "./jobsignals.ts";
import { LabelledOutput } from "./label.ts";
import { defaults } from "./limits.ts";
import { checkMemory } from "./memory.ts";
import { nodeOptions } from "./nodes.ts";
import { STDERR, STDOUT, writeAll } from "./output.ts";
import type { Parsed } from "./parse.ts";
import { builtInJobs, checkRoot, findProgram, parseMounts, type Program, programFiles } from "./program.ts";
import { finishRun } from "./runend.ts";
import { say, Session } from "./session.ts";
import { openStrace } from "./strace.ts";
import { Signals } from "./signals.ts";
import { openInput } from "./stdin.ts";
import { terminalSize } from "./terminal.ts";
import { traceHeader, type UsedImage } from "./traceheader.ts";
import { openTrace, type Tracing } from "./tracing.ts";

/** User id of every job. */
const USER_ID = 1000;

/** `debug`: run under a gdb that the command starts. */
export async function runCommand(parsed: Parsed, debug?: DebugLine): Promise<number> {
  const { texts: o } = parsed;
  if (o["strace"] !== undefined && (o["gdb"] ?? o["gdb-job"] ?? debug) !== undefined)
    throw new UserError("bad --strace", "with a debugger", "both stop the machine: give one of them");
  const settings = machineSettings(o, defaults.runCores);
  const { nodes, placement, fanout, workingDirectory, quotaBytes, commands, programOfRank, envp } = jobSetup(parsed);
  const { nids: ranks, coresOfRank } = placement;
  checkMemory(nodes, settings);
  const root = rootFolder(o["root"]);
  const mounts = parseMounts(parsed.lists["mount"] ?? []);
  checkRoot(root, workingDirectory, mounts);
  const kernelFile = imageFile(o["kernel"] ?? "kernel");
  const kernel = readImage(o["kernel"] ?? "kernel");
  const initImage = readArtifact("init.bin");
  const programs = commands.map((argv) => findProgram(argv[0]!, root, workingDirectory, mounts));
  const program = programs[0]!;
  const programOf = (rank: number): Program => programs[programOfRank[rank] ?? 0]!;
  const argvOf = (rank: number): readonly string[] => commands[programOfRank[rank] ?? 0]!;
  const used: readonly UsedImage[] = [
    { role: "kernel", file: kernelFile, bytes: kernel },
    { role: "init", file: path.join(imagesOut, "init.elf"), bytes: readArtifact("init.elf") },
    ...programFiles(programs).map(({ hostPath, bytes }) => ({ role: "program", file: hostPath, bytes }) as const),
  ];
  /** Dumps and traces hold addresses; the images of kernel, init and program give their symbols. */
  const images = used.map((image) => image.bytes);
  const symboliser = new Symboliser(images);
  const nids = Array.from({ length: nodes }, (_, i) => i + 1);

  const output = new LabelledOutput(o["label"] !== undefined);
  const consoles = new Map(nids.map((nid) => [nid, new ConsoleLines()]));
  const backtraces = new Map(nids.map((nid) => [nid, new Backtraces(symboliser)]));
  const ready = new Set<number>();
  let result: JobResult | null = null;
  let state: JobState | "booting" = "booting";
  let jobId = 0;
  let service!: ServiceNode;
  let io: IoNode | undefined;
  let driver: Driver | undefined;
  let tracing: Tracing | undefined;
  let session: Session | null = null;
  const scheduled = parseSignals(parsed.lists["signal"] ?? []);
  const signals = new Signals(forwarded);
  const input = openInput(o["stdin"]);
  const cores = openCores(o["core-dir"], { kernel, symboliser: () => symboliser, argvOf });
  const guard = (action: () => void): void => {
    if (session === null) action();
    else session.guard(action);
  };
  const sayConsole = (nid: number, line: string): void => {
    for (const l of [line, ...backtraces.get(nid)!.explain(line)]) say(session, `[n${nid}] ${l}`);
  };
  /** Kernel messages after the ready line matter to the user of a job; the boot lines do not. */
  const onConsole = (nid: number, text: string): void => {
    const lines = consoles.get(nid)!;
    for (const l of lines.take(text)) if (lines.ready) sayConsole(nid, l);
  };
  const submit = (time: number): void => {
    jobId = service.submit(
      {
        nids: ranks,
        ...(coresOfRank === undefined ? {} : { coresOfRank }),
        programs: programs.map(({ path }) => path),
        programOfRank,
        argv: commands[0]!,
        argvOfProgram: commands,
        envp,
        userId: USER_ID,
        fanout,
        cores: 0,
        initImage,
        signals: scheduled,
      },
      time,
    );
  };
  const rankOf = ({ jobId: job, nid, pid }: TaskName): number | undefined => service.rankOf(job, nid, pid);

  const services = (host: FabricHost, sink: TraceSink): void => {
    service = new ServiceNode(
      host,
      {
        ready: (nid, _personality, time) => {
          ready.add(nid);
          if (ready.size === nodes && jobId === 0) submit(time);
        },
        jobState: (_job, s) => {
          state = s;
        },
        jobEnded: (r) => {
          result = r;
        },
        coreReport: (report, nid, rank) => {
          for (const l of coreReportLines(report, nid, rank, programOf(rank).name, symboliser)) say(session, l);
          guard(() => {
            for (const l of cores?.write(rank) ?? []) say(session, l);
          });
        },
      },
      sink,
    );
    io = new IoNode(
      host,
      {
        root,
        builtIn: builtInJobs,
        mounts,
        workingDirectory,
        quotaBytes,
        seed: settings.seed,
        latencyNs: settings.fabric.latencyNs,
        standardInput: (task) => (rankOf(task) === 0 ? input : undefined),
        onOutput: (from) => {
          session?.progress.clear();
          guard(() => writeAll(from.fd, output.take(rankOf(from) ?? ranks.indexOf(from.nid), from.fd, from.bytes)));
        },
        epochSeconds: BigInt(settings.epochSeconds),
        machine: { cores: settings.cores, memoryBytes: settings.memBytes },
        program: (task) => {
          const rank = rankOf(task);
          return rank === undefined ? undefined : { path: programOf(rank).path, argv: argvOf(rank), envp };
        },
        // A label before each line, or a file for input, is no terminal.
        terminal: (stream) => (o[stream === 0 ? "stdin" : "label"] === undefined ? terminalSize(stream) : undefined),
      },
      sink,
    );
  };

  try {
    const files = used.map((image) => path.resolve(image.file));
    driver =
      (await openDebugger(o, files, path.basename(program.name), debug)) ??
      (await openJobDebugger(
        o,
        programs.map(({ file }) => file?.hostPath),
        ranks,
        path.resolve("/", workingDirectory),
      )) ??
      (o["strace"] === undefined ? undefined : await openStrace(kernel, placement, (line) => say(session, line)));
    // The last step that may refuse: it truncates the file.
    const trace = await openTrace(o, { images, header: () => traceHeader(parsed, nodes, settings, used) });
    tracing = trace;
    session = new Session({
      nodes: nids.map((nid) =>
        nodeOptions({
          nid,
          nodes,
          settings,
          kernel,
          onConsole: (text) => onConsole(nid, text),
          onMailbox: (message, time) => driver?.mail?.(nid, message, time),
          ...(cores === undefined
            ? {}
            : { onFrame: (frame) => guard(() => session !== null && cores.sees(session.machine, nid, frame)) }),
        }),
      ),
      settings,
      image: kernelFile,
      trace: trace.sink,
      createEngine: trace.engine(await loadEngine(settings.engine), nids),
      services: (host) => services(host, trace.sink),
      signals,
      jobSignals: new JobSignals({
        get isRunning() {
          return state === "running" && signals.count === 0;
        },
        get horizon() {
          return session!.machine.horizon;
        },
        send: (signal, at) => service.signal(jobId, signal, at),
        say: (line) => say(session, line),
      }),
      input: {
        isMissing: () => io?.wantsInput === true && !input.isReady,
        ready: () => input.ready(),
        end: () => input.close(),
      },
      progress: () =>
        state === "booting" ? `booting: ${ready.size} of ${nodes} nodes ready` : `${program.name}: ${state}`,
      ...(driver ? { driver } : {}),
    });
    const current = session;
    const reason = await session.run(
      () => result !== null,
      settings.limitNs,
      () => jobId !== 0 && service.kill(jobId, current.machine.time),
    );
    for (const fd of [STDOUT, STDERR]) writeAll(fd, output.rest(fd));
    const end = finishRun({
      session,
      reason,
      result,
      program: program.name,
      nids: ranks,
      absent: nids.filter((n) => !ready.has(n)),
    });
    if (reason !== "until")
      for (const [nid, lines] of consoles) if (!lines.ready) for (const l of lines.all) sayConsole(nid, l);
    // The machine stops at the job's end, while its last messages are in flight.
    const violations = trace.violations(false);
    for (const line of violations) say(session, line);
    // A file that could not be written makes the run fail, before the summary.
    trace.close();
    const status = violations.length > 0 ? EXIT_MACHINE_FAULT : end.status;
    for (const line of session.epilogue(end.hasSummary)) say(session, line);
    if (end.hasSummary) {
      const ranksFigure = { ranks: ranks.length };
      say(session, session.summary({ status, outcome: end.outcome, program: program.name, ...ranksFigure }));
    }
    return driver ? await driver.close(status) : status;
  } finally {
    input.close();
    io?.shutDown();
    session?.close();
    driver?.remove();
    tracing?.close();
    signals.close();
  }
}
