/** Kernel panics: every core is stopped and dumped, and the machine ends with status 3. */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { realEngine } from "../machine/guest.ts";
import { expectGolden } from "../system/cluster.ts";
import { Bench } from "../system/jobs.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/panic skipped: ${engine}`);

function panicked(
  cores: number,
  provoke: (bench: Bench) => void,
  append = "",
): { console: string; status: number | undefined; bench: Bench } {
  const bench = new Bench({ nodes: 1, cores, append });
  try {
    provoke(bench);
    const reason = bench.until(() => false);
    expect(reason).toBe("exit");
    return { console: bench.consoles.get(1)!, status: bench.machine.exits.at(-1)!.status, bench };
  } finally {
    bench.close();
  }
}

describe.skipIf(typeof engine === "string")("a panic", () => {
  it("in an interrupt handler (panic=irq) shows the cause, each core, the flight recorder (golden)", async () => {
    let ready = 0;
    const { console, status, bench } = panicked(4, (b) => void (ready = b.machine.time), "panic=irq");
    expect(ready).toBe(0);
    expect(status).toBe(3);
    expect(console).toMatch(/\nmargay: panic: asked for by panic=irq \(0x0{14}3c\) on cpu 0\n {2}backtrace: 0x/);
    expect(console).toMatch(/ {2}interrupted:\n {2}rip=0x/);
    for (const cpu of [1, 2, 3])
      expect(console).toMatch(
        new RegExp(`  cpu ${cpu}: idle\\n  rip=0xffffffff80.*\\n(.*\\n){4}  backtrace: 0xffffffff80`),
      );
    expect(console).toMatch(/ {2}flight recorder:\n( {2}c\d \d+ [a-z.]+.*\n)+margay: halted\n$/);
    bench.violations();
    const from = bench.events.find((e) => e.kind === EventKind.NODE_READY)?.time ?? 0;
    const golden = bench.golden("kernel", "irq,nmi,ipi.icr,node", (e) => e.time >= from && e.nid === 1);
    await expectGolden(golden, "panic.trace");
  });
  it("stops cores that run a program, and shows the program's registers", () => {
    const { console, status } = panicked(2, (bench) => {
      bench.boot();
      bench.submit({ program: "ring" }, () => {
        // Vectors below 16 are illegal in a message: the LAPIC reports it, and the kernel treats it as a broken
        // machine.
        bench.node(1).board.lapics[1]!.accept(0x08, false);
      });
      bench.until(() => bench.machine.exits.length > 0, 1e9);
    });
    expect(status).toBe(3);
    expect(console).toMatch(/margay: panic: lapic: error \(0x0{14}40\) on cpu 1/);
    expect(console).toMatch(/ {2}cpu 0: pid 1 of job 1\n {2}rip=0x/);
  });
  it("finds a leak at the job that leaks", () => {
    const { console, status } = panicked(1, (bench) => {
      bench.boot();
      // The kernel's account holds one frame more than exists, so one frame has no owner.
      bench.submit({ program: "hello" }, () => {
        const at = bench.variable("frame_accounts") + 8;
        const { view } = bench.node(1);
        view.setBigUint64(at, view.getBigUint64(at, true) + 1n, true);
      });
      bench.until(() => bench.machine.exits.length > 0, 1e9);
    });
    expect(status).toBe(3);
    expect(console).toMatch(/panic: leak: pages on nobody's account after a task/);
  });
});
