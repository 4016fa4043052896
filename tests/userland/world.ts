/**
 * Test-only: one init in the IR interpreter, in a world that answers its system calls. The world plays the kernel, the
 * I/O node, the parent and the children. It delivers an answer as an event in init's queue when init waits, so every
 * order of events can be scripted.
 */
import fs from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { Errno } from "../../emulator/abi/errno.ts";
import { FileMode, Stat } from "../../emulator/abi/io.ts";
import { InitMatch, LoadStatus } from "../../emulator/abi/job.ts";
import { Cause } from "../../emulator/abi/net.ts";
import {
  EventQueue,
  LoadRequest,
  MatchEntry,
  PortalEvent,
  PortalEventKind,
  PortalRequest,
} from "../../emulator/abi/portals.ts";
import { MapFlag } from "../../emulator/abi/process.ts";
import { Syscall, SyscallNames } from "../../emulator/abi/syscalls.ts";
import { buildLoadBody } from "../../emulator/service/image.ts";
import { buildParameters, type Parameters } from "../../emulator/service/parameters.ts";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";
import { lowerProgram } from "../../toolchain/frontend/frontend.ts";
import { Interpreter } from "../../toolchain/ir/interpreter.ts";
import { type Module, NO_LOC } from "../../toolchain/ir/ir.ts";
import { modelInit } from "../service/model.ts";

const packageRoot = path.resolve(import.meta.dirname, "../..");
/** Addresses in the interpreter's memory, which starts at 0x10000 and ends at MEMORY_END. */
const STACK_TOP = 0x30_0000n;
const STACK_BYTES = 0x2_0000n;
const IMAGE = 0x30_0000n;
const PROGRAM_START = 0x40_0000n;
const ALLOCATE_FROM = 0x50_0000n;
const MEMORY_END = 0x90_0000n;
export const OWN_PID = 4;
/** CPUID leaf 1, EDX, of this world's processor. */
export const FEATURE_BITS = 0x78b_fbffn;

const memoryFile = path.join(packageRoot, "kernel/abi/memory.ts");
const memoryText = fs
  .readFileSync(memoryFile, "utf8")
  .replace(/USER_STACK_TOP: u64 = \w+/, `USER_STACK_TOP: u64 = ${STACK_TOP}`)
  .replace(/USER_STACK_BYTES: u64 = \w+/, `USER_STACK_BYTES: u64 = ${STACK_BYTES}`)
  .replace(/USER_STACK_READY_BYTES: u64 = \w+/, `USER_STACK_READY_BYTES: u64 = ${STACK_BYTES / 2n}`)
  .replace(/USER_STRINGS_BYTES: u64 = \w+/, `USER_STRINGS_BYTES: u64 = ${STACK_BYTES / 2n}`);

let lowered: Module | null = null;
/** Init's code without the calls that are inline assembly, and with the world's memory after its own. */
function initModule(): Module {
  if (lowered !== null) return lowered;
  const { module, diagnostics } = lowerProgram({
    name: "init",
    roots: [path.join(packageRoot, "userland/init/main.ts")],
    packageRoot,
    entry: "init_entry",
    overlay: new Map([[memoryFile, memoryText]]),
  });
  if (module === null) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  for (const name of [
    "syscall0",
    "syscall1",
    "syscall2",
    "syscall3",
    "syscall4",
    "syscall6",
    "memcpy",
    "memset",
    "featureBits",
  ])
    module.functions.delete(name);
  module.data.set("world", {
    name: "world",
    sourceName: "world",
    section: ".bss",
    align: 64,
    size: Number(MEMORY_END) - 0x2_0000,
    bytes: null,
    relocations: [],
    readonly: false,
    keep: true,
    loc: NO_LOC,
  });
  lowered = module;
  return module;
}

export interface FakeFile {
  readonly bytes: Uint8Array;
  readonly mode?: number;
  /** Of a file that the parent has: the dynamic linker, and the strings that replace argv[0] of a script. */
  readonly linker?: Uint8Array;
  readonly script?: readonly string[];
}
export interface ChildScript {
  /** Cause of the LOAD_REPLY. */
  readonly cause?: number;
  readonly status?: { readonly cause: number; readonly errno: number; readonly rank: number; readonly ready: number };
}
export interface Script {
  readonly parameters: Parameters;
  readonly rank: number;
  /** By path: rank 0 opens them; for other ranks the parent has them. */
  readonly files: Readonly<Record<string, FakeFile>>;
  /** By rank; left out: the child loads and reports its whole sub-tree ready. */
  readonly children?: Readonly<Record<number, ChildScript>>;
  /** Children answer in reverse order. */
  readonly reversed?: boolean;
  readonly refuseMmap?: boolean;
}
export interface StatusRecord {
  readonly cause: number;
  readonly errno: number;
  readonly nid: number;
  readonly rank: number;
  readonly ready: number;
  readonly pids: number[];
  readonly target: string;
  readonly remoteOffset: bigint;
}
/** How init ended: it started the program, exited, or waits for ever (to be killed). */
export type Ending =
  | { readonly kind: "started"; readonly entry: bigint; readonly stack: bigint }
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "waiting" };
class Ended extends Error {
  constructor(readonly ending: Ending) {
    super("ended");
  }
}

export class World {
  readonly interpreter: Interpreter;
  readonly calls: string[] = [];
  status: StatusRecord | null = null;
  readonly loads: number[] = [];
  /** Masks, in the order of `loads`. */
  readonly cores: bigint[] = [];
  readonly goes: { nid: number; pid: number; pids: number[] }[] = [];
  described: { rank: number; size: number; pids: number[] } | null = null;
  readonly entries = new Map<number, { entry: MatchEntry; linked: boolean }>();
  readonly mapped = new Map<bigint, bigint>();
  private readonly body: Uint8Array;
  private queue = 0n;
  private allocated = ALLOCATE_FROM;
  private handles = 0;
  private readonly pending: (() => void)[] = [];
  readonly openFiles = new Map<number, FakeFile>();

  constructor(readonly script: Script) {
    type Args = readonly (bigint | number)[];
    const big = (args: Args): bigint[] => args.map((a) => BigInt(a));
    const syscall = (args: Args): bigint => BigInt.asUintN(64, this.call(big(args)));
    const copy = (args: Args): null => {
      const [to, from, length] = big(args);
      this.at(to!, Number(length)).set(this.at(from!, Number(length)).slice());
      return null;
    };
    const set = (args: Args): null => {
      const [to, value, length] = big(args);
      this.at(to!, Number(length)).fill(Number(value));
      return null;
    };
    const externals = new Map<string, (args: Args) => bigint | null>([
      ["memcpy", copy],
      ["memset", set],
      ["featureBits", () => FEATURE_BITS],
    ]);
    for (const n of [0, 1, 2, 3, 4, 6]) externals.set(`syscall${n}`, syscall);
    this.interpreter = new Interpreter(initModule(), { externals });
    this.body = buildLoadBody(modelInit(), buildParameters(script.parameters), 0);
    this.at(IMAGE, this.body.length).set(this.body);
  }
  run(): Ending {
    const { rank, parameters } = this.script;
    const parent = rank === 0 ? [0n, 1n] : [BigInt(parameters.nids[this.parentRank(rank)]!), 9n];
    const memoryBytes = 0x2_0000;
    const segmentBytes = BigInt(Math.ceil((this.body.length + memoryBytes) / 4096) * 4096);
    try {
      const outcome = this.interpreter.run("main", [IMAGE, segmentBytes, ...parent]);
      throw new Error(outcome.kind === "trap" ? `${outcome.trap}: ${outcome.message}` : "init returned");
    } catch (error) {
      if (error instanceof Ended) return error.ending;
      throw error;
    }
  }
  at(address: bigint, length: number): Uint8Array {
    return this.interpreter.bytesAt(address, length);
  }
  view(address: bigint, length: number): DataView {
    const b = this.at(address, length);
    return new DataView(b.buffer, b.byteOffset, length);
  }
  string(address: bigint): string {
    let text = "";
    for (let a = address; this.at(a, 1)[0] !== 0; a++) text += String.fromCharCode(this.at(a, 1)[0]!);
    return text;
  }
  /** Init must forward the image unchanged. */
  get imageUnchanged(): boolean {
    return Buffer.compare(this.at(IMAGE, this.body.length), this.body) === 0;
  }
  /** The ranks of each node, by position in the tree. */
  private get nodes(): number[][] {
    const { nids } = this.script.parameters;
    return [...new Set(nids)].map((nid) => nids.flatMap((n, rank) => (n === nid ? [rank] : [])));
  }
  private position(rank: number): number {
    return this.nodes.findIndex((ranks) => ranks.includes(rank));
  }
  private isLeader(rank: number): boolean {
    return this.nodes[this.position(rank)]![0] === rank;
  }
  private parentRank(rank: number): number {
    const at = this.position(rank);
    return this.isLeader(rank)
      ? this.nodes[Math.floor((at - 1) / this.script.parameters.fanout)]![0]!
      : this.nodes[at]![0]!;
  }

  private call([number, ...a]: bigint[]): bigint {
    const n = Number(number);
    this.calls.push(SyscallNames.get(n) ?? `call ${n}`);
    const [a0 = 0n, a1 = 0n, a2 = 0n, a3 = 0n] = a;
    switch (n) {
      case Syscall.MARGAY_RANK:
        return BigInt(this.script.rank);
      case Syscall.MARGAY_NID:
        return BigInt(this.script.parameters.nids[this.script.rank]!);
      case Syscall.GETPID:
        return BigInt(OWN_PID);
      case Syscall.MMAP:
        return this.mmap(a0, a1, Number(a3));
      case Syscall.MUNMAP:
        if (this.mapped.get(a0) !== a1) throw new Error(`munmap of what was not mapped: 0x${a0.toString(16)}`);
        this.mapped.delete(a0);
        return 0n;
      case Syscall.MPROTECT:
        return 0n;
      case Syscall.OPEN: {
        const file = this.script.files[this.string(a0)];
        if (file === undefined) return BigInt(-Errno.ENOENT);
        let fd = 3;
        while (this.openFiles.has(fd)) fd++;
        this.openFiles.set(fd, file);
        return BigInt(fd);
      }
      case Syscall.FSTAT: {
        const file = this.openFiles.get(Number(a0))!;
        const s = new Stat(this.view(a1, Stat.SIZE));
        s.mode = file.mode ?? FileMode.REGULAR | 0o755;
        s.size = BigInt(file.bytes.length);
        return 0n;
      }
      case Syscall.PREAD64: {
        const { bytes } = this.openFiles.get(Number(a0))!;
        // Shorter than asked for, as a read may be.
        const piece = bytes.subarray(Number(a3), Number(a3) + Math.min(Number(a2), 1000));
        this.at(a1, piece.length).set(piece);
        return BigInt(piece.length);
      }
      case Syscall.CLOSE:
        return this.openFiles.delete(Number(a0)) ? 0n : BigInt(-Errno.EBADF);
      case Syscall.PORTAL_QUEUE:
        this.queue = a0;
        return 1n;
      case Syscall.PORTAL_APPEND: {
        const copy = this.at(a0, MatchEntry.SIZE).slice();
        this.entries.set(++this.handles, { entry: new MatchEntry(new DataView(copy.buffer)), linked: true });
        return BigInt(this.handles);
      }
      case Syscall.PORTAL_UNLINK:
        this.entries.get(Number(a0))!.linked = false;
        return 0n;
      case Syscall.PORTAL_WAIT: {
        const next = this.pending.shift();
        if (next === undefined) throw new Ended({ kind: "waiting" });
        next();
        return 0n;
      }
      case Syscall.PORTAL_PUT:
        return this.put(new PortalRequest(new DataView(this.at(a0, PortalRequest.SIZE).slice().buffer)));
      case Syscall.PORTAL_GET:
        return this.get(new PortalRequest(new DataView(this.at(a0, PortalRequest.SIZE).slice().buffer)));
      case Syscall.MARGAY_LOAD:
        return this.load(new LoadRequest(this.view(a0, LoadRequest.SIZE)));
      case Syscall.MARGAY_DESCRIBE_JOB: {
        const size = Number(a1);
        this.described = { rank: Number(a0), size, pids: this.words(a3, size) };
        return 0n;
      }
      case Syscall.MARGAY_START:
        throw new Ended({ kind: "started", entry: a0, stack: a1 });
      case Syscall.EXIT_GROUP:
        throw new Ended({ kind: "exited", status: Number(BigInt.asIntN(32, a0)) });
      default:
        return BigInt(-Errno.ENOSYS);
    }
  }
  private words(address: bigint, count: number): number[] {
    const v = this.view(address, 4 * count);
    return Array.from({ length: count }, (_, i) => v.getUint32(4 * i, true));
  }
  private mmap(address: bigint, length: bigint, flags: number): bigint {
    if (flags & MapFlag.FIXED) {
      if (address < 0x10_0000n || address + length > ALLOCATE_FROM)
        throw new Error(`mmap at 0x${address.toString(16)}`);
      this.at(address, Number(length)).fill(0);
      return address;
    }
    if (this.script.refuseMmap && this.mapped.size > 0) return BigInt(-Errno.ENOMEM);
    const at = this.allocated;
    this.allocated += (length + 4095n) & ~4095n;
    if (this.allocated > MEMORY_END - 0x2_0000n) return BigInt(-Errno.ENOMEM);
    this.at(at, Number(length)).fill(0);
    this.mapped.set(at, length);
    return at;
  }
  private post(
    kind: number,
    fields: Partial<Record<"cause" | "initiatorNid" | "initiatorPid", number>> &
      Partial<Record<"matchBits" | "lengthBytes" | "entryOffset" | "userPointer", bigint>>,
  ): void {
    const q = new EventQueue(this.view(this.queue, EventQueue.SIZE));
    const slot = this.queue + BigInt(EventQueue.SIZE) + (q.written & (q.capacity - 1n)) * BigInt(PortalEvent.SIZE);
    this.at(slot, PortalEvent.SIZE).fill(0);
    const e = new PortalEvent(this.view(slot, PortalEvent.SIZE));
    Object.assign(e, { kind, ...fields });
    q.written += 1n;
  }
  private later(action: () => void): void {
    if (this.script.reversed) this.pending.unshift(action);
    else this.pending.push(action);
  }

  private load(r: LoadRequest): bigint {
    const { nid, userPointer } = r;
    if (r.address !== IMAGE || r.lengthBytes !== BigInt(this.body.length) || !this.imageUnchanged)
      throw new Error("the load is not the image that came");
    const { rank } = r;
    expect(nid).toBe(this.script.parameters.nids[rank]);
    this.loads.push(rank);
    this.cores.push(r.cores);
    const child = this.script.children?.[rank] ?? {};
    const cause = child.cause ?? Cause.OK;
    const answer = (): void =>
      this.post(PortalEventKind.LOAD_REPLY, { cause, initiatorNid: nid, initiatorPid: 100 + rank, userPointer });
    if (cause !== Cause.OK) this.later(answer);
    else
      this.later(() => {
        answer();
        this.childStatus(rank, child);
      });
    return 0n;
  }
  private childStatus(rank: number, child: ChildScript): void {
    const { nids, fanout } = this.script.parameters;
    const leaderBytes = LoadStatus.SIZE + 4 * nids.length;
    const size = this.isLeader(rank) ? leaderBytes : LoadStatus.SIZE;
    const at = this.position(rank);
    const nodesBelow = this.nodes.filter((_, q) => q > 0 && Math.floor((q - 1) / fanout) === at).length;
    const found = [...this.entries.values()].find((e) => e.linked && e.entry.matchBits === BigInt(InitMatch.STATUS));
    if (found === undefined) throw new Error("no match entry for STATUS");
    const offset = BigInt(
      this.isLeader(rank)
        ? ((at - 1) % fanout) * leaderBytes
        : nodesBelow * leaderBytes + (this.nodes[at]!.indexOf(rank) - 1) * LoadStatus.SIZE,
    );
    if (offset + BigInt(size) > found.entry.lengthBytes) throw new Error("STATUS does not fit");
    const below = nids.map((_, r) => r).filter((r) => this.isBelow(r, rank));
    const view = this.view(found.entry.address + offset, size);
    const s = new LoadStatus(view);
    const { cause = 0, errno = 0, rank: failed = rank, ready = below.length } = child.status ?? {};
    Object.assign(s, { cause, errno, nid: nids[failed]!, rank: failed, readyCount: ready, pid: 100 + rank });
    if (this.isLeader(rank)) for (const r of below) view.setUint32(LoadStatus.SIZE + 4 * r, 100 + r, true);
    this.post(PortalEventKind.PUT, {
      matchBits: BigInt(InitMatch.STATUS),
      entryOffset: offset,
      lengthBytes: BigInt(size),
      initiatorNid: nids[rank]!,
    });
  }
  private isBelow(rank: number, root: number): boolean {
    for (let r = rank; ; r = this.parentRank(r)) {
      if (r === root) return true;
      if (r === 0) return false;
    }
  }
  private put(r: PortalRequest): bigint {
    const { nids } = this.script.parameters;
    this.later(() => this.post(PortalEventKind.SENT, { userPointer: r.userPointer }));
    if (r.matchBits === BigInt(InitMatch.GO)) {
      this.goes.push({ nid: r.targetNid, pid: r.targetPid, pids: this.words(r.address, nids.length) });
      return 0n;
    }
    const s = new LoadStatus(this.view(r.address, LoadStatus.SIZE));
    this.status = {
      cause: s.cause,
      errno: s.errno,
      nid: s.nid,
      rank: s.rank,
      ready: s.readyCount,
      pids: this.words(r.address + BigInt(LoadStatus.SIZE), nids.length),
      target: `${r.targetNid}.${r.targetPid}.${r.portalIndex}`,
      remoteOffset: r.remoteOffset,
    };
    if (s.cause === Cause.OK) this.pending.push(() => this.giveGo());
    return 0n;
  }
  private giveGo(): void {
    const [handle, found] =
      [...this.entries].find(([, e]) => e.linked && e.entry.matchBits === BigInt(InitMatch.GO)) ?? [];
    if (found === undefined) throw new Error("no match entry for GO");
    if (this.script.rank > 0) {
      const view = this.view(found.entry.address, 4 * this.script.parameters.nids.length);
      this.script.parameters.nids.forEach((_, r) => {
        view.setUint32(4 * r, 1000 + r, true);
      });
    }
    this.entries.get(handle!)!.linked = false;
    this.post(PortalEventKind.PUT, { matchBits: BigInt(InitMatch.GO) });
  }
  /** What the parent exposes: a prefix with the lengths of its parts, and the parts. */
  private get(r: PortalRequest): bigint {
    const file = this.script.files[this.script.parameters.programs[Number(r.matchBits) & 0xff]!];
    if (file === undefined) {
      this.pending.push(() => this.post(PortalEventKind.REPLY, { cause: Cause.NO_MATCH }));
      return 0n;
    }
    const { linker = new Uint8Array(0), script = [] } = file;
    const texts = new TextEncoder().encode(script.map((text) => `${text}\0`).join(""));
    const part = (length: number): number => Math.ceil(length / 16) * 16;
    const whole = new Uint8Array(32 + part(texts.length) + part(file.bytes.length) + linker.length);
    [file.bytes.length, linker.length, texts.length, script.length].forEach((value, i) => {
      new DataView(whole.buffer).setBigUint64(8 * i, BigInt(value), true);
    });
    whole.set(texts, 32);
    whole.set(file.bytes, 32 + part(texts.length));
    whole.set(linker, 32 + part(texts.length) + part(file.bytes.length));
    const piece = whole.subarray(Number(r.remoteOffset), Number(r.remoteOffset + r.lengthBytes));
    this.pending.push(() => {
      this.at(r.address, piece.length).set(piece);
      this.post(PortalEventKind.REPLY, { lengthBytes: BigInt(piece.length) });
    });
    return 0n;
  }
}

/**
 * An ELF64 with one segment at `address`, and `codeBytes` of code that nothing runs; with `linker`, the path of its
 * dynamic linker in PT_INTERP.
 */
export function tinyProgram(codeBytes = 3000, { address = PROGRAM_START, linker = "" } = {}): Uint8Array {
  const bytes = new Uint8Array(0x1000 + codeBytes).map((_, i) => i * 7);
  bytes.fill(0, 0, 120 + 56 + 256);
  const v = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  v.setUint16(16, 2, true);
  v.setUint16(18, 62, true);
  v.setUint32(20, 1, true);
  v.setBigUint64(24, address + 0x1000n, true);
  v.setBigUint64(32, 64n, true);
  v.setUint16(52, 64, true);
  v.setUint16(54, 56, true);
  v.setUint16(56, linker === "" ? 1 : 2, true);
  v.setUint32(64, 1, true);
  v.setUint32(68, 5, true);
  for (const [at, value] of [
    [80, address],
    [88, address],
    [96, BigInt(bytes.length)],
    [104, BigInt(bytes.length)],
    [112, 0x1000n],
  ] as const)
    v.setBigUint64(at, value, true);
  if (linker !== "") {
    const text = new TextEncoder().encode(`${linker}\0`);
    v.setUint32(120, 3, true);
    v.setBigUint64(128, 176n, true);
    v.setBigUint64(152, BigInt(text.length), true);
    v.setBigUint64(160, BigInt(text.length), true);
    bytes.set(text, 176);
  }
  return bytes;
}
export const PROGRAM_ENTRY = PROGRAM_START + 0x1000n;
