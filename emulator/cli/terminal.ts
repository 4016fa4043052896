/** The user's terminal: its size, and the progress line. */
import tty from "node:tty";
import { printError, STDERR } from "./output.ts";

/** Of a standard stream of the command, in characters; undefined: it is no terminal. */
export function terminalSize(stream: number): { readonly rows: number; readonly columns: number } | undefined {
  if (!tty.isatty(stream)) return undefined;
  const { rows, columns } = process.stdout.isTTY ? process.stdout : process.stderr;
  return { rows: rows ?? 24, columns: columns ?? 80 };
}
/** On stderr, only where stderr is a terminal; never mixed into other output. */
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
