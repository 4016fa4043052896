/**
 * Core reports: the state of a program that a fault ended, sent to the service node. The kernel has no symbols; the
 * command, which has the program, adds them. Each core has one report in flight: meanwhile the next one is refused, and
 * its fault goes to the console.
 */
import { CORE_BACKTRACE_MAX, type CoreReport } from "../abi/job.ts";
import { KERNEL_PID, Operation, SERVICE_NID, SERVICE_PID } from "../abi/net.ts";
import { type Frame, readGeneral } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { lock } from "../arch/spinlock.ts";
import { assert } from "../arch/fatal.ts";
import { BACKTRACE_MAX, backtrace } from "../core/dump.ts";
import { setCoreReporter } from "../core/deliver.ts";
import { type Task, TaskState } from "../core/task.ts";
import { allocateMessage, sendMessage } from "../net/message.ts";
import { netLock } from "../net/peer.ts";
import { releaseNet } from "../net/reliable.ts";

class Outgoing {
  report!: CoreReport;
  busy: u32 = 0;
}
/** By core. Under `netLock`. */
const outgoing: arr<Outgoing, 64> = zeroed();

export function coreReportsStart(): void {
  assert(BACKTRACE_MAX === CORE_BACKTRACE_MAX, cstr("report: the backtrace does not fit"), u64(BACKTRACE_MAX));
  setCoreReporter(report);
}

function report(task: ptr<Task>, f: ptr<Frame>, signal: u32, address: u64): boolean {
  if (task.jobId === 0) return false;
  const flags: u64 = lock(addr(netLock));
  const own = addr(outgoing[cpuIndex()]);
  const m = own.busy === 0 ? allocateMessage(SERVICE_NID) : null;
  if (m === null) {
    releaseNet(flags);
    return false;
  }
  const r = addr(own.report);
  zero(r);
  r.jobId = task.jobId;
  r.pid = task.pid;
  r.rank = task.rank;
  r.core = cpuIndex();
  r.signal = signal;
  r.vector = u32(f.vector);
  r.error = u32(f.error);
  r.isInit = u32(task.state !== TaskState.RUNNING);
  r.address = address;
  readGeneral(r, f);
  r.depth = backtrace(addr(r.backtrace[0]), f.rip, f.rbp, addr(task.space));
  own.busy = 1;
  m.header.operation = Operation.CORE_REPORT;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = KERNEL_PID;
  m.header.targetNid = SERVICE_NID;
  m.header.targetPid = SERVICE_PID;
  m.header.totalBytes = u32(sizeof<CoreReport>());
  m.address = cast<u64>(r);
  m.sent = reported;
  m.argument = u64(cpuIndex());
  sendMessage(m);
  releaseNet(flags);
  return true;
}
function reported(cpu: u64, _cause: u32): void {
  outgoing[cpu].busy = 0;
}
