/**
 * Signals of the command: Ctrl-C, kill, hang-up, and those for a job. They are handled from the start of a command to
 * its end, so that everything it has created is removed. The first interruption asks the run to end, the second ends it
 * at once.
 */
import os from "node:os";

export const interruptions = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Signals {
  /** The first interruption. */
  private first: NodeJS.Signals | undefined;
  /** Interruptions. */
  count = 0;
  /** Called at each signal. Returns false if it is not to interrupt the run: a debugger or the job takes it. */
  onSignal: (signal: NodeJS.Signals) => boolean = () => true;
  private readonly handled: readonly NodeJS.Signals[];
  private readonly handler = (signal: NodeJS.Signals): void => {
    if (!this.onSignal(signal) || !(interruptions as readonly string[]).includes(signal)) return;
    this.first ??= signal;
    this.count++;
  };

  /** `others`: signals that are handled besides; they interrupt nothing. */
  constructor(others: readonly NodeJS.Signals[] = []) {
    this.handled = [...interruptions, ...others];
    for (const signal of this.handled) process.on(signal, this.handler);
    // The host's file size limit (ulimit -f) makes a write fail; it must not end the process.
    process.on("SIGXFSZ", this.handlerOfLimit);
  }
  private readonly handlerOfLimit = (): void => {};

  /** 128 + the signal's number. */
  get status(): number {
    return 128 + os.constants.signals[this.first ?? "SIGINT"];
  }
  close(): void {
    for (const signal of this.handled) process.off(signal, this.handler);
    process.off("SIGXFSZ", this.handlerOfLimit);
  }
}
