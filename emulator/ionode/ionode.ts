/**
 * The I/O node: function-ship server at nid 0, pid 2 (protocol: kernel/abi/io.ts). A file system call comes in as one message,
 * is carried out against one host directory, and its result goes back at once. Every request is answered, except EXIT_GROUP;
 * whatever cannot be a request is answered by -EINVAL or -ENOSYS and never throws.
 */
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import { IO_DATA_MAX_BYTES, IoReply, IoRequest, PATH_MAX_BYTES } from "../abi/io.ts";
import { IO_PID, Operation, SERVICE_NID } from "../abi/net.ts";
import { Syscall } from "../abi/syscalls.ts";
import { refusal, type FabricHost, type HostService, type SendMessage } from "../fabric/host.ts";
import { replyTo, type Message } from "../fabric/message.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import type { CallContext, CallResult, CallRow } from "./calls/context.ts";
import { close, open, openat } from "./calls/open.ts";
import { fstat, lstat, stat } from "./calls/stat.ts";
import { lseek, pread64, read, write } from "./calls/transfer.ts";
import { DescriptorTable } from "./descriptors.ts";
import { hostFs, IoError, type HostFs } from "./hostfs.ts";
import { NameSpace } from "./namespace.ts";
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
  /** The whole standard input of a job; left out: empty. All its ranks read the same stream. */
  readonly standardInput?: (jobId: number) => Uint8Array;
  readonly onReply?: (record: ReplyRecord) => void;
  /** Wall-clock time at virtual time 0, seconds since 1970. */
  readonly epochSeconds?: bigint;
  readonly fs?: HostFs;
}
const NOTHING = new Uint8Array(0);

export class IoNode implements HostService {
  private readonly send: SendMessage;
  private readonly fs: HostFs;
  private readonly names: NameSpace;
  private readonly facts: VirtualFacts;
  /** By nid, pid and job. */
  private readonly tables = new Map<string, DescriptorTable>();
  private readonly inputs = new Map<number, { readonly bytes: Uint8Array; read: number }>();

  constructor(
    host: FabricHost,
    private readonly options: IoNodeOptions,
    private readonly trace: TraceSink = noTrace,
  ) {
    this.fs = options.fs ?? hostFs;
    this.names = new NameSpace(this.fs, options.root, options.builtIn);
    this.facts = new VirtualFacts(options.epochSeconds ?? 0n);
    this.send = host.attach(IO_PID, this);
  }

  readonly nextTimer = Infinity;
  tick(): void {}

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
  }

  receive(m: Message, time: number): void {
    if (m.operation !== Operation.IO_REQUEST) {
      const answer = refusal(m);
      if (answer !== null) this.send(answer, time);
      return;
    }
    const key = `${m.sourceNid}:${m.sourcePid}:${m.jobId}`;
    const call = m.body.length >= 4 ? new DataView(m.body.buffer, m.body.byteOffset).getUint32(0, true) : -1;
    if (call === Syscall.EXIT_GROUP) {
      this.closeAll(key);
      this.trace.emit(SERVICE_NID, -1, time, EventKind.IO_CALL, [call, m.sourceNid, 0]);
      return;
    }
    let answer: CallResult;
    try {
      answer = this.perform(m, key, time);
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      answer = { result: BigInt(-error.errno) };
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

  private perform(m: Message, key: string, time: number): CallResult {
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
      table: this.table(key),
      path: row.body === "path" ? pathOf(data) : "",
      int: (index) => Number(BigInt.asIntN(32, args[index]!)),
      output: (fd, bytes) =>
        this.options.onOutput({ jobId: m.jobId, nid: m.sourceNid, pid: m.sourcePid, fd, bytes, time }),
      input: (count) => this.input(m.jobId, count),
    } satisfies CallContext);
  }

  private table(key: string): DescriptorTable {
    let table = this.tables.get(key);
    if (table === undefined) {
      table = new DescriptorTable();
      this.tables.set(key, table);
    }
    return table;
  }

  private input(jobId: number, count: number): Uint8Array {
    let input = this.inputs.get(jobId);
    if (input === undefined) {
      input = { bytes: this.options.standardInput?.(jobId) ?? NOTHING, read: 0 };
      this.inputs.set(jobId, input);
    }
    const bytes = input.bytes.subarray(input.read, input.read + count);
    input.read += bytes.length;
    return bytes;
  }

  private closeAll(key: string): void {
    const table = this.tables.get(key);
    if (table === undefined) return;
    this.tables.delete(key);
    for (const file of table.open()) if (file.hostFd >= 0) this.fs.close(file.hostFd);
  }
}

/** The path of a request's body: one string, its NUL at the very end, in UTF-8 (other names cannot be asked of the host). */
function pathOf(data: Uint8Array): string {
  if (data.length === 0 || data.indexOf(0) !== data.length - 1) throw new IoError(Errno.EINVAL);
  if (data.length > PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data.subarray(0, -1));
  } catch {
    throw new IoError(Errno.ENOENT);
  }
}
