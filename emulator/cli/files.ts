/**
 * Files that the command line names. Inputs must be regular files: a pipe or a device could block the command or never
 * end.
 */
import fs from "node:fs";
import path from "node:path";
import { reasonOf, UserError } from "./errors.ts";
import { formatSize } from "./units.ts";

/** Images, modules and programs are far smaller. */
const INPUT_MOST_BYTES = 2 ** 30;
const { O_RDONLY, O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK, O_NOCTTY } = fs.constants;

/**
 * Opens a regular file for reading. With O_NONBLOCK a pipe without a writer is refused instead of waited for. @throws
 * UserError
 */
export function openInputFile(what: string, file: string, todo: string): number {
  let fd: number;
  try {
    fd = fs.openSync(file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    throw new UserError(what, `${name(file)}: ${reasonOf(error)}`, todo);
  }
  const stat = fs.fstatSync(fd);
  if (stat.isFile()) return fd;
  fs.closeSync(fd);
  throw new UserError(what, `${name(file)}: ${stat.isDirectory() ? "is a directory" : "not a regular file"}`, todo);
}

/** Reads a whole regular file. @throws UserError */
export function readInput(what: string, file: string, todo: string): Uint8Array {
  const fd = openInputFile(what, file, todo);
  try {
    const { size } = fs.fstatSync(fd);
    if (size > INPUT_MOST_BYTES)
      throw new UserError(
        what,
        `${name(file)}: ${size} bytes`,
        `give a file of at most ${formatSize(INPUT_MOST_BYTES)}`,
      );
    return fs.readFileSync(fd);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(what, `${name(file)}: ${reasonOf(error)}`, todo);
  } finally {
    fs.closeSync(fd);
  }
}

/** Opens an output file before the run, so that a bad path is refused early. @throws UserError */
export function openOutput(option: string, file: string): number {
  try {
    return fs.openSync(file, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY, 0o666);
  } catch (error) {
    throw new UserError(`bad ${option}`, `${name(file)}: ${reasonOf(error)}`, "give a path that can be written");
  }
}

/**
 * Creates a directory and its parents. mkdirSync's `recursive` is not used: it retries for ever on a file system that
 * answers ENOENT to every mkdir, as procfs does. Throws node's error.
 */
export function makeDirectories(directory: string): void {
  const missing: string[] = [];
  for (let at = path.resolve(directory); !fs.existsSync(at); at = path.dirname(at)) missing.push(at);
  for (const at of missing.reverse()) fs.mkdirSync(at);
  if (!fs.statSync(directory).isDirectory()) throw Object.assign(new Error(directory), { code: "ENOTDIR" });
}

const name = (file: string): string => (file === "" ? "''" : file);
