/** A debugger of a job as tests need it: it sends the messages itself, without gdb and sockets. */
import fs from "node:fs";
import path from "node:path";
import { afterAll, expect } from "vitest";
import { DebugOperation, DebugReason, DebugRegisters, DebugThread } from "../../emulator/abi/jobdebug.ts";
import type { DebugEvent, DebugReply, DebugRequest } from "../../emulator/service/jobdebug.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { temporaryFolder } from "../system/command.ts";
import type { Bench } from "../system/jobs.ts";
import { programImage } from "./rig.ts";

export const folder = temporaryFolder();
export const elf = programImage("debuggee");
afterAll(() => fs.rmSync(folder, { recursive: true }));
fs.writeFileSync(path.join(folder, "debuggee"), elf, { mode: 0o755 });
export const symbols = SymbolTable.fromElf(elf);
export const addressOf = (name: string): bigint => symbols.find(name)!.address;
export const STOP_OFFSET = 0n;
export const CALLS_OFFSET = 16n;

export type Stopped = Extract<DebugEvent, { kind: "stopped" }>;
export type Ask = Partial<Omit<DebugRequest, "operation" | "jobId">>;
export const le = (value: number | bigint, bytes: 4 | 8): Uint8Array => {
  const b = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) b.setUint32(0, Number(value), true);
  else b.setBigUint64(0, BigInt(value), true);
  return new Uint8Array(b.buffer);
};

/** One node's task of one job, as a debugger sees it. */
export class Debugged {
  constructor(
    readonly bench: Bench,
    readonly jobId: number,
    readonly nid = 1,
  ) {}
  try(operation: number, ask: Ask = {}): DebugReply {
    const pending = this.bench.debug.request(this.nid, { jobId: this.jobId, operation, ...ask });
    expect(this.bench.until(() => pending.reply !== undefined, 1e6)).toBe("until");
    return pending.reply!;
  }
  ask(operation: number, ask: Ask = {}): DebugReply {
    const reply = this.try(operation, ask);
    expect(reply.errno).toBe(0);
    return reply;
  }
  event(): DebugEvent {
    const { events } = this.bench.debug;
    expect(
      this.bench.until(() => events.length > 0, 1e9),
      this.bench.console,
    ).toBe("until");
    return events.shift()!;
  }
  stopped(): Stopped {
    const e = this.event();
    if (e.kind !== "stopped") throw new Error(`stop expected, got ${JSON.stringify(e)}`);
    return e;
  }
  registers(tid: number): DebugRegisters {
    const { body } = this.ask(DebugOperation.READ_REGISTERS, { tid });
    expect(body.length).toBe(DebugRegisters.SIZE);
    return new DebugRegisters(new DataView(body.buffer, body.byteOffset));
  }
  write(tid: number, r: DebugRegisters): void {
    this.ask(DebugOperation.WRITE_REGISTERS, {
      tid,
      body: new Uint8Array(r.view.buffer, r.view.byteOffset, DebugRegisters.SIZE),
    });
  }
  read(address: bigint, count: number): Uint8Array {
    return this.ask(DebugOperation.READ_MEMORY, { address, count }).body;
  }
  word(name: string, offset: bigint): bigint {
    const bytes = this.read(addressOf(name) + offset, 8);
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  }
  threads(): { tid: number; core: number; state: number }[] {
    const { body, count } = this.ask(DebugOperation.THREADS);
    const view = new DataView(body.buffer, body.byteOffset);
    return Array.from({ length: count }, (_, i) => {
      const { tid, core, state } = new DebugThread(view, i * DebugThread.SIZE);
      return { tid, core, state };
    });
  }
  /** Stops all threads; returns their stops in order of arrival. */
  stopAll(): Stopped[] {
    const running = this.threads().filter((t) => t.state === 0).length;
    this.ask(DebugOperation.STOP);
    return Array.from({ length: running }, () => this.stopped());
  }
  letEnd(): void {
    this.ask(DebugOperation.WRITE_MEMORY, { address: addressOf("state") + STOP_OFFSET, body: le(1, 4) });
  }
}

export const ENDS = "debuggee: threads 7, awake 1, given beyond calls 0\n";
export const options = { nodes: 1, cores: 4, root: folder } as const;

/** The job, stopped before its program's first instruction. */
export function started(bench: Bench, args: readonly string[] = [], nids: readonly number[] = [1]): Debugged {
  // The service node's next job; its id is known before the load.
  const d = new Debugged(bench, 1);
  d.ask(DebugOperation.ATTACH, { count: 1 });
  expect(bench.submit({ program: "/debuggee", args, nids })).toBe(1);
  expect(d.stopped()).toMatchObject({ nid: 1, jobId: 1, reason: DebugReason.START, address: addressOf("_start") });
  return d;
}
/** Stopped at the n-th call of `bump`, with the breakpoint still set. */
export function atBump(d: Debugged): Stopped {
  d.ask(DebugOperation.SET_BREAKPOINT, { address: addressOf("bump") });
  d.ask(DebugOperation.CONTINUE);
  const stop = d.stopped();
  expect(stop).toMatchObject({ reason: DebugReason.BREAKPOINT, signal: 5, address: addressOf("bump") });
  return stop;
}
