/** `margay boot`: one node, its console on stdout; ends at --until, the guest's exit, the limit, or when nothing more can happen. */
import path from "node:path";
import type { FabricHost } from "../fabric/host.ts";
import { ServiceNode } from "../service/service.ts";
import { Backtraces, Symboliser } from "../trace/symbolise.ts";
import { ConsoleLines } from "./console.ts";
import type { DebugLine } from "./debug.ts";
import { EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_MACHINE_FAULT } from "./errors.ts";
import { openDebugger } from "./gdb.ts";
import { imageFile, machineSettings, readImage, readInput, type Texts } from "./inputs.ts";
import { nodeOptions } from "./nodes.ts";
import { defaults } from "./options.ts";
import { say, Session, writeAll } from "./session.ts";
import { openTrace } from "./tracing.ts";
import { parseUntil, type Until } from "./until.ts";
import { formatTime } from "./units.ts";

/** `debug`: under a gdb of its own. */
export async function bootCommand(image: string, o: Texts, debug?: DebugLine): Promise<number> {
  const settings = machineSettings(o, defaults.bootCores);
  const until: Until | null = o["until"] === undefined ? null : parseUntil(o["until"]);
  const kernel = readImage(image);
  const module = o["module"] === undefined ? undefined : readInput("boot module", o["module"], "give a file");
  const driver = await openDebugger(o, [path.resolve(imageFile(image))], "", debug);
  const tracing = await openTrace(o, [kernel], until?.watcher);
  const console = new ConsoleLines();
  const backtraces = new Backtraces(new Symboliser([kernel]));
  let session: Session | null = null;
  try {
    session = new Session({
      nodes: [
        nodeOptions({
          nid: 1,
          nodes: 1,
          settings,
          kernel,
          ...(module ? { module } : {}),
          onConsole: (text) => {
            session?.progress.clear();
            writeAll(1, Buffer.from(text, "latin1"));
            const known = console.all.length;
            console.take(text);
            for (const line of console.all.slice(known)) {
              until?.console(line);
              for (const l of backtraces.explain(line)) say(session, l);
            }
            if (console.ready) until?.ready();
          },
        }),
      ],
      settings,
      image: imageFile(image),
      trace: tracing.sink,
      engine: tracing.engine,
      // The kernel tells the service node that it is ready; without one it would say so for ever.
      services: (host: FabricHost) => void new ServiceNode(host, {}, tracing.sink),
      progress: () => "booting",
      ...(driver ? { driver } : {}),
    });
    const reason = await session.run(
      () => until?.reached === true,
      Math.min(settings.limitNs, until?.timeNs ?? Number.POSITIVE_INFINITY),
      () => false,
    );
    let status = finish(session, reason, console, until, settings.limitNs);
    for (const line of tracing.violations(reason === "idle")) {
      say(session, line);
      status = EXIT_MACHINE_FAULT;
    }
    for (const line of session.epilogue()) say(session, line);
    say(session, session.summary());
    return driver ? await driver.close(status) : status;
  } finally {
    session?.close();
    tracing.close();
    driver?.remove();
  }
}

function finish(session: Session, reason: string, console: ConsoleLines, until: Until | null, limitNs: number): number {
  const { machine } = session;
  if (session.wasInterrupted) return EXIT_INTERRUPTED;
  switch (reason) {
    case "until":
      return 0;
    case "limit":
      if (until?.timeNs !== undefined && machine.time >= until.timeNs && until.timeNs <= limitNs) return 0;
      say(session, `margay: time limit: still running at ${formatTime(machine.time)}: raise --limit`);
      return EXIT_LIMIT;
    case "idle":
      // A kernel that said it is ready and has nothing to do has done all that was asked, unless an event was.
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
