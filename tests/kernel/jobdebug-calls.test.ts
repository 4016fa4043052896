/**
 * System calls that a job's debugger catches: stops before and behind them, numbers that it changes, calls that wait.
 */
import { describe, expect, it } from "vitest";
import { DebugOperation, DebugReason } from "../../emulator/abi/jobdebug.ts";
import { realEngine } from "../machine/guest.ts";
import { withBench } from "../system/jobs.ts";
import { type Debugged, ENDS, options, started, type Stopped } from "./jobdebugged.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/jobdebug-calls skipped: ${engine}`);

const { CONTINUE, DETACH } = DebugOperation;

describe.skipIf(typeof engine === "string")("system calls that are caught", () => {
  const { CATCH_CALLS, CATCH_ALL_CALLS } = DebugOperation;
  const { CALL_ENTRY, CALL_RETURN, REQUESTED } = DebugReason;
  const NANOSLEEP = 35;
  const FUTEX = 202;
  const GETPID = 39;
  const ENOSYS = BigInt.asUintN(64, -38n);
  const NO_CALL = BigInt.asUintN(64, -1n);
  const catching = (d: Debugged, ...numbers: readonly number[]): void => {
    const body = new Uint8Array(Uint32Array.from(numbers).buffer);
    d.ask(CATCH_CALLS, { count: numbers.length, body });
  };
  /** Runs on to the thread's next call of nanosleep. */
  const atNanosleep = (d: Debugged): Stopped => {
    catching(d, NANOSLEEP);
    d.ask(CONTINUE);
    const stop = d.stopped();
    expect(stop).toMatchObject({ reason: CALL_ENTRY, call: NANOSLEEP, signal: 0 });
    return stop;
  };
  const ends = (d: Debugged, operation: number): void => {
    d.letEnd();
    d.ask(operation);
    expect(d.bench.finish(1)).toMatchObject({ result: { waitStatus: 7 << 8 }, stdout: ENDS });
  };

  it("stop in front of the call and behind it, the others do not", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      const { tid, address } = atNanosleep(d);
      expect([...d.read(address - 2n, 2)]).toEqual([0x0f, 0x05]);
      for (let i = 0; i < 3; i++) {
        const at = d.registers(tid);
        expect([at.rip, at.rax, at.callNumber]).toEqual([address, ENOSYS, BigInt(NANOSLEEP)]);
        d.ask(CONTINUE, { tid });
        expect(d.stopped()).toMatchObject({ tid, address, reason: CALL_RETURN, call: NANOSLEEP });
        const after = d.registers(tid);
        expect([after.rax, after.callNumber, after.rbx]).toEqual([0n, BigInt(NANOSLEEP), at.rbx]);
        d.ask(CONTINUE, { tid });
        expect(d.stopped()).toMatchObject({ tid, address, reason: CALL_ENTRY, call: NANOSLEEP });
      }
      catching(d);
      ends(d, CONTINUE);
    });
  });

  it("every call of every thread, those of threads that are started meanwhile, too", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      d.ask(CATCH_ALL_CALLS);
      const seen = new Map<number, Set<number>>();
      const open = new Map<number, number>();
      d.ask(CONTINUE);
      for (let i = 0; i < 60; i++) {
        const { tid, reason, call } = d.stopped();
        if (reason === CALL_ENTRY) open.set(tid, call);
        else {
          expect([reason, open.get(tid)]).toEqual([CALL_RETURN, call]);
          open.delete(tid);
          seen.set(call, (seen.get(call) ?? new Set()).add(tid));
        }
        d.ask(CONTINUE, { tid });
      }
      expect(seen.get(NANOSLEEP)?.size).toBe(1);
      expect([...open.values()]).toContain(FUTEX);
      // clone is one thread's, and makes the others with the registers of its caller.
      expect(seen.get(56)?.size).toBe(1);
      d.stopAll();
      ends(d, DETACH);
    });
  });

  it("a wait that ends for a stop and begins anew has one begin and one end", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      const { tid } = atNanosleep(d);
      d.ask(CONTINUE, { tid });
      bench.until(() => false, 5_000);
      const stops = d.stopAll();
      expect(stops.find((s) => s.tid === tid)).toMatchObject({ reason: REQUESTED });
      expect(d.registers(tid).callNumber).toBe(NO_CALL);
      d.ask(CONTINUE);
      expect(d.stopped()).toMatchObject({ tid, reason: CALL_RETURN, call: NANOSLEEP });
      ends(d, DETACH);
    });
  });

  it("the debugger may make it another call, or none", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      d.ask(CATCH_ALL_CALLS);
      d.ask(CONTINUE);
      const { tid } = d.stopped();
      const r = d.registers(tid);
      r.callNumber = BigInt(GETPID);
      d.write(tid, r);
      d.ask(CONTINUE, { tid });
      expect(d.stopped()).toMatchObject({ reason: CALL_RETURN, call: GETPID });
      expect(d.registers(tid).rax).toBe(BigInt(tid));
      // The program is not to see that: back in front of its call.
      const again = d.registers(tid);
      again.rip -= 2n;
      again.rax = r.rax === ENOSYS ? 9n : 0n;
      d.write(tid, again);
      d.ask(CONTINUE, { tid });
      expect(d.stopped()).toMatchObject({ reason: CALL_ENTRY, call: 9 });
      const none = d.registers(tid);
      none.callNumber = NO_CALL;
      d.write(tid, none);
      d.ask(DebugOperation.STEP, { tid });
      expect(d.stopped()).toMatchObject({ reason: DebugReason.STEP });
      bench.service.kill(1, bench.machine.time);
      expect(bench.finish(1).result).toMatchObject({ kind: "killed" });
      expect(bench.run({ program: "hello" }).result).toMatchObject({ waitStatus: 0 });
    });
  });

  it("is left, or killed, in front of a call and inside of one", () => {
    withBench(options, (bench) => {
      const d = started(bench);
      const { tid } = atNanosleep(d);
      d.ask(DETACH);
      bench.until(() => false, 300_000);
      d.ask(DebugOperation.ATTACH);
      expect(d.stopAll()).toHaveLength(4);
      const next = atNanosleep(d);
      d.ask(CONTINUE, { tid: next.tid });
      bench.until(() => false, 5_000);
      d.ask(DETACH);
      bench.until(() => false, 300_000);
      expect(bench.debug.events).toEqual([]);
      d.ask(DebugOperation.ATTACH);
      expect(d.stopAll().map((s) => s.reason)).toEqual(Array(4).fill(REQUESTED));
      expect(atNanosleep(d).tid).toBe(tid);
      bench.service.kill(1, bench.machine.time);
      expect(bench.finish(1).result).toMatchObject({ kind: "killed" });
      expect(bench.run({ program: "/debuggee", args: ["fault"] }).result).toMatchObject({ waitStatus: 11 });
    });
  });
});
