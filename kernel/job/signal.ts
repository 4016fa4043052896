/**
 * Signals for a job from outside: the service node sends SIGNAL to each node of the job, and every task of the job
 * there gets it, as by kill(2) from nobody (pid 0). There is no answer: a task that has ended takes no signal.
 */
import { Signal, SignalCode } from "../abi/signal.ts";
import { type MessageHeader, Operation } from "../abi/net.ts";
import { sendToTask } from "../core/signal.ts";
import { taskAt, TASKS_MAX, TaskState } from "../core/task.ts";
import { fromService, registerOperation } from "../net/message.ts";
import type { Peer } from "../net/peer.ts";

export function jobSignalsStart(): void {
  registerOperation(Operation.SIGNAL, 0, 0, receiveSignal);
}

function receiveSignal(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const signal: u64 = header.headerData;
  if (!fromService(header) || header.jobId === 0 || signal === 0 || signal > u64(Signal.SIGRTMAX)) return;
  for (let slot: u32 = 0; slot < TASKS_MAX; slot++) {
    const task = taskAt(slot);
    if (task.state === TaskState.FREE || task.jobId !== header.jobId) continue;
    sendToTask(task, u32(signal), SignalCode.SI_USER, u64(header.userId) << 32, 0);
  }
}
