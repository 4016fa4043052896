/**
 * One machine from the command line: builds it with the host's services at nid 0, advances it in slices so that Ctrl-C and the
 * progress line live, writes trace and summary, and never leaves anything behind.
 */
import fs from "node:fs";
import type { CreateEngine } from "../cpu/engine.ts";
import { createUnicornEngine } from "../cpu/unicorn/engine.ts";
import { UnicornUnavailable } from "../cpu/unicorn/library.ts";
import { LinkFaults } from "../fabric/faults.ts";
import { FabricHost } from "../fabric/host.ts";
import { ImageError } from "../machine/loader.ts";
import { Machine, type RunReason } from "../machine/machine.ts";
import type { NodeOptions } from "../machine/node.ts";
import type { TraceSink } from "../trace/sink.ts";
import { hostSeconds } from "./clock.ts";
import { EXIT_INTERRUPTED, UserError } from "./errors.ts";
import type { Driver } from "./gdb.ts";
import type { MachineSettings } from "./inputs.ts";
import { Progress } from "./terminal.ts";
import { formatTime } from "./units.ts";

/** Instructions between two looks at signals and the progress line: about 50 ms of host time. */
const SLICE_INSTRUCTIONS = 2_000_000;

/** Ctrl-C, kill, a terminal that goes away. */
export const interruptions = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface SessionOptions {
  readonly nodes: readonly NodeOptions[];
  readonly settings: MachineSettings;
  /** Where the kernel came from, for messages. */
  readonly image: string;
  readonly trace: TraceSink;
  /** What stands between the machine and its engines, if anything does. */
  readonly engine?: (create: CreateEngine, nids: readonly number[]) => CreateEngine;
  /** Called once with the endpoint at nid 0, before the machine starts. */
  readonly services: (host: FabricHost) => void;
  /** Text of the progress line. */
  readonly progress: () => string;
  /** A debugger that says when the machine moves. */
  readonly driver?: Driver;
}

export class Session {
  readonly machine: Machine;
  readonly progress = new Progress();
  private readonly faults: LinkFaults | undefined;
  private interrupts = 0;
  private readonly started = hostSeconds();
  private readonly onInterrupt = (signal: NodeJS.Signals): void => {
    // With gdb in the same terminal Ctrl-C is meant for it, and it asks the machine to stop.
    if (signal === "SIGINT" && this.options.driver?.hasTerminal === true) return;
    this.interrupts++;
    this.options.driver?.interrupt();
  };

  constructor(private readonly options: SessionOptions) {
    const { faults, seed } = options.settings;
    const trace = options.driver?.sink(options.trace) ?? options.trace;
    this.faults = faults === undefined ? undefined : new LinkFaults(faults, seed);
    try {
      this.machine = new Machine({
        nodes: options.nodes,
        seed: options.settings.seed,
        epoch: options.settings.epochSeconds,
        strict: options.settings.strict,
        ...(this.faults === undefined ? {} : { faults: this.faults }),
        trace,
        createEngine:
          options.engine?.(
            createUnicornEngine,
            options.nodes.map((n) => n.nid),
          ) ?? createUnicornEngine,
        endpoints: (send) => {
          const host = new FabricHost(send, trace);
          options.services(host);
          return host;
        },
      });
    } catch (error) {
      if (error instanceof UnicornUnavailable) throw new UserError("unicorn", error.message, "");
      if (error instanceof ImageError) throw new UserError("kernel image", `${options.image} ${error.message}`, "");
      throw error;
    }
    options.driver?.start(this.machine);
  }

  /**
   * Runs until `done`, the limit, or the machine's own end. `interrupted` is told the first Ctrl-C; true lets the run go on to
   * clean up. The second ends it at once.
   */
  async run(done: () => boolean, limitNs: number, interrupted: () => boolean): Promise<RunReason> {
    for (const signal of interruptions) process.on(signal, this.onInterrupt);
    const { driver } = this.options;
    driver?.invite();
    let told = 0;
    try {
      for (;;) {
        const options = { until: done, limitNs };
        const reason = driver
          ? await driver.advance(SLICE_INSTRUCTIONS, options)
          : this.machine.runSlice(SLICE_INSTRUCTIONS, options);
        if (reason !== "slice") return reason;
        if (!driver) this.progress.show(`${this.options.progress()}  ${formatTime(this.machine.time)}`);
        await new Promise<void>((resolve) => setImmediate(resolve));
        if (this.interrupts > 1) return "stopped";
        if (this.interrupts > told) {
          told = this.interrupts;
          // What waits for its debugger cannot clean up.
          if (driver?.standing === true || !interrupted()) return "stopped";
        }
      }
    } finally {
      this.progress.clear();
      for (const signal of interruptions) process.off(signal, this.onInterrupt);
    }
  }

  get wasInterrupted(): boolean {
    return this.interrupts > 0 || this.options.driver?.ended === true;
  }

  get interruption(): string {
    return this.interrupts > 0 ? "interrupted" : "ended by the debugger";
  }

  /** What is asked for and known only at the end: the faults that happened, the state hash. */
  epilogue(): readonly string[] {
    const lines = this.faults === undefined ? [] : [`link faults: ${this.faults.summary()}`];
    return this.options.settings.hash ? [...lines, `state hash ${this.machine.stateHash()}`] : lines;
  }

  /** `4 nodes, 8 cores: 1.234 ms virtual, 0.52 s wall, 12.3 M instructions, 45.6 MIPS` */
  summary(): string {
    const seconds = hostSeconds() - this.started;
    const millions = this.machine.instructions / 1e6;
    const nodes = this.options.nodes.length;
    const cores = this.options.nodes.reduce((sum, n) => sum + n.cores, 0);
    const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
    return `${plural(nodes, "node")}, ${plural(cores, "core")}: ${formatTime(this.machine.time)} virtual, ${seconds.toFixed(2)} s wall, ${millions.toFixed(2)} M instructions, ${(millions / seconds).toFixed(1)} MIPS`;
  }

  close(): void {
    this.progress.clear();
    this.machine.close();
  }
}

/** stderr, behind the progress line. */
export function say(session: Session | null, line: string): void {
  session?.progress.clear();
  process.stderr.write(`${line}\n`);
}

/** Everything that a job writes goes out whole and in order, even when stdout is a pipe that is read slowly. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += fs.writeSync(fd, bytes, done);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EAGAIN") continue;
      if (code === "EPIPE") process.exit(EXIT_INTERRUPTED);
      throw error;
    }
  }
}
