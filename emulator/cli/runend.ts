/** How a run of a job ended: its line on stderr, its exit status, and whether to print a summary. */
import { Errno } from "../abi/errno.ts";
import { Cause } from "../abi/net.ts";
import { SignalNames } from "../abi/signal.ts";
import type { JobResult } from "../service/service.ts";
import { EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_MACHINE_FAULT, EXIT_REFUSED } from "./errors.ts";
import { say, type Session } from "./session.ts";
import { formatTime } from "./units.ts";

export interface RunEnd {
  readonly status: number;
  /** For --json. */
  readonly outcome: "exited" | "refused" | "killed" | "interrupted" | "time limit" | "machine fault";
  readonly hasSummary: boolean;
}
export interface RunAtEnd {
  readonly session: Session;
  /** RunReason. */
  readonly reason: string;
  readonly result: JobResult | null;
  readonly program: string;
  /** By rank. */
  readonly nids: readonly number[];
  /** Nodes that have not become ready. */
  readonly absent: readonly number[];
}

/** Linux wait status → exit status of a shell. */
export const exitStatus = (waitStatus: number): number =>
  (waitStatus & 0x7f) === 0 ? (waitStatus >> 8) & 0xff : 128 + (waitStatus & 0x7f);

export function finishRun(run: RunAtEnd): RunEnd {
  const { session, reason, result, program, absent } = run;
  const { machine } = session;
  if (session.hasExpired) {
    say(session, `margay: time limit: ${program} was still running: raise --time${absentText(absent)}`);
    return { status: EXIT_LIMIT, outcome: "time limit", hasSummary: true };
  }
  if (session.wasInterrupted) {
    say(session, `margay: ${session.interruption}: the job was ended`);
    return { status: session.interruptedStatus, outcome: "interrupted", hasSummary: true };
  }
  if (reason === "limit") {
    const what = absent.length > 0 ? `the machine was still booting` : `${program} was still running`;
    say(session, `margay: time limit: ${what} at ${formatTime(machine.time)}: raise --limit${absentText(absent)}`);
    return { status: EXIT_LIMIT, outcome: "time limit", hasSummary: true };
  }
  if (reason !== "until") {
    const stop = machine.fault ?? machine.exits.at(-1);
    const idle = "every core is halted and nothing is pending";
    const line =
      absent.length > 0 && stop === undefined
        ? `margay: machine: ${names(absent)} never became ready, the job was not loaded: look at the links (--show msg) and --faults`
        : reason === "idle"
          ? `margay: machine: ${idle}: look at the trace (--show job,msg,sys)`
          : `margay: machine: ${stop?.text ?? reason}: look at the console above`;
    say(session, line);
    return { status: EXIT_MACHINE_FAULT, outcome: "machine fault", hasSummary: true };
  }
  return finishJob(run, result!);
}

/** "exit status 3", "ended by SIGKILL". */
function endText(waitStatus: number): string {
  const signal = waitStatus & 0x7f;
  if (signal === 0) return `exit status ${exitStatus(waitStatus)}`;
  return `ended by ${SignalNames.get(signal) ?? `signal ${signal}`}`;
}

function finishJob(run: RunAtEnd, result: JobResult): RunEnd {
  const { session } = run;
  switch (result.kind) {
    case "exited":
      if (result.lostNid !== undefined)
        say(session, `margay: job killed: nid ${result.lostNid} does not answer: look at its link (--show msg)`);
      else if (result.waitStatus !== 0 && run.nids.length > 1)
        say(session, `margay: rank ${result.rank} on nid ${run.nids[result.rank]}: ${endText(result.waitStatus)}`);
      return { status: exitStatus(result.waitStatus), outcome: "exited", hasSummary: true };
    case "killed":
      return { status: EXIT_INTERRUPTED, outcome: "killed", hasSummary: true };
    case "refused":
      say(session, `margay: load refused: ${result.text}${hint(result.cause, result.errno)}`);
      return { status: EXIT_REFUSED, outcome: "refused", hasSummary: false };
  }
}

function hint(cause: number, errno: number): string {
  if (errno === Errno.E2BIG) return ": give fewer arguments and variables";
  if (errno === Errno.ENOMEM || cause === Cause.NO_MEMORY) return ": give the nodes more with --mem";
  if (cause === Cause.PROGRAM_OPEN) return ": check the path inside --root";
  if (cause === Cause.PROGRAM_INTERPRETER) return ": --root must hold the file that the program names";
  return cause === Cause.PROGRAM_FORMAT ? ": give an x86-64 ELF program" : "";
}

const NAMED_MOST = 8;
/** "nid 3", "nids 3, 4 and 5", "nids 1, 2, … and 20 more". */
function names(nids: readonly number[]): string {
  if (nids.length === 1) return `nid ${nids[0]}`;
  if (nids.length > NAMED_MOST)
    return `nids ${nids.slice(0, NAMED_MOST).join(", ")} and ${nids.length - NAMED_MOST} more`;
  return `nids ${nids.slice(0, -1).join(", ")} and ${nids.at(-1)}`;
}
const absentText = (absent: readonly number[]): string =>
  absent.length === 0 ? "" : `: ${names(absent)} never became ready`;
