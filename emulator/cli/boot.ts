/**
 * `margay boot`: one node, with its console on stdout. It ends at --until, at the guest's exit, at the limit, or when
 * nothing more can happen.
 */
import path from "node:path";
import type { FabricHost } from "../fabric/host.ts";
import { ServiceNode } from "../service/service.ts";
import { Backtraces, Symboliser } from "../trace/symbolise.ts";
import { ConsoleLines } from "./console.ts";
import type { DebugLine } from "./debug.ts";
import { loadEngine } from "./engines.ts";
import { EXIT_LIMIT, EXIT_MACHINE_FAULT } from "./errors.ts";
import { readInput } from "./files.ts";
import { type Driver, openDebugger } from "./gdb.ts";
import { imageFile, machineSettings, readImage } from "./inputs.ts";
import { defaults } from "./limits.ts";
import { checkMemory } from "./memory.ts";
import { nodeOptions } from "./nodes.ts";
import { STDOUT, writeAll } from "./output.ts";
import type { Parsed } from "./parse.ts";
import { say, Session } from "./session.ts";
import { Signals } from "./signals.ts";
import { traceHeader } from "./traceheader.ts";
import { openTrace, type Tracing } from "./tracing.ts";
import { formatTime } from "./units.ts";
import { parseUntil, type Until } from "./until.ts";

/** `debug`: run under a gdb that the command starts. */
export async function bootCommand(parsed: Parsed, debug?: DebugLine): Promise<number> {
  const { texts: o, operands } = parsed;
  const image = operands[0]!;
  const settings = machineSettings(o, defaults.bootCores);
  const until: Until | null = o["until"] === undefined ? null : parseUntil(o["until"]);
  checkMemory(1, settings);
  const file = imageFile(image);
  const kernel = readImage(image);
  const module = o["module"] === undefined ? undefined : readInput("boot module", o["module"], "give a file");
  const console = new ConsoleLines();
  const backtraces = new Backtraces(new Symboliser([kernel]));
  const onConsole = (text: string): void => {
    session?.progress.clear();
    writeAll(STDOUT, Buffer.from(text, "latin1"));
    const known = console.all.length;
    console.take(text);
    for (const line of console.all.slice(known)) {
      until?.console(line);
      for (const l of backtraces.explain(line)) say(session, l);
    }
    if (console.ready) until?.ready();
  };
  const signals = new Signals();
  let driver: Driver | undefined;
  let tracing: Tracing | undefined;
  let session: Session | null = null;
  try {
    driver = await openDebugger(o, [path.resolve(file)], "", debug);
    const trace = await openTrace(o, {
      images: [kernel],
      watcher: until?.watcher,
      header: () => traceHeader(parsed, 1, settings, [{ role: "kernel", file, bytes: kernel }]),
    });
    tracing = trace;
    session = new Session({
      nodes: [
        nodeOptions({
          nid: 1,
          nodes: 1,
          settings,
          kernel,
          ...(module ? { module } : {}),
          onConsole: (text) => {
            if (session === null) onConsole(text);
            else session.guard(() => onConsole(text));
          },
        }),
      ],
      settings,
      image: file,
      trace: trace.sink,
      createEngine: trace.engine(await loadEngine(settings.engine), [1]),
      // Answers the kernel's READY message; without a service node the kernel would retransmit it for ever.
      services: (host: FabricHost) => void new ServiceNode(host, {}, trace.sink),
      signals,
      progress: () => "booting",
      ...(driver ? { driver } : {}),
    });
    const reason = await session.run(
      () => until?.reached === true,
      Math.min(settings.limitNs, until?.timeNs ?? Number.POSITIVE_INFINITY),
      () => false,
    );
    let status = finish(session, reason, console, until, settings.limitNs);
    for (const line of trace.violations(reason === "idle")) {
      say(session, line);
      status = EXIT_MACHINE_FAULT;
    }
    trace.close();
    for (const line of session.epilogue(true)) say(session, line);
    say(session, session.summary({ status, outcome: reason, image }));
    return driver ? await driver.close(status) : status;
  } finally {
    session?.close();
    driver?.remove();
    tracing?.close();
    signals.close();
  }
}

function finish(session: Session, reason: string, console: ConsoleLines, until: Until | null, limitNs: number): number {
  const { machine } = session;
  if (session.hasExpired) {
    say(session, `margay: time limit: still running at ${formatTime(machine.time)} virtual: raise --time`);
    return EXIT_LIMIT;
  }
  if (session.wasInterrupted) return session.interruptedStatus;
  switch (reason) {
    case "until":
      return 0;
    case "limit":
      if (until?.timeNs !== undefined && machine.time >= until.timeNs && until.timeNs <= limitNs) return 0;
      say(session, `margay: time limit: still running at ${formatTime(machine.time)}: raise --limit`);
      return EXIT_LIMIT;
    case "idle":
      // An idle kernel that has printed its ready line has done all that was asked, unless --until named an event.
      if (console.ready && until === null) return 0;
      say(
        session,
        `margay: machine: every core is halted and nothing is pending${until ? `: ${until.text} never came` : " before the kernel was ready"}`,
      );
      return EXIT_MACHINE_FAULT;
    case "exit": {
      const stop = machine.exits.at(-1)!;
      if (stop.status === 0) return 0;
      say(session, `margay: machine: ${stop.text}`);
      return EXIT_MACHINE_FAULT;
    }
    default:
      say(session, `margay: machine: ${machine.fault?.text ?? reason}`);
      return EXIT_MACHINE_FAULT;
  }
}
