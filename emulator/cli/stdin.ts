/**
 * Standard input of rank 0. A file is read as a file. Input from a pipe or a terminal is passed on a line at a time, so
 * that the program's view depends only on the bytes and not on their timing. Nothing is read before the program asks.
 */
import fs from "node:fs";
import type { InputStream } from "../ionode/input.ts";
import { reasonOf, UserError } from "./errors.ts";

const STDIN = 0;
const NEWLINE = 10;
const NOTHING = new Uint8Array(0);

export interface JobInput extends InputStream {
  /** Data or the end of input is available. */
  readonly isReady: boolean;
  /** Resolves when `isReady`. */
  ready(): Promise<void>;
  close(): void;
}

/** `text`: the value of --stdin. @throws UserError */
export function openInput(text: string | undefined): JobInput {
  if (text === undefined || text === "-") {
    // Closed, or open for writing only: the input is empty.
    const stat = attempt(() => fs.fstatSync(STDIN));
    if (stat === undefined) return new FileInput(undefined, "stdin");
    return stat.isFile() ? new FileInput(STDIN, "stdin") : new StreamInput();
  }
  const refuse = (why: string): never => {
    throw new UserError("bad --stdin", `${text}: ${why}`, "give a file, or - with a redirection");
  };
  let fd: number;
  try {
    fd = fs.openSync(text, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY);
  } catch (error) {
    return refuse(reasonOf(error));
  }
  const stat = fs.fstatSync(fd);
  const isNull = stat.isCharacterDevice() && stat.rdev === fs.statSync("/dev/null").rdev;
  if (stat.isFile() || isNull) return new FileInput(fd, text);
  fs.closeSync(fd);
  return refuse(stat.isDirectory() ? "is a directory" : "not a regular file");
}
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

class FileInput implements JobInput {
  readonly isLive = false;
  readonly isReady = true;
  /** `fd` undefined: empty input. */
  constructor(
    private readonly fd: number | undefined,
    private readonly name: string,
  ) {}
  want(): void {}
  async ready(): Promise<void> {}

  read(count: number): Uint8Array {
    if (this.fd === undefined) return NOTHING;
    const into = new Uint8Array(count);
    try {
      return into.subarray(0, fs.readSync(this.fd, into));
    } catch (error) {
      throw new UserError("cannot read", this.name, reasonOf(error));
    }
  }
  close(): void {
    if (this.fd !== undefined && this.fd !== STDIN) fs.closeSync(this.fd);
  }
}

/** The command's stdin if it is a pipe, a socket or a terminal. */
class StreamInput implements JobInput {
  readonly isLive = true;
  private bytes: Buffer = Buffer.alloc(0);
  /** Most bytes that the program's pending read takes. */
  private wanted = 0;
  private hasEnded = false;
  private isOpen = false;
  private wake: () => void = () => {};

  get isReady(): boolean {
    return this.hasEnded || this.bytes.length >= this.wanted || this.bytes.includes(NEWLINE);
  }
  want(count: number): void {
    this.wanted = count;
  }
  async ready(): Promise<void> {
    if (!this.isOpen) this.open();
    if (this.isReady) return;
    process.stdin.resume();
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
  }
  read(count: number): Uint8Array | null {
    const newline = this.bytes.indexOf(NEWLINE);
    const available = newline >= 0 ? newline + 1 : this.bytes.length;
    if (newline < 0 && available < count && !this.hasEnded) return null;
    const part = this.bytes.subarray(0, Math.min(count, available));
    this.bytes = this.bytes.subarray(part.length);
    return part;
  }
  /** A waiting reader gets the end of input. */
  close(): void {
    this.end();
    if (this.isOpen) process.stdin.destroy();
  }

  private open(): void {
    this.isOpen = true;
    process.stdin.on("data", (chunk: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      process.stdin.pause();
      if (this.isReady) this.settle();
      else process.stdin.resume();
    });
    process.stdin.on("end", () => this.end());
    // A closed terminal counts as the end of input.
    process.stdin.on("error", () => this.end());
  }
  private end(): void {
    this.hasEnded = true;
    this.settle();
  }
  private settle(): void {
    this.wake();
    this.wake = () => {};
  }
}
