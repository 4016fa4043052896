/** Why a job was refused: one line for people, from cause and errno. */
import { Errno, ErrnoNames } from "../abi/errno.ts";
import { Cause, CauseNames } from "../abi/net.ts";

const errnoTexts: Readonly<Record<number, string>> = {
  [Errno.EPERM]: "not permitted",
  [Errno.ENOENT]: "no such file",
  [Errno.E2BIG]: "arguments and environment too long",
  [Errno.EIO]: "input or output error",
  [Errno.ENOEXEC]: "no program of this machine",
  [Errno.ENOMEM]: "not enough memory",
  [Errno.EACCES]: "permission denied",
  [Errno.ENOTDIR]: "a part of the path is not a directory",
  [Errno.EISDIR]: "is a directory",
  [Errno.EINVAL]: "invalid",
  [Errno.ENAMETOOLONG]: "name too long",
  [Errno.ENOSYS]: "not implemented",
  [Errno.ELOOP]: "too many symbolic links",
  [Errno.ETIMEDOUT]: "timed out",
};
/** "no such file (ENOENT)". */
export function errnoText(errno: number): string {
  const name = ErrnoNames.get(errno) ?? `errno ${errno}`;
  const text = errnoTexts[errno];
  return text === undefined ? name : `${text} (${name})`;
}

const causeTexts: Readonly<Record<number, string>> = {
  [Cause.BUSY]: "busy: the cores that the job asks for are owned",
  [Cause.BAD_IMAGE]: "the init image was refused",
  [Cause.NO_MEMORY]: "not enough memory",
  [Cause.NOT_PERMITTED]: "not permitted",
  [Cause.NO_SUCH_JOB]: "no such job",
  [Cause.NO_MATCH]: "init was not there to take the message",
  [Cause.BAD_REQUEST]: "bad request",
  [Cause.UNREACHABLE]: "the node does not answer",
  [Cause.KILLED]: "init has ended before the job was started",
};
export interface Refusal {
  readonly cause: number;
  readonly errno: number;
  readonly nid: number;
  readonly rank: number;
}
/** "program /bin/x: no such file (ENOENT), nid 3". `program`: the path of the failing rank's program. */
export function refusalText(r: Refusal, program: string): string {
  return `${refusalWhat(r, program)}, nid ${r.nid}`;
}
function refusalWhat(r: Refusal, program: string): string {
  switch (r.cause) {
    case Cause.PROGRAM_OPEN:
      return `program ${program}: ${errnoText(r.errno)}`;
    case Cause.PROGRAM_INTERPRETER:
      return `program ${program}: its interpreter or dynamic linker: ${errnoText(r.errno)}`;
    case Cause.PROGRAM_FORMAT:
      return r.errno === 0
        ? `program ${program}: no program of this machine`
        : `program ${program}: ${errnoText(r.errno)}`;
    default: {
      const text = causeTexts[r.cause] ?? `refused (${CauseNames.get(r.cause) ?? `cause ${r.cause}`})`;
      return r.errno === 0 ? text : `${text}: ${errnoText(r.errno)}`;
    }
  }
}
