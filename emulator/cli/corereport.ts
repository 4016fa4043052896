/**
 * A core report as people read it, on stderr: who, what and where in one line, then registers and backtrace with
 * symbols and source lines. margay: rank 0 on nid 1 core 0: SIGSEGV (write to 0x0000000000000000) in main+0x1a at
 * userland/jobs/nullderef.ts:9 Source of the page fault's error code: Intel SDM vol. 3A, 4.7.
 */
import { CORE_BACKTRACE_MAX, type CoreReport, NO_EXCEPTION } from "../abi/job.ts";
import { SignalNames } from "../abi/signal.ts";
import { Exception, ExceptionNames, PageFault } from "../abi/x86.ts";
import type { Symboliser } from "../trace/symbolise.ts";

const hex = (value: bigint): string => `0x${value.toString(16).padStart(16, "0")}`;
// biome-ignore format: same rows as in the kernel's own dumps
const rows: readonly (readonly (readonly [name: string, field: keyof CoreReport])[])[] = [
  [["rip", "rip"], ["rsp", "rsp"], ["rbp", "rbp"], ["rfl", "rflags"]],
  [["rax", "rax"], ["rbx", "rbx"], ["rcx", "rcx"], ["rdx", "rdx"]],
  [["rsi", "rsi"], ["rdi", "rdi"], ["r8 ", "r8"],  ["r9 ", "r9"]],
  [["r10", "r10"], ["r11", "r11"], ["r12", "r12"], ["r13", "r13"]],
  [["r14", "r14"], ["r15", "r15"]],
];

/** The exception behind the signal; nothing where the signal was sent. */
function what(r: CoreReport): string {
  if (r.vector === NO_EXCEPTION) return "";
  if (r.vector !== Exception.PF) return ` (#${ExceptionNames.get(r.vector) ?? r.vector})`;
  const access = r.error & PageFault.I ? "fetch from" : r.error & PageFault.W ? "write to" : "read of";
  return ` (${access} ${hex(r.address)}${r.error & PageFault.P ? ", not permitted" : ", not mapped"})`;
}

/** Lines for stderr. `program`: name of the job's program. */
export function coreReportLines(
  r: CoreReport,
  nid: number,
  rank: number,
  program: string,
  symboliser: Symboliser,
): readonly string[] {
  const signal = SignalNames.get(r.signal) ?? `signal ${r.signal}`;
  const [symbol, source] = (symboliser.describe(r.rip) ?? hex(r.rip)).split(", ");
  const place = source === undefined ? `at ${symbol}` : `in ${symbol} at ${source}`;
  const who = r.isInit === 0 ? program : "init";
  const lines = [`margay: rank ${rank} on nid ${nid} core ${r.core}: ${signal}${what(r)} ${place}: ${who} was ended`];
  for (const row of rows)
    lines.push(`  ${row.map(([label, field]) => `${label}=${hex(r[field] as bigint)}`).join(" ")}`);
  lines.push("  backtrace:");
  for (let i = 0; i < Math.min(r.depth, CORE_BACKTRACE_MAX); i++) {
    const address = r.backtrace(i);
    lines.push(
      `    ${hex(address)} ${(i === 0 ? symboliser.describe(address) : symboliser.describeReturn(address)) ?? "?"}`,
    );
  }
  return lines;
}
