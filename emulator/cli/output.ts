/**
 * Writes to stdout and stderr, whole and in order, also to a pipe that is read slowly. Node's streams are not used:
 * they report errors later and not to the caller.
 */
import fs from "node:fs";
import { codeOf, EXIT_OUTPUT, ReaderGone, reasonOf, UserError } from "./errors.ts";

export const STDOUT = 1;
export const STDERR = 2;
/** Pause between two attempts to write to a full pipe. */
const PAUSE_MS = 2;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** `where`: the output's name for messages. @throws ReaderGone, UserError with status 74 */
export function writeAll(fd: number, bytes: Uint8Array, where = fd === STDOUT ? "stdout" : "stderr"): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += fs.writeSync(fd, bytes, done);
    } catch (error) {
      const code = codeOf(error);
      if (code === "EAGAIN") Atomics.wait(sleeper, 0, 0, PAUSE_MS);
      else if (code === "EPIPE") throw new ReaderGone("the reader has gone");
      else throw new UserError("cannot write", where, reasonOf(error), EXIT_OUTPUT);
    }
  }
}

export const print = (text: string): void => writeAll(STDOUT, Buffer.from(text));

/** Messages for people. If they cannot be written, the run goes on, and the exit status still tells the result. */
export function printError(text: string): void {
  try {
    writeAll(STDERR, Buffer.from(text));
  } catch {}
}
