/**
 * What the kernel's work costs, as lines of a golden file. An event's time is in virtual ns, and a running core retires
 * one instruction a ns: between two events of a core that did not halt lie exactly so many instructions. Traces say
 * what happens; these lines turn red when a path gets one instruction longer, or does its work in other portions.
 */
import { EventKind } from "../../emulator/abi/events.ts";
import { decodeFields } from "../../emulator/trace/decode.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";

type NameOf = (address: bigint) => string | undefined;

/**
 * `cost n1.c0 munmap addr=… length=65536 instructions=812`, one a system call that returned on that core, in their
 * order.
 */
export function callCosts(events: readonly TraceEvent[], nid: number, core: number, nameOf?: NameOf): string[] {
  const lines: string[] = [];
  let entered: TraceEvent | undefined;
  for (const event of events) {
    if (event.nid !== nid || event.core !== core) continue;
    if (event.kind === EventKind.SYS_ENTER) entered = event;
    // A core that halts in between has waited: that is no cost.
    if (event.kind === EventKind.CPU_IDLE) entered = undefined;
    if (event.kind !== EventKind.SYS_EXIT || entered === undefined) continue;
    const call = decodeFields(entered, { style: "golden", ...(nameOf === undefined ? {} : { nameOf }) });
    lines.push(`cost n${nid}.c${core} ${call} instructions=${event.time - entered.time}`);
    entered = undefined;
  }
  return lines;
}

/**
 * From the end of the interrupt that brought an idle core a thread to that thread's first system call, through the idle
 * loop and into the program: `cost n1.c0 wake instructions=431`.
 */
export function wakeCosts(events: readonly TraceEvent[], nid: number, core: number): string[] {
  const lines: string[] = [];
  let idle = false;
  let before: TraceEvent | undefined;
  for (const event of events) {
    if (event.nid !== nid || event.core !== core) continue;
    if (event.kind === EventKind.CPU_IDLE) idle = true;
    if (event.kind === EventKind.SYS_ENTER) {
      if (idle && before?.kind === EventKind.IRQ_EXIT)
        lines.push(`cost n${nid}.c${core} wake instructions=${event.time - before.time}`);
      idle = false;
    }
    before = event;
  }
  return lines;
}
