/**
 * Ctrl-C, kill, a terminal that goes away: heard from the start of a command to its end, so that whatever it has made
 * by then is removed. The first one asks the run to end, the second ends it at once.
 */
import os from "node:os";

export const interruptions = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Signals {
  /** The first that came. */
  private first: NodeJS.Signals | undefined;
  count = 0;
  /** Called at each; a debugger that has the terminal may take a Ctrl-C for itself: false. */
  onSignal: (signal: NodeJS.Signals) => boolean = () => true;
  private readonly handler = (signal: NodeJS.Signals): void => {
    if (!this.onSignal(signal)) return;
    this.first ??= signal;
    this.count++;
  };

  constructor() {
    for (const signal of interruptions) process.on(signal, this.handler);
    // A host's limit for files (ulimit -f) is a failed write, not our end.
    process.on("SIGXFSZ", this.handlerOfLimit);
  }
  private readonly handlerOfLimit = (): void => {};

  /** 128 + the signal's number. */
  get status(): number {
    return 128 + os.constants.signals[this.first ?? "SIGINT"];
  }
  close(): void {
    for (const signal of interruptions) process.off(signal, this.handler);
    process.off("SIGXFSZ", this.handlerOfLimit);
  }
}
