/**
 * Latency of a job debugger's basic operations over the management network, in virtual time: from sending the request
 * at nid 0 until the node has answered or the thread has stopped. The way to the node takes MANAGEMENT_LATENCY_NS; the
 * rest is the kernel's work.
 */
import fs from "node:fs";
import path from "node:path";
import { DEBUG_BODY_BYTES, DebugOperation, DebugThread } from "../../emulator/abi/jobdebug.ts";
import { type DebugRequest, JobDebugLink, MANAGEMENT_LATENCY_NS } from "../../emulator/service/jobdebug.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import type { Machine } from "../../emulator/machine/machine.ts";
import { compileProgram, runJob } from "./job.ts";
import type { Figure, Section } from "./report.ts";

const JOB = 1;
const KILOBYTE = 1024;

/** One measurement: a step sends requests and ends when all are answered and, if it says so, a thread has stopped. */
interface Step {
  readonly name: string;
  readonly requests: readonly Omit<DebugRequest, "jobId">[];
  readonly stops?: boolean;
  readonly unmeasured?: boolean;
}

export function jobDebug(packageRoot: string): Section {
  const { root, program } = compileProgram(packageRoot, "spin");
  try {
    const symbols = SymbolTable.fromElf(fs.readFileSync(path.join(root, "spin")));
    const state = symbols.find("state")!.address;
    const turn = symbols.find("turn")!.address;
    let machine!: Machine;
    const link = new JobDebugLink((nid, message) =>
      machine.node(nid)!.mailAt(machine.time + MANAGEMENT_LATENCY_NS, message),
    );
    let tid = 0;
    const { STOP, CONTINUE, STEP, READ_REGISTERS, READ_MEMORY, SET_BREAKPOINT, CLEAR_BREAKPOINT, THREADS } =
      DebugOperation;
    const memory = [
      { operation: READ_MEMORY, address: state, count: DEBUG_BODY_BYTES },
      { operation: READ_MEMORY, address: state + BigInt(DEBUG_BODY_BYTES), count: KILOBYTE - DEBUG_BODY_BYTES },
    ];
    // A function, because the thread's id is known only once it runs.
    const steps = (): readonly Step[] => [
      { name: "stop a running thread", requests: [{ operation: STOP }], stops: true },
      { name: "read registers, vectors too", requests: [{ operation: READ_REGISTERS, tid }] },
      { name: "read 1 KB of memory", requests: memory },
      { name: "set a breakpoint", requests: [{ operation: SET_BREAKPOINT, address: turn }] },
      { name: "continue to the breakpoint", requests: [{ operation: CONTINUE }], stops: true },
      { name: "clear a breakpoint", requests: [{ operation: CLEAR_BREAKPOINT, address: turn }] },
      { name: "step", requests: [{ operation: STEP, tid }], stops: true },
      { name: "continue", requests: [{ operation: CONTINUE }] },
      {
        name: "",
        requests: [{ operation: DebugOperation.WRITE_MEMORY, address: state, body: Uint8Array.of(1) }],
        unmeasured: true,
      },
    ];
    const figures: Figure[] = [];
    let at = -1;
    let sent = 0;
    let waiting: { readonly pending: ReturnType<JobDebugLink["request"]>[]; readonly step: Step } | null = null;
    let attached: ReturnType<JobDebugLink["request"]> | null = null;
    let listed: ReturnType<JobDebugLink["request"]> | null = null;
    const begin = (step: Step): void => {
      sent = machine.time;
      link.events.length = 0;
      waiting = { step, pending: step.requests.map((request) => link.request(1, { jobId: JOB, ...request })) };
    };
    runJob({
      packageRoot,
      nodes: 1,
      cores: 2,
      memBytes: 64 << 20,
      root,
      program,
      onMailbox: (nid, message, time) => link.receive(nid, message, time),
      between: (m) => {
        machine = m;
        // The task accepts requests only once its program runs: retry until then.
        if (attached === null || (attached.reply !== undefined && attached.reply.errno !== 0)) {
          attached = link.request(1, { jobId: JOB, operation: DebugOperation.ATTACH });
          return;
        }
        if (attached.reply === undefined) return;
        listed ??= link.request(1, { jobId: JOB, operation: THREADS });
        if (listed.reply === undefined) return;
        if (at < 0) {
          const { body } = listed.reply;
          tid = new DebugThread(new DataView(body.buffer, body.byteOffset)).tid;
          begin(steps()[(at = 0)]!);
          return;
        }
        if (waiting === null) return;
        const { step, pending } = waiting;
        const stopped = link.events.find((e) => e.kind === "stopped");
        if (pending.some((p) => p.reply === undefined) || (step.stops === true && stopped === undefined)) return;
        for (const { reply } of pending)
          if (reply!.errno !== 0) throw new Error(`job debugging: ${step.name}: errno ${reply!.errno}`);
        const end = step.stops === true && stopped?.kind === "stopped" ? stopped.time : pending.at(-1)!.reply!.time;
        if (step.unmeasured !== true) figures.push({ name: step.name, value: end - sent, unit: "ns virtual" });
        waiting = null;
        const next = steps()[++at];
        if (next !== undefined) begin(next);
      },
    });
    return {
      title: "Debugging a job",
      how: `over the management network, ${MANAGEMENT_LATENCY_NS} ns to the node in each figure; the machine does not stop`,
      figures,
    };
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
}
