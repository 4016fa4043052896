/**
 * The end of a job: exits fan in along the tree. Each kernel waits until its own task and all children (the loads that the task
 * sent and that were ACKed) have ended, and sends one notice to the kernel that its load came from; rank 0's goes to the service node.
 * A job that is killed sends no notices: the service node asks every node, and each answers when nothing of the task is left.
 */
import { EventKind } from "../abi/events.ts";
import type { ExitNotice } from "../abi/job.ts";
import { Cause, KERNEL_PID, type MessageHeader, Operation, SERVICE_NID, SERVICE_PID } from "../abi/net.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import { endTask, findJob, reclaimTask, releaseTask, setLastThreadLeft, type Task, taskAt, TaskState, WAIT_KILLED } from "../core/task.ts";
import { shipTaskEnd } from "../io/client.ts";
import { allocateKernelMessage, cancelMessages, fromService, registerOperation, replyTo, sendMessage, setPrefix } from "../net/message.ts";
import { clearPortals } from "../net/portals.ts";
import { netLock, type Peer } from "../net/reliable.ts";

const CHILDREN_MAX: u32 = 64;
class Tree {
  /** ACKed loads, and those of them whose notice has not come. */
  childCount: u32 = 0;
  waitingFor!: arr<u32, 64>;
  ownEnded: u32 = 0;
  /** The sub-tree so far. */
  notice!: ExitNotice;
  /** Whose KILL is to be answered; operation 0: nobody's. */
  killer!: MessageHeader;
  killed: u32 = 0;
}
/** By task slot. Under `netLock`. */
const trees: arr<Tree, 8> = zeroed();

export function exitStart(): void {
  setLastThreadLeft(lastThreadLeft);
  registerOperation(Operation.EXIT_NOTICE, receiveNotice);
  registerOperation(Operation.KILL, receiveKill);
}

/** A load that `task` has sent to `nid` was ACKed. */
export function childLoaded(task: ptr<Task>, nid: u32): void {
  const tree = addr(trees[task.slot]);
  record(EventKind.JOB_CHILD, u64(task.jobId), u64(nid), 0, 0);
  if (tree.childCount === CHILDREN_MAX) return;
  tree.waitingFor[tree.childCount] = nid;
  tree.childCount++;
}

function lastThreadLeft(task: ptr<Task>): void {
  const flags: u64 = lock(addr(netLock));
  finishTask(task);
  unlock(addr(netLock), flags);
}

/** The task has no threads (any more). Under `netLock`. */
export function finishTask(task: ptr<Task>): void {
  // First nothing of the network may touch its memory, then the memory goes.
  cancelMessages(task);
  clearPortals(task);
  if (task.jobId !== 0) shipTaskEnd(task);
  reclaimTask(task);
  const tree = addr(trees[task.slot]);
  if (task.jobId !== 0) record(EventKind.JOB_EXIT, u64(task.jobId), u64(task.rank), u64(task.waitStatus), 0);
  if (tree.killed !== 0 || task.jobId === 0) {
    if (tree.killed !== 0) sendMessage(replyTo(addr(tree.killer), Operation.KILL_REPLY, Cause.OK));
    release(task);
  } else {
    tree.ownEnded = 1;
    tree.notice.jobId = task.jobId;
    addExit(tree, task.waitStatus, task.rank, 1);
    if (tree.childCount === 0) sendNotice(task);
  }
}

function release(task: ptr<Task>): void {
  zero(addr(trees[task.slot]));
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
  const tree = addr(trees[task.slot]);
  record(EventKind.JOB_NOTICE, u64(task.jobId), u64(task.parentNid), u64(tree.notice.waitStatus), u64(tree.notice.count));
  const m = allocateKernelMessage();
  m.header.operation = Operation.EXIT_NOTICE;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = KERNEL_PID;
  m.header.targetNid = task.parentNid;
  m.header.targetPid = task.parentNid === SERVICE_NID ? SERVICE_PID : KERNEL_PID;
  m.header.totalBytes = u32(sizeof<ExitNotice>());
  setPrefix(m, cast<ptr<u8>>(addr(tree.notice)), sizeof<ExitNotice>());
  release(task);
  sendMessage(m);
}

function receiveNotice(_peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const task = findJob(header.jobId);
  if (task === null || u64(header.fragmentBytes) < sizeof<ExitNotice>()) return;
  const tree = addr(trees[task.slot]);
  const notice: ExitNotice = zeroed();
  memcpy(cast<ptr<u8>>(addr(notice)), body, sizeof<ExitNotice>());
  for (let i: u32 = 0; i < tree.childCount; i++) {
    if (tree.waitingFor[i] !== header.sourceNid) continue;
    tree.childCount--;
    tree.waitingFor[i] = tree.waitingFor[tree.childCount];
    addExit(tree, notice.waitStatus, notice.rank, notice.count);
    if (tree.childCount === 0 && tree.ownEnded !== 0) sendNotice(task);
    return;
  }
}

function receiveKill(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  if (!fromService(header)) {
    sendMessage(replyTo(header, Operation.KILL_REPLY, Cause.NOT_PERMITTED));
    return;
  }
  record(EventKind.JOB_KILL, u64(header.jobId), 0, 0, 0);
  const task = header.jobId === 0 ? null : findJob(header.jobId);
  if (task === null) {
    sendMessage(replyTo(header, Operation.KILL_REPLY, Cause.NO_SUCH_JOB));
    return;
  }
  const tree = addr(trees[task.slot]);
  if (task.state === TaskState.FAN_IN) {
    // Only the wait for the children's notices is left; they are being killed, too.
    release(task);
    sendMessage(replyTo(header, Operation.KILL_REPLY, Cause.OK));
    return;
  }
  tree.killed = 1;
  copy(addr(tree.killer), header);
  if (endTask(task, WAIT_KILLED)) finishTask(task);
}

/** A node is gone for good, and with it what its sub-tree had to say. */
export function exitLost(nid: u32): void {
  for (let slot: u32 = 0; slot < trees.length; slot++) {
    const tree = addr(trees[slot]);
    for (let i: u32 = 0; i < tree.childCount; i++) {
      if (tree.waitingFor[i] !== nid) continue;
      tree.childCount--;
      tree.waitingFor[i] = tree.waitingFor[tree.childCount];
      i--;
      if (tree.childCount === 0 && tree.ownEnded !== 0) {
        sendNotice(taskAt(slot));
        break;
      }
    }
  }
}
