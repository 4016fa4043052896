/**
 * Test-only: nodes that implement the kernel's and init's side of the load in node, without machine code, and a fabric
 * that joins them to the host at nid 0. They follow the protocol, so the service node sees them as real nodes.
 */
import { ExitNotice, INIT_MAGIC, INIT_VERSION, InitHeader, InitMatch, LoadStatus } from "../../emulator/abi/job.ts";
import { Cause, KERNEL_PID, MessageFlag, Operation, SERVICE_NID, SERVICE_PID } from "../../emulator/abi/net.ts";
import { Personality } from "../../emulator/abi/personality.ts";
import { PORTAL_INIT, PORTAL_SERVICE } from "../../emulator/abi/portals.ts";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { message, replyTo, type Message } from "../../emulator/fabric/message.ts";
import { Reliable, type ReliableOptions } from "../../emulator/fabric/reliable.ts";
import { parseParameters, type Parameters } from "../../emulator/service/parameters.ts";
import type { TraceSink } from "../../emulator/trace/sink.ts";

const LATENCY_NS = 1000;

/** Deviations of a node from correct behaviour. */
export interface Behaviour {
  /** Answers nothing at all. */
  readonly dead?: boolean;
  /** Refuses a LOAD with this cause. */
  readonly refuse?: number;
  /** Init's status reports this failure of its own rank. */
  readonly fail?: { readonly cause: number; readonly errno: number };
  /** Init ends before it reports. */
  readonly initCrashes?: boolean;
  /** Never reports. */
  readonly hangs?: boolean;
  /** No match entry accepts GO. */
  readonly losesGo?: boolean;
  /** Wait status of the program; left out: it runs until it is killed. */
  readonly exits?: number;
}
interface Task {
  readonly jobId: number;
  readonly pid: number;
  readonly parameters: Parameters;
  readonly rank: number;
  readonly parent: { readonly nid: number; readonly pid: number };
  readonly children: number[];
  readonly reported: Set<number>;
  readonly childPids: Map<number, number>;
  status: { cause: number; errno: number; nid: number; rank: number; ready: number };
  ended: number;
  notices: number;
  waitStatus: number;
  failedRank: number;
}
interface Flight {
  readonly to: number;
  readonly frame: Uint8Array;
  readonly time: number;
}

export class ModelFabric {
  now = 0;
  readonly host: FabricHost;
  readonly nodes = new Map<number, ModelNode>();
  readonly loads: number[] = [];
  private readonly flights: Flight[] = [];

  constructor(
    count: number,
    behaviours: Readonly<Record<number, Behaviour>> = {},
    trace?: TraceSink,
    options: ReliableOptions = {},
  ) {
    this.host = new FabricHost((frame, time) => this.carry(frame, time), trace, options);
    for (let nid = 1; nid <= count; nid++)
      this.nodes.set(nid, new ModelNode(this, nid, behaviours[nid] ?? {}, options));
  }
  carry(frame: Uint8Array, time: number): void {
    const to = (frame[3]! << 16) | (frame[4]! << 8) | frame[5]!;
    this.flights.push({ to, frame, time: time + LATENCY_NS });
  }
  boot(): void {
    for (const node of this.nodes.values()) node.sayReady(this.now);
  }
  /** Runs until no event is left, or `done` returns true. */
  run(done: () => boolean = () => false, limitNs = 120e9): void {
    while (!done()) {
      const ends = [this.host, ...[...this.nodes.values()].map((n) => n.reliable)];
      let index = -1;
      this.flights.forEach((f, i) => {
        if (index < 0 || f.time < this.flights[index]!.time) index = i;
      });
      const timer = Math.min(...ends.map((e) => e.nextTimer));
      const time = Math.min(index < 0 ? Infinity : this.flights[index]!.time, timer);
      if (time === Infinity) return;
      if (time > limitNs) throw new Error("model fabric: nothing ends");
      this.now = Math.max(this.now, time);
      if (index >= 0 && this.flights[index]!.time <= timer) {
        const [f] = this.flights.splice(index, 1);
        if (f!.to === SERVICE_NID) this.host.receive(f!.frame, this.now);
        else this.nodes.get(f!.to)?.receive(f!.frame, this.now);
      } else {
        for (const e of ends) if (e.nextTimer <= time) e.tick(time);
      }
    }
  }
}

export class ModelNode {
  readonly reliable: Reliable;
  task: Task | null = null;
  readonly killed: number[] = [];
  private nextPid = 1;

  constructor(
    private readonly fabric: ModelFabric,
    readonly nid: number,
    readonly behaviour: Behaviour,
    options: ReliableOptions,
  ) {
    this.reliable = new Reliable(
      nid,
      { send: (f, t) => fabric.carry(f, t), deliver: (m, t) => this.take(m, t) },
      options,
    );
  }
  receive(frame: Uint8Array, time: number): void {
    if (!this.behaviour.dead) this.reliable.receive(frame, time);
  }
  sayReady(time: number): void {
    const body = new Uint8Array(Personality.SIZE);
    const p = new Personality(new DataView(body.buffer));
    p.nid = this.nid;
    p.cores = 2;
    p.memoryBytes = 64n << 20n;
    this.send({ operation: Operation.READY, targetNid: SERVICE_NID, targetPid: SERVICE_PID, body }, time);
  }
  private send(fields: Partial<Message> & { readonly operation: number }, time: number): void {
    this.reliable.send(message({ sourceNid: this.nid, ...fields }), time);
  }

  private take(m: Message, time: number): void {
    switch (m.operation) {
      case Operation.LOAD:
        this.load(m, time);
        return;
      case Operation.LOAD_REPLY:
        if (m.cause !== Cause.OK)
          this.childReported(
            m.sourceNid,
            { cause: m.cause, errno: 0, nid: m.sourceNid, rank: this.rankOf(m.sourceNid), ready: 0 },
            new Map(),
            time,
          );
        return;
      case Operation.KILL: {
        const found = this.task !== null && this.task.jobId === m.jobId;
        if (found) this.task = null;
        this.killed.push(m.jobId);
        this.send(replyTo(m, { operation: Operation.KILL_REPLY, cause: found ? Cause.OK : Cause.NO_SUCH_JOB }), time);
        return;
      }
      case Operation.STATUS:
        this.send(
          replyTo(m, { operation: Operation.STATUS_REPLY, body: new TextEncoder().encode(`nid ${this.nid}: idle`) }),
          time,
        );
        return;
      case Operation.PUT:
        this.put(m, time);
        return;
      case Operation.EXIT_NOTICE: {
        const n = new ExitNotice(new DataView(m.body.buffer, m.body.byteOffset));
        this.ended(n.count, n.waitStatus, n.rank, time);
        return;
      }
    }
  }

  /** Steps 5, 7 and 8. */
  private load(m: Message, time: number): void {
    this.fabric.loads.push(this.nid);
    const cause = this.behaviour.refuse ?? (this.task === null ? Cause.OK : Cause.BUSY);
    const header = new InitHeader(new DataView(m.body.buffer, m.body.byteOffset));
    const parameters = parseParameters(m.body.subarray(Number(header.parametersOffset)));
    if (cause !== Cause.OK || parameters === null) {
      this.send(
        replyTo(m, { operation: Operation.LOAD_REPLY, cause: cause === Cause.OK ? Cause.BAD_IMAGE : cause }),
        time,
      );
      return;
    }
    const pid = this.nextPid++;
    this.send(replyTo(m, { operation: Operation.LOAD_REPLY, cause, headerData: BigInt(pid) }), time);
    const rank = parameters.nids.indexOf(this.nid);
    const children: number[] = [];
    for (let k = 1; k <= parameters.fanout; k++) {
      const child = rank * parameters.fanout + k;
      if (child < parameters.nids.length) children.push(parameters.nids[child]!);
    }
    this.task = {
      jobId: m.jobId,
      pid,
      parameters,
      rank,
      parent: { nid: m.sourceNid, pid: m.sourcePid },
      children,
      reported: new Set(),
      childPids: new Map(),
      status: { cause: Cause.OK, errno: 0, nid: this.nid, rank, ready: 0 },
      ended: 0,
      notices: 0,
      waitStatus: 0,
      failedRank: 0,
    };
    if (this.behaviour.initCrashes) {
      this.ended(1, 11, rank, time);
      return;
    }
    if (this.behaviour.fail) Object.assign(this.task.status, this.behaviour.fail);
    else this.task.status.ready = 1;
    for (const nid of children)
      this.send(
        { operation: Operation.LOAD, targetNid: nid, sourcePid: pid, jobId: m.jobId, userId: m.userId, body: m.body },
        time,
      );
    this.report(time);
  }
  private rankOf(nid: number): number {
    return this.task?.parameters.nids.indexOf(nid) ?? 0;
  }

  private put(m: Message, time: number): void {
    const task = this.task;
    const found =
      task !== null &&
      m.targetPid === task.pid &&
      m.portalIndex === PORTAL_INIT &&
      !(m.matchBits === BigInt(InitMatch.GO) && this.behaviour.losesGo);
    if (m.flags & MessageFlag.ACK_WANTED)
      this.send(replyTo(m, { operation: Operation.PUT_ACK, cause: found ? Cause.OK : Cause.NO_MATCH }), time);
    if (!found) return;
    if (m.matchBits === BigInt(InitMatch.GO)) {
      this.go(time);
      return;
    }
    const view = new DataView(m.body.buffer, m.body.byteOffset);
    const s = new LoadStatus(view);
    const pids = new Map<number, number>();
    task.parameters.nids.forEach((_, r) => {
      pids.set(r, view.getUint32(LoadStatus.SIZE + 4 * r, true));
    });
    this.childReported(
      m.sourceNid,
      { cause: s.cause, errno: s.errno, nid: s.nid, rank: s.rank, ready: s.readyCount },
      pids,
      time,
    );
  }
  private childReported(nid: number, s: Task["status"], pids: ReadonlyMap<number, number>, time: number): void {
    const task = this.task;
    if (task === null) return;
    task.reported.add(nid);
    const ready = task.status.ready + s.ready;
    if (s.cause !== Cause.OK && (task.status.cause === Cause.OK || s.rank < task.status.rank)) task.status = { ...s };
    task.status.ready = ready;
    for (const [rank, pid] of pids) if (pid !== 0) task.childPids.set(rank, pid);
    this.report(time);
  }
  /** Steps 11 and 12. */
  private report(time: number): void {
    const task = this.task;
    if (task === null || this.behaviour.hangs || task.reported.size < task.children.length) return;
    const size = task.parameters.nids.length;
    const body = new Uint8Array(LoadStatus.SIZE + 4 * size);
    const view = new DataView(body.buffer);
    const s = new LoadStatus(view);
    s.cause = task.status.cause;
    s.errno = task.status.errno;
    s.nid = task.status.nid;
    s.rank = task.status.rank;
    s.readyCount = task.status.ready;
    s.pid = task.pid;
    task.childPids.set(task.rank, task.pid);
    for (const [rank, pid] of task.childPids) view.setUint32(LoadStatus.SIZE + 4 * rank, pid, true);
    const portalIndex = task.rank === 0 ? PORTAL_SERVICE : PORTAL_INIT;
    this.send(
      {
        operation: Operation.PUT,
        portalIndex,
        jobId: task.jobId,
        sourcePid: task.pid,
        targetNid: task.parent.nid,
        targetPid: task.parent.pid,
        matchBits: BigInt(InitMatch.STATUS),
        body,
      },
      time,
    );
  }
  /** Steps 14 and 15. */
  private go(time: number): void {
    const task = this.task!;
    for (const nid of task.children) {
      const targetPid = task.childPids.get(task.parameters.nids.indexOf(nid))!;
      this.send(
        {
          operation: Operation.PUT,
          portalIndex: PORTAL_INIT,
          jobId: task.jobId,
          sourcePid: task.pid,
          targetNid: nid,
          targetPid,
          matchBits: BigInt(InitMatch.GO),
        },
        time,
      );
    }
    if (this.behaviour.exits !== undefined) this.ended(1, this.behaviour.exits, task.rank, time);
  }
  /** Exit fan-in: own exit and the children's notices are combined into one notice. */
  private ended(count: number, waitStatus: number, rank: number, time: number): void {
    const task = this.task;
    if (task === null) return;
    task.ended += count;
    task.notices++;
    if (waitStatus !== 0 && (task.waitStatus === 0 || rank < task.failedRank)) {
      task.waitStatus = waitStatus;
      task.failedRank = rank;
    }
    if (!this.behaviour.initCrashes && task.notices < task.children.length + 1) return;
    const body = new Uint8Array(ExitNotice.SIZE);
    const n = new ExitNotice(new DataView(body.buffer));
    n.jobId = task.jobId;
    n.waitStatus = task.waitStatus;
    n.rank = task.failedRank;
    n.count = task.ended;
    const targetPid = task.parent.nid === SERVICE_NID ? SERVICE_PID : KERNEL_PID;
    this.send(
      { operation: Operation.EXIT_NOTICE, jobId: task.jobId, targetNid: task.parent.nid, targetPid, body },
      time,
    );
    this.task = null;
  }
}

/** An init image that consists of its header only. */
export function modelInit(): Uint8Array {
  const image = new Uint8Array(1000);
  const h = new InitHeader(new DataView(image.buffer));
  h.magic = INIT_MAGIC;
  h.version = INIT_VERSION;
  h.memoryBytes = 65536n;
  return image;
}
