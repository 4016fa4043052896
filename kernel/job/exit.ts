/**
 * The end of a job: exits fan in along the tree. For each task the kernel waits until the task and all children (the
 * ACKed loads that it sent) have ended, and then sends one notice to the kernel from which its load came, which may be
 * itself; rank 0's notice goes to the service node. A task that ends before it was started (init crashed or gave up)
 * does not wait for its children: its notice goes up at once, and if the parent's init is still loading, it gets the
 * notice as a LOAD_EXIT event. So a load fails as soon as any part of it fails. A killed job sends no notices: the
 * service node asks every node, and each answers when nothing of its tasks is left.
 *
 * Waiters (init or the program for events, an ended task for its children's notices) probe their neighbours in the tree
 * from time to time. So at least one end watches each edge once something depends on it, and a computing task is never
 * disturbed by its own kernel.
 */
import { EventKind } from "../abi/events.ts";
import { CHILDREN_MAX, type ExitNotice } from "../abi/job.ts";
import { Cause, KERNEL_PID, type MessageHeader, Operation, SERVICE_NID, SERVICE_PID } from "../abi/net.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { readTsc } from "../arch/cpu.ts";
import { assert } from "../arch/fatal.ts";
import { assertHeld, lock } from "../arch/spinlock.ts";
import { armTimer, type Timer } from "../arch/timer.ts";
import { record } from "../arch/trace.ts";
import { setLastThreadLeft } from "../core/idle.ts";
import type { Child, Tree } from "../core/record.ts";
import {
  endTask,
  nextOfJob,
  reclaimFrames,
  reclaimTask,
  releaseTask,
  type Task,
  taskAt,
  tasksEnd,
  TaskState,
  WAIT_KILLED,
} from "../core/task.ts";
import { shipTaskEnd } from "../io/client.ts";
import { writeBackAtEnd } from "../io/sharedfile.ts";
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
import { netLock, NID_MAX, type OutMessage, type Peer } from "../net/peer.ts";
import { releaseNet } from "../net/reliable.ts";
import { checkNoFrames, checkNoMessages, checkNothingLeft } from "./check.ts";
import { debugTaskEnded } from "./debug.ts";

export function exitStart(): void {
  const room: u64 = taskAt(0).record.tree.children.length;
  assert(room === u64(CHILDREN_MAX), cstr("exit: room for other than CHILDREN_MAX children"), room);
  setLastThreadLeft(lastThreadLeft);
  registerOperation(Operation.EXIT_NOTICE, sizeof<ExitNotice>(), sizeof<ExitNotice>(), receiveNotice);
  registerOperation(Operation.KILL, 0, 0, receiveKill);
}

/** Called before `task` sends a load. False: it has sent CHILDREN_MAX already. */
export function askChild(task: ptr<Task>): boolean {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  if (tree.asked >= CHILDREN_MAX) return false;
  tree.asked++;
  return true;
}
/** A load that `task` has sent was ACKed. */
export function childLoaded(task: ptr<Task>, loaded: ptr<Child>): void {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  record(EventKind.JOB_CHILD, u64(task.jobId), u64(loaded.nid), 0, 0);
  assert(tree.childCount < CHILDREN_MAX, cstr("exit: more children than loads"), u64(tree.childCount));
  copy(addr(tree.children[tree.childCount]), loaded);
  tree.childCount++;
}

/** Init has gone and the job runs. */
export function jobStarted(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  task.record.tree.started = 1;
}
/** The lowest rank of the job that runs on `nid`; -1: none, or the job has not been described. */
function rankOn(task: ptr<Task>, nid: u32): i64 {
  const ranks = task.ranks;
  return ranks === null || nid >= NID_MAX ? -1 : i64(ranks[nid]) - 1;
}

/**
 * A load is refused although a task was created for it: the sender gets the refusal when the task is gone, and may then
 * retry at once.
 */
export function refuseLoaded(task: ptr<Task>, load: ptr<MessageHeader>, cause: u32): void {
  assertHeld(addr(netLock));
  const tree = addr(task.record.tree);
  // No exit is reported.
  task.jobId = 0;
  tree.refusal = cause;
  copy(addr(tree.asker), load);
  endTask(task, WAIT_KILLED);
}

/** The task has no threads (any more). Runs on one of its cores, from the idle loop, without a lock. */
function lastThreadLeft(task: ptr<Task>): void {
  writeBackAtEnd(task);
  const flags: u64 = lock(addr(netLock));
  debugTaskEnded(task);
  // The network must stop using its memory before the memory is freed.
  clearPortals(task, flags);
  cancelMessages(task, flags);
  task.nids = null;
  task.pids = null;
  task.ranks = null;
  if (task.jobId !== 0) shipTaskEnd(task);
  releaseNet(flags);
  reclaimFrames(task);
  checkNoFrames(task);
  lock(addr(netLock));
  checkNoMessages(task, flags);
  finishTask(task);
  releaseNet(flags);
}
function finishTask(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  reclaimTask(task);
  checkNothingLeft(task);
  const tree = addr(task.record.tree);
  if (task.jobId !== 0) record(EventKind.JOB_EXIT, u64(task.jobId), u64(task.rank), u64(task.waitStatus), 0);
  if (tree.killed !== 0) {
    const asker: MessageHeader = zeroed();
    copy(addr(asker), addr(tree.asker));
    release(task);
    if (!isBeingKilled(asker.jobId)) sendMessage(replyTo(addr(asker), Operation.KILL_REPLY, Cause.OK));
  } else if (task.jobId === 0) {
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

/** Whether a task is left that the KILL of its job has to end. */
function isBeingKilled(jobId: u32): boolean {
  for (let slot: u32 = 0; slot < tasksEnd(); slot++) {
    const task = taskAt(slot);
    if (task.state === TaskState.FREE || task.record.tree.killed === 0) continue;
    if (task.record.tree.asker.jobId === jobId) return true;
  }
  return false;
}

function release(task: ptr<Task>): void {
  zero(addr(task.record.tree));
  releaseTask(task);
}

/** The sub-tree's status is that of the lowest rank that failed. */
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
/** A notice to the sender of the task's load. */
function noticeMessage(task: ptr<Task>, notice: ptr<ExitNotice>): ptr<OutMessage> {
  const m = allocateKernelMessage();
  m.header.operation = Operation.EXIT_NOTICE;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = KERNEL_PID;
  m.header.targetNid = task.parentNid;
  m.header.targetPid = task.parentNid === SERVICE_NID ? SERVICE_PID : KERNEL_PID;
  m.header.requestId = task.record.segment.load.requestId;
  m.header.totalBytes = u32(sizeof<ExitNotice>());
  setPrefix(m, cast<ptr<u8>>(notice), sizeof<ExitNotice>());
  return m;
}

function receiveNotice(_peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  if (header.jobId === 0 || header.sourcePid !== KERNEL_PID || header.targetPid !== KERNEL_PID) return;
  const notice: ExitNotice = zeroed();
  memcpy(cast<ptr<u8>>(addr(notice)), body, sizeof<ExitNotice>());
  if (notice.jobId !== header.jobId) return;
  for (let task = nextOfJob(header.jobId, 0); task !== null; task = nextOfJob(header.jobId, task.slot + 1)) {
    const tree = addr(task.record.tree);
    for (let i: u32 = 0; i < tree.childCount; i++) {
      if (tree.children[i].loadId !== header.requestId || tree.children[i].nid !== header.sourceNid) continue;
      childEnded(task, i, Cause.KILLED, notice.waitStatus, notice.rank, notice.count);
      return;
    }
  }
}

/** Child `index` and its sub-tree have ended. */
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
  if (header.jobId === 0 || nextOfJob(header.jobId, 0) === null) {
    refuse(header, Cause.NO_SUCH_JOB);
    return;
  }
  if (isBeingKilled(header.jobId)) {
    refuse(header, Cause.BUSY);
    return;
  }
  for (let task = nextOfJob(header.jobId, 0); task !== null; task = nextOfJob(header.jobId, task.slot + 1)) {
    if (task.state === TaskState.FAN_IN) {
      // Only the wait for the children's notices is left; they are being killed, too.
      release(task);
      continue;
    }
    task.record.tree.killed = 1;
    copy(addr(task.record.tree.asker), header);
    endTask(task, WAIT_KILLED);
  }
  if (!isBeingKilled(header.jobId)) sendMessage(replyTo(header, Operation.KILL_REPLY, Cause.OK));
}

// ---- nodes that do not answer --------------------------------------------------------------------------------------
/**
 * A node is lost for good, and with it the exits of its sub-tree: it counts as killed. A kernel whose task needs the
 * node tells the service node, which ends the job on all nodes, because other ranks may wait for it. If the service
 * node itself is lost, nothing can end the job, read its output or receive its exit: its part here ends at once.
 */
export function exitLost(nid: u32): void {
  assertHeld(addr(netLock));
  for (let slot: u32 = 0; slot < tasksEnd(); slot++) {
    const task = taskAt(slot);
    if (task.state === TaskState.FREE || task.jobId === 0) continue;
    if (nid === SERVICE_NID) {
      endOrphan(task);
      continue;
    }
    if (!needs(task, nid)) continue;
    const tree = addr(task.record.tree);
    // The first lost node ends the job; further reports add nothing, and there may be thousands.
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
/** Whether `nid` is the parent, a child, or another rank of the job. */
function needs(task: ptr<Task>, nid: u32): boolean {
  if (task.parentNid === nid) return true;
  const tree = addr(task.record.tree);
  for (let i: u32 = 0; i < tree.childCount; i++) {
    if (tree.children[i].nid === nid) return true;
  }
  return rankOn(task, nid) >= 0;
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

/** A thread of `task` has waited for long: probes its neighbours in the tree. Other nodes have their own neighbours. */
export function probeNeighbours(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  probe(task.parentNid);
  probeChildren(addr(task.record.tree));
}
function probeChildren(tree: ptr<Tree>): void {
  for (let i: u32 = 0; i < tree.childCount; i++) probe(tree.children[i].nid);
}

/**
 * By task slot: the own task has ended, and its children's notices are pending. A timer outlives its task: on another
 * core it is left to fire, and then finds nothing to do.
 */
const watchTimers: arr<Timer, 64> = zeroed();

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
  releaseNet(flags);
}
