/**
 * The I/O node: function-ship server at nid 0, pid 2 (protocol: kernel/abi/io.ts). A file system call comes in as one
 * message, is carried out against one host directory, and its result goes back at once. Every request is answered,
 * except EXIT_GROUP; whatever cannot be a request is answered by -EINVAL or -ENOSYS and never throws.
 */
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import { IO_DATA_MAX_BYTES, IoReply, IoRequest, PATH_MAX_BYTES } from "../abi/io.ts";
import { MAX_CPUS } from "../abi/memory.ts";
import { IO_PID, Operation, SERVICE_NID } from "../abi/net.ts";
import { Syscall } from "../abi/syscalls.ts";
import { refusal, type FabricHost, type HostService, type SendMessage } from "../fabric/host.ts";
import { replyTo, type Message } from "../fabric/message.ts";
import { Prng } from "../machine/prng.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import type { CallContext, CallResult, CallRow } from "./calls/context.ts";
import { mmap } from "./calls/mapping.ts";
import { close, open, openat } from "./calls/open.ts";
import { fstat, lstat, stat } from "./calls/stat.ts";
import { lseek, pread64, read, write } from "./calls/transfer.ts";
import { closeFile, DescriptorTable } from "./descriptors.ts";
import type { Folder } from "./folder.ts";
import { hostFs, IoError, type HostFs } from "./hostfs.ts";
import type { InputStream } from "./input.ts";
import { Access, NameSpace, permits } from "./namespace.ts";
import { Quota, QUOTA_DEFAULT_BYTES } from "./quota.ts";
import { VirtualFacts } from "./virtual.ts";

// biome-ignore format: a table
const calls: ReadonlyMap<number, CallRow> = new Map<number, CallRow>([
  [Syscall.READ,    { body: "none", run: read }],
  [Syscall.WRITE,   { body: "data", run: write }],
  [Syscall.OPEN,    { body: "path", run: open }],
  [Syscall.CLOSE,   { body: "none", run: close }],
  [Syscall.STAT,    { body: "path", run: stat }],
  [Syscall.FSTAT,   { body: "none", run: fstat }],
  [Syscall.LSTAT,   { body: "path", run: lstat }],
  [Syscall.LSEEK,   { body: "none", run: lseek }],
  [Syscall.PREAD64, { body: "none", run: pread64 }],
  [Syscall.OPENAT,  { body: "path", run: openat }],
  [Syscall.MMAP,    { body: "none", run: mmap }],
]);

/** One reply as it went out, so that a later run can be fed from the log instead of from the host. */
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
export interface IoNodeOptions {
  /** Host directory that jobs see as /. */
  readonly root: string;
  /** Host directory of the built-in jobs, read-only under /margay/bin. */
  readonly builtIn: string;
  /** Output of a job: fd is 1 or 2. */
  readonly onOutput: (output: {
    readonly jobId: number;
    readonly nid: number;
    readonly pid: number;
    readonly fd: number;
    readonly bytes: Uint8Array;
    readonly time: number;
  }) => void;
  /** Standard input of a task, asked for once; left out, or none: empty. */
  readonly standardInput?: (task: { readonly jobId: number; readonly nid: number }) => InputStream | undefined;
  /** Where relative paths start; a path of the job's. Left out: its root. */
  readonly workingDirectory?: string;
  /** Longest time that nodes run apart; the fabric's latency. */
  readonly latencyNs?: number;
  /** What a job may write (quota.ts). */
  readonly quotaBytes?: number;
  /** Of /dev/random. */
  readonly seed?: number;
  readonly onReply?: (record: ReplyRecord) => void;
  /** Wall-clock time at virtual time 0, seconds since 1970. */
  readonly epochSeconds?: bigint;
  readonly fs?: HostFs;
}
/**
 * A read of standard input is answered so much later, and the machine waits on the way if the input is not there
 * (`wantsInput`). So the answer's time depends on the run alone. Longer than any window of the machine.
 */
const INPUT_DELAY_NS = 50_000;
/** Stream of the seed. */
const RANDOM_STREAM = 0x494f_0000;
const NOTHING = new Uint8Array(0);

export class IoNode implements HostService {
  private readonly send: SendMessage;
  private readonly fs: HostFs;
  private readonly names: NameSpace;
  private readonly facts: VirtualFacts;
  private readonly workingFolder: Folder;
  private readonly random: Prng;
  /** By nid and job. */
  private readonly tables = new Map<string, DescriptorTable>();
  /** Whose table it is. */
  private readonly pids = new Map<string, number>();
  /** By job and nid. */
  private readonly inputs = new Map<string, InputStream | undefined>();
  /** By job. */
  private readonly quotas = new Map<number, Quota>();
  /** Reads of standard input that are to be answered at `due`, in the order of their coming. */
  private readonly waiting: { readonly message: Message; readonly due: number }[] = [];

  constructor(
    private readonly host: FabricHost,
    private readonly options: IoNodeOptions,
    private readonly trace: TraceSink = noTrace,
  ) {
    this.fs = options.fs ?? hostFs;
    this.names = new NameSpace(this.fs, options.root, options.builtIn);
    this.workingFolder = this.folderAt(options.workingDirectory ?? "/");
    this.random = new Prng(options.seed ?? 0, RANDOM_STREAM);
    this.facts = new VirtualFacts(options.epochSeconds ?? 0n);
    this.send = host.attach(IO_PID, this);
  }

  get nextTimer(): number {
    return this.waiting[0]?.due ?? Infinity;
  }
  tick(time: number): void {
    while (this.waiting.length > 0 && this.waiting[0]!.due <= time) {
      const { message } = this.waiting.shift()!;
      this.answer(message, time, true);
    }
  }

  /** A task waits for standard input: the machine must not go on before its stream has some (`InputStream.read`). */
  get wantsInput(): boolean {
    return this.waiting.length > 0;
  }

  unreachable(nid: number): void {
    for (const key of [...this.tables.keys()]) if (key.startsWith(`${nid}:`)) this.closeAll(key);
  }

  /** Tasks that have used a file and have not ended: between jobs none. */
  get taskCount(): number {
    return this.tables.size;
  }

  /** Closes all that is open on the host; for the end of a run. */
  shutDown(): void {
    for (const key of [...this.tables.keys()]) this.closeAll(key);
    this.workingFolder.release();
    this.names.close();
  }

  receive(m: Message, time: number): void {
    if (m.operation !== Operation.IO_REQUEST) {
      const answer = refusal(m);
      if (answer !== null) this.send(answer, time);
      return;
    }
    const call = callOf(m);
    if (call === Syscall.EXIT_GROUP) {
      if (this.pids.get(keyOf(m)) === m.sourcePid) this.closeAll(keyOf(m));
      this.trace.emit(SERVICE_NID, -1, time, EventKind.IO_CALL, [call, m.sourceNid, 0]);
      return;
    }
    this.answer(m, time, false);
  }

  /** `isAgain`: it has waited for standard input. */
  private answer(m: Message, time: number, isAgain: boolean): void {
    const call = callOf(m);
    let answer: CallResult | null;
    try {
      answer = this.perform(m, time, isAgain);
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      answer = { result: BigInt(-error.errno) };
    }
    if (answer === null && this.waiting.filter((w) => w.message.sourceNid === m.sourceNid).length >= MAX_CPUS)
      answer = { result: BigInt(-Errno.EAGAIN) };
    if (answer === null) {
      this.waiting.push({ message: m, due: time + INPUT_DELAY_NS + (this.options.latencyNs ?? 0) });
      return;
    }
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

  private perform(m: Message, time: number, isAgain: boolean): CallResult | null {
    if (!this.host.isMember(m.sourceNid, m.jobId)) throw new IoError(Errno.EPERM);
    if (m.body.length < IoRequest.SIZE) throw new IoError(Errno.EINVAL);
    const request = new IoRequest(new DataView(m.body.buffer, m.body.byteOffset, m.body.byteLength));
    const row = calls.get(request.call);
    if (row === undefined) throw new IoError(Errno.ENOSYS);
    const data = m.body.subarray(IoRequest.SIZE);
    if (request.dataBytes !== data.length || data.length > IO_DATA_MAX_BYTES) throw new IoError(Errno.EINVAL);
    if (row.body === "none" && data.length > 0) throw new IoError(Errno.EINVAL);
    const args = [0, 1, 2, 3, 4, 5].map((i) => request.arguments(i));
    return row.run({
      fs: this.fs,
      names: this.names,
      facts: this.facts,
      request: m,
      time,
      args,
      data,
      quota: this.quota(m.jobId),
      workingFolder: this.workingFolder,
      random: this.random,
      table: this.table(keyOf(m), m.sourcePid),
      path: row.body === "path" ? pathOf(data) : "",
      int: (index) => Number(BigInt.asIntN(32, args[index]!)),
      output: (fd, bytes) =>
        this.options.onOutput({ jobId: m.jobId, nid: m.sourceNid, pid: m.sourcePid, fd, bytes, time }),
      input: (count) => this.input(m, count, isAgain),
    } satisfies CallContext);
  }

  private table(key: string, pid: number): DescriptorTable {
    let table = this.tables.get(key);
    if (table === undefined) {
      table = new DescriptorTable();
      this.tables.set(key, table);
      this.pids.set(key, pid);
    } else if (this.pids.get(key) !== pid) {
      // A job has one task a node.
      throw new IoError(Errno.EPERM);
    }
    return table;
  }

  private input({ jobId, sourceNid }: Message, count: number, isAgain: boolean): Uint8Array | null {
    const key = `${sourceNid}:${jobId}`;
    if (!this.inputs.has(key)) this.inputs.set(key, this.options.standardInput?.({ jobId, nid: sourceNid }));
    const stream = this.inputs.get(key);
    if (stream === undefined || count === 0) return NOTHING;
    // What is there already waits as well, so that the answer's time does not tell.
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
    const waits = this.waiting.filter(({ message }) => keyOf(message) !== key);
    this.waiting.splice(0, this.waiting.length, ...waits);
    const table = this.tables.get(key);
    if (table === undefined) return;
    this.tables.delete(key);
    this.pids.delete(key);
    for (const file of table.open()) closeFile(this.fs, file);
  }
}

const keyOf = (m: Message): string => `${m.sourceNid}:${m.jobId}`;
/** -1: the body is too short to name one. */
const callOf = ({ body }: Message): number =>
  body.length >= 4 ? new DataView(body.buffer, body.byteOffset).getUint32(0, true) : -1;

/**
 * The path of a request's body: one string, its NUL at the very end, in UTF-8 (other names cannot be asked of the
 * host).
 */
function pathOf(data: Uint8Array): string {
  if (data.length === 0 || data.indexOf(0) !== data.length - 1) throw new IoError(Errno.EINVAL);
  if (data.length > PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data.subarray(0, -1));
  } catch {
    throw new IoError(Errno.ENOENT);
  }
}
