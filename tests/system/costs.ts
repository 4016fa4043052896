/**
 * Costs of the kernel's work, as lines of a golden file. An event's time is in virtual ns, and a running core retires
 * one instruction per ns, so the time between two events of a core that did not halt is the number of instructions.
 * Traces show what happens; these lines fail when a path gets one instruction longer or is divided differently.
 */
import { EventKind } from "../../emulator/abi/events.ts";
import { decodeFields } from "../../emulator/trace/decode.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";

type NameOf = (address: bigint) => string | undefined;

/**
 * `cost n1.c0 munmap addr=… length=65536 instructions=812`, one for each system call that returned on that core, in
 * order.
 */
export function callCosts(events: readonly TraceEvent[], nid: number, core: number, nameOf?: NameOf): string[] {
  const lines: string[] = [];
  let entered: TraceEvent | undefined;
  for (const event of events) {
    if (event.nid !== nid || event.core !== core) continue;
    if (event.kind === EventKind.SYS_ENTER) entered = event;
    // A core that halts in between has waited, which is not a cost.
    if (event.kind === EventKind.CPU_IDLE) entered = undefined;
    if (event.kind !== EventKind.SYS_EXIT || entered === undefined) continue;
    const call = decodeFields(entered, { style: "golden", ...(nameOf === undefined ? {} : { nameOf }) });
    lines.push(`cost n${nid}.c${core} ${call} instructions=${event.time - entered.time}`);
    entered = undefined;
  }
  return lines;
}

/**
 * From the end of the interrupt that brought a thread to an idle core to that thread's first system call, through the
 * idle loop and into the program: `cost n1.c0 wake instructions=431`.
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
