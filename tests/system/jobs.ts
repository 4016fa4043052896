/**
 * Several jobs on one machine, one after the other or overlapping: for refusals, faults and failing allocations, where
 * the next job must run. The checkers verify every traced run. `machine` is public for external actions: keys, words in
 * a node's memory.
 */
import fs from "node:fs";
import path from "node:path";
import { expect } from "vitest";
import type { CoreReport } from "../../emulator/abi/job.ts";
import { KERNEL_BASE } from "../../emulator/abi/memory.ts";
import type { FaultInjector } from "../../emulator/fabric/faults.ts";
import { FabricHost } from "../../emulator/fabric/host.ts";
import type { ProgramFacts } from "../../emulator/ionode/folder.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { Machine, type RunReason } from "../../emulator/machine/machine.ts";
import type { Node } from "../../emulator/machine/node.ts";
import { JobDebugLink, MANAGEMENT_LATENCY_NS } from "../../emulator/service/jobdebug.ts";
import { type JobResult, ServiceNode } from "../../emulator/service/service.ts";
import { Checkers } from "../../emulator/trace/checkers.ts";
import { goldenTrace } from "../../emulator/trace/format.ts";
import { parseShow } from "../../emulator/trace/show.ts";
import { noTrace } from "../../emulator/trace/sink.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { EventList, type TraceEvent, Tracer } from "../../emulator/trace/tracer.ts";
import { createEngine } from "../engine.ts";
import { packageRoot, temporaryFolder } from "./command.ts";

const out = path.join(packageRoot, "images/out");
export const kernelImage = (): Uint8Array => fs.readFileSync(path.join(out, "kernel.elf"));
export const initImage = (): Uint8Array => fs.readFileSync(path.join(out, "init.bin"));

export interface JobSpec {
  /** Program of each rank, or one for all. Without a slash a built-in job. */
  readonly program: string | readonly string[];
  readonly args?: readonly string[];
  /** NAME=VALUE. */
  readonly env?: readonly string[];
  /** Default: all nodes. */
  readonly nids?: readonly number[];
  readonly fanout?: number;
  readonly initImage?: Uint8Array;
}
export interface BenchOptions {
  readonly nodes: number;
  readonly cores?: number;
  readonly memBytes?: number | ((nid: number) => number);
  readonly append?: string | ((nid: number) => string);
  /** Default: an empty directory of the machine's own. Files of another run would be part of the result. */
  readonly root?: string;
  /** Of jobs, in the root. */
  readonly workingDirectory?: string;
  readonly keyboard?: boolean;
  readonly faults?: FaultInjector;
  /** Default true. Without a trace, runs are faster and nothing is checked. */
  readonly traced?: boolean;
  readonly loadTimeoutNs?: number;
}
export interface Finished {
  readonly result: JobResult;
  readonly stdout: string;
}

/** A machine that stays up until `close`. */
export class Bench {
  readonly machine: Machine;
  readonly consoles = new Map<number, string>();
  readonly reports: { readonly report: CoreReport; readonly nid: number; readonly rank: number }[] = [];
  readonly events: TraceEvent[];
  service!: ServiceNode;
  io!: IoNode;
  /** Sends a frame on nid 0's link with any source: as a stranger. */
  inject!: (frame: Uint8Array) => void;
  /** Virtual time at nid 0, ns. */
  now = 0;
  /** To the kernels' debug interface (kernel/job/debug.ts). */
  readonly debug = new JobDebugLink((nid, message) =>
    this.node(nid).mailAt(this.machine.time + MANAGEMENT_LATENCY_NS, message),
  );
  private readonly list = new EventList();
  private readonly checkers = new Checkers();
  private readonly tracer: Tracer | undefined;
  private readonly results = new Map<number, JobResult>();
  private readonly output = new Map<number, string>();
  private readonly programs = new Map<number, ProgramFacts>();
  private readonly running = new Map<number, () => void>();
  private readonly root: string;
  private readonly kernel = kernelImage();
  private readonly symbols = SymbolTable.fromElf(this.kernel);
  private ready = 0;

  constructor(private readonly o: BenchOptions) {
    const { nodes, cores = 2, memBytes = 64 << 20, append = "" } = o;
    this.root = o.root ?? temporaryFolder();
    const nids = Array.from({ length: nodes }, (_, i) => i + 1);
    for (const nid of nids) this.consoles.set(nid, "");
    this.events = this.list.events;
    this.tracer = o.traced === false ? undefined : new Tracer([this.list, this.checkers]);
    const trace = this.tracer ?? noTrace;
    this.machine = new Machine({
      nodes: nids.map((nid) => ({
        nid,
        cores,
        ramBytes: typeof memBytes === "number" ? memBytes : memBytes(nid),
        kernel: this.kernel,
        commandLine: `nodes=${nodes} ${typeof append === "string" ? append : append(nid)}`.trim(),
        nic: true,
        ...(o.keyboard ? { keyboard: true } : {}),
        onMailbox: (message, time) => this.debug.receive(nid, message, time),
        onConsole: (text) => void this.consoles.set(nid, this.consoles.get(nid)! + text),
      })),
      strict: true,
      trace,
      createEngine,
      ...(o.faults ? { faults: o.faults } : {}),
      endpoints: (send) => {
        this.inject = (frame) => send(frame, Math.max(this.now, this.machine.time));
        const known = new Set(nids);
        const host = new FabricHost(send, trace, { exists: (nid) => known.has(nid) });
        this.service = new ServiceNode(
          host,
          {
            ready: () => void this.ready++,
            jobState: (id, state) => void (state === "running" && this.running.get(id)?.()),
            jobEnded: (r) => void this.results.set(r.jobId, r),
            coreReport: (report, nid, rank) => void this.reports.push({ report, nid, rank }),
          },
          trace,
          ...(o.loadTimeoutNs === undefined ? [] : [o.loadTimeoutNs]),
        );
        this.io = new IoNode(
          host,
          {
            root: this.root,
            builtIn: path.join(out, "bin"),
            ...(o.workingDirectory === undefined ? {} : { workingDirectory: o.workingDirectory }),
            machine: { cores, memoryBytes: typeof memBytes === "number" ? memBytes : memBytes(1) },
            program: ({ jobId }) => this.programs.get(jobId),
            onOutput: ({ jobId, fd, bytes }) => {
              if (fd === 1) this.output.set(jobId, (this.output.get(jobId) ?? "") + Buffer.from(bytes).toString());
            },
          },
          trace,
        );
        const at = (time: number): number => (this.now = time);
        return {
          receive: (frame, time) => host.receive(frame, at(time)),
          get nextTimer() {
            return host.nextTimer;
          },
          tick: (time) => host.tick(at(time)),
        };
      },
    });
  }

  /** Runs until every node is ready. */
  boot(): this {
    expect(
      this.until(() => this.ready === this.o.nodes),
      this.console,
    ).toBe("until");
    return this;
  }
  get console(): string {
    return [...this.consoles].map(([nid, text]) => `[n${nid}]\n${text}`).join("");
  }
  node(nid: number): Node {
    return this.machine.node(nid)!;
  }
  until(done: () => boolean, limitNs = 5e9): RunReason {
    return this.machine.run({ until: done, limitNs: this.machine.time + limitNs });
  }

  submit(job: JobSpec, whenRunning?: (id: number) => void): number {
    const nids = job.nids ?? Array.from({ length: this.o.nodes }, (_, i) => i + 1);
    const asked = typeof job.program === "string" ? nids.map(() => job.program as string) : job.program;
    const paths = asked.map((p) => (p.includes("/") ? p : `/margay/bin/${p}`));
    const programs = [...new Set(paths)];
    const id = this.service.submit(
      {
        nids,
        programs,
        programOfRank: paths.map((p) => programs.indexOf(p)),
        argv: [asked[0]!, ...(job.args ?? [])],
        envp: job.env ?? [],
        userId: 1000,
        fanout: job.fanout ?? 2,
        cores: 0,
        initImage: job.initImage ?? initImage(),
      },
      Math.max(this.now, this.machine.time),
    );
    this.programs.set(id, { path: paths[0]!, argv: [asked[0]!, ...(job.args ?? [])], envp: job.env ?? [] });
    if (whenRunning) this.running.set(id, () => whenRunning(id));
    return id;
  }
  /** What the job has written so far. */
  outputOf(id: number): string {
    return this.output.get(id) ?? "";
  }
  /** Runs until the job is over. */
  finish(id: number): Finished {
    const reason = this.until(() => this.results.has(id));
    const result = this.results.get(id);
    if (result === undefined)
      throw new Error(
        `job ${id} does not end (${reason}${this.machine.fault === undefined ? "" : `: ${this.machine.fault.text}`}):\n${this.console}`,
      );
    return { result, stdout: this.output.get(id) ?? "" };
  }
  /** Whether the job ends within this time. */
  ends(id: number, withinNs: number): boolean {
    this.until(() => this.results.has(id), withinNs);
    return this.results.has(id);
  }
  run(job: JobSpec): Finished {
    return this.finish(this.submit(job));
  }

  /** Offset in a node's RAM of a variable of the kernel. */
  variable(symbol: string): number {
    return Number(this.symbols.find(symbol)!.address - KERNEL_BASE);
  }

  /**
   * Overwrites all copies of init's code in a node's memory by undefined instructions, so that init crashes at its next
   * one.
   */
  spoilInit(nid: number): number {
    const image = initImage();
    const code = Buffer.from(image.buffer, image.byteOffset + 0x400, 64);
    const node = this.node(nid);
    const ram = Buffer.from(node.ram.buffer, node.ram.byteOffset, node.ram.length);
    let copies = 0;
    for (let at = ram.indexOf(code); at >= 0; at = ram.indexOf(code, at + 1)) {
      const page = at - 0x400;
      ram.fill(0x06, page + 0x80, page + 0x1000);
      node.engine.invalidateCode(page, 0x1000);
      copies++;
    }
    return copies;
  }

  /** Ends the trace; returns the checkers' violations. */
  violations(complete = false): readonly string[] {
    this.tracer?.end();
    return this.checkers.finish(complete);
  }
  golden(name: string, show: string, keep: (event: TraceEvent) => boolean = () => true): string {
    const kinds = parseShow(show);
    return goldenTrace(
      { image: name, nodes: this.o.nodes, cores: this.o.cores ?? 2, seed: 0, show },
      this.events.filter((e) => kinds.has(e.kind) && keep(e)),
      (address) => this.symbols.nameOf(address),
    );
  }
  close(): void {
    this.io.shutDown();
    this.machine.close();
    if (this.o.root === undefined) fs.rmSync(this.root, { recursive: true });
  }
}

/** Boots, calls `use`, and runs the checkers on the trace. */
export function withBench<T>(o: BenchOptions, use: (bench: Bench) => T): T {
  const bench = new Bench(o);
  try {
    const result = use(bench.boot());
    if (o.traced !== false) expect(bench.violations()).toEqual([]);
    return result;
  } finally {
    bench.close();
  }
}
