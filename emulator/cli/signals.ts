/**
 * Signals: Ctrl-C, kill, hang-up. They are handled from the start of a command to its end, so that everything it has
 * created is removed. The first signal asks the run to end, the second ends it at once.
 */
import os from "node:os";

export const interruptions = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Signals {
  /** The first signal received. */
  private first: NodeJS.Signals | undefined;
  count = 0;
  /** Called at each signal. Returns false if a debugger that owns the terminal takes the Ctrl-C. */
  onSignal: (signal: NodeJS.Signals) => boolean = () => true;
  private readonly handler = (signal: NodeJS.Signals): void => {
    if (!this.onSignal(signal)) return;
    this.first ??= signal;
    this.count++;
  };

  constructor() {
    for (const signal of interruptions) process.on(signal, this.handler);
    // The host's file size limit (ulimit -f) makes a write fail; it must not end the process.
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
