/**
 * Job load, the kernel's part (ARCHITECTURE.md section 5, steps 5 and 9). A LOAD becomes a task with one linear segment
 * that holds the init image; the reply is ACK, or NACK with its cause; then init runs. Also init's calls: describe the
 * job, load a child, start the program. The kernel does not fan out: the tree is init's.
 */
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import { INIT_MAGIC, INIT_VERSION, type InitHeader, MAX_RANKS, TASKS_PER_NODE_MAX } from "../abi/job.ts";
import { INIT_BASE, PAGE_BYTES } from "../abi/memory.ts";
import { Cause, KERNEL_PID, MAX_MESSAGE_BYTES, type MessageHeader, Operation } from "../abi/net.ts";
import type { LoadRequest } from "../abi/portals.ts";
import { Prot } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { memcpy, memset } from "../../toolchain/lib/rt/memory.ts";
import { setFsBase } from "../arch/cpu.ts";
import { fpuReset } from "../arch/fpu.ts";
import { type Frame, startFrame } from "../arch/frame.ts";
import { admitInterrupts, allCpusMask, cpuCount, isEnding } from "../arch/percpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import {
  areFree,
  createTask,
  currentTask,
  findRank,
  findTask,
  freeCores,
  startTask,
  type Task,
  taskLock,
  taskRuns,
  TaskState,
  type UserStart,
} from "../core/task.ts";
import { setFirstRun } from "../core/idle.ts";
import { beforeReturn } from "../core/stop.ts";
import { enterFrame } from "../core/user.ts";
import { allocateFrames, limitOwner, physical } from "../mm/frames.ts";
import { spaceCreate } from "../mm/addressspace.ts";
import { isExecutable } from "../mm/fault.ts";
import { spaceComplete, spaceFill, spaceReserve } from "../mm/segment.ts";
import { spaceStartHeap, spaceUnmap } from "../mm/space.ts";
import { copyFromUser } from "../mm/user.ts";
import { isLast, registerAbandoned, registerOperation, replyTo, sendMessage } from "../net/message.ts";
import { clearPortals, issueLoad } from "../net/portals.ts";
import { netLock, NID_MAX, type Peer } from "../net/peer.ts";
import { releaseNet } from "../net/reliable.ts";
import type { Call } from "../syscall/arguments.ts";
import { takeLoadRequest } from "../syscall/structures.ts";
import { failure, registerSyscall } from "../syscall/table.ts";
import { debugProgramStart } from "./debug.ts";
import { askChild, jobStarted, refuseLoad, refuseLoaded } from "./exit.ts";

/** Largest stack and zero data that an init may ask for. */
const INIT_MEMORY_MAX: u64 = 0x400_0000;
/** Between two looks for interrupts. */
const RANKS_A_SLICE: u32 = 512;
const RANKS_PAGES: u64 = (u64(NID_MAX) * 2 + PAGE_BYTES - 1) / PAGE_BYTES;
const INIT_PROTECTION: u64 = Prot.READ | Prot.WRITE | Prot.EXEC;

export function loadStart(): void {
  registerOperation(Operation.LOAD, sizeof<InitHeader>(), u64(MAX_MESSAGE_BYTES), receiveLoad);
  registerAbandoned(Operation.LOAD, loadAbandoned);
  setFirstRun(runUser);
  registerSyscall(Syscall.MARGAY_DESCRIBE_JOB, describeJob);
  registerSyscall(Syscall.MARGAY_LOAD, load);
  registerSyscall(Syscall.MARGAY_START, start);
}

// ---- the message ---------------------------------------------------------------------------------------------------
function receiveLoad(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const inbound = addr(peer.inbound);
  if (header.fragmentOffset === 0) {
    record(EventKind.JOB_LOAD, u64(header.jobId), u64(header.sourceNid), u64(header.userId), u64(header.totalBytes));
    const cause: u32 = begin(peer, header, body);
    if (cause !== Cause.OK) {
      refuseLoad(header, cause);
      // The rest of the image is discarded.
      inbound.discard = 1;
      return;
    }
  }
  const task = inbound.taskPid === 0 ? null : findTask(inbound.taskPid);
  // It was killed in the meantime.
  if (task === null || task.state !== TaskState.LOADING) return;
  const at: u64 = INIT_BASE + u64(header.fragmentOffset);
  const isFirst: boolean = header.fragmentOffset === 0;
  // Pages get their frames as the image arrives; the pages after it get theirs when the thread runs (runUser).
  if (
    (isFirst && !makeSpace(task)) ||
    !spaceFill(addr(task.space), at, body, u64(header.fragmentBytes), INIT_PROTECTION)
  ) {
    inbound.discard = 1;
    refuseLoaded(task, header, Cause.NO_MEMORY);
    return;
  }
  if (isLast(header)) run(task, header);
}
function makeSpace(task: ptr<Task>): boolean {
  if (task.record.segment.tasksPerNode > 1) limitOwner(u16(task.pid), u64(task.record.segment.tasksPerNode));
  return spaceCreate(addr(task.space), u16(task.pid));
}
/**
 * The rest of the image does not arrive, because its sender gave up or is gone: the task ends, and its cores become
 * free.
 */
function loadAbandoned(peer: ptr<Peer>): void {
  const task = peer.inbound.taskPid === 0 ? null : findTask(peer.inbound.taskPid);
  if (task !== null && task.state === TaskState.LOADING)
    refuseLoaded(task, addr(peer.inbound.header), Cause.UNREACHABLE);
}

/**
 * All reasons to refuse the load, except lack of memory, are checked at its first fragment, before a task is created.
 */
function begin(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): u32 {
  if (header.jobId === 0 || header.targetPid !== KERNEL_PID) return Cause.BAD_REQUEST;
  if (u64(header.fragmentBytes) < sizeof<InitHeader>()) return Cause.BAD_IMAGE;
  const init: InitHeader = zeroed();
  memcpy(cast<ptr<u8>>(addr(init)), body, sizeof<InitHeader>());
  if (init.magic !== INIT_MAGIC || init.version !== INIT_VERSION) return Cause.BAD_IMAGE;
  const total: u64 = u64(header.totalBytes);
  if (init.fileBytes > total || init.parametersOffset < init.fileBytes || init.parametersOffset > total)
    return Cause.BAD_IMAGE;
  if (init.entry < INIT_BASE || init.entry - INIT_BASE >= init.fileBytes) return Cause.BAD_IMAGE;
  if (init.memoryBytes > INIT_MEMORY_MAX) return Cause.BAD_IMAGE;
  if (init.cores > cpuCount() || init.tasksPerNode > TASKS_PER_NODE_MAX) return Cause.BAD_REQUEST;
  if (header.remoteOffset >= u64(MAX_RANKS) || (header.headerData & ~allCpusMask()) !== 0) return Cause.BAD_REQUEST;
  // A task is found by its job and rank.
  if (findRank(header.jobId, u32(header.remoteOffset)) !== null) return Cause.BUSY;
  const cores: u64 = header.headerData !== 0 ? header.headerData : freeCores(init.cores);
  if (cores === 0 || !areFree(cores)) return Cause.BUSY;
  const task = createTask(cores);
  if (task === null) return Cause.BUSY;
  task.jobId = header.jobId;
  task.userId = header.userId;
  task.parentNid = header.sourceNid;
  task.parentPid = header.sourcePid;
  task.rank = u32(header.remoteOffset);
  task.record.segment.tasksPerNode = init.tasksPerNode;
  task.record.segment.entry = init.entry;
  task.record.segment.bytes = (total + init.memoryBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
  peer.inbound.taskPid = task.pid;
  return Cause.OK;
}

/** The image is complete: the main thread starts. */
function run(task: ptr<Task>, header: ptr<MessageHeader>): void {
  const segment = addr(task.record.segment);
  copy(addr(segment.load), header);
  const from: UserStart = zeroed();
  from.entry = segment.entry;
  from.stack = INIT_BASE + segment.bytes;
  from.rdi = INIT_BASE;
  from.rsi = segment.bytes;
  from.rdx = u64(task.parentNid);
  from.r8 = u64(task.parentPid);
  startTask(task, addr(from));
}

/**
 * On the main thread's core: the segment becomes a region, its remaining pages get frames, the sender gets its ACK, and
 * init runs (run_user()).
 */
function runUser(task: ptr<Task>): void {
  const segment = addr(task.record.segment);
  const space = addr(task.space);
  const whole: boolean =
    spaceReserve(space, INIT_BASE, segment.bytes, INIT_PROTECTION) &&
    spaceComplete(space, INIT_BASE, segment.bytes, INIT_PROTECTION);
  const flags: u64 = lock(addr(netLock));
  if (whole || isEnding()) {
    const reply = replyTo(addr(segment.load), Operation.LOAD_REPLY, Cause.OK);
    reply.header.headerData = u64(task.pid);
    sendMessage(reply);
    record(EventKind.JOB_RUN_USER, u64(task.jobId), u64(task.pid), segment.entry, 0);
  } else {
    refuseLoaded(task, addr(segment.load), Cause.NO_MEMORY);
  }
  releaseNet(flags);
}

// ---- init's calls --------------------------------------------------------------------------------------------------
function isInit(task: ptr<Task>): boolean {
  return task.state === TaskState.INIT;
}

/** (rank, size, const u32 *nids, const u32 *pids): pids null = all 1. */
function describeJob(call: ptr<Call>): i64 {
  const task = currentTask();
  if (!isInit(task)) return failure(Errno.EPERM);
  if (call.a >= call.b || u32(call.a) !== task.rank) return failure(Errno.EINVAL);
  const size: u32 = u32(call.b);
  // Several threads of init may call this at once: the tables are created once, with the length given by `size`.
  const flags: u64 = lock(addr(taskLock));
  const errno: u32 = task.nids === null ? makeTables(task, size) : task.size === size ? 0 : Errno.EINVAL;
  unlock(addr(taskLock), flags);
  // The search for adjacent frames may have been long.
  admitInterrupts();
  if (errno !== 0) return failure(errno);
  const nids = task.nids;
  const pids = task.pids;
  if (nids === null || pids === null) return failure(Errno.ENOMEM);
  if (!copyFromUser(addr(task.space), cast<ptr<u8>>(nids), call.c, u64(size) * 4)) return failure(Errno.EFAULT);
  if (call.d === 0) {
    for (let i: u32 = 0; i < size; i++) {
      if (i % RANKS_A_SLICE === 0) admitInterrupts();
      pids[i] = 1;
    }
  } else if (!copyFromUser(addr(task.space), cast<ptr<u8>>(pids), call.d, u64(size) * 4)) {
    return failure(Errno.EFAULT);
  }
  indexRanks(task, size);
  return 0;
}
/** So that a nid's rank is not searched for under a lock. */
function indexRanks(task: ptr<Task>, size: u32): void {
  const nids = task.nids;
  const ranks = task.ranks;
  if (nids === null || ranks === null) return;
  memset(cast<ptr<u8>>(ranks), 0, u64(NID_MAX) * 2);
  for (let rank: u32 = 0; rank < size; rank++) {
    if (rank % RANKS_A_SLICE === 0) admitInterrupts();
    const nid: u32 = nids[rank];
    if (nid < NID_MAX && ranks[nid] === 0) ranks[nid] = u16(rank + 1);
  }
}
function makeTables(task: ptr<Task>, size: u32): u32 {
  const pages: u64 = (u64(size) * 4 + PAGE_BYTES - 1) / PAGE_BYTES;
  const at: u64 = allocateFrames(2 * pages + RANKS_PAGES, u16(task.pid));
  if (at === 0) return Errno.ENOMEM;
  task.size = size;
  task.pids = physical<u32>(at + pages * PAGE_BYTES);
  task.ranks = physical<u16>(at + 2 * pages * PAGE_BYTES);
  task.nids = physical<u32>(at);
  return 0;
}

/** (const LoadRequest *). */
function load(call: ptr<Call>): i64 {
  const task = currentTask();
  if (!isInit(task)) return failure(Errno.EPERM);
  const r: LoadRequest = zeroed();
  const errno: u32 = takeLoadRequest(addr(task.space), call.a, addr(r));
  if (errno !== 0) return failure(errno);
  const flags: u64 = lock(addr(netLock));
  let result: i64 = failure(Errno.E2BIG);
  if (askChild(task)) result = issueLoad(task, addr(r));
  releaseNet(flags);
  return result;
}

/** (entry, stack pointer): unmaps init and starts the program. */
function start(call: ptr<Call>): i64 {
  const task = currentTask();
  if (!isInit(task)) return failure(Errno.EPERM);
  if (!isExecutable(addr(task.space), call.a)) return failure(Errno.EFAULT);
  // Only one thread of init starts the program, and only if the task is not ending.
  if (!taskRuns(task)) return failure(Errno.EPERM);
  const segment = addr(task.record.segment);
  const flags: u64 = lock(addr(netLock));
  clearPortals(task, flags);
  jobStarted(task);
  releaseNet(flags);
  spaceUnmap(addr(task.space), INIT_BASE, segment.bytes);
  segment.bytes = 0;
  spaceStartHeap(addr(task.space));
  record(EventKind.JOB_START, u64(task.jobId), u64(task.rank), call.a, 0);
  setFsBase(0);
  fpuReset();
  const first: Frame = zeroed();
  startFrame(addr(first), call.a, call.b);
  task.startStack = call.b;
  debugProgramStart(task, addr(first));
  beforeReturn(addr(first));
  enterFrame(addr(first));
  unreachable();
}
