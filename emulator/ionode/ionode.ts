/**
 * The I/O node: function-ship server at nid 0, pid 2 (protocol: kernel/abi/io.ts). A file system call arrives as one
 * message, is executed on one host directory, and its result is sent back at once. Every request is answered, except
 * EXIT_GROUP; an invalid request is answered by -EINVAL or -ENOSYS and never throws.
 */
import path from "node:path";
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import { IO_NEEDS_STATE, IoReply } from "../abi/io.ts";
import { MAX_CPUS } from "../abi/memory.ts";
import { IO_PID, Operation, SERVICE_NID } from "../abi/net.ts";
import { Syscall } from "../abi/syscalls.ts";
import { refusal, type FabricHost, type HostService, type SendMessage } from "../fabric/host.ts";
import { replyTo, type Message } from "../fabric/message.ts";
import { Prng } from "../machine/prng.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import type { CallContext, CallResult, Later, TaskState, TerminalSize } from "./calls/context.ts";
import { dropLocks } from "./calls/control.ts";
import type { TaskFacts } from "./taskfacts.ts";
import { calls } from "./calls/table.ts";
import { fromText } from "./bytestring.ts";
import { DescriptorTable, type OpenFile } from "./descriptors.ts";
import { Folder, type Node, type OwnLink, type ProgramFacts, type Viewer } from "./folder.ts";
import { hostFs, IoError, type HostFs } from "./hostfs.ts";
import type { InputStream } from "./input.ts";
import { MappedFiles } from "./mapped.ts";
import { LockTable, type Owner } from "./locks.ts";
import { Access, type Mount, NameSpace, permits, volumes } from "./namespace.ts";
import { fillNameSpace, type MachineFacts } from "./procfs.ts";
import { Quota, QUOTA_DEFAULT_BYTES } from "./quota.ts";
import { callOf, parseRequest } from "./request.ts";
import { VirtualFacts } from "./virtual.ts";

/** One reply as sent, so that a later run can use the log instead of the host. */
export interface ReplyRecord {
  readonly nid: number;
  readonly pid: number;
  readonly jobId: number;
  readonly requestId: bigint;
  readonly call: number;
  readonly time: number;
  readonly result: bigint;
  readonly data: Uint8Array;
}
/** A task of a job. */
export interface TaskName {
  readonly jobId: number;
  readonly nid: number;
  readonly pid: number;
}
export interface IoNodeOptions {
  /** Host directory that jobs see as /. */
  readonly root: string;
  /** Host directory of the built-in jobs, read-only under /margay/bin. */
  readonly builtIn: string;
  /** Additional host directories in the name space. */
  readonly mounts?: readonly Mount[];
  /** Output of a job: fd is 1 or 2. */
  readonly onOutput: (output: {
    readonly jobId: number;
    readonly nid: number;
    readonly pid: number;
    readonly fd: number;
    readonly bytes: Uint8Array;
    readonly time: number;
  }) => void;
  /** Standard input of a task, requested once; left out, or none: empty. */
  readonly standardInput?: (task: TaskName) => InputStream | undefined;
  /** The terminal of a standard stream; undefined: it is not a terminal. */
  readonly terminal?: (stream: number) => TerminalSize | undefined;
  /** How a task was started, for /proc/self. */
  readonly program?: (task: TaskName) => ProgramFacts | undefined;
  /** Facts of every node, for /proc and /sys; left out: one core, 64 MB. */
  readonly machine?: MachineFacts;
  /** The job's working directory, in its own name space. Left out: its root. */
  readonly workingDirectory?: string;
  /** Longest time for which nodes run independently: the fabric's latency. */
  readonly latencyNs?: number;
  /** Most bytes that a job may write (quota.ts). */
  readonly quotaBytes?: number;
  /** Seed of /dev/random. */
  readonly seed?: number;
  readonly onReply?: (record: ReplyRecord) => void;
  /** Wall-clock time at virtual time 0, seconds since 1970. */
  readonly epochSeconds?: bigint;
  readonly fs?: HostFs;
}
/**
 * Delay of the answer to a read of standard input. The machine stops within this time if the input is not there
 * (`wantsInput`), so the answer's time depends only on the run. Longer than any window of the machine.
 */
const INPUT_DELAY_NS = 50_000;
/** Stream of the seed. */
const RANDOM_STREAM = 0x494f_0000;
const NOTHING = new Uint8Array(0);

/** The usual umask. */
const UMASK = 0o022;

/** A request with a deferred answer. */
interface Waiting {
  readonly message: Message;
  readonly since: number;
  readonly why: Later["later"];
  /** Infinity: it waits for an event. */
  readonly due: number;
  /** "lock": who waits. */
  readonly owner?: Owner;
}

export class IoNode implements HostService {
  private readonly send: SendMessage;
  private readonly fs: HostFs;
  private readonly names: NameSpace;
  private readonly facts: VirtualFacts;
  private readonly workingFolder: Folder;
  private readonly random: Prng;
  private readonly locks = new LockTable();
  /** By nid, job and pid. */
  private readonly tasks = new Map<string, TaskState>();
  /** /dev/shm of a job's tasks on a node, by nid and job: from the first look at it to the end of the last task. */
  private readonly shared = new Map<string, { readonly path: string; readonly folder: Folder }>();
  /** By nid, job and pid. */
  private readonly inputs = new Map<string, InputStream | undefined>();
  /** By job. */
  private readonly quotas = new Map<number, Quota>();
  /** In order of arrival. */
  private waiting: Waiting[] = [];
  /** Open files without a name. */
  private readonly unlinked = new Set<string>();
  /** Number of lock releases already processed. */
  private seenReleases = 0;

  constructor(
    private readonly host: FabricHost,
    private readonly options: IoNodeOptions,
    private readonly trace: TraceSink = noTrace,
  ) {
    this.fs = options.fs ?? hostFs;
    this.names = new NameSpace(this.fs, options.root, options.builtIn, options.mounts);
    fillNameSpace(this.fs, this.names, options.machine ?? { cores: 1, memoryBytes: 2 ** 26 });
    this.names.dev.fixed.set("shm", (viewer, parent) => this.sharedFolder(viewer, parent));
    this.workingFolder = this.folderAt(fromText(options.workingDirectory ?? "/"));
    this.random = new Prng(options.seed ?? 0, RANDOM_STREAM);
    this.facts = new VirtualFacts(options.epochSeconds ?? 0n);
    this.send = host.attach(IO_PID, this);
  }

  get nextTimer(): number {
    return this.waiting.reduce((least, { due }) => Math.min(least, due), Infinity);
  }
  tick(time: number): void {
    this.again(time, ({ due }) => due <= time);
  }
  /** Repeats the calls for which `isTurn` holds. */
  private again(time: number, isTurn: (w: Waiting) => boolean): void {
    const turns = this.waiting.filter(isTurn);
    this.waiting = this.waiting.filter((w) => !turns.includes(w));
    for (const { message, since, why } of turns) {
      // Another of these calls may have ended its task.
      this.answer(message, time, since, why !== "lock");
    }
  }
  /** Locks have been released: their waiters try again, in order of arrival. */
  private wakeLocks(time: number): void {
    while (this.seenReleases !== this.locks.releases) {
      this.seenReleases = this.locks.releases;
      this.again(time, ({ why }) => why === "lock");
    }
  }

  /** A task waits for standard input: the machine must not run on before its stream has some (`InputStream.read`). */
  get wantsInput(): boolean {
    return this.waiting.some(({ why }) => why === "input");
  }

  unreachable(nid: number): void {
    for (const key of [...this.tasks.keys()]) if (key.startsWith(`${nid}:`)) this.closeAll(key);
  }

  /** Tasks that have used a file and have not ended; 0 between jobs. */
  get taskCount(): number {
    return this.tasks.size;
  }

  /** Requests that are to be answered later. */
  get waitingCount(): number {
    return this.waiting.length;
  }

  /** Closes everything that is open on the host, at the end of a run. */
  shutDown(): void {
    for (const key of [...this.tasks.keys()]) this.closeAll(key);
    this.workingFolder.release();
    this.names.close();
  }

  receive(m: Message, time: number): void {
    if (m.operation === Operation.IO_CANCEL) {
      this.cancel(m, time);
      return;
    }
    if (m.operation !== Operation.IO_REQUEST) {
      const answer = refusal(m);
      if (answer !== null) this.send(answer, time);
      return;
    }
    const call = callOf(m.body);
    if (call === Syscall.EXIT_GROUP) {
      this.closeAll(keyOf(m));
      this.trace.emit(SERVICE_NID, -1, time, EventKind.IO_CALL, [call, m.sourceNid, 0]);
    } else this.answer(m, time, time, false);
    this.wakeLocks(time);
  }

  /** The request, if it waits, is answered by EINTR: a signal ends its call. */
  private cancel(m: Message, time: number): void {
    const at = this.waiting.findIndex(
      ({ message: w }) => keyOf(w) === keyOf(m) && w.sourcePid === m.sourcePid && w.requestId === m.requestId,
    );
    const [waiting] = at < 0 ? [] : this.waiting.splice(at, 1);
    if (waiting === undefined) return;
    if (waiting.owner !== undefined) this.locks.stopsWaiting(waiting.owner);
    this.reply(waiting.message, { result: BigInt(-Errno.EINTR) }, time);
  }

  /** `isAgain`: its condition holds, or its time has expired. */
  private answer(m: Message, time: number, since: number, isAgain: boolean): void {
    let answer: CallResult | Later;
    try {
      answer = this.perform(m, { time, since, isAgain });
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      answer = { result: BigInt(-error.errno) };
    }
    if ("later" in answer) {
      // A core has one request at a time.
      if (this.waiting.filter((w) => w.message.sourceNid === m.sourceNid).length < MAX_CPUS) {
        const owner = answer.later === "lock" ? { owner: answer.owner } : {};
        this.waiting.push({ message: m, since, why: answer.later, due: this.dueOf(answer, time), ...owner });
        return;
      }
      answer = { result: BigInt(-Errno.EAGAIN) };
    }
    this.reply(m, answer, time);
  }
  private reply(m: Message, answer: CallResult, time: number): void {
    const call = callOf(m.body);
    const data = answer.data ?? NOTHING;
    this.trace.emit(SERVICE_NID, -1, time, EventKind.IO_CALL, [call, m.sourceNid, answer.result]);
    this.options.onReply?.({
      nid: m.sourceNid,
      pid: m.sourcePid,
      jobId: m.jobId,
      requestId: m.requestId,
      call,
      time,
      result: answer.result,
      data,
    });
    const body = new Uint8Array(IoReply.SIZE + data.length);
    const reply = new IoReply(new DataView(body.buffer));
    reply.result = answer.result;
    reply.dataBytes = data.length;
    body.set(data, IoReply.SIZE);
    this.send(replyTo(m, { operation: Operation.IO_REPLY, body }), time);
  }
  private dueOf(later: Later, time: number): number {
    if (later.later === "time") return later.due;
    return later.later === "input" ? time + INPUT_DELAY_NS + (this.options.latencyNs ?? 0) : Infinity;
  }

  private perform(m: Message, when: { time: number; since: number; isAgain: boolean }): CallResult | Later {
    const { time, since, isAgain } = when;
    const most = this.host.tasksOf(m.sourceNid, m.jobId);
    if (most === 0) throw new IoError(Errno.EPERM);
    const { call, args, paths, structures, data } = parseRequest(m.body);
    const run = calls.get(call);
    if (run === undefined) throw new IoError(Errno.ENOSYS);
    const task = this.task(m, most);
    const { table } = task;
    const core = Number(m.requestId & 0xffn);
    const state = task.states.get(core);
    if (call !== Syscall.PRCTL) task.states.delete(core);
    return run({
      fs: this.fs,
      names: this.names,
      facts: this.facts,
      locks: this.locks,
      request: m,
      core,
      time,
      startTime: since,
      isAgain,
      args,
      data,
      quota: this.quota(m.jobId),
      random: this.random,
      task,
      table,
      viewer: this.viewer(m, task, time, state),
      path: (index) => paths.get(index) ?? "",
      structure: (index) => structures.get(index) ?? null,
      int: (index) => Number(BigInt.asIntN(32, args[index]!)),
      output: (stream, bytes) =>
        this.options.onOutput({ jobId: m.jobId, nid: m.sourceNid, pid: m.sourcePid, fd: stream, bytes, time }),
      input: (count) => this.input(m, count, isAgain),
      isLiveInput: this.inputOf(m)?.isLive === true,
      hasInput: isAgain && this.inputOf(m)?.isReady !== false,
      wantInput: () => this.inputOf(m)?.want(1),
      terminal: (stream) => this.options.terminal?.(stream),
      moved: (identity, parent, name) => this.moved(identity, parent, name),
      unlinked: (identity) => this.isUnlinked(identity),
    } satisfies CallContext);
  }

  /** `most`: tasks that the job has on the node. */
  private task(m: Message, most: number): TaskState {
    const key = keyOf(m);
    const known = this.tasks.get(key);
    if (known !== undefined) return known;
    if (this.tasksOn(nodeKeyOf(m)) >= most) throw new IoError(Errno.EPERM);
    const pid = m.sourcePid;
    const table = new DescriptorTable(this.fs, (...args) => this.closing(task, ...args));
    const mapped = new MappedFiles(table);
    const task: TaskState = {
      key,
      pid,
      table,
      mapped,
      states: new Map(),
      workingFolder: this.workingFolder.hold(),
      umask: UMASK,
    };
    this.tasks.set(key, task);
    return task;
  }
  /** Tasks of a job on a node. */
  private tasksOn(nodeKey: string): number {
    let count = 0;
    for (const key of this.tasks.keys()) if (key.startsWith(`${nodeKey}:`)) count++;
    return count;
  }
  /** With an absolute path, as /proc/self/exe has it: C libraries abort where it is relative. */
  private programOf(task: TaskName): ProgramFacts | undefined {
    const program = this.options.program?.(task);
    const start = this.options.workingDirectory ?? "/";
    return program && { ...program, path: path.posix.resolve("/", start, program.path) };
  }
  private viewer(m: Message, task: TaskState, time: number, state?: TaskFacts): Viewer {
    const { sourceNid: nid, jobId, userId } = m;
    return {
      nid,
      jobId,
      userId,
      pid: task.pid,
      umask: task.umask,
      time,
      program: this.programOf({ jobId, nid, pid: task.pid }),
      state: () => {
        if (state === undefined) throw new IoError(IO_NEEDS_STATE);
        return state;
      },
      mapped: (number) => {
        const file = task.mapped.named(number);
        if (file === undefined) return undefined;
        return { path: file.path, device: file.volume.device, inode: this.facts.inode(file.identity) };
      },
      links: () => openLinks(this.fs, task),
      workingFolder: () => task.workingFolder.hold(),
      workingPath: () => this.names.pathOf(task.workingFolder.refresh()),
    };
  }

  /** Memory files are files of a directory on the host. */
  private sharedFolder({ nid, jobId }: Viewer, parent: Folder): Folder {
    const key = `${nid}:${jobId}`;
    let known = this.shared.get(key);
    if (known === undefined) {
      const { path, node } = this.fs.temporary();
      known = { path, folder: new Folder(this.fs, node.stat, node.fd, volumes.shared, parent, "shm") };
      this.shared.set(key, known);
    }
    return known.folder.hold();
  }
  private dropShared(key: string): void {
    const known = this.shared.get(key);
    if (known === undefined) return;
    this.shared.delete(key);
    known.folder.release();
    this.fs.discard(known.path);
  }

  private closing(task: TaskState, file: OpenFile, isLast: boolean, isDescriptor: boolean): void {
    // Record locks are gone with any descriptor of the file, not with a mapping.
    if (isDescriptor || isLast) dropLocks({ locks: this.locks, task: isDescriptor ? task : null }, file, isLast);
    if (!isLast || !this.unlinked.has(file.identity)) return;
    if (this.isOpen(file.identity, file)) return;
    this.unlinked.delete(file.identity);
    for (const quota of this.quotas.values()) quota.removed(file.identity);
  }
  /** Its bytes are returned now, or when its last descriptor is closed. */
  private isUnlinked(identity: string): void {
    if (this.isOpen(identity, null)) this.unlinked.add(identity);
    else for (const quota of this.quotas.values()) quota.removed(identity);
  }
  /** `but`: about to be closed. */
  private isOpen(identity: string, but: OpenFile | null): boolean {
    for (const { table, mapped } of this.tasks.values()) {
      if (but === null && mapped.has(identity)) return true;
      for (const [, { file }] of table.open()) if (file.identity === identity && file !== but) return true;
    }
    return false;
  }
  private moved(identity: string, parent: Folder, name: string): void {
    for (const { table, workingFolder } of this.tasks.values()) {
      const held = [workingFolder, ...[...table.open()].flatMap(([, { file }]) => file.folder ?? [])];
      for (const folder of held)
        for (let at: Folder | null = folder; at !== null; at = at.parent)
          if (at !== parent && at.stat.identity === identity) at.moveTo(parent, name);
    }
  }

  private inputOf(m: Message): InputStream | undefined {
    const key = keyOf(m);
    const task = { jobId: m.jobId, nid: m.sourceNid, pid: m.sourcePid };
    if (!this.inputs.has(key)) this.inputs.set(key, this.options.standardInput?.(task));
    return this.inputs.get(key);
  }
  private input(m: Message, count: number, isAgain: boolean): Uint8Array | null {
    const stream = this.inputOf(m);
    if (stream === undefined || count === 0) return NOTHING;
    // Input that is already there also waits, so that the answer's time does not reveal this.
    stream.want(count);
    return stream.isLive && !isAgain ? null : stream.read(count);
  }

  private quota(jobId: number): Quota {
    let quota = this.quotas.get(jobId);
    if (quota === undefined) {
      quota = new Quota(this.options.quotaBytes ?? QUOTA_DEFAULT_BYTES);
      this.quotas.set(jobId, quota);
    }
    return quota;
  }

  private folderAt(path: string): Folder {
    return this.names.resolve(path, { followLast: true }, ({ node }) => {
      if (node === null) throw new IoError(Errno.ENOENT);
      if (node.kind !== "folder") throw new IoError(Errno.ENOTDIR);
      if (!permits(node.folder.stat, Access.EXECUTE)) throw new IoError(Errno.EACCES);
      return node.folder.hold();
    });
  }

  private closeAll(key: string): void {
    this.waiting = this.waiting.filter(({ message }) => keyOf(message) !== key);
    const task = this.tasks.get(key);
    if (task === undefined) return;
    this.locks.stopsWaiting(task);
    task.table.closeAll();
    task.mapped.closeAll();
    this.tasks.delete(key);
    task.workingFolder.release();
    const nodeKey = key.slice(0, key.lastIndexOf(":"));
    if (this.tasksOn(nodeKey) === 0) this.dropShared(nodeKey);
  }
}

const nodeKeyOf = (m: Message): string => `${m.sourceNid}:${m.jobId}`;
const keyOf = (m: Message): string => `${nodeKeyOf(m)}:${m.sourcePid}`;

/** /proc/self/fd: each link leads to the open object, whatever has happened to its name (proc_pid_fd(5)). */
function openLinks(fs: HostFs, task: TaskState): ReadonlyMap<string, OwnLink> {
  const links = new Map<string, OwnLink>();
  for (const [fd, { file }] of task.table.open())
    links.set(String(fd), {
      kind: "link",
      identity: `made:${task.key}/fd/${fd}`,
      target: file.path,
      follow: () => nodeOf(fs, file),
    });
  return links;
}
function nodeOf(fs: HostFs, file: OpenFile): Node {
  if (file.folder !== undefined) return { kind: "folder", folder: file.folder.hold() };
  if (file.device !== undefined) return { kind: "device", device: file.device };
  if (file.stream !== undefined) return { kind: "stream", stream: file.stream };
  if (file.text !== undefined) return file.text.file;
  if (file.hostFd < 0) throw new IoError(Errno.ENOENT);
  return { kind: "file", volume: file.volume, ...fs.again(file.hostFd) };
}
