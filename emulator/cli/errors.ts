/** How the command fails: one line, `margay: what: where: what to do`, and an exit status. */

/** Exit statuses of `margay` other than the job's own (ARCHITECTURE.md, section 6). */
export const EXIT_REFUSED = 2;
export const EXIT_MACHINE_FAULT = 3;
/** sysexits.h: EX_SOFTWARE, EX_IOERR. */
export const EXIT_INTERNAL = 70;
export const EXIT_OUTPUT = 74;
export const EXIT_LIMIT = 124;
export const EXIT_INTERRUPTED = 130;
/** 128 + SIGPIPE. */
export const EXIT_READER_GONE = 141;

/** Refused before anything was started, or a load that the nodes refused. */
export class UserError extends Error {
  constructor(
    readonly what: string,
    readonly where: string,
    readonly todo: string,
    readonly status: number = EXIT_REFUSED,
  ) {
    super([what, where, todo].filter(Boolean).join(": "));
  }
}

/** The reader of our output has gone, as with `head`: no message, and the status of SIGPIPE. */
export class ReaderGone extends Error {}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EPERM: "not permitted",
  EISDIR: "is a directory",
  ENOTDIR: "a part of the path is not a directory",
  EROFS: "read-only file system",
  ENOSPC: "no space left on device",
  EDQUOT: "disk quota exceeded",
  EFBIG: "file too large",
  EIO: "input or output error",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "name too long",
  ENXIO: "it has no reader",
  ETXTBSY: "in use",
  EBUSY: "in use",
  EMFILE: "too many open files",
  ENFILE: "too many open files in the system",
  ENOMEM: "not enough memory",
  EADDRINUSE: "is in use",
  EEXIST: "exists",
  EBADF: "is closed",
  ERR_INVALID_ARG_VALUE: "not a valid file name",
};
export const codeOf = (error: unknown): string | undefined => {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
};
/** Describes an error of the host in words. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error) ?? "error";
  return reasons[code] ?? code;
}

const LINE_MOST = 1000;
/** Returns one line for any text: the text may come from a file or a command line. */
export function oneLine(text: string): string {
  const clean = text.replace(/[\p{Cc}\u2028\u2029]/gu, (c) => {
    if (c === "\n") return "\\n";
    return c === "\t" ? "\\t" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return clean.length > LINE_MOST ? `${clean.slice(0, LINE_MOST - 1)}…` : clean;
}

/** Returns the text for stderr (undefined: none) and the exit status. */
export function describeFailure(error: unknown): { readonly line: string | undefined; readonly status: number } {
  if (error instanceof UserError) return { line: oneLine(`margay: ${error.message}`), status: error.status };
  // By its name: the engine is loaded when it is needed.
  if (error instanceof Error && error.name === "EngineCrash")
    return {
      line: oneLine(`margay: ${error.message}: please report it, and give --engine unicorn`),
      status: EXIT_MACHINE_FAULT,
    };
  if (error instanceof ReaderGone) return { line: undefined, status: EXIT_READER_GONE };
  if (isOutOfMemory(error))
    return { line: "margay: not enough memory on this host: give fewer --nodes or less --mem", status: EXIT_REFUSED };
  const { syscall, path } = (error ?? {}) as { syscall?: unknown; path?: unknown };
  if (typeof syscall === "string") {
    const where = typeof path === "string" ? path : syscall;
    if (syscall === "uv_cwd")
      return {
        line: "margay: current directory: it does not exist any more: change to another one",
        status: EXIT_REFUSED,
      };
    return { line: oneLine(`margay: ${where}: ${reasonOf(error)}: the host refused ${syscall}`), status: EXIT_OUTPUT };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (process.env["MARGAY_STACK"] !== undefined && error instanceof Error)
    return { line: `margay: internal error: ${error.stack ?? text}`, status: EXIT_INTERNAL };
  return {
    line: oneLine(
      `margay: internal error: ${text}: please report it with the command line (MARGAY_STACK=1 shows where)`,
    ),
    status: EXIT_INTERNAL,
  };
}

/** The host is out of memory: node throws a RangeError, the engine an error with a known text. */
const isOutOfMemory = (error: unknown): boolean =>
  codeOf(error) === "ENOMEM" ||
  codeOf(error) === "ERR_MEMORY_ALLOCATION_FAILED" ||
  (error instanceof Error && /allocation failed|cannot map \d+ bytes of host memory|UC_ERR_NOMEM/.test(error.message));
