/**
 * The service node: a state machine without sockets at nid 0, pid 1. It collects READY from the nodes, PUTs jobs to
 * rank 0 (ARCHITECTURE.md section 5, steps 1–4), receives LOAD_REPLY and STATUS (12), sends GO (13) and receives one
 * exit notice per job. A refused, failed or interrupted job is torn down by a KILL to every node, and has ended when
 * every node has answered. All times are virtual. As a Portals target it has one portal, PORTAL_SERVICE, which accepts
 * STATUS.
 */
import { EventKind } from "../abi/events.ts";
import { CORE_BACKTRACE_MAX, CoreReport, ExitNotice, InitMatch, LoadStatus } from "../abi/job.ts";
import { Cause, KERNEL_PID, MessageFlag, Operation, SERVICE_NID, SERVICE_PID } from "../abi/net.ts";
import { Personality } from "../abi/personality.ts";
import { PORTAL_INIT, PORTAL_SERVICE } from "../abi/portals.ts";
import { Signal } from "../abi/signal.ts";
import { refusal as hostRefusal, type FabricHost, type HostService, type SendMessage } from "../fabric/host.ts";
import { message, replyTo, type Message } from "../fabric/message.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import { buildLoadBody } from "./image.ts";
import { buildParameters, ParameterError } from "./parameters.ts";
import { refusalText, type Refusal } from "./refusal.ts";

export interface JobRequest {
  /** The nid of each rank. */
  readonly nids: readonly number[];
  /** Paths in the job's name space. */
  readonly programs: readonly string[];
  /** Index into `programs` for each rank; left out: 0. */
  readonly programOfRank?: readonly number[];
  /** Of every program. */
  readonly argv: readonly string[];
  /** Of each program, instead of `argv`. */
  readonly argvOfProgram?: readonly (readonly string[])[];
  readonly envp: readonly string[];
  readonly userId: number;
  readonly fanout: number;
  /** Hardware threads of each task whose cores are not named, 0 = all of its node. */
  readonly cores: number;
  /** The cores of each rank, as a mask; must be given if a node has several ranks. */
  readonly coresOfRank?: readonly bigint[];
  readonly initImage: Uint8Array;
  /** Signals to be sent to all ranks at these virtual times, or when the job starts to run, if that is later. */
  readonly signals?: readonly ScheduledSignal[];
}
export interface ScheduledSignal {
  readonly signal: number;
  readonly at: number;
}
export type JobResult =
  /**
   * `waitStatus` in Linux's format: that of `rank`, the lowest that failed; 0 if none failed. `count`: ranks that
   * ended. `lostNid`: a node that stopped answering while the job ran; the job was then killed by SIGKILL on all nodes.
   */
  | {
      readonly kind: "exited";
      readonly jobId: number;
      readonly waitStatus: number;
      readonly rank: number;
      readonly count: number;
      readonly lostNid?: number;
    }
  | ({ readonly kind: "refused"; readonly jobId: number; readonly text: string } & Refusal)
  | { readonly kind: "killed"; readonly jobId: number };

export type JobState = "loading" | "initialising" | "running" | "killing" | "ended";
export interface ServiceHooks {
  ready?(nid: number, personality: Personality, time: number): void;
  jobState?(jobId: number, state: JobState, time: number): void;
  jobEnded?(result: JobResult, time: number): void;
  /** A fault has ended the task of `rank`; the job's end follows separately. */
  coreReport?(report: CoreReport, nid: number, rank: number, time: number): void;
}
/** A job that is not ready within this time is refused. A timer costs nothing while nodes compute. */
export const LOAD_TIMEOUT_NS = 30_000_000_000;
/**
 * First time at which rank 0's node is probed; the interval doubles, up to PROBES_MAX probes. Neighbours watch the
 * other nodes.
 */
const PROBE_NS = 50_000_000;
const PROBES_MAX = 10;

interface Job {
  readonly id: number;
  readonly request: JobRequest;
  state: JobState;
  /** The nids of the job, with the number of ranks on each. */
  readonly members: ReadonlyMap<number, number>;
  /** Pid of rank 0's task, from its LOAD_REPLY on. */
  pid: number;
  /** By nid and pid, from the job's STATUS on. */
  readonly ranks: Map<string, number>;
  /** Request id of the LOAD, later of the GO. */
  requestId: bigint;
  deadline: number;
  probeAt: number;
  probes: number;
  /** nids whose KILL_REPLY is pending, with the request id that it must carry. */
  readonly killing: Map<number, bigint>;
  /** A KILL_REPLY of this round reported a task. */
  foundTask: boolean;
  /** The load was aborted, so a LOAD may still be in flight: repeat KILL until no node has the job. */
  repeatKill: boolean;
  outcome: JobResult | null;
  /** Not sent yet. */
  signals: readonly ScheduledSignal[];
}
interface StatusRequest {
  readonly nid: number;
  readonly done: (text: string | null) => void;
}

export class ServiceNode implements HostService {
  /** Nodes that have sent READY. */
  readonly nodes = new Map<number, Personality>();
  private readonly jobs = new Map<number, Job>();
  private readonly statusRequests = new Map<bigint, StatusRequest>();
  private readonly send: SendMessage;
  private nextJobId = 1;
  private nextRequestId = 1n;

  constructor(
    host: FabricHost,
    private readonly hooks: ServiceHooks = {},
    private readonly trace: TraceSink = noTrace,
    private readonly loadTimeoutNs = LOAD_TIMEOUT_NS,
  ) {
    this.send = host.attach(SERVICE_PID, this);
    host.tasksOf = (nid, jobId) => this.jobs.get(jobId)?.members.get(nid) ?? 0;
  }

  /**
   * Loads a job and returns its id; `jobEnded` reports its end.
   * @throws ParameterError if the request cannot be sent at all (sizes, nids that are not ready, no init image).
   */
  submit(request: JobRequest, time: number): number {
    const absent = request.nids.find((nid) => !this.nodes.has(nid));
    if (absent !== undefined) throw new ParameterError(`nid ${absent} is not ready`);
    const id = this.nextJobId;
    const { nids, programs, envp, userId, fanout, coresOfRank } = request;
    const programOfRank = request.programOfRank ?? nids.map(() => 0);
    const parameters = buildParameters({
      jobId: id,
      userId,
      fanout,
      nids,
      ...(coresOfRank === undefined ? {} : { coresOfRank }),
      programs,
      programOfRank,
      argv: request.argvOfProgram ?? programs.map(() => request.argv),
      envp,
    });
    const members = new Map<number, number>();
    for (const nid of nids) members.set(nid, (members.get(nid) ?? 0) + 1);
    const body = buildLoadBody(request.initImage, parameters, request.cores, Math.max(...members.values()));
    this.nextJobId++;
    const job: Job = {
      id,
      request: { ...request, programOfRank },
      state: "loading",
      members,
      pid: 0,
      ranks: new Map(),
      requestId: this.nextRequestId++,
      deadline: time + this.loadTimeoutNs,
      probeAt: time + PROBE_NS,
      probes: 0,
      killing: new Map(),
      foundTask: false,
      repeatKill: false,
      outcome: null,
      signals: request.signals ?? [],
    };
    this.jobs.set(id, job);
    const to = nids[0]!;
    this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_LOAD, [id, to, body.length, nids.length]);
    this.hooks.jobState?.(id, "loading", time);
    this.send(
      message({
        operation: Operation.LOAD,
        targetNid: to,
        targetPid: KERNEL_PID,
        jobId: id,
        userId,
        requestId: job.requestId,
        headerData: coresOfRank?.[0] ?? 0n,
        body,
      }),
      time,
    );
    return id;
  }

  /** The rank of a task, once the job is loaded; rank 0's as soon as its task exists. undefined: none. */
  rankOf(jobId: number, nid: number, pid: number): number | undefined {
    const job = this.jobs.get(jobId);
    if (job === undefined) return undefined;
    if (nid === job.request.nids[0] && pid === job.pid) return 0;
    return job.ranks.get(`${nid}:${pid}`);
  }

  /** Ends a job, as Ctrl-C does. Returns false if there is no such job or it is already ending. */
  kill(jobId: number, time: number): boolean {
    const job = this.jobs.get(jobId);
    if (job === undefined || job.state === "killing") return false;
    this.tearDown(job, { kind: "killed", jobId }, job.state !== "running", time);
    return true;
  }

  /**
   * Sends a signal to every task of a job, as kill(2) would: at the virtual time `at`, which the machine has not
   * reached, or when the job starts to run, if that is later. Returns false if there is no such job.
   */
  signal(jobId: number, signal: number, at: number): boolean {
    const job = this.jobs.get(jobId);
    if (job === undefined) return false;
    job.signals = [...job.signals, { signal, at }];
    return true;
  }
  private sendSignal(job: Job, signal: number, time: number): void {
    for (const nid of job.members.keys()) {
      this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_SIGNAL, [job.id, nid, signal]);
      this.send(
        message({
          operation: Operation.SIGNAL,
          targetNid: nid,
          targetPid: KERNEL_PID,
          jobId: job.id,
          userId: job.request.userId,
          headerData: BigInt(signal),
        }),
        time,
      );
    }
  }
  private sendSignals(job: Job, time: number): void {
    const due = job.signals.filter(({ at }) => at <= time);
    job.signals = job.signals.filter(({ at }) => at > time);
    for (const { signal } of due) this.sendSignal(job, signal, time);
  }

  /**
   * Asks a node for the registers and stacks of its CPUs. `done` gets the text, or null if the node does not answer.
   */
  requestStatus(nid: number, jobId: number, done: (text: string | null) => void, time: number): void {
    const requestId = this.nextRequestId++;
    this.statusRequests.set(requestId, { nid, done });
    this.send(message({ operation: Operation.STATUS, targetNid: nid, targetPid: KERNEL_PID, jobId, requestId }), time);
  }

  get nextTimer(): number {
    let earliest = Infinity;
    for (const job of this.jobs.values()) {
      earliest = Math.min(earliest, job.deadline, job.probeAt);
      if (job.state === "running") earliest = Math.min(earliest, ...job.signals.map(({ at }) => at));
    }
    return earliest;
  }

  tick(time: number): void {
    for (const job of [...this.jobs.values()]) {
      if (job.state === "running") this.sendSignals(job, time);
      if (job.deadline <= time)
        this.refuse(
          job,
          { cause: Cause.UNREACHABLE, errno: 0, nid: job.request.nids[0]!, rank: 0 },
          true,
          time,
          "timed out: ",
        );
      else if (job.probeAt <= time) this.probe(job, time);
    }
  }

  /** The probe needs only an acknowledgement; without one, `unreachable` is called in the end. */
  private probe(job: Job, time: number): void {
    job.probes++;
    job.probeAt = job.probes < PROBES_MAX ? time + PROBE_NS * 2 ** job.probes : Infinity;
    this.send(
      message({ operation: Operation.ACKNOWLEDGE, targetNid: job.request.nids[0]!, targetPid: KERNEL_PID }),
      time,
    );
  }

  unreachable(nid: number, time: number): void {
    for (const [id, r] of [...this.statusRequests]) {
      if (r.nid !== nid) continue;
      this.statusRequests.delete(id);
      r.done(null);
    }
    for (const job of [...this.jobs.values()]) {
      if (!job.members.has(nid)) continue;
      if (job.state === "killing") this.killAnswered(job, nid, false, time);
      else this.lose(job, nid, time);
    }
  }

  /** A node of the job does not answer: reported by the fabric, or by another kernel of the job. */
  private lose(job: Job, nid: number, time: number): void {
    /** The lowest there. */
    const rank = Math.max(0, job.request.nids.indexOf(nid));
    if (job.state === "running")
      this.tearDown(
        job,
        { kind: "exited", jobId: job.id, waitStatus: Signal.SIGKILL, rank, count: 0, lostNid: nid },
        true,
        time,
      );
    else this.refuse(job, { cause: Cause.UNREACHABLE, errno: 0, nid, rank }, true, time);
  }

  receive(m: Message, time: number): void {
    switch (m.operation) {
      case Operation.READY:
        this.receiveReady(m, time);
        return;
      case Operation.LOAD_REPLY:
        this.receiveLoadReply(m, time);
        return;
      case Operation.KILL_REPLY: {
        const job = this.jobs.get(m.jobId);
        if (job?.state === "killing" && m.sourcePid === KERNEL_PID && job.killing.get(m.sourceNid) === m.requestId)
          this.killAnswered(job, m.sourceNid, m.cause === Cause.OK, time);
        return;
      }
      case Operation.EXIT_NOTICE:
        this.receiveExit(m, time);
        return;
      case Operation.CORE_REPORT:
        this.receiveCore(m, time);
        return;
      case Operation.STATUS_REPLY: {
        const request = this.statusRequests.get(m.requestId);
        if (request === undefined || request.nid !== m.sourceNid || m.sourcePid !== KERNEL_PID) return;
        this.statusRequests.delete(m.requestId);
        request.done(new TextDecoder().decode(m.body));
        return;
      }
      case Operation.PUT:
        this.receivePut(m, time);
        return;
      case Operation.PUT_ACK: {
        const job = this.jobs.get(m.jobId);
        if (job?.state !== "running" || m.requestId !== job.requestId || m.cause === Cause.OK) return;
        if (m.sourceNid !== job.request.nids[0] || m.sourcePid !== job.pid) return;
        this.refuse(job, { cause: m.cause, errno: 0, nid: m.sourceNid, rank: 0 }, false, time);
        return;
      }
      default: {
        const answer = hostRefusal(m);
        if (answer !== null) this.send(answer, time);
      }
    }
  }

  private receiveReady(m: Message, time: number): void {
    if (m.sourcePid !== KERNEL_PID || m.body.length !== Personality.SIZE || this.nodes.has(m.sourceNid)) return;
    const personality = new Personality(new DataView(m.body.buffer, m.body.byteOffset, m.body.byteLength));
    if (personality.nid !== m.sourceNid) return;
    this.nodes.set(m.sourceNid, personality);
    this.hooks.ready?.(m.sourceNid, personality, time);
  }

  private receiveCore(m: Message, time: number): void {
    if (m.sourcePid !== KERNEL_PID || m.body.length !== CoreReport.SIZE) return;
    const report = new CoreReport(new DataView(m.body.buffer, m.body.byteOffset, m.body.byteLength));
    const job = this.jobs.get(report.jobId);
    if (job === undefined || !job.members.has(m.sourceNid) || m.jobId !== job.id) return;
    if (report.depth > CORE_BACKTRACE_MAX || job.request.nids[report.rank] !== m.sourceNid) return;
    this.hooks.coreReport?.(report, m.sourceNid, report.rank, time);
  }

  /** Step 5: rank 0's kernel has accepted or refused init. */
  private receiveLoadReply(m: Message, time: number): void {
    const job = this.jobs.get(m.jobId);
    if (
      job === undefined ||
      job.state !== "loading" ||
      m.requestId !== job.requestId ||
      m.sourceNid !== job.request.nids[0] ||
      m.sourcePid !== KERNEL_PID
    )
      return;
    this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_REPLY, [job.id, m.sourceNid, m.cause, m.headerData]);
    if (m.cause !== Cause.OK) {
      this.refuse(job, { cause: m.cause, errno: 0, nid: m.sourceNid, rank: 0 }, false, time);
      return;
    }
    job.pid = Number(m.headerData & 0xffffn);
    this.enter(job, "initialising", time);
  }

  /** Step 12. */
  private receivePut(m: Message, time: number): void {
    const job = this.jobs.get(m.jobId);
    const status =
      m.body.length < LoadStatus.SIZE
        ? null
        : new LoadStatus(new DataView(m.body.buffer, m.body.byteOffset, m.body.byteLength));
    const accepted =
      m.portalIndex === PORTAL_SERVICE &&
      m.matchBits === BigInt(InitMatch.STATUS) &&
      status !== null &&
      job !== undefined &&
      m.sourceNid === job.request.nids[0] &&
      m.sourcePid === job.pid &&
      m.body.length === LoadStatus.SIZE + 4 * job.request.nids.length &&
      m.remoteOffset === 0n;
    if (m.flags & MessageFlag.ACK_WANTED) {
      const cause = accepted ? Cause.OK : Cause.NO_MATCH;
      this.send(
        replyTo(m, { operation: Operation.PUT_ACK, cause, headerData: accepted ? BigInt(m.body.length) : 0n }),
        time,
      );
    }
    if (!accepted) return;
    // The status may be late: the job may already be going down.
    if (job.state !== "initialising") return;
    this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_STATUS, [
      job.id,
      status.cause,
      status.readyCount,
      status.nid,
    ]);
    const { cause, errno, nid, rank, readyCount } = status;
    if (cause !== Cause.OK) {
      // An init that crashed may have sent loads that no parent waits for any more.
      this.refuse(job, { cause, errno, nid, rank }, cause === Cause.KILLED || cause === Cause.UNREACHABLE, time);
      return;
    }
    if (readyCount !== job.request.nids.length) {
      this.refuse(job, { cause: Cause.BAD_REQUEST, errno: 0, nid, rank }, false, time);
      return;
    }
    const pids = new DataView(m.body.buffer, m.body.byteOffset + LoadStatus.SIZE);
    job.request.nids.forEach((on, r) => job.ranks.set(`${on}:${pids.getUint32(4 * r, true)}`, r));
    this.go(job, time);
  }

  /** Step 13. */
  private go(job: Job, time: number): void {
    const to = job.request.nids[0]!;
    job.requestId = this.nextRequestId++;
    job.deadline = Infinity;
    this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_GO, [job.id, to]);
    this.enter(job, "running", time);
    this.send(
      message({
        operation: Operation.PUT,
        portalIndex: PORTAL_INIT,
        flags: MessageFlag.ACK_WANTED,
        jobId: job.id,
        userId: job.request.userId,
        targetNid: to,
        targetPid: job.pid,
        requestId: job.requestId,
        matchBits: BigInt(InitMatch.GO),
      }),
      time,
    );
    this.sendSignals(job, time);
  }

  private receiveExit(m: Message, time: number): void {
    if (m.body.length !== ExitNotice.SIZE || m.sourcePid !== KERNEL_PID) return;
    const notice = new ExitNotice(new DataView(m.body.buffer, m.body.byteOffset, m.body.byteLength));
    const job = this.jobs.get(notice.jobId);
    if (job === undefined || m.jobId !== job.id) return;
    if (m.cause === Cause.UNREACHABLE && job.state !== "killing" && job.members.has(m.sourceNid)) {
      const lost = Number(m.headerData);
      if (job.members.has(lost)) this.lose(job, lost, time);
      return;
    }
    if (m.sourceNid !== job.request.nids[0]) return;
    const { waitStatus, rank, count } = notice;
    this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_EXIT, [job.id, waitStatus, count]);
    // For a killed job the KILL_REPLY counts.
    if (job.state === "killing") return;
    if (job.state === "running") {
      const outcome: JobResult = { kind: "exited", jobId: job.id, waitStatus, rank, count };
      // Ranks without an exit report (their node or its parent was lost) may still exist.
      if (count < job.request.nids.length) this.tearDown(job, outcome, true, time);
      else this.end(job, outcome, time);
      return;
    }
    // Init ended before GO: it crashed.
    this.refuse(
      job,
      { cause: Cause.KILLED, errno: 0, nid: job.request.nids[rank] ?? m.sourceNid, rank },
      true,
      time,
      `init ended with wait status ${waitStatus}: `,
    );
  }

  private refuse(job: Job, r: Refusal, repeatKill: boolean, time: number, prefix = ""): void {
    if (job.state === "killing") return;
    const program = job.request.programs[job.request.programOfRank![r.rank] ?? 0]!;
    this.tearDown(
      job,
      { kind: "refused", jobId: job.id, text: prefix + refusalText(r, program), ...r },
      repeatKill,
      time,
    );
  }

  private tearDown(job: Job, outcome: JobResult, repeatKill: boolean, time: number): void {
    job.outcome = outcome;
    job.repeatKill = repeatKill;
    job.deadline = Infinity;
    job.probeAt = Infinity;
    this.enter(job, "killing", time);
    this.killRound(job, time);
  }

  private killRound(job: Job, time: number): void {
    job.foundTask = false;
    for (const nid of job.members.keys()) job.killing.set(nid, this.nextRequestId++);
    for (const [nid, requestId] of [...job.killing]) {
      this.trace.emit(SERVICE_NID, -1, time, EventKind.SERVICE_KILL, [job.id, nid]);
      this.send(
        message({
          operation: Operation.KILL,
          targetNid: nid,
          targetPid: KERNEL_PID,
          jobId: job.id,
          userId: job.request.userId,
          requestId,
        }),
        time,
      );
    }
  }

  private killAnswered(job: Job, nid: number, found: boolean, time: number): void {
    if (!job.killing.delete(nid)) return;
    job.foundTask ||= found;
    if (job.killing.size > 0) return;
    if (job.repeatKill && job.foundTask) {
      this.killRound(job, time);
      return;
    }
    this.end(job, job.outcome!, time);
  }

  private enter(job: Job, state: JobState, time: number): void {
    job.state = state;
    this.hooks.jobState?.(job.id, state, time);
  }

  private end(job: Job, result: JobResult, time: number): void {
    this.enter(job, "ended", time);
    this.jobs.delete(job.id);
    this.hooks.jobEnded?.(result, time);
  }
}
