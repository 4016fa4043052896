/** The progress line: on stderr, only where stderr is a terminal; never mixed into other output. */
import tty from "node:tty";
import { printError, STDERR } from "./output.ts";

export class Progress {
  private shown = "";
  private readonly enabled = tty.isatty(STDERR) && process.env["TERM"] !== "dumb";

  show(text: string): void {
    if (!this.enabled || text === this.shown) return;
    const width = (process.stderr.columns ?? 80) - 1;
    printError(`\r\x1b[K${text.slice(0, width)}`);
    this.shown = text;
  }
  /** Call this before any other output to the terminal. */
  clear(): void {
    if (this.shown) printError("\r\x1b[K");
    this.shown = "";
  }
}
