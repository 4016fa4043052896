/**
 * SMEP, SMAP and UMIP are on if the processor has them. A kernel that touches a program's page outside mm/user.ts
 * panics, and the panic names the place. Programs learn nothing of the kernel's tables.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Signal } from "../../emulator/abi/signal.ts";
import { Cr4 } from "../../emulator/abi/x86.ts";
import type { Machine } from "../../emulator/machine/machine.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { realEngine } from "../machine/guest.ts";
import { kernelImage, runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/protection skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

describe.skipIf(create === null)("protection of the kernel from itself", () => {
  it("SMEP, SMAP and UMIP are on, on every core", () => {
    const bits: bigint[] = [];
    const step = (machine: Machine): void => {
      bits.splice(0, 3, ...machine.nodes[0]!.engine.cores.map((core) => core.register("cr4")));
    };
    runJob(create!, { program: "lines", cores: 3, step });
    const all = BigInt(Cr4.SMEP | Cr4.SMAP | Cr4.UMIP);
    expect(bits.map((cr4) => cr4 & all)).toEqual([all, all, all]);
  });

  for (const [way, what] of [
    ["spin", "a program that computes"],
    ["align", "a program that has set RFLAGS.AC"],
  ] as const) {
    it(`a handler that touches the stack of ${what} panics, and the panic says where`, () => {
      let typed = false;
      const run = runJob(create!, {
        program: "fault",
        argv: [way],
        commandLine: "panic=touch",
        step: (machine, events) => {
          if (typed || !events.some((e) => e.kind === EventKind.JOB_START)) return;
          typed = true;
          machine.nodes[0]!.typeAt(machine.time + 20_000, Uint8Array.of(65));
        },
      });
      expect(run.console).toMatch(/margay: panic: touch of a program's page \(0x0000[0-9a-f]{12}\) on cpu 0/);
      const rip = /rip=0x([0-9a-f]{16})/.exec(run.console)![1];
      expect(SymbolTable.fromElf(kernelImage()).nameOf(BigInt(`0x${rip}`))).toMatch(/touchInInterrupt/);
    });
  }

  for (const way of ["sgdt", "sidt", "sldt", "str", "smsw"]) {
    // CR4.UMIP is set (above), but the CPU model does not refuse these instructions in ring 3 yet.
    it(`${way} in a program is SIGSEGV`, () => {
      const run = runJob(create!, { program: "fault", argv: [way] });
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: Signal.SIGSEGV });
      expect(run.console).toMatch(/general protection fault.*ended by signal 11/);
    });
  }
});
