/**
 * The end of a job: exits fan in along the tree. Each kernel waits until its own task and all children (the loads that
 * the task sent and that were ACKed) have ended, and sends one notice to the kernel that its load came from; rank 0's
 * goes to the service node. A task that ends before it was started (init has crashed, or gave up) does not wait for
 * anybody: its notice goes at once, and where a parent's init is still loading, that init gets it as a LOAD_EXIT event.
 * So a load fails as soon as something in it has gone wrong. A job that is killed sends no notices: the service node
 * asks every node, and each answers when nothing of the task is left. Who waits for others (init or the program for
 * events, an ended task for its children's notices) sees from time to time whether its neighbours in the tree answer;
 * so each edge is watched by at least one end as soon as somebody depends on it, and nobody who computes is disturbed
 * by his own kernel.
 */
import { EventKind } from "../abi/events.ts";
import { type ExitNotice, FANOUT_MAX } from "../abi/job.ts";
import { Cause, KERNEL_PID, type MessageHeader, Operation, SERVICE_NID, SERVICE_PID } from "../abi/net.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { readTsc } from "../arch/cpu.ts";
import { assert } from "../arch/fatal.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { armTimer, type Timer } from "../arch/timer.ts";
import { record } from "../arch/trace.ts";
import { setLastThreadLeft } from "../core/idle.ts";
import type { Child, Tree } from "../core/record.ts";
import {
  endTask,
  findJob,
  reclaimFrames,
  reclaimTask,
  releaseTask,
  type Task,
  TASKS_MAX,
  taskAt,
  TaskState,
  WAIT_KILLED,
} from "../core/task.ts";
import { shipTaskEnd } from "../io/client.ts";
import {
  allocateKernelMessage,
  cancelMessages,
  fromService,
  PROBE_NS,
  PROBES_MAX,
  probe,
  refuse,
  registerOperation,
  replyTo,
  sendMessage,
  setPrefix,
} from "../net/message.ts";
import { clearPortals, postLoadExit } from "../net/portals.ts";
import { netLock, type OutMessage, type Peer } from "../net/peer.ts";
import { checkNothingLeft } from "./check.ts";
import { debugTaskEnded } from "./debug.ts";

export function exitStart(): void {
  const room: u64 = taskAt(0).record.tree.children.length;
  assert(room === u64(FANOUT_MAX), cstr("exit: room for other than FANOUT_MAX children"), room);
  setLastThreadLeft(lastThreadLeft);
  registerOperation(Operation.EXIT_NOTICE, sizeof<ExitNotice>(), sizeof<ExitNotice>(), receiveNotice);
  registerOperation(Operation.KILL, 0, 0, receiveKill);
}

/** Before `task` sends a load. False: it has sent FANOUT_MAX of them. */
export function askChild(task: ptr<Task>): boolean {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  if (tree.asked >= FANOUT_MAX) return false;
  tree.asked++;
  return true;
}
/** A load that `task` has sent to `nid` was ACKed. */
export function childLoaded(task: ptr<Task>, nid: u32, queue: u32, userPointer: u64): void {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  record(EventKind.JOB_CHILD, u64(task.jobId), u64(nid), 0, 0);
  assert(tree.childCount < FANOUT_MAX, cstr("exit: more children than loads"), u64(tree.childCount));
  const child = addr(tree.children[tree.childCount]);
  child.nid = nid;
  child.rank = task.rank;
  child.queue = queue;
  child.userPointer = userPointer;
  tree.childCount++;
}

/** Init has gone, the job runs. The ranks of the children are known from here on. */
export function jobStarted(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  tree.started = 1;
  const nids = task.nids;
  if (nids === null) return;
  for (let i: u32 = 0; i < tree.childCount; i++) {
    const child = addr(tree.children[i]);
    for (let rank: u32 = 0; rank < task.size; rank++) {
      if (nids[rank] !== child.nid) continue;
      child.rank = rank;
      break;
    }
  }
}

/**
 * A load is refused although a task was made for it: its sender hears so when the task is gone, and may try again at
 * once.
 */
export function refuseLoaded(task: ptr<Task>, load: ptr<MessageHeader>, cause: u32): void {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  // Nobody hears of an exit.
  task.jobId = 0;
  tree.refusal = cause;
  copy(addr(tree.asker), load);
  endTask(task, WAIT_KILLED);
}

/** The task has no threads (any more). On a core of its own, from the idle loop, without a lock. */
function lastThreadLeft(task: ptr<Task>): void {
  const flags: u64 = lock(addr(netLock));
  debugTaskEnded(task);
  // First nothing of the network may touch its memory, then the memory goes.
  cancelMessages(task);
  clearPortals(task);
  task.nids = null;
  task.pids = null;
  if (task.jobId !== 0) shipTaskEnd(task);
  unlock(addr(netLock), flags);
  reclaimFrames(task);
  lock(addr(netLock));
  finishTask(task);
  unlock(addr(netLock), flags);
}
function finishTask(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  reclaimTask(task);
  checkNothingLeft(task);
  const tree = addr(task.record.tree);
  if (task.jobId !== 0) record(EventKind.JOB_EXIT, u64(task.jobId), u64(task.rank), u64(task.waitStatus), 0);
  if (tree.killed !== 0 || task.jobId === 0) {
    if (tree.killed !== 0) sendMessage(replyTo(addr(tree.asker), Operation.KILL_REPLY, Cause.OK));
    if (tree.refusal !== Cause.OK) refuseLoad(addr(tree.asker), tree.refusal);
    release(task);
  } else {
    tree.ownEnded = 1;
    tree.notice.jobId = task.jobId;
    addExit(tree, task.waitStatus, task.rank, 1);
    if (tree.childCount === 0 || tree.started === 0) sendNotice(task);
    else watchChildren(task);
  }
}

export function refuseLoad(load: ptr<MessageHeader>, cause: u32): void {
  record(EventKind.JOB_REFUSE, u64(load.jobId), u64(load.sourceNid), u64(cause), 0);
  refuse(load, cause);
}

function release(task: ptr<Task>): void {
  zero(addr(task.record.tree));
  releaseTask(task);
}

/** The lowest rank that failed speaks for the sub-tree. */
function addExit(tree: ptr<Tree>, waitStatus: u32, rank: u32, count: u32): void {
  const notice = addr(tree.notice);
  if (waitStatus !== 0 && (notice.waitStatus === 0 || rank < notice.rank)) {
    notice.waitStatus = waitStatus;
    notice.rank = rank;
  }
  notice.count += count;
}

function sendNotice(task: ptr<Task>): void {
  const tree = addr(task.record.tree);
  record(
    EventKind.JOB_NOTICE,
    u64(task.jobId),
    u64(task.parentNid),
    u64(tree.notice.waitStatus),
    u64(tree.notice.count),
  );
  const m = noticeMessage(task, addr(tree.notice));
  release(task);
  sendMessage(m);
}
/** To where the task's load came from. */
function noticeMessage(task: ptr<Task>, notice: ptr<ExitNotice>): ptr<OutMessage> {
  const m = allocateKernelMessage();
  m.header.operation = Operation.EXIT_NOTICE;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = KERNEL_PID;
  m.header.targetNid = task.parentNid;
  m.header.targetPid = task.parentNid === SERVICE_NID ? SERVICE_PID : KERNEL_PID;
  m.header.totalBytes = u32(sizeof<ExitNotice>());
  setPrefix(m, cast<ptr<u8>>(notice), sizeof<ExitNotice>());
  return m;
}

function receiveNotice(_peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const task = header.jobId === 0 ? null : findJob(header.jobId);
  if (task === null || header.sourcePid !== KERNEL_PID || header.targetPid !== KERNEL_PID) return;
  const tree = addr(task.record.tree);
  const notice: ExitNotice = zeroed();
  memcpy(cast<ptr<u8>>(addr(notice)), body, sizeof<ExitNotice>());
  if (notice.jobId !== header.jobId) return;
  for (let i: u32 = 0; i < tree.childCount; i++) {
    if (tree.children[i].nid !== header.sourceNid) continue;
    childEnded(task, i, Cause.KILLED, notice.waitStatus, notice.rank, notice.count);
    return;
  }
}

/** Child `index` is over, and its sub-tree with it. */
function childEnded(task: ptr<Task>, index: u32, cause: u32, waitStatus: u32, rank: u32, count: u32): void {
  const tree = addr(task.record.tree);
  const child: Child = zeroed();
  copy(addr(child), addr(tree.children[index]));
  tree.childCount--;
  if (index < tree.childCount) copy(addr(tree.children[index]), addr(tree.children[tree.childCount]));
  addExit(tree, waitStatus, rank, count);
  if (task.state === TaskState.INIT) postLoadExit(task, child.queue, child.userPointer, child.nid, cause, waitStatus);
  if (tree.childCount === 0 && tree.ownEnded !== 0) sendNotice(task);
}

function receiveKill(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  if (!fromService(header)) {
    refuse(header, Cause.NOT_PERMITTED);
    return;
  }
  record(EventKind.JOB_KILL, u64(header.jobId), 0, 0, 0);
  const task = header.jobId === 0 ? null : findJob(header.jobId);
  if (task === null) {
    refuse(header, Cause.NO_SUCH_JOB);
    return;
  }
  const tree = addr(task.record.tree);
  if (task.state === TaskState.FAN_IN) {
    // Only the wait for the children's notices is left; they are being killed, too.
    release(task);
    sendMessage(replyTo(header, Operation.KILL_REPLY, Cause.OK));
    return;
  }
  if (tree.killed !== 0) {
    refuse(header, Cause.BUSY);
    return;
  }
  tree.killed = 1;
  copy(addr(tree.asker), header);
  endTask(task, WAIT_KILLED);
}

// ---- nodes that do not answer --------------------------------------------------------------------------------------
/**
 * A node is gone for good, and with it what its sub-tree had to say: it counts as killed. Whoever needs it tells the
 * service node, which ends the job on all nodes: other ranks may wait for it, or for those that do. Without the service
 * node a job has nobody to end it, to read its output or to hear of its exit: its part here ends at once.
 */
export function exitLost(nid: u32): void {
  assertHeld(addr(netLock));
  for (let slot: u32 = 0; slot < TASKS_MAX; slot++) {
    const task = taskAt(slot);
    if (task.state === TaskState.FREE || task.jobId === 0) continue;
    if (nid === SERVICE_NID) {
      endOrphan(task);
      continue;
    }
    if (!needs(task, nid)) continue;
    const tree = addr(task.record.tree);
    // The first one ends the job; more of them say nothing new, and there may be thousands.
    if (tree.reported === 0) reportLost(task, nid);
    tree.reported = 1;
    for (let i: u32 = 0; i < tree.childCount; i++) {
      if (tree.children[i].nid !== nid) continue;
      childEnded(task, i, Cause.UNREACHABLE, WAIT_KILLED, tree.children[i].rank, 0);
      break;
    }
  }
}
function endOrphan(task: ptr<Task>): void {
  if (task.state === TaskState.FAN_IN) release(task);
  else endTask(task, WAIT_KILLED);
}
/** Parent, child, or another rank of its job. */
function needs(task: ptr<Task>, nid: u32): boolean {
  if (task.parentNid === nid) return true;
  const tree = addr(task.record.tree);
  for (let i: u32 = 0; i < tree.childCount; i++) {
    if (tree.children[i].nid === nid) return true;
  }
  const nids = task.nids;
  if (nids === null) return false;
  for (let rank: u32 = 0; rank < task.size; rank++) {
    if (nids[rank] === nid) return true;
  }
  return false;
}
function reportLost(task: ptr<Task>, nid: u32): void {
  const notice: ExitNotice = zeroed();
  notice.jobId = task.jobId;
  notice.waitStatus = WAIT_KILLED;
  notice.rank = task.rank;
  const m = noticeMessage(task, addr(notice));
  m.header.targetNid = SERVICE_NID;
  m.header.targetPid = SERVICE_PID;
  m.header.cause = Cause.UNREACHABLE;
  m.header.headerData = u64(nid);
  sendMessage(m);
}

/**
 * A thread of `task` has waited for long: do its neighbours in the tree still answer? The others have neighbours of
 * their own.
 */
export function probeNeighbours(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  probe(task.parentNid);
  probeChildren(addr(task.record.tree));
}
function probeChildren(tree: ptr<Tree>): void {
  for (let i: u32 = 0; i < tree.childCount; i++) probe(tree.children[i].nid);
}

/**
 * By task slot: the own task has ended, and its children's notices are awaited. A timer outlives its task: on another
 * core it is left to fire, and finds out.
 */
const watchTimers: arr<Timer, 8> = zeroed();

function watchChildren(task: ptr<Task>): void {
  task.record.tree.probes = 0;
  armTimer(addr(watchTimers[task.slot]), readTsc() + PROBE_NS, watchDue, u64(task.slot));
}
function watchDue(slot: u64): void {
  const flags: u64 = lock(addr(netLock));
  const task = taskAt(u32(slot));
  const tree = addr(task.record.tree);
  if (task.state === TaskState.FAN_IN && tree.childCount > 0 && tree.probes < PROBES_MAX) {
    probeChildren(tree);
    tree.probes++;
    armTimer(addr(watchTimers[slot]), readTsc() + (PROBE_NS << u64(tree.probes)), watchDue, slot);
  }
  unlock(addr(netLock), flags);
}
