/**
 * Interrupts in the kernel: entry to EOI, keys from both devices, NMIs, spurious and unexpected vectors. Golden traces
 * hold what happens on a core; the console is compared with patterns, because it shows addresses.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { IRQ_VECTOR_BASE, Vector } from "../../emulator/abi/vectors.ts";
import { KEYBOARD_GSI } from "../../emulator/abi/platform.ts";
import { UART_GSI } from "../../emulator/abi/uart.ts";
import { scanCodes } from "../../emulator/devices/scancodes.ts";
import { realEngine } from "../machine/guest.ts";
import { expectGolden } from "../system/cluster.ts";
import { type Bench, withBench } from "../system/jobs.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/interrupts skipped: ${engine}`);
const here = typeof engine !== "string";
const DUMP = /margay: key: interrupted context\n( {2}r..=0x.*\n|.*\n){5} {2}backtrace: 0x/;
const ESCAPE = [0x01, 0x81];

/** The line being typed at the console. */
function typed(bench: Bench, nid = 1): string {
  const at = bench.variable("console_input");
  const { view } = bench.node(nid);
  const length = view.getUint32(at, true);
  return Array.from({ length }, (_, i) => String.fromCharCode(view.getUint8(at + 4 + i))).join("");
}
/** Console output after a line was typed on the serial port. */
function command(bench: Bench, line: string): string {
  const before = bench.consoles.get(1)!.length;
  bench.node(1).typeAt(later(bench), new TextEncoder().encode(`${line}\r`));
  settle(bench, 2_000_000);
  return bench.consoles.get(1)!.slice(before);
}
const settle = (bench: Bench, ns = 200_000): void => void bench.until(() => false, ns);
const later = (bench: Bench): number => bench.machine.time + 10_000;

describe.skipIf(!here)("keys", () => {
  it("Escape on the keyboard dumps the context that its interrupt broke into (golden: interrupt entry to EOI)", async () => {
    const golden = withBench({ nodes: 1, keyboard: true }, (bench) => {
      settle(bench);
      const start = later(bench);
      bench.node(1).keysAt(start, ESCAPE);
      settle(bench);
      expect(bench.consoles.get(1)).toMatch(DUMP);
      expect(bench.violations()).toEqual([]);
      return bench.golden(
        "kernel",
        "irq,trap,console,nmi",
        (e) => e.time >= start && !/[ =]0x/.test(String(e.words[0])),
      );
    });
    await expectGolden(golden, "keyboard-dump.trace");
  });
  it("a key without meaning is one interrupt, with one EOI (golden)", async () => {
    const golden = withBench({ nodes: 1, keyboard: true }, (bench) => {
      settle(bench);
      const start = later(bench);
      bench.node(1).keysAt(start, [0x1e]);
      settle(bench);
      expect(typed(bench)).toBe("a");
      expect(bench.violations()).toEqual([]);
      return bench.golden("kernel", "irq", (e) => e.time >= start);
    });
    await expectGolden(golden, "interrupt.trace");
  });
  it("^D on the serial line and Control-D on the keyboard do the same", () => {
    withBench({ nodes: 1, keyboard: true }, (bench) => {
      bench.node(1).typeAt(later(bench), new Uint8Array([4]));
      settle(bench);
      expect(bench.consoles.get(1)!.match(/key: interrupted context/g)).toHaveLength(1);
      bench.node(1).keysAt(later(bench), [0x1d, 0x20, 0xa0, 0x9d]);
      settle(bench);
      expect(bench.consoles.get(1)!.match(/key: interrupted context/g)).toHaveLength(2);
      const vectors = bench.events.filter((e) => e.kind === EventKind.IRQ_ENTER).map((e) => Number(e.words[0]));
      expect(vectors).toContain(IRQ_VECTOR_BASE + UART_GSI);
      expect(vectors).toContain(IRQ_VECTOR_BASE + KEYBOARD_GSI);
    });
  });
  it("the dump shows the program that the key broke into", () => {
    withBench({ nodes: 1, cores: 1, keyboard: true }, (bench) => {
      const id = bench.submit({ program: "hello" }, () => bench.node(1).keysAt(bench.now + 60_000, ESCAPE));
      bench.finish(id);
      settle(bench);
      expect(bench.consoles.get(1)).toMatch(DUMP);
    });
  });
  it("every character that a US keyboard has arrives as itself, from both devices", () => {
    const text = "the quick brown fox, THE LAZY DOG; 0123456789 -=[]'`\\./ !@#$%^&*()_+{}:\"~|<>?\t";
    withBench({ nodes: 1, keyboard: true }, (bench) => {
      let at = later(bench);
      for (const codes of scanCodes(text.replaceAll("\\", "\\\\"))) bench.node(1).keysAt((at += 10_000), codes);
      bench.until(() => false, 2_000_000);
      expect(typed(bench)).toBe(text);
      for (const codes of scanCodes("\b\\n")) bench.node(1).keysAt((at += 10_000_000), codes);
      settle(bench, 25_000_000);
      expect(bench.consoles.get(1)).toContain(
        `margay: console: ${text.slice(0, -1)}: no such command: help lists them\n`,
      );
      expect(typed(bench)).toBe("");
      bench.node(1).typeAt(later(bench), new TextEncoder().encode("serial"));
      settle(bench);
      expect(typed(bench)).toBe("serial");
    });
  });
  it("Caps Lock, extended keys and the pause key leave no wrong characters; a line has an end", () => {
    withBench({ nodes: 1, keyboard: true }, (bench) => {
      const { node, at } = { node: bench.node(1), at: later(bench) };
      node.keysAt(at, [0x3a, 0xba, 0x1e, 0x9e, 0x02, 0x3a, 0xba, 0x1e]); // Caps a 1 Caps a
      // up, pause, F1, b
      node.keysAt(at + 20_000, [0xe0, 0x48, 0xe0, 0xc8, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x3b, 0x30]);
      settle(bench);
      expect(typed(bench)).toBe("A1ab");
      for (let i = 0; i < 300; i++) node.keysAt(bench.machine.time + 10_000 + i * 5_000, [0x1e]);
      bench.until(() => false, 3_000_000);
      expect(typed(bench)).toBe(`A1ab${"a".repeat(76)}`);
    });
  });
  it("dumps, commands and the status of 32 cores admit interrupts in between: strict would end the machine", () => {
    withBench({ nodes: 1, cores: 32, keyboard: true }, (bench) => {
      settle(bench);
      expect(command(bench, "cpus").match(/cpu \d+: idle\n/g)).toHaveLength(32);
      bench.node(1).keysAt(later(bench), ESCAPE);
      settle(bench);
      expect(bench.consoles.get(1)).toMatch(DUMP);
      let status: string | null = null;
      bench.service.requestStatus(1, 0, (text) => void (status = text), Math.max(bench.now, bench.machine.time));
      bench.until(() => status !== null, 10_000_000);
      expect(String(status).match(/^cpu \d+: idle$/gm)).toHaveLength(32);
      expect(bench.machine.longestInterruptsOff!.ns).toBeLessThanOrEqual(20_000);
    });
  });
  it("a line is a command to the kernel: it answers on the console, while a job runs too", () => {
    withBench({ nodes: 1, cores: 2 }, (bench) => {
      settle(bench);
      expect(command(bench, "help")).toMatch(/^margay: console: help\n( {2}\w+: .*\n){5}$/);
      expect(command(bench, "tasks")).toBe("margay: console: tasks\n  none\n");
      expect(command(bench, "cpus")).toBe("margay: console: cpus\n  cpu 0: idle\n  cpu 1: idle\n");
      expect(command(bench, "memory")).toMatch(/^margay: console: memory\n {2}MB of 64: free \d+, kernel \d+\n$/);
      expect(command(bench, "interrupts")).toBe(
        "margay: console: interrupts\n  spurious, unexpected and non-maskable:\n",
      );
      expect(command(bench, "helpx\b")).toMatch(/^margay: console: help\n {2}help/);
      expect(command(bench, "rm -rf")).toBe("margay: console: rm -rf: no such command: help lists them\n");
      expect(command(bench, "")).toBe("");
      // Two lines during a load: the interrupts arrive while init runs.
      const from = bench.consoles.get(1)!.length;
      const id = bench.submit({ program: "hello" });
      bench.until(() => bench.events.some((e) => e.kind === EventKind.JOB_RUN_USER));
      bench.node(1).typeAt(later(bench), new TextEncoder().encode("tasks\rcpus\rmemory\r"));
      expect(bench.finish(id).result).toMatchObject({ kind: "exited", waitStatus: 0 });
      const said = bench.consoles.get(1)!.slice(from);
      expect(said).toMatch(/ {2}pid \d+ of job \d+ rank 0: init, threads 1, cores 0x0000000000000003\n/);
      expect(said).toMatch(/ {2}cpu 0: thread \d+ of job \d+\n {2}cpu 1: idle\n/);
      expect(said).toMatch(/ {2}pid \d+: frames \d+\n/);
    });
  });
  it("without a controller nothing is asked of it", () => {
    withBench({ nodes: 1 }, (bench) => {
      expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "exited", waitStatus: 0 });
    });
  });
});

describe.skipIf(!here)("stray interrupts", () => {
  it("an unexpected vector is named once, ended by its EOI, counted in the status, and does no harm", () => {
    withBench({ nodes: 1 }, (bench) => {
      settle(bench);
      for (const [core, vector] of [
        [0, 0x80],
        [1, 0x80],
        [1, 0x80],
        [0, 0x2f],
        [1, 0xd5],
      ] as const) {
        bench.node(1).board.lapics[core]!.accept(vector, false);
        settle(bench);
      }
      const console = bench.consoles.get(1)!;
      expect(console.match(/interrupt that nobody registered for: vector 0x80 on cpu 0/g)).toHaveLength(1);
      expect(console.match(/nobody registered for/g)).toHaveLength(3);
      let status: string | null = null;
      bench.service.requestStatus(1, 0, (t) => void (status = t), bench.machine.time);
      bench.until(() => status !== null);
      expect(status).toMatch(/unexpected interrupts of vector 47: 1\n {2}unexpected interrupts of vector 128: 3\n/);
      expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "exited", waitStatus: 0 });
    });
  });
  it("a spurious interrupt is counted and gets no EOI", () => {
    withBench({ nodes: 1 }, (bench) => {
      settle(bench);
      bench.node(1).engine.cores[0]!.injectInterrupt(Vector.SPURIOUS);
      const eois = bench.events.filter((e) => e.kind === EventKind.IRQ_EOI).length;
      settle(bench);
      expect(bench.events.filter((e) => e.kind === EventKind.IRQ_EOI)).toHaveLength(eois);
      let status: string | null = null;
      bench.service.requestStatus(1, 0, (t) => void (status = t), bench.machine.time);
      bench.until(() => status !== null);
      expect(status).toMatch(/spurious interrupts on cpu 0: 1\n/);
    });
  });
  it("an NMI dumps what it broke into, on its own stack, and the node goes on", () => {
    withBench({ nodes: 1 }, (bench) => {
      settle(bench);
      bench.node(1).engine.cores[1]!.injectNmi();
      settle(bench);
      expect(bench.consoles.get(1)).toMatch(/margay: NMI on cpu 1\n {2}rip=0x.*\n(.*\n){4} {2}backtrace: 0xffffffff80/);
      expect(bench.run({ program: "hello" }).result).toMatchObject({ kind: "exited", waitStatus: 0 });
    });
  });
});
