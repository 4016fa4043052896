/** Test-only: an I/O node on a temporary directory, called by messages as a kernel does. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { ErrnoNames } from "../../emulator/abi/errno.ts";
import { IoReply, IoRequest } from "../../emulator/abi/io.ts";
import { IO_PID, Operation } from "../../emulator/abi/net.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import type { FabricHost, SendMessage } from "../../emulator/fabric/host.ts";
import { message, type Message } from "../../emulator/fabric/message.ts";
import { IoNode, type IoNodeOptions, type ReplyRecord } from "../../emulator/ionode/ionode.ts";

export interface Answer {
  readonly result: bigint;
  readonly data: Uint8Array;
}
export class IoRig {
  readonly base = fs.mkdtempSync(path.join(os.tmpdir(), "margay-io-"));
  readonly root = path.join(this.base, "root");
  readonly builtIn = path.join(this.base, "bin");
  readonly output: { nid: number; fd: number; text: string }[] = [];
  readonly log: ReplyRecord[] = [];
  readonly io: IoNode;
  time = 0;
  onReply?: (m: Message) => void;
  private answers: Message[] = [];

  constructor(options: Partial<IoNodeOptions> = {}) {
    fs.mkdirSync(this.root);
    fs.mkdirSync(this.builtIn);
    fs.writeFileSync(path.join(this.builtIn, "hello"), "program", { mode: 0o755 });
    const host = {
      attach: (): SendMessage => (m) => {
        this.answers.push(m);
        this.onReply?.(m);
      },
      tasksOf: () => 1,
    } as unknown as FabricHost;
    this.io = new IoNode(host, {
      root: this.root,
      builtIn: this.builtIn,
      onReply: (r) => this.log.push(r),
      onOutput: (o) => this.output.push({ nid: o.nid, fd: o.fd, text: new TextDecoder().decode(o.bytes) }),
      ...options,
    });
  }
  end(): void {
    this.io.shutDown();
    fs.rmSync(this.base, { recursive: true, force: true });
  }
  host(...names: string[]): string {
    return path.join(this.root, ...names);
  }
  put(name: string, content: string, mode = 0o644): void {
    fs.mkdirSync(path.dirname(this.host(name)), { recursive: true });
    fs.writeFileSync(this.host(name), content);
    fs.chmodSync(this.host(name), mode);
  }
  /** A raw request body; null = no reply. */
  raw(body: Uint8Array, from: { nid?: number; pid?: number; jobId?: number } = {}): Answer | null {
    this.answers = [];
    const { nid = 1, pid = 1, jobId = 1 } = from;
    this.io.receive(
      message({
        operation: Operation.IO_REQUEST,
        sourceNid: nid,
        sourcePid: pid,
        targetPid: IO_PID,
        jobId,
        userId: 1000,
        requestId: 7n,
        body,
      }),
      this.time,
    );
    return this.answered();
  }
  /** Runs the I/O node's timer at `time`; returns its answer, if any. */
  tick(time: number): Answer | null {
    this.answers = [];
    this.io.tick(time);
    return this.answered();
  }
  private answered(): Answer | null {
    const [m] = this.answers;
    if (m === undefined) return null;
    if (m.operation !== Operation.IO_REPLY || m.requestId !== 7n || m.targetNid < 1)
      throw new Error("a reply that answers nothing");
    const reply = new IoReply(new DataView(m.body.buffer, m.body.byteOffset));
    if (reply.dataBytes !== m.body.length - IoReply.SIZE) throw new Error("a reply with wrong lengths");
    return { result: reply.result, data: m.body.subarray(IoReply.SIZE) };
  }
  /** The body of a request. */
  request(call: number, args: readonly (number | bigint)[], data: Uint8Array = new Uint8Array(0)): Uint8Array {
    const body = new Uint8Array(IoRequest.SIZE + data.length);
    const request = new IoRequest(new DataView(body.buffer));
    request.call = call;
    request.dataBytes = data.length;
    args.forEach((a, i) => {
      request.argumentsSet(i, BigInt.asUintN(64, BigInt(a)));
    });
    body.set(data, IoRequest.SIZE);
    return body;
  }
  call(
    call: number,
    args: readonly (number | bigint)[],
    data: Uint8Array = new Uint8Array(0),
    from: { nid?: number; pid?: number; jobId?: number } = {},
  ): Answer {
    return this.raw(this.request(call, args, data), from)!;
  }
  open(name: string, flags = 0, mode = 0o644, from = {}): number | string {
    return outcome(this.call(Syscall.OPEN, [0, flags, mode], cString(name), from));
  }
  openat(fd: number, name: string, flags = 0, mode = 0o644): number | string {
    return outcome(this.call(Syscall.OPENAT, [fd, 0, flags, mode], cString(name)));
  }
  close(fd: number, from = {}): number | string {
    return outcome(this.call(Syscall.CLOSE, [fd], undefined, from));
  }
  read(fd: number, count: number | bigint, from = {}): string | number {
    const a = this.call(Syscall.READ, [fd, 0, count], undefined, from);
    return a.result < 0n ? outcome(a) : new TextDecoder().decode(a.data);
  }
  write(fd: number, text: string, from = {}): number | string {
    const data = new TextEncoder().encode(text);
    return outcome(this.call(Syscall.WRITE, [fd, 0, data.length], data, from));
  }
  /** Opens, reads all, closes: the content, or the errno's name with a minus sign. */
  content(name: string, flags = 0): string {
    const fd = this.open(name, flags);
    if (typeof fd === "string") return fd;
    const text = this.read(fd, 65536);
    this.close(fd);
    return String(text);
  }
}
export const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
/** The result as a number, or "-ENOENT". */
export function outcome(a: Answer): number | string {
  return a.result < 0n ? `-${ErrnoNames.get(Number(-a.result)) ?? "?"}` : Number(a.result);
}
