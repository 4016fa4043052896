/**
 * Proves that a debugger finds the caller at every instruction of every image: statically, by following the
 * instructions of all functions (follow.ts); and in gdb, which single-steps a native program, and an interrupt of the
 * kernel in QEMU.
 */
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { UART_GSI } from "../../../emulator/abi/uart.ts";
import { IRQ_VECTOR_BASE } from "../../../emulator/abi/vectors.ts";
import { CALL, composed, type Entry, Follower, interrupt, printedEntries, SYSCALL, wrongExits } from "./follow.ts";
import { buildWalk, eachImage, gdb, needs, onLinux, packageRoot, run } from "./tools.ts";

/**
 * Vectors for which the processor pushes an error code (Intel SDM vol. 3A, table 6-1; AMD64 APM vol. 2, 8.2 for 29 and
 * 30).
 */
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
const STUB_BYTES = 5n;

/** How a function is entered if it is not called. */
function waysIn(name: string, start: bigint): Entry[] {
  switch (name) {
    case "trapStubs":
      return Array.from({ length: 256 }, (_, vector) => ({
        ...interrupt(WITH_ERROR.has(vector)),
        address: start + BigInt(vector) * STUB_BYTES,
      }));
    case "trapParanoid": {
      // The stubs jump here: their return address and the error code are on the stack.
      const { stack, registers, depth } = interrupt(false);
      return [
        {
          stack: new Map([...stack].map(([at, what]) => [at + 16, what])),
          registers,
          depth: depth + 16,
          address: start,
        },
      ];
    }
    case "syscallEntry":
    case "caughtEntry":
      return [{ ...SYSCALL, address: start }];
    default:
      return [{ ...CALL, address: start }];
  }
}
/**
 * Ends of the stack: functions entered by the machine or a loader, or never called. In all others, each instruction
 * must have its caller.
 */
const OUTERMOST = /^(_start|init_entry|jumpOn|bootEntry64|bootUpper|apEntry64|apUpper)$/;
const NOT_64_BIT = /^(pvh_entry|enterLongMode|realModeEntry|protectedEntry)$/;
/** Instructions before which the program's rsp is in memory that is reachable only through GS. */
const CHANGES_STACKS: Readonly<Record<string, number>> = { syscallEntry: 1, caughtEntry: 2 };
/** Functions that leave their caller for good in the middle, and then describe the context that they enter. */
const LEAVES = /^(enterIdle|enterUser|enterFrame|.*cloneStub)$/;

needs("readelf", "the caller is found at every instruction of", () => {
  eachImage((file) => {
    const { stdout, stderr } = run("readelf", "-W", "--debug-dump=frames-interp", file);
    expect(stderr).toBe("");
    const functions = functionsOf(file);
    const { entries, problems } = composed(printedEntries(stdout), functions.keys(), marksOf(file));
    expect([...entries.keys()].sort(), "every function has its entry").toEqual([...functions.keys()].sort());
    const bytesAt = loaded(readFileSync(file));
    let compared = 0;
    for (const [address, symbol] of functions) {
      if (NOT_64_BIT.test(symbol)) continue;
      const entry = entries.get(address)!;
      const bytes = bytesAt(address, Number(entry.end - address));
      problems.push(...wrongExits(symbol, entry, bytes));
      if (LEAVES.test(symbol)) continue;
      const follower = new Follower(symbol, entry, bytes);
      for (const way of waysIn(symbol, address)) follower.follow(way);
      problems.push(...follower.problems);
      const allowed = OUTERMOST.test(symbol) ? follower.compared : (CHANGES_STACKS[symbol] ?? 0);
      if (follower.outermost > allowed) problems.push(`${symbol}: ${follower.outermost} instructions without a caller`);
      compared += follower.compared;
      follower.free();
    }
    expect(problems).toEqual([]);
    expect(compared).toBeGreaterThan(50);
  });
});

needs("gdb", "gdb finds the callers", () => {
  onLinux("at every instruction of a program of all shapes of frames, optimised and not", () => {
    const folder = mkdtempSync(join(tmpdir(), "margay-frames-"));
    try {
      for (const optimize of [true, false]) {
        const file = join(folder, "walk");
        buildWalk(file, optimize);
        const { stdout, stderr } = gdb(file, [`source ${join(import.meta.dirname, "walk.py")}`]);
        const walked = /^WALKED (.*)$/m.exec(stdout);
        expect(walked, stderr).not.toBeNull();
        const { steps, deepest, functions, problems } = JSON.parse(walked![1]);
        expect(problems).toEqual([]);
        expect(steps).toBeGreaterThan(500);
        expect(deepest).toBeGreaterThanOrEqual(5);
        expect(functions).toEqual(
          expect.arrayContaining([
            "_start",
            "walk",
            "leaf",
            "choose",
            "depth",
            "many",
            "borrowed",
            "flags",
            "corners",
            "apply",
          ]),
        );
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const kernel = join(packageRoot, "images/out/kernel.elf");
needs("gdb", "in QEMU", () => {
  const without =
    run("qemu-system-x86_64", "--version").status !== 0
      ? "no qemu-system-x86_64 on this host"
      : existsSync(kernel)
        ? ""
        : "no kernel built";
  if (without !== "") it.skip(`an interrupt (skipped: ${without})`, () => {});
  else {
    it("an interrupt: the interrupted frames at every instruction from the stub to the return", async () => {
      const folder = mkdtempSync(join(tmpdir(), "margay-irq-"));
      const socket = join(folder, "gdb");
      const machine =
        "-M microvm,acpi=off -m 64 -nodefaults -no-user-config -display none -no-reboot -S -chardev stdio,id=line,signal=off -serial chardev:line";
      const remote = [
        "-chardev",
        `socket,path=${socket},server=on,wait=off,id=gdb`,
        "-gdb",
        "chardev:gdb",
        "-kernel",
        kernel,
      ];
      const qemu = spawn("qemu-system-x86_64", [...machine.split(" "), ...remote], {
        stdio: ["pipe", "ignore", "ignore"],
      });
      try {
        // The first one is lost when the kernel initialises the serial line.
        qemu.stdin.write("a".repeat(4));
        while (!existsSync(socket) && qemu.exitCode === null) await setTimeout(20);
        const script = join(import.meta.dirname, "interrupt.py");
        const vector = IRQ_VECTOR_BASE + UART_GSI;
        const commands = [
          "set debuginfod enabled off",
          `set $vector = ${vector}`,
          `target remote ${socket}`,
          `source ${script}`,
        ];
        const args = [
          "-q",
          "-batch",
          "-nx",
          "-iex",
          "set architecture i386:x86-64",
          ...commands.flatMap((command) => ["-ex", command]),
          kernel,
        ];
        const { stdout, stderr } = await promisify(execFile)("gdb", args, { cwd: packageRoot, timeout: 60_000 });
        const followed = /^FOLLOWED (.*)$/m.exec(stdout);
        expect(followed, stderr).not.toBeNull();
        const { steps, deepest, problems } = JSON.parse(followed![1]);
        expect(problems).toEqual([]);
        expect(steps).toBeGreaterThan(80);
        expect(deepest.slice(deepest.indexOf("uartInterrupt"))).toEqual([
          "uartInterrupt",
          "irq",
          // The signal frame, at irq's iretq.
          "irq.return",
          "waitForInterrupt",
          "rest",
          "idleLoop",
          "enterIdle",
        ]);
      } finally {
        qemu.kill("SIGKILL");
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});

/** By the start of an entry: constant return addresses in it. */
function marksOf(file: string): Map<bigint, bigint[]> {
  const { stdout } = run("readelf", "-W", "--debug-dump=frames", file);
  return new Map(
    stdout.split(/\n\s*\n/).flatMap((block) => {
      const start = /FDE cie=\w+ pc=(\w+)\.\./.exec(block);
      const marks = [...block.matchAll(/val_expression: r16 \(rip\) \(DW_OP_addr: (\w+)\)/g)].map((m) =>
        BigInt(`0x${m[1]}`),
      );
      return start === null ? [] : [[BigInt(`0x${start[1]}`), marks] as const];
    }),
  );
}

/** By address, from the symbol table. */
function functionsOf(file: string): Map<bigint, string> {
  const { stdout } = run("readelf", "-sW", file);
  return new Map(
    [...stdout.matchAll(/^ *\d+: (\w+) +\d+ FUNC +\w+ +\w+ +\d+ (.*)$/gm)].map(([, address, name]) => [
      BigInt(`0x${address}`),
      name,
    ]),
  );
}

/** Bytes at virtual addresses, by the program headers. */
function loaded(elf: Uint8Array): (address: bigint, bytes: number) => Uint8Array {
  const view = new DataView(elf.buffer, elf.byteOffset);
  const table = Number(view.getBigUint64(32, true));
  const segments = Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const at = table + 56 * i;
    const field = (offset: number): bigint => view.getBigUint64(at + offset, true);
    return { type: view.getUint32(at, true), offset: Number(field(8)), address: field(16), bytes: field(32) };
  });
  return (address, bytes) => {
    const segment = segments.find((s) => s.type === 1 && address >= s.address && address < s.address + s.bytes);
    if (segment === undefined) throw new Error(`0x${address.toString(16)} is not in the file`);
    const at = segment.offset + Number(address - segment.address);
    return elf.subarray(at, at + bytes);
  };
}
