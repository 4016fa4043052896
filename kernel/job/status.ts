/**
 * The status message: registers and backtrace of every CPU, as text, to the service node. Each core writes its own part
 * in a cross-call. The request only starts a timer that is due at once: its action holds no lock, so that interrupts
 * are admitted between two cores.
 */
import { Vector } from "../abi/vectors.ts";
import { Cause, type MessageHeader, Operation } from "../abi/net.ts";
import { crossCall } from "../arch/crosscall.ts";
import { fromUser } from "../arch/frame.ts";
import { readTsc } from "../arch/cpu.ts";
import { admitInterrupts, cpuAt, cpuCount, cpuIndex } from "../arch/percpu.ts";
import { lock } from "../arch/spinlock.ts";
import { print, printDecimal, printHex, type Text } from "../arch/text.ts";
import { armTimer, type Timer } from "../arch/timer.ts";
import { interruptedFrame } from "../arch/trap.ts";
import { dumpContext, dumpStrays } from "../core/dump.ts";
import { threadOf } from "../core/task.ts";
import { fromService, refuse, registerOperation, replyTo, sendMessage } from "../net/message.ts";
import { netLock, type Peer } from "../net/peer.ts";
import { releaseNet } from "../net/reliable.ts";
import type { CallFrame } from "../syscall/arguments.ts";

const TEXT_BYTES: u64 = 32768;
/** One answer at a time; while `busy` is set, further requests are refused. */
const textBytes: arr<u8, 32768> = zeroed();
class Report {
  text!: Text;
  busy: u32 = 0;
  asker!: MessageHeader;
  timer!: Timer;
}
const report: Report = zeroed();

export function statusStart(): void {
  registerOperation(Operation.STATUS, 0, 0, receiveStatus);
}

function receiveStatus(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  if (!fromService(header) || report.busy !== 0) {
    refuse(header, fromService(header) ? Cause.BUSY : Cause.NOT_PERMITTED);
    return;
  }
  report.busy = 1;
  copy(addr(report.asker), header);
  armTimer(addr(report.timer), readTsc(), describe, 0);
}
function describe(_argument: u64): void {
  report.text.base = addr(textBytes[0]);
  report.text.capacityBytes = TEXT_BYTES;
  report.text.lengthBytes = 0;
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    if (cpu === cpuIndex()) describeCpu(0, 0);
    else crossCall(u64(1) << u64(cpu), Vector.CROSS_CALL, describeCpu, 0);
    admitInterrupts();
  }
  dumpStrays(addr(report.text));
  const flags: u64 = lock(addr(netLock));
  const reply = replyTo(addr(report.asker), Operation.STATUS_REPLY, Cause.OK);
  reply.address = cast<u64>(addr(textBytes[0]));
  reply.header.totalBytes = u32(report.text.lengthBytes);
  reply.sent = reported;
  sendMessage(reply);
  releaseNet(flags);
}
function reported(_argument: u64, _cause: u32): void {
  report.busy = 0;
}

/** Runs on the core that it describes. */
function describeCpu(_argument: u64, _id: u64): void {
  const t = addr(report.text);
  const cpu: u32 = cpuIndex();
  const task = threadOf(cpu).task;
  print(t, cstr("cpu "));
  printDecimal(t, u64(cpu));
  if (task === null) {
    print(t, cstr(": idle\n"));
  } else {
    print(t, cstr(": pid "));
    printDecimal(t, u64(task.pid));
    print(t, cstr(" of job "));
    printDecimal(t, u64(task.jobId));
    print(t, cstr("\n"));
  }
  const frame = interruptedFrame();
  if (frame !== null) dumpContext(t, frame, task === null ? null : addr(task.space));
  else print(t, cstr("  in the kernel, waiting for a lock\n"));
  if (task !== null && (frame === null || !fromUser(frame))) describeCall(t, cpuAt(cpu).kernelStackTop);
}

/** The program waits in a system call; its registers are at the top of its kernel stack. */
function describeCall(t: ptr<Text>, stackTop: u64): void {
  const call = cast<ptr<CallFrame>>(stackTop - sizeof<CallFrame>());
  print(t, cstr("  in system call "));
  printDecimal(t, call.number);
  print(t, cstr(" from rip="));
  printHex(t, call.rip, 16);
  print(t, cstr(" rsp="));
  printHex(t, call.rsp, 16);
  print(t, cstr("\n"));
}
