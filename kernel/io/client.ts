/**
 * The function-ship client: a file system call goes to the I/O node as an IO_REQUEST, its thread waits in hlt, and the
 * data of the IO_REPLY goes straight into the program's memory. Each thread has one request at a time, so there is one
 * record per core. State under `netLock`.
 *
 * A signal or a debugger's stop cancels the request: the I/O node answers one that waits there (input, a lock, a time)
 * by EINTR at once, and any other as always. So the thread waits for the answer in either case, and nothing is lost.
 */
import { Errno } from "../abi/errno.ts";
import { IO_DATA_MAX_BYTES, type IoReply, type IoRequest } from "../abi/io.ts";
import { Cause, IO_PID, type MessageHeader, Operation, SERVICE_NID } from "../abi/net.ts";
import { Syscall } from "../abi/syscalls.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { admitInterrupts, cpuIndex } from "../arch/percpu.ts";
import { assertHeld, lock } from "../arch/spinlock.ts";
import { currentTask, type Task } from "../core/task.ts";
import { mustEnd, mustLeave, rest } from "../core/wait.ts";
import { copyToUser } from "../mm/user.ts";
import {
  allocateIoMessage,
  allocateKernelMessage,
  isLast,
  registerAbandoned,
  registerOperation,
  sendMessage,
  setPrefix,
} from "../net/message.ts";
import { netLock, type Peer } from "../net/peer.ts";
import { releaseNet } from "../net/reliable.ts";

/** The request of a system call, and where its reply is stored. */
export class Shipment {
  call: u32 = 0;
  arguments!: arr<u64, 6>;
  /** Data after the request, in the program's memory, or in the kernel's staging area (staging.ts). */
  data: u64 = 0;
  dataBytes: u64 = 0;
  dataStaged: boolean = false;
  /** Buffer for the reply's data, likewise: at most `bufferBytes`. */
  buffer: u64 = 0;
  bufferBytes: u64 = 0;
  bufferStaged: boolean = false;
  /** Of the reply. */
  replyBytes: u64 = 0;
}
class Request {
  /** 0: no thread waits. Low byte: core + 1. */
  requestId: u64 = 0;
  task: ptr<Task> | null = null;
  done: u32 = 0;
  /** 1: IO_CANCEL was sent. */
  cancelled: u32 = 0;
  result: i64 = 0;
  buffer: u64 = 0;
  bufferBytes: u64 = 0;
  bufferStaged: boolean = false;
  replyBytes: u64 = 0;
}
/** By core. */
const requests: arr<Request, 64> = zeroed();
class Count {
  last: u64 = 0;
}
const count: Count = new Count();

export function ioStart(): void {
  const most: u64 = sizeof<IoReply>() + u64(IO_DATA_MAX_BYTES);
  registerOperation(Operation.IO_REPLY, sizeof<IoReply>(), most, receiveReply);
  registerAbandoned(Operation.IO_REPLY, replyAbandoned);
}

/**
 * Ships the call and waits for its result, or -errno. -ERESTARTSYS: a signal or a stop ended its wait at the I/O node.
 */
export function ship(s: ptr<Shipment>): i64 {
  return shipFor(currentTask(), s);
}
/** For `task`, even if its last thread has ended: its core makes the request. */
export function shipFor(task: ptr<Task>, s: ptr<Shipment>): i64 {
  const request = addr(requests[cpuIndex()]);
  const body: IoRequest = zeroed();
  body.call = s.call;
  body.dataBytes = u32(s.dataBytes);
  copy(addr(body.arguments), addr(s.arguments));

  // The caller may have copied as much as a staging buffer holds, and the first frame takes as long again.
  admitInterrupts();
  const flags: u64 = lock(addr(netLock));
  const m = allocateIoMessage();
  if (m === null) {
    releaseNet(flags);
    return -i64(Errno.EAGAIN);
  }
  count.last++;
  request.requestId = u64(cpuIndex() + 1) | (count.last << 8);
  request.result = -i64(Errno.EIO);
  request.cancelled = 0;
  request.task = task;
  request.buffer = s.buffer;
  request.bufferBytes = s.bufferBytes;
  request.bufferStaged = s.bufferStaged;
  request.replyBytes = 0;
  atomicStore(addr(request.done), 0);
  m.header.operation = Operation.IO_REQUEST;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = u16(task.pid);
  m.header.targetNid = SERVICE_NID;
  m.header.targetPid = IO_PID;
  m.header.requestId = request.requestId;
  m.header.totalBytes = u32(sizeof<IoRequest>() + s.dataBytes);
  setPrefix(m, cast<ptr<u8>>(addr(body)), sizeof<IoRequest>());
  m.task = s.dataStaged ? null : task;
  m.address = s.data;
  m.sent = requestSent;
  m.argument = request.requestId;
  sendMessage(m);
  releaseNet(flags);

  while (volatileRead(addr(request.done)) === 0 && !mustEnd()) {
    if (mustLeave() && request.cancelled === 0) cancel(request, task);
    rest();
  }
  s.replyBytes = request.replyBytes;
  if (volatileRead(addr(request.done)) !== 0)
    return request.result === -i64(Errno.EINTR) ? -i64(Errno.ERESTARTSYS) : request.result;
  const again: u64 = lock(addr(netLock));
  request.requestId = 0;
  releaseNet(again);
  return -i64(Errno.EINTR);
}

/** The request is not to wait any longer. Without a free message the next interrupt tries again. */
function cancel(request: ptr<Request>, task: ptr<Task>): void {
  const flags: u64 = lock(addr(netLock));
  const m = request.requestId === 0 ? null : allocateIoMessage();
  if (m !== null) {
    request.cancelled = 1;
    m.header.operation = Operation.IO_CANCEL;
    m.header.jobId = task.jobId;
    m.header.userId = task.userId;
    m.header.sourcePid = u16(task.pid);
    m.header.targetNid = SERVICE_NID;
    m.header.targetPid = IO_PID;
    m.header.requestId = request.requestId;
    sendMessage(m);
  }
  releaseNet(flags);
}

/** The I/O node closes the descriptors of a task; there is no answer. */
export function shipTaskEnd(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  const body: IoRequest = zeroed();
  body.call = Syscall.EXIT_GROUP;
  const m = allocateKernelMessage();
  m.header.operation = Operation.IO_REQUEST;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = u16(task.pid);
  m.header.targetNid = SERVICE_NID;
  m.header.targetPid = IO_PID;
  m.header.totalBytes = u32(sizeof<IoRequest>());
  setPrefix(m, cast<ptr<u8>>(addr(body)), sizeof<IoRequest>());
  sendMessage(m);
}

/** Whether a call of `task` is still pending; for the check at a task's end. Until then its cores are not reused. */
export function shipmentsLeft(task: ptr<Task>): boolean {
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    if (requests[u32(countTrailingZeros(rest))].requestId !== 0) return true;
  }
  return false;
}

/** The longest data that one shipment carries. */
export function shipmentBytes(wanted: u64): u64 {
  return wanted < u64(IO_DATA_MAX_BYTES) ? wanted : u64(IO_DATA_MAX_BYTES);
}

/** Nothing will arrive from the I/O node any more. */
export function ioLost(nid: u32): void {
  assertHeld(addr(netLock));
  if (nid !== SERVICE_NID) return;
  for (let cpu: u32 = 0; cpu < requests.length; cpu++) {
    if (requests[cpu].requestId !== 0) finish(cpu, -i64(Errno.EIO));
  }
}
function requestSent(requestId: u64, cause: u32): void {
  if (cause === Cause.OK) return;
  const cpu: u32 = u32(requestId & 0xff) - 1;
  if (requests[cpu].requestId === requestId) finish(cpu, -i64(Errno.ENETDOWN));
}
function finish(cpu: u32, result: i64): void {
  assertHeld(addr(netLock));
  const request = addr(requests[cpu]);
  request.requestId = 0;
  request.result = result;
  atomicStore(addr(request.done), 1);
  wakeCpu(cpu);
}

/**
 * The core whose request `header` answers, + 1; 0: none. Only the I/O node may answer, and only for the task that
 * asked.
 */
function answeredBy(header: ptr<MessageHeader>): u32 {
  const number: u64 = header.requestId & 0xff;
  if (number === 0 || number > requests.length) return 0;
  // The task that asked may have been killed in the meantime.
  if (requests[number - 1].requestId !== header.requestId) return 0;
  const task = requests[number - 1].task;
  if (task === null || header.sourceNid !== SERVICE_NID || header.sourcePid !== IO_PID) return 0;
  return header.jobId === task.jobId && u32(header.targetPid) === task.pid ? u32(number) : 0;
}

function receiveReply(_peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const number: u32 = answeredBy(header);
  if (number === 0) return;
  const cpu: u32 = number - 1;
  const request = addr(requests[cpu]);
  const task = request.task;
  if (task === null) return;
  let from: u64 = 0;
  let at: u64 = u64(header.fragmentOffset);
  if (at === 0) {
    const reply: IoReply = zeroed();
    // The I/O node never sends a first fragment that is shorter than the reply's head.
    if (u64(header.fragmentBytes) < sizeof<IoReply>()) {
      finish(cpu, -i64(Errno.EIO));
      return;
    }
    memcpy(cast<ptr<u8>>(addr(reply)), body, sizeof<IoReply>());
    // More data than fits into the buffer.
    const data: u64 = u64(header.totalBytes) - sizeof<IoReply>();
    if (u64(reply.dataBytes) !== data || data > request.bufferBytes) {
      finish(cpu, -i64(Errno.EIO));
      return;
    }
    request.result = reply.result;
    request.replyBytes = data;
    from = sizeof<IoReply>();
  } else {
    at -= sizeof<IoReply>();
  }
  const bytes: u64 = u64(header.fragmentBytes) - from;
  if (request.bufferStaged) memcpy(cast<ptr<u8>>(request.buffer + at), addr(body[from]), bytes);
  else if (!copyToUser(addr(task.space), request.buffer + at, addr(body[from]), bytes))
    request.result = -i64(Errno.EFAULT);
  if (isLast(header)) finish(cpu, request.result);
}
function replyAbandoned(peer: ptr<Peer>): void {
  const number: u32 = answeredBy(addr(peer.inbound.header));
  if (number !== 0) finish(number - 1, -i64(Errno.EIO));
}
