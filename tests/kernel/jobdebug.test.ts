/**
 * Debugging of a job's processes by messages to the kernels: stops, registers, memory, breakpoints, steps, faults; what
 * it must not touch; and that invalid requests are refused. The test sends the messages directly, without debugger and
 * socket.
 */
import { describe, expect, it } from "vitest";
import { Errno } from "../../emulator/abi/errno.ts";
import {
  DEBUG_BODY_BYTES,
  DebugMessage,
  DebugOperation,
  DebugReason,
  DebugRegisters,
} from "../../emulator/abi/jobdebug.ts";
import { MAILBOX_MESSAGE_BYTES } from "../../emulator/abi/mailbox.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { realEngine } from "../machine/guest.ts";
import { withBench } from "../system/jobs.ts";
import {
  addressOf,
  type Ask,
  atBump,
  CALLS_OFFSET,
  Debugged,
  ENDS,
  folder,
  le,
  options,
  started,
  STOP_OFFSET,
  elf,
  symbols,
} from "./jobdebugged.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/jobdebug skipped: ${engine}`);

const { STOP, CONTINUE, DETACH } = DebugOperation;

describe.skipIf(typeof engine === "string")("a debugged job", () => {
  it("stops in front of its program, shows registers and memory, and goes on as if nothing had been", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      const [main] = d.threads();
      const r = d.registers(main!.tid);
      expect([r.rip, r.rsp % 16n, r.rax]).toEqual([addressOf("_start"), 0n, 0n]);
      // 32 bytes at the entry, as in the file.
      const code = Buffer.from(d.read(r.rip, 32));
      expect(Buffer.from(elf).includes(code)).toBe(true);
      d.ask(DebugOperation.CONTINUE);
      bench.until(() => false, 300_000);
      const stops = d.stopAll();
      expect(new Set(stops.map((s) => s.tid)).size).toBe(4);
      d.letEnd();
      d.ask(DebugOperation.CONTINUE);
      expect(bench.finish(1)).toMatchObject({ result: { kind: "exited", waitStatus: 7 << 8 }, stdout: ENDS });
      expect(d.event()).toEqual({ kind: "ended", nid: 1, rank: 0, jobId: 1, waitStatus: 7 << 8 });
      expect(d.try(DebugOperation.THREADS).errno).toBe(Errno.ESRCH);
    });
  });

  it("breakpoints: hidden from reads, hit at their address, stepped over without them", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      const bump = addressOf("bump");
      const before = d.read(bump - 8n, 32);
      const { tid } = atBump(d);
      expect(d.read(bump - 8n, 32)).toEqual(before);
      expect(d.registers(tid).rdi).toBe(1n);
      const calls = d.word("state", CALLS_OFFSET);
      for (let i = 1; i <= 3; i++) {
        d.ask(DebugOperation.CLEAR_BREAKPOINT, { address: bump });
        d.ask(DebugOperation.STEP, { tid });
        const step = d.stopped();
        expect(step).toMatchObject({ tid, reason: DebugReason.STEP });
        expect(step.address).toBeGreaterThan(bump);
        expect(d.registers(tid).rflags & 0x100n).toBe(0n);
        d.ask(DebugOperation.SET_BREAKPOINT, { address: bump });
        d.ask(DebugOperation.CONTINUE, { tid });
        expect(d.stopped()).toMatchObject({ tid, reason: DebugReason.BREAKPOINT, address: bump });
        expect(d.word("state", CALLS_OFFSET)).toBe(calls + BigInt(i));
      }
      d.letEnd();
      d.ask(DebugOperation.DETACH);
      expect(bench.finish(1)).toMatchObject({ result: { waitStatus: 7 << 8 }, stdout: ENDS });
    });
  });

  it("what is written into registers and vectors is what the thread goes on with", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      const { tid } = atBump(d);
      const r = d.registers(tid);
      r.rdi = 1001n;
      r.rflags |= 0x3000n; // the debugger may not change IOPL
      d.write(tid, r);
      expect(d.registers(tid).rflags & 0x3000n).toBe(0n);
      r.rip = 0xffff_8000_0000_0000n;
      const body = new Uint8Array(r.view.buffer, r.view.byteOffset, DebugRegisters.SIZE);
      expect(d.try(DebugOperation.WRITE_REGISTERS, { tid, body }).errno).toBe(Errno.EINVAL);
      d.letEnd();
      d.ask(DebugOperation.DETACH);
      expect(bench.finish(1).stdout).toBe("debuggee: threads 7, awake 1, given beyond calls 1000\n");
    });
  });

  it("threads that compute, sleep and wait stop again and again, and lose nothing by it", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      d.ask(DebugOperation.CONTINUE);
      bench.until(() => false, 300_000);
      for (let i = 0; i < 20; i++) {
        expect(d.stopAll()).toHaveLength(4);
        const calls = d.word("state", CALLS_OFFSET);
        bench.until(() => false, 100_000);
        expect(d.word("state", CALLS_OFFSET)).toBe(calls);
        d.ask(DebugOperation.CONTINUE);
        bench.until(() => false, 10_000 + 7_919 * i);
        expect(bench.debug.events).toEqual([]);
      }
      d.letEnd();
      expect(bench.finish(1)).toMatchObject({ result: { waitStatus: 7 << 8 }, stdout: ENDS });
    });
  });

  /** Threads in front of the `syscall` in which they wait: futex begins anew, nanosleep goes on by restart_syscall. */
  const waiters = (d: Debugged, calls: readonly bigint[] = [219n, 202n]): number[] =>
    d
      .threads()
      .map(({ tid }) => tid)
      .filter((tid) => {
        const { rip, rax } = d.registers(tid);
        return Buffer.from(d.read(rip, 2)).toString("hex") === "0f05" && calls.includes(rax);
      });

  it("is left while threads are stepped over calls that sleep: no trap is left behind", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      // Stopped anew until two threads at least wait in a call.
      let stepped: readonly number[] = [];
      for (let tries = 0; tries < 20 && stepped.length < 2; tries++) {
        d.ask(DebugOperation.CONTINUE);
        bench.until(() => false, 300_000 + tries * 1_700);
        d.stopAll();
        stepped = waiters(d);
      }
      expect(stepped.length).toBeGreaterThanOrEqual(2);
      for (const tid of stepped) d.ask(DebugOperation.STEP, { tid });
      d.ask(DebugOperation.DETACH);
      bench.until(() => false, 300_000);
      expect(bench.debug.events.filter((e) => e.kind === "stopped" && e.reason === DebugReason.FAULT)).toEqual([]);
      bench.debug.events.length = 0;
      // Attached again; the threads have no step pending.
      d.ask(DebugOperation.ATTACH);
      expect(d.stopAll().map((s) => s.reason)).toEqual(Array(4).fill(DebugReason.REQUESTED));
      d.letEnd();
      d.ask(DebugOperation.DETACH);
      expect(bench.finish(1)).toMatchObject({ result: { waitStatus: 7 << 8 }, stdout: ENDS });
    });
  });

  it("a stop ends the step that it comes into", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      d.ask(DebugOperation.CONTINUE);
      bench.until(() => false, 300_000);
      d.stopAll();
      const [waiter] = waiters(d, [202n]);
      d.ask(DebugOperation.STEP, { tid: waiter! });
      const stops = d.stopAll();
      expect(stops.map((s) => s.reason)).toEqual(stops.map(() => DebugReason.REQUESTED));
      d.ask(DebugOperation.CONTINUE);
      bench.until(() => false, 1_000_000);
      expect(bench.debug.events).toEqual([]);
      d.letEnd();
      expect(bench.finish(1)).toMatchObject({ result: { waitStatus: 7 << 8 }, stdout: ENDS });
    });
  });

  it("told to go on before its stop has settled: no wait ends with EINTR, no thread stays behind", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      d.ask(DebugOperation.CONTINUE);
      bench.until(() => false, 300_000);
      const request = (operation: number) => bench.debug.request(1, { jobId: 1, operation });
      // Stop and continue at once, at many moments of the waits; the last request wins.
      for (let i = 0; i < 60; i++) {
        const words = i % 3 === 2 ? [STOP, CONTINUE, STOP, CONTINUE] : [STOP, CONTINUE];
        const asked = words.map(request);
        bench.until(() => asked.every((a) => a.reply !== undefined), 1e6);
        bench.until(() => false, 1_000 + 997 * i);
      }
      bench.debug.events.length = 0;
      bench.until(() => false, 200_000);
      expect(bench.debug.events).toEqual([]);
      expect(d.threads().map((t) => t.state)).toEqual([0, 0, 0, 0]);
      // Continue and stop at once: every thread stops, and reports it once more.
      expect(d.stopAll()).toHaveLength(4);
      for (let i = 0; i < 20; i++) {
        const asked = [CONTINUE, STOP].map(request);
        bench.until(() => asked.every((a) => a.reply !== undefined), 1e6);
        for (let n = 0; n < 4; n++) d.stopped();
      }
      expect(d.threads().map((t) => t.state)).toEqual([1, 1, 1, 1]);
      d.letEnd();
      d.ask(DETACH);
      expect(bench.finish(1)).toMatchObject({ result: { waitStatus: 7 << 8 }, stdout: ENDS });
    });
  });

  it("a fault stops the thread first, then takes its course", () => {
    withBench(options, (bench) => {
      const d = started(bench, ["fault"]);
      d.ask(DebugOperation.CONTINUE);
      const stop = d.stopped();
      expect(stop).toMatchObject({ reason: DebugReason.FAULT, signal: 11 });
      expect(symbols.nameOf(stop.address)).toMatch(/^main/);
      expect(bench.reports).toEqual([]);
      d.ask(DebugOperation.CONTINUE, { signal: 11 });
      expect(bench.finish(1).result).toMatchObject({ kind: "exited", waitStatus: 11 });
      expect(bench.reports).toHaveLength(1);
      expect(d.event()).toMatchObject({ kind: "ended", waitStatus: 11 });
    });
  });

  it("is killed while it is stopped", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      atBump(d);
      bench.service.kill(1, bench.machine.time);
      expect(bench.finish(1).result).toMatchObject({ kind: "killed" });
      expect(bench.run({ program: "hello" }).result).toMatchObject({ waitStatus: 0 });
    });
  });

  it("another job on another node ends at the same time with the same output", () => {
    // Both jobs run; job 2 is submitted and stopped at fixed times. In one of the two runs job 1 is debugged meanwhile.
    const run = (busy: boolean) =>
      withBench({ nodes: 2, cores: 4, root: folder }, (bench) => {
        const d = started(bench);
        const to = (ns: number) => expect(bench.machine.run({ limitNs: ns })).toBe("limit");
        d.ask(DebugOperation.CONTINUE);
        to(8_000_000);
        const other = bench.submit({ program: "/debuggee", nids: [2] });
        to(10_000_000);
        if (busy) {
          const { tid } = atBump(d);
          for (let i = 0; i < 10; i++) d.registers(tid);
          d.read(addressOf("bump"), 64);
          d.ask(DebugOperation.CLEAR_BREAKPOINT, { address: addressOf("bump") });
          d.ask(DebugOperation.CONTINUE);
        }
        to(12_000_000);
        const { ATTACH, WRITE_MEMORY, DETACH } = DebugOperation;
        for (const operation of [ATTACH, WRITE_MEMORY, DETACH])
          bench.debug.request(2, {
            jobId: other,
            operation,
            address: addressOf("state") + STOP_OFFSET,
            body: le(1, 4),
          });
        const { stdout, result } = bench.finish(other);
        // What the other node has done until then, instruction by instruction.
        const events = bench.events.filter((e) => e.nid === 2 && e.time < 12_000_000);
        return { stdout, result, events: events.map((e) => [e.time, e.core, e.kind, ...e.words]) };
      });
    const [quiet, debugged] = [run(false), run(true)];
    expect(quiet).toMatchObject({ stdout: ENDS, result: { waitStatus: 7 << 8 } });
    expect(quiet.events.length).toBeGreaterThan(100);
    expect(debugged).toEqual(quiet);
  });
});

describe.skipIf(typeof engine === "string")("requests that do not hold", () => {
  it("get an errno and change nothing", () => {
    withBench(options, (bench) => {
      const nobody = new Debugged(bench, 99);
      expect(nobody.try(DebugOperation.THREADS).errno).toBe(Errno.ESRCH);
      expect(nobody.try(DebugOperation.ATTACH).errno).toBe(Errno.ESRCH);
      const d = started(bench);
      const [main] = d.threads();
      const tid = main!.tid;
      const bump = addressOf("bump");
      // biome-ignore format: a table
      const cases: readonly (readonly [number, Ask, number])[] = [
        [0,                                {},                                                    Errno.ENOSYS],
        [99,                               {},                                                    Errno.ENOSYS],
        [DebugOperation.STOP,              { tid: tid + 1 },                                      Errno.ESRCH],
        [DebugOperation.STEP,              { tid: 0 },                                            Errno.ESRCH],
        [DebugOperation.READ_REGISTERS,    { tid: tid + 1 },                                      Errno.ESRCH],
        [DebugOperation.WRITE_REGISTERS,   { tid, body: new Uint8Array(8) },                      Errno.EINVAL],
        [DebugOperation.READ_MEMORY,       { address: bump, count: DEBUG_BODY_BYTES + 1 },        Errno.EMSGSIZE],
        [DebugOperation.READ_MEMORY,       { address: 0n, count: 8 },                             Errno.EFAULT],
        [DebugOperation.READ_MEMORY,       { address: 0xffff_8000_0000_0000n, count: 8 },         Errno.EFAULT],
        [DebugOperation.READ_MEMORY,       { address: 0xffff_ffff_ffff_fffcn, count: 8 },         Errno.EFAULT],
        [DebugOperation.WRITE_MEMORY,      { address: 0n, body: le(1, 8) },                       Errno.EFAULT],
        [DebugOperation.WRITE_MEMORY,      { address: 0xffff_ffff_8010_0000n, body: le(1, 8) },   Errno.EFAULT],
        [DebugOperation.SET_BREAKPOINT,    { address: 0n },                                       Errno.EFAULT],
        [DebugOperation.SET_BREAKPOINT,    { address: 0xffff_ffff_8010_0000n },                   Errno.EFAULT],
        [DebugOperation.CLEAR_BREAKPOINT,  { address: bump },                                     Errno.ENOENT],
        [DebugOperation.CATCH_CALLS,       { count: 1, body: le(512, 4) },                        Errno.EINVAL],
        [DebugOperation.CATCH_CALLS,       { count: 1, body: le(4128, 4) },                       Errno.EINVAL],
        [DebugOperation.CATCH_CALLS,       { count: 2, body: le(1, 4) },                          Errno.EINVAL],
        [DebugOperation.CATCH_CALLS,       { count: 0x4000_0001, body: le(1, 4) },                Errno.EINVAL],
      ];
      for (const [operation, ask, errno] of cases)
        expect([operation, ask, d.try(operation, ask).errno]).toEqual([operation, ask, errno]);
      for (let i = 0n; i < 64n; i++) d.ask(DebugOperation.SET_BREAKPOINT, { address: bump + i });
      expect(d.try(DebugOperation.SET_BREAKPOINT, { address: bump + 64n }).errno).toBe(Errno.ENOSPC);
      expect(d.try(DebugOperation.SET_BREAKPOINT, { address: bump }).errno).toBe(Errno.EEXIST);
      for (let i = 0n; i < 64n; i++) d.ask(DebugOperation.CLEAR_BREAKPOINT, { address: bump + i });
      d.ask(DebugOperation.CONTINUE);
      bench.until(() => false, 100_000);
      expect(d.try(DebugOperation.READ_REGISTERS, { tid }).errno).toBe(Errno.EBUSY);
      d.letEnd();
      expect(bench.finish(1).stdout).toBe(ENDS);
      expect(d.event()).toMatchObject({ kind: "ended" });
    });
  });

  const seeds = process.env["SEED"] === undefined ? [1, 2, 3, 4] : [Number(process.env["SEED"])];
  it.each(seeds)("random messages from seed %i: the job is as it was", (seed) => {
    withBench(options, (bench) => {
      const d = started(bench);
      d.ask(DebugOperation.CONTINUE);
      const random = new Prng(seed);
      const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
      for (let i = 0; i < 300; i++) {
        const message = new Uint8Array(1 + random.below(MAILBOX_MESSAGE_BYTES));
        for (let at = 0; at < message.length; at++) message[at] = random.below(256);
        if (message.length >= DebugMessage.SIZE && random.below(4) > 0) {
          const head = new DebugMessage(new DataView(message.buffer));
          head.magic = 0x4744;
          // Requests that would not change the program even if valid: invalid stops and steps, no writes.
          head.operation = pick([
            0,
            DebugOperation.THREADS,
            DebugOperation.READ_REGISTERS,
            DebugOperation.READ_MEMORY,
            DebugOperation.CLEAR_BREAKPOINT,
            DebugOperation.REGIONS,
            DebugOperation.DESCRIBE,
            77,
          ]);
          head.jobId = pick([0, 1, 2, 0xffffffff]);
          head.tid = pick([0, 1, 2, 3, 0xffffffff]);
          head.address = pick([0n, addressOf("bump"), (1n << 47n) - 2n, 1n << 63n, (1n << 64n) - 1n]);
          head.count = pick([0, 1, 976, 977, 0xffffffff]);
          head.bodyBytes = pick([0, message.length - DebugMessage.SIZE, message.length, 0xffffffff]);
        }
        bench.node(1).mailAt(bench.machine.time + 1000 + random.below(20_000), message);
        if (i % 10 === 0) bench.until(() => false, 50_000);
      }
      bench.until(() => false, 1_000_000);
      expect(bench.debug.events, `replay with SEED=${seed} make test T=tests/kernel/jobdebug`).toEqual([]);
      d.letEnd();
      expect(bench.finish(1), `replay with SEED=${seed} make test T=tests/kernel/jobdebug`).toMatchObject({
        stdout: ENDS,
        result: { waitStatus: 7 << 8 },
      });
    });
  });
});
