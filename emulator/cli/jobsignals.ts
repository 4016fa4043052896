/**
 * Signals that `margay run` passes on to its job, as srun and aprun do: to every task, over the wire. A job that has
 * not started takes those that would not end the command when it starts. The second Ctrl-C is not for the job: it ends
 * the run. Each signal is logged with its virtual time; --signal sends it again at that time, so that the run can be
 * repeated.
 */
import { Signal, SignalNames } from "../abi/signal.ts";
import type { ScheduledSignal } from "../service/service.ts";
import { UserError } from "./errors.ts";
import { interruptions } from "./signals.ts";
import { formatTime, parseTime } from "./units.ts";

/** Besides those that interrupt a command. */
export const forwarded = ["SIGUSR1", "SIGUSR2", "SIGCONT", "SIGQUIT", "SIGWINCH"] as const;

const numberOf = new Map([...SignalNames].map(([number, name]) => [name, number]));

export interface SignalReceiver {
  /** The job runs, and nothing is ending it. */
  readonly isRunning: boolean;
  /** The next virtual time at which the job can get a signal, ns. */
  readonly horizon: number;
  send(signal: number, at: number): void;
  say(line: string): void;
}

export class JobSignals {
  private waiting: NodeJS.Signals[] = [];
  private hasInterrupted = false;

  constructor(private readonly job: SignalReceiver) {}

  /** Whether the signal is the job's. */
  take(signal: NodeJS.Signals): boolean {
    const interrupts = (interruptions as readonly string[]).includes(signal) || signal === "SIGQUIT";
    if (interrupts && !this.job.isRunning) return false;
    if (signal === "SIGINT") {
      if (this.hasInterrupted) return false;
      this.hasInterrupted = true;
    }
    this.waiting.push(signal);
    return true;
  }
  /** Sends what has arrived. Call it between two slices of the machine. True: something was sent. */
  pass(): boolean {
    if (!this.job.isRunning || this.waiting.length === 0) return false;
    for (const name of this.waiting.splice(0)) {
      const at = this.job.horizon;
      this.job.send(numberOf.get(name)!, at);
      // A window that changes its size is nothing to repeat.
      if (name !== "SIGWINCH")
        this.job.say(`margay: ${name} to the job at ${formatTime(at)} (again: --signal ${name.slice(3)}@${at})`);
    }
    return true;
  }
}

/** The values of --signal: NAME@TIME, as USR1@20ms. @throws UserError */
export function parseSignals(texts: readonly string[]): readonly ScheduledSignal[] {
  return texts.map((text) => {
    const m = /^([A-Za-z0-9]+)@(.+)$/.exec(text);
    const name = (m?.[1] ?? "").toUpperCase();
    const signal =
      numberOf.get(name.startsWith("SIG") ? name : `SIG${name}`) ?? (/^\d+$/.test(name) ? Number(name) : 0);
    if (m === null || signal < 1 || signal > Signal.SIGRTMAX)
      throw new UserError("bad --signal", `'${text}'`, "give NAME@TIME, as USR1@20ms");
    return { signal, at: parseTime("--signal", m[2]!) };
  });
}
