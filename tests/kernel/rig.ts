/**
 * Runs the built kernel (images/out; `make test` builds first) on our machine, alone or with the host's services and a
 * job; every trace passes the checkers.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { defaultFabric } from "../../emulator/fabric/switch.ts";
import type { SendFrame } from "../../emulator/fabric/endpoint.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { INTERRUPTS_OFF_NS } from "../../emulator/machine/interruptsoff.ts";
import { Machine, type RunReason } from "../../emulator/machine/machine.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { type JobResult, ServiceNode } from "../../emulator/service/service.ts";
import { Checkers } from "../../emulator/trace/checkers.ts";
import { EventList, Tracer, type TraceEvent } from "../../emulator/trace/tracer.ts";
import type { CreateEngine } from "../../emulator/cpu/engine.ts";
import { compiled, program } from "../compiled.ts";

const packageRoot = path.resolve(import.meta.dirname, "../..");

const artifact = (name: string): Uint8Array => {
  const file = path.join(packageRoot, "images/out", name);
  if (!fs.existsSync(file)) throw new Error(`images/out/${name} is missing: run \`make build\``);
  return fs.readFileSync(file);
};
export const kernelImage = (): Uint8Array => artifact("kernel.elf");
const initImage = (): Uint8Array => artifact("init.bin");
/** A program of tests/kernel/programs. */
export const programImage = (name: string): Uint8Array =>
  compiled(program(path.join(packageRoot, `tests/kernel/programs/${name}.ts`)));

/** Checks that no core has kept interrupts off for longer than the kernel promises. */
function holdInterrupts(machine: Machine): void {
  const off = machine.longestInterruptsOff;
  if (off !== undefined && off.ns > INTERRUPTS_OFF_NS)
    throw new Error(`interrupts off for ${off.ns} ns (${off.place})`);
}
function hold(checkers: Checkers, complete: boolean): void {
  const violations = checkers.finish(complete);
  if (violations.length > 0) throw new Error(violations.join("\n"));
}

export interface BootOptions {
  readonly cores: number;
  readonly nic?: boolean;
  readonly ramMegabytes?: number;
  readonly commandLine?: string;
}
/** Boots one node to its ready line; returns the console and the events until then. */
export function boot(
  createEngine: CreateEngine,
  o: BootOptions,
): { lines: string[]; reason: RunReason; events: readonly TraceEvent[] } {
  let text = "";
  const events = new EventList();
  const checkers = new Checkers();
  const tracer = new Tracer([events, checkers]);
  const machine = new Machine({
    nodes: [
      {
        nid: 1,
        cores: o.cores,
        ramBytes: (o.ramMegabytes ?? 64) << 20,
        kernel: kernelImage(),
        commandLine: o.commandLine ?? "",
        nic: o.nic ?? true,
        onConsole: (part) => (text += part),
      },
    ],
    createEngine,
    strict: true,
    trace: tracer,
    endpoints: (send) => {
      const host = new FabricHost(send, tracer);
      void new ServiceNode(host, {}, tracer);
      return host;
    },
  });
  try {
    const reason = machine.run({ limitNs: 1e9, until: () => /margay: (ready|halted).*\n/.test(text) });
    tracer.end();
    hold(checkers, false);
    holdInterrupts(machine);
    return { lines: text.split("\n").filter((l) => l !== ""), reason, events: events.events };
  } finally {
    machine.close();
  }
}

export interface JobOptions {
  readonly program: string;
  readonly argv?: readonly string[];
  readonly nodes?: number;
  readonly cores?: number;
  readonly fanout?: number;
  readonly commandLine?: string;
  /** Loses, duplicates and corrupts frames between the nodes and nid 0, each with this probability. */
  readonly faults?: { readonly seed: number; readonly probability: number };
  /** Called when the job runs; `now` is the virtual time at nid 0, ns. */
  readonly whenRunning?: (service: ServiceNode, jobId: number, now: () => number) => void;
  readonly limitNs?: number;
  /** Default 1,000 ns; also the delay of an IPI. */
  readonly quantumNs?: number;
  /** Default 64. */
  readonly ramMegabytes?: number;
  /** Called whenever the machine is between two steps of its nodes; may change it. */
  readonly step?: (machine: Machine, events: readonly TraceEvent[]) => void;
}
export interface JobRun {
  readonly reason: RunReason;
  readonly result: JobResult | null;
  readonly stdout: string;
  readonly console: string;
  readonly events: readonly TraceEvent[];
  readonly time: number;
}

/** Loads a program of tests/kernel/programs by the two-phase protocol onto new nodes and runs it to its end. */
export function runJob(createEngine: CreateEngine, o: JobOptions): JobRun {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "margay-kernel-"));
  fs.writeFileSync(path.join(root, "job"), programImage(o.program), { mode: 0o755 });
  const nodes = o.nodes ?? 1;
  const nids = Array.from({ length: nodes }, (_, i) => i + 1);
  const events = new EventList();
  const checkers = new Checkers(o.quantumNs);
  const tracer = new Tracer([events, checkers]);
  let consoleText = "";
  let stdout = "";
  let result: JobResult | null = null;
  let ready = 0;
  let jobId = 0;
  let now = 0;
  let io: IoNode | null = null;
  const prng = new Prng(o.faults?.seed ?? 1);
  const chance = (): boolean => o.faults !== undefined && prng.below(1000) < o.faults.probability * 1000;
  const spoil = (frame: Uint8Array): Uint8Array => {
    const copy = frame.slice();
    copy[16 + prng.below(copy.length - 16)]! ^= 1 << prng.below(8);
    return copy;
  };
  /** What the link delivers for a frame: nothing, the frame, two copies, or garbage. */
  const through = (frame: Uint8Array): Uint8Array[] =>
    chance() ? [] : chance() ? [frame, frame.slice()] : chance() ? [spoil(frame)] : [frame];
  const endpoints = (send: SendFrame) => {
    const host = new FabricHost((frame, time) => {
      for (const f of through(frame)) send(f, time);
    }, tracer);
    const service: ServiceNode = new ServiceNode(
      host,
      {
        ready: (_nid, _p, time) => {
          if (++ready < nodes || jobId !== 0) return;
          const job = {
            nids,
            programs: ["/job"],
            argv: ["job", ...(o.argv ?? [])],
            envp: [],
            userId: 7,
            fanout: o.fanout ?? 2,
            cores: 0,
            initImage: initImage(),
          };
          jobId = service.submit(job, time);
        },
        jobState: (id, state) => {
          if (state === "running") o.whenRunning?.(service, id, () => now);
        },
        jobEnded: (r) => void (result = r),
      },
      tracer,
    );
    io = new IoNode(
      host,
      {
        root,
        builtIn: root,
        onOutput: ({ fd, bytes }) => void (stdout += fd === 1 ? Buffer.from(bytes).toString() : ""),
      },
      tracer,
    );
    return {
      receive: (frame: Uint8Array, time: number) => {
        now = time;
        for (const f of through(frame)) host.receive(f, time);
      },
      get nextTimer() {
        return host.nextTimer;
      },
      tick: (time: number) => {
        now = time;
        host.tick(time);
      },
    };
  };
  const machine = new Machine({
    nodes: nids.map((nid) => ({
      nid,
      cores: o.cores ?? 1,
      ramBytes: (o.ramMegabytes ?? 64) * 2 ** 20,
      kernel: kernelImage(),
      commandLine: o.commandLine ?? "",
      nic: true,
      onConsole: (part: string) => void (consoleText += part),
    })),
    createEngine,
    strict: true,
    trace: tracer,
    endpoints,
    ...(o.quantumNs !== undefined && {
      quantumNs: o.quantumNs,
      fabric: { ...defaultFabric, latencyNs: o.quantumNs },
    }),
  });
  try {
    const reason = machine.run({
      limitNs: o.limitNs ?? 2e9,
      until: () => {
        o.step?.(machine, events.events);
        return result !== null;
      },
    });
    tracer.end();
    hold(checkers, false);
    holdInterrupts(machine);
    return { reason, result, stdout, console: consoleText, events: events.events, time: machine.time };
  } finally {
    (io as IoNode | null)?.shutDown();
    machine.close();
    fs.rmSync(root, { recursive: true });
  }
}
