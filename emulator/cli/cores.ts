/**
 * `--core-dir DIR`: an ELF core file of each rank that a fault ends. The task's state is captured when the kernel's
 * core report leaves the node, because the task's memory is freed soon after. The file is written once the report has
 * reached the service node, so that its line follows the report's lines.
 */
import fs from "node:fs";
import path from "node:path";
import { CoreReport } from "../abi/job.ts";
import { KERNEL_PID, Operation, SERVICE_NID } from "../abi/net.ts";
import { parse } from "../fabric/message.ts";
import { type CoreFile, writeCore } from "../gdb/corefile.ts";
import { coreOf } from "../gdb/corestate.ts";
import { KernelView } from "../gdb/kernel.ts";
import { RunControl } from "../machine/control.ts";
import type { Machine } from "../machine/machine.ts";
import type { Symboliser } from "../trace/symbolise.ts";
import { reasonOf, UserError } from "./errors.ts";
import { makeDirectories } from "./files.ts";
import { defaults } from "./limits.ts";
import { formatSize } from "./units.ts";

export interface CoresOptions {
  readonly kernel: Uint8Array;
  readonly symboliser: () => Symboliser;
  readonly argvOf: (rank: number) => readonly string[];
}

/** Returns undefined if no core files are wanted. @throws UserError if DIR cannot be written */
export function openCores(directory: string | undefined, options: CoresOptions): Cores | undefined {
  if (directory === undefined) return undefined;
  try {
    if (directory === "") throw Object.assign(new Error(), { code: "ENOENT" });
    makeDirectories(directory);
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    const name = directory === "" ? "''" : directory;
    throw new UserError("bad --core-dir", `${name}: ${reasonOf(error)}`, "give a directory that can be written");
  }
  return new Cores(directory, options);
}

export class Cores {
  /** By rank. */
  private readonly taken = new Map<number, CoreFile | string>();
  private view: KernelView | undefined;

  constructor(
    private readonly directory: string,
    private readonly options: CoresOptions,
  ) {}

  /** Node `nid` sends this frame. If it is a core report, captures the task's state. */
  sees(machine: Machine, nid: number, frame: Uint8Array): void {
    const report = reportIn(frame);
    // A retransmitted frame may come long after the task has gone.
    if (report === undefined || this.taken.has(report.rank)) return;
    const { kernel, symboliser, argvOf } = this.options;
    this.view ??= new KernelView(new RunControl(machine), kernel, symboliser, argvOf(0)[0]!);
    try {
      this.taken.set(report.rank, coreOf(this.view, nid, report, argvOf(report.rank).join(" ")));
    } catch (error) {
      this.taken.set(report.rank, error instanceof Error ? error.message : String(error));
    }
  }

  /** Writes the core file and returns lines that say what was written. */
  write(rank: number): readonly string[] {
    const core = this.taken.get(rank);
    const file = path.join(this.directory, `core.rank${rank}`);
    if (core === undefined) return [];
    if (typeof core === "string") return [`margay: no core file of rank ${rank}: ${core}`];
    this.taken.set(rank, "it was written already");
    try {
      const { leftOutBytes } = save(core, file);
      const cut = leftOutBytes === 0 ? "" : `, without ${formatSize(leftOutBytes)} of memory beyond the limit`;
      return [`margay: core file of rank ${rank}: ${file}${cut}`];
    } catch (error) {
      return [`margay: no core file of rank ${rank}: ${file}: ${reasonOf(error)}`];
    }
  }
}

function save(core: CoreFile, file: string): { readonly leftOutBytes: number } {
  // Remove the file first: neither follow a link that is there nor keep part of a file of an earlier run.
  fs.rmSync(file, { force: true });
  const fd = fs.openSync(file, "wx", 0o600);
  try {
    return writeCore(core, defaults.coreBytes, (bytes, position) => {
      for (let done = 0; done < bytes.length; )
        done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
    });
  } finally {
    fs.closeSync(fd);
  }
}

function reportIn(frame: Uint8Array): CoreReport | undefined {
  const parsed = parse(frame, SERVICE_NID);
  if (typeof parsed === "number") return undefined;
  const { header, body } = parsed;
  if (header.operation !== Operation.CORE_REPORT || header.sourcePid !== KERNEL_PID || body.length !== CoreReport.SIZE)
    return undefined;
  return new CoreReport(new DataView(body.buffer, body.byteOffset, body.byteLength));
}
