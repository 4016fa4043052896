/**
 * One machine from the command line: builds it with the host's services at nid 0, advances it in slices so that Ctrl-C
 * and the progress line work, writes trace and summary, and cleans up in every case.
 */
import type { CreateEngine } from "../cpu/engine.ts";
import { LinkFaults } from "../fabric/faults.ts";
import { FabricHost } from "../fabric/host.ts";
import { ImageError } from "../machine/loader.ts";
import { Machine, type RunReason } from "../machine/machine.ts";
import type { NodeOptions } from "../machine/node.ts";
import type { TraceSink } from "../trace/sink.ts";
import { hostSeconds } from "./clock.ts";
import { UserError } from "./errors.ts";
import type { Driver } from "./gdb.ts";
import type { MachineSettings } from "./inputs.ts";
import type { JobSignals } from "./jobsignals.ts";
import { printError } from "./output.ts";
import type { Signals } from "./signals.ts";
import { Progress } from "./terminal.ts";
import { formatTime } from "./units.ts";

/** Instructions between two checks of signals and the progress line: about 50 ms of host time. */
const SLICE_INSTRUCTIONS = 2_000_000;

/**
 * After a signal the machine goes on for so long although input is missing, besides some latencies: the signal reaches
 * the nodes, and their kernels end the calls that wait.
 */
const SIGNAL_NS = 100_000;
const SIGNAL_LATENCIES = 4;

/** Input that a program waits for; the machine waits with it. */
export interface WantedInput {
  /** A task waits for input and none has arrived. */
  isMissing(): boolean;
  ready(): Promise<void>;
  /** No more input will come. */
  end(): void;
}

export interface SessionOptions {
  readonly nodes: readonly NodeOptions[];
  readonly settings: MachineSettings;
  /** Path or name of the kernel, for messages. */
  readonly image: string;
  readonly trace: TraceSink;
  readonly createEngine: CreateEngine;
  /** Called once with the endpoint at nid 0, before the machine starts. */
  readonly services: (host: FabricHost) => void;
  /** Text of the progress line. */
  readonly progress: () => string;
  readonly signals: Signals;
  readonly input?: WantedInput;
  /** Signals that are not for the command. */
  readonly jobSignals?: JobSignals;
  /** A debugger that decides when the machine runs. */
  readonly driver?: Driver;
}

export interface Figures {
  readonly nodes: number;
  /** Number of cores of all nodes. */
  readonly cores: number;
  readonly virtualNs: number;
  readonly wallSeconds: number;
  readonly instructions: number;
}

export class Session {
  readonly machine: Machine;
  readonly progress = new Progress();
  private readonly faults: LinkFaults | undefined;
  private readonly started = hostSeconds();
  /** The time of --time is over. */
  hasExpired = false;
  private failure: { readonly error: unknown } | undefined;

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
        fabric: options.settings.fabric,
        ...(this.faults === undefined ? {} : { faults: this.faults }),
        trace,
        createEngine: options.createEngine,
        endpoints: (send) => {
          const nids = new Set(options.nodes.map((n) => n.nid));
          const host = new FabricHost(send, trace, { exists: (nid) => nids.has(nid) });
          options.services(host);
          return host;
        },
      });
    } catch (error) {
      if (error instanceof ImageError) throw new UserError("kernel image", `${options.image} ${error.message}`, "");
      throw error;
    }
    options.driver?.start(this.machine);
  }

  /**
   * Runs until `done`, the limit, or the machine's own end. `interrupted` is called at the first interruption that the
   * job does not take, or when the time of --time is over; if it returns true, the run continues in order to clean up.
   * A second one ends the run at once.
   */
  async run(done: () => boolean, limitNs: number, interrupted: () => boolean): Promise<RunReason> {
    const { driver, signals, jobSignals, input, settings } = this.options;
    let wake = (): void => {};
    const call = (): void => {
      driver?.interrupt();
      wake();
    };
    signals.onSignal = (signal) => {
      // With gdb in the same terminal Ctrl-C is meant for gdb, which then asks the machine to stop.
      if (signal === "SIGINT" && driver?.hasTerminal === true) return false;
      // A job that stands for a debugger takes nothing.
      if (driver?.standing !== true && jobSignals?.take(signal) === true) {
        wake();
        return false;
      }
      call();
      return true;
    };
    const expire = (): void => {
      this.hasExpired = true;
      call();
    };
    const timer =
      settings.timeSeconds === Number.POSITIVE_INFINITY ? undefined : setTimeout(expire, settings.timeSeconds * 1000);
    driver?.invite();
    let told = 0;
    let signalUntil = 0;
    const isMissing = (): boolean => input?.isMissing() === true && this.machine.time >= signalUntil;
    try {
      for (;;) {
        if (jobSignals?.pass() === true)
          signalUntil = this.machine.horizon + SIGNAL_NS + SIGNAL_LATENCIES * settings.fabric.latencyNs;
        const calls = signals.count + (this.hasExpired ? 1 : 0);
        if (signals.count > 1) return "stopped";
        if (calls > told) {
          told = calls;
          input?.end();
          // A machine that waits for its debugger cannot clean up.
          if (driver?.standing === true || !interrupted()) return "stopped";
        }
        const options = { until: done, limitNs, stop: () => this.failure !== undefined || isMissing() };
        const reason = driver
          ? await driver.advance(SLICE_INSTRUCTIONS, options)
          : this.machine.runSlice(SLICE_INSTRUCTIONS, options);
        if (this.failure !== undefined) throw this.failure.error;
        if (reason === "stopped" && input !== undefined && isMissing() && driver?.ended !== true) {
          this.progress.clear();
          await Promise.race([
            input.ready(),
            new Promise<void>((resolve) => {
              wake = resolve;
            }),
          ]);
        } else if (reason !== "slice") return reason;
        else if (!driver) this.progress.show(`${this.options.progress()}  ${formatTime(this.machine.time)}`);
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    } finally {
      this.progress.clear();
      clearTimeout(timer);
      signals.onSignal = () => true;
    }
  }

  /** A callback must not throw into the engine: the first error is kept and ends the run. */
  guard(action: () => void): void {
    if (this.failure !== undefined) return;
    try {
      action();
    } catch (error) {
      this.failure = { error };
    }
  }

  get wasInterrupted(): boolean {
    return this.options.signals.count > 0 || this.options.driver?.ended === true;
  }
  get interruption(): string {
    return this.options.signals.count > 0 ? "interrupted" : "ended by the debugger";
  }
  /** Exit status after an interruption. */
  get interruptedStatus(): number {
    return this.options.signals.status;
  }

  /**
   * Lines known only at the end: the faults that happened and the state hash, if requested; with the summary also the
   * longest time with interrupts off.
   */
  epilogue(hasSummary: boolean): readonly string[] {
    if (this.options.settings.json) return [];
    const lines = this.faults === undefined ? [] : [`link faults: ${this.faults.summary()}`];
    const off = this.machine.longestInterruptsOff;
    if (off !== undefined && hasSummary) lines.push(`longest time with interrupts off: ${off.ns} ns (${off.place})`);
    return this.options.settings.hash ? [...lines, `state hash ${this.machine.stateHash()}`] : lines;
  }

  figures(): Figures {
    return {
      nodes: this.options.nodes.length,
      cores: this.options.nodes.reduce((sum, n) => sum + n.cores, 0),
      virtualNs: this.machine.time,
      wallSeconds: hostSeconds() - this.started,
      instructions: this.machine.instructions,
    };
  }

  /**
   * `4 nodes, 8 cores: 1.234 ms virtual, 0.52 s wall, 12.3 M instructions, 45.6 MIPS`, or with --json one line of JSON
   * with the figures and `more`.
   */
  summary(more: Readonly<Record<string, unknown>>): string {
    const { nodes, cores, virtualNs, wallSeconds, instructions } = this.figures();
    if (this.options.settings.json) {
      const faults = this.faults === undefined ? {} : { linkFaults: this.faults.counts };
      const hash = this.options.settings.hash ? { stateHash: this.machine.stateHash() } : {};
      const off = this.machine.longestInterruptsOff;
      const interrupts =
        off === undefined ? {} : { longestInterruptsOffNs: off.ns, longestInterruptsOffPlace: off.place };
      return JSON.stringify({ ...more, ...this.figures(), ...faults, ...interrupts, ...hash });
    }
    const millions = instructions / 1e6;
    const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
    return `${plural(nodes, "node")}, ${plural(cores, "core")}: ${formatTime(virtualNs)} virtual, ${wallSeconds.toFixed(2)} s wall, ${millions.toFixed(2)} M instructions, ${(millions / wallSeconds).toFixed(1)} MIPS`;
  }

  close(): void {
    this.progress.clear();
    this.machine.close();
  }
}

/** Prints to stderr, below the progress line. */
export function say(session: Session | null, line: string): void {
  session?.progress.clear();
  printError(`${line}\n`);
}
