/**
 * A whole machine in the test's process: nodes, service node, I/O node, strict devices. The checkers verify every run's
 * trace; a violation fails the test.
 */
import fs from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { Machine, type MachineOptions, type RunOptions, type RunReason } from "../../emulator/machine/machine.ts";
import { type JobResult, ServiceNode } from "../../emulator/service/service.ts";
import { Checkers } from "../../emulator/trace/checkers.ts";
import { fullLine, goldenTrace } from "../../emulator/trace/format.ts";
import { parseShow } from "../../emulator/trace/show.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { EventList, type TraceEvent, Tracer } from "../../emulator/trace/tracer.ts";
import { createEngine } from "../engine.ts";
import { packageRoot, temporaryFolder } from "./command.ts";

const out = path.join(packageRoot, "images/out");

/** Longer than the silence after which a peer is unreachable, and than the lifetime of an incomplete message. */
const DRAIN_NS = 4e9;

export interface ClusterOptions {
  readonly nodes: number;
  readonly cores?: number;
  readonly memBytes?: number;
  /** Command line of all nodes. */
  readonly append?: string;
  readonly fanout?: number;
  /** Default: an empty directory of the run's own. Files of another run would be part of the result. */
  readonly root?: string;
  /** Program of each rank, or one for all. Without a slash a built-in job. */
  readonly program: string | readonly string[];
  readonly args?: readonly string[];
  readonly limitNs?: number;
  readonly machine?: Partial<MachineOptions>;
  /**
   * Continue after the job's end until nothing is in flight: with link faults, the last lost frames are still being
   * retransmitted.
   */
  readonly drain?: boolean;
  /** Drives the machine instead of `machine.run`: a debugger. */
  readonly drive?: (machine: Machine, options: RunOptions) => RunReason;
  /** Violations that the run must have; default none. */
  readonly expectViolations?: RegExp;
}
export interface ClusterRun {
  readonly reason: RunReason;
  readonly result: JobResult | null;
  readonly events: readonly TraceEvent[];
  readonly stdout: string;
  readonly stderr: string;
  readonly consoles: ReadonlyMap<number, string>;
  readonly stateHash: string;
  readonly time: number;
  readonly fault: string | undefined;
  /** The exact trace as text. */
  fullTrace(): string;
  /** `from`: only events after the first event of this kind (EventKind). */
  golden(show: string, from?: number): string;
}

export function runCluster(o: ClusterOptions): ClusterRun {
  const { nodes, cores = 2, memBytes = 64 << 20, fanout = 4, append = "", limitNs = 10e9 } = o;
  const root = o.root ?? temporaryFolder();
  const kernel = fs.readFileSync(path.join(out, "kernel.elf"));
  const initImage = fs.readFileSync(path.join(out, "init.bin"));
  const list = new EventList();
  const checkers = new Checkers();
  const tracer = new Tracer([list, checkers]);
  const nids = Array.from({ length: nodes }, (_, i) => i + 1);
  const output = ["", "", ""];
  const consoles = new Map(nids.map((nid) => [nid, ""]));
  const asked = typeof o.program === "string" ? nids.map(() => o.program as string) : o.program;
  const paths = asked.map((p) => (p.includes("/") ? p : `/margay/bin/${p}`));
  const programs = [...new Set(paths)];
  let result: JobResult | null = null;
  let ready = 0;
  let io!: IoNode;
  const machine = new Machine({
    nodes: nids.map((nid) => ({
      nid,
      cores,
      ramBytes: memBytes,
      kernel,
      commandLine: `nodes=${nodes} coords=${nid - 1}.0.0 ${append}`.trim(),
      nic: true,
      onConsole: (text) => void consoles.set(nid, consoles.get(nid)! + text),
    })),
    strict: true,
    trace: tracer,
    createEngine,
    endpoints: (send) => {
      const host = new FabricHost(send, tracer);
      const service = new ServiceNode(
        host,
        {
          ready: (_nid, _p, time) => {
            if (++ready !== nodes) return;
            const argv = [asked[0]!, ...(o.args ?? [])];
            service.submit(
              {
                nids,
                programs,
                programOfRank: paths.map((p) => programs.indexOf(p)),
                argv,
                envp: [],
                userId: 1000,
                fanout,
                cores: 0,
                initImage,
              },
              time,
            );
          },
          jobEnded: (r) => {
            result = r;
          },
        },
        tracer,
      );
      io = new IoNode(
        host,
        {
          root,
          builtIn: path.join(out, "bin"),
          onOutput: ({ fd, bytes }) => {
            output[fd] += Buffer.from(bytes).toString();
          },
        },
        tracer,
      );
      return host;
    },
    ...o.machine,
  });
  try {
    const options: RunOptions = { until: () => result !== null, limitNs };
    const reason = o.drive?.(machine, options) ?? machine.run(options);
    if (o.drain === true && reason === "until")
      expect(machine.run({ limitNs: machine.time + DRAIN_NS }), "what is left under way comes to an end").toBe("idle");
    tracer.end();
    const violations = checkers.finish(reason === "until");
    if (o.expectViolations) expect(violations.join("\n")).toMatch(o.expectViolations);
    else expect(violations).toEqual([]);
    const symbols = SymbolTable.fromElf(kernel);
    const nameOf = (address: bigint): string | undefined => symbols.nameOf(address);
    return {
      reason,
      result,
      events: list.events,
      stdout: output[1]!,
      stderr: output[2]!,
      consoles,
      stateHash: machine.stateHash(),
      time: machine.time,
      fault: machine.fault?.text,
      fullTrace: () => list.events.map((e) => fullLine(e, nameOf)).join("\n"),
      golden: (show, from) => {
        const kinds = parseShow(show);
        const start =
          from === undefined
            ? 0
            : Math.max(
                0,
                list.events.findIndex((e) => e.kind === from),
              );
        return goldenTrace(
          { image: asked[0]!, nodes, cores, seed: o.machine?.seed ?? 0, show },
          list.events.slice(start).filter((e) => kinds.has(e.kind)),
          nameOf,
        );
      },
    };
  } finally {
    io.shutDown();
    machine.close();
    if (o.root === undefined) fs.rmSync(root, { recursive: true });
  }
}

/** Compares with the golden file; a difference prints the diff and the command that accepts it. */
export async function expectGolden(text: string, name: string): Promise<void> {
  const file = path.join(packageRoot, "tests/system/golden", name);
  await expect(
    text,
    `golden ${name}: if the new trace is right, accept it with: make test T=golden UPDATE=1`,
  ).toMatchFileSnapshot(file);
}
