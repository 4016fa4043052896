/** One job on a machine of N nodes, with the virtual and host times of its stages. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createUnicornEngine } from "../../emulator/cpu/unicorn/engine.ts";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { type JobResult, ServiceNode } from "../../emulator/service/service.ts";
import { compile } from "../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";
import { hostSeconds } from "./clock.ts";

export interface JobOptions {
  readonly packageRoot: string;
  readonly nodes: number;
  readonly cores: number;
  readonly memBytes: number;
  /** A built-in job, or a path in `root`. */
  readonly program: string;
  readonly root?: string;
  readonly args?: readonly string[];
  /** Added to the kernels' command line. */
  readonly append?: string;
  /** Called between slices of `sliceInstructions`. */
  readonly between?: (machine: Machine, stdout: string) => void;
  /** A message from a node into the management network. */
  readonly onMailbox?: (nid: number, message: Uint8Array, time: number) => void;
}
export interface Moment {
  readonly virtualNs: number;
  readonly hostSeconds: number;
}
export interface JobRun {
  readonly stdout: string;
  readonly submitted: Moment;
  /** All ranks are loaded and started. */
  readonly running: Moment;
  readonly ended: Moment;
  readonly started: Moment;
  readonly instructions: number;
  /** Growth of the process while the machine existed, bytes. */
  readonly residentBytes: number;
}

const SLICE_INSTRUCTIONS = 2000;
const LIMIT_NS = 20e9;

export function runJob(o: JobOptions): JobRun {
  const out = path.join(o.packageRoot, "images/out");
  const kernel = fs.readFileSync(path.join(out, "kernel.elf"));
  const initImage = fs.readFileSync(path.join(out, "init.bin"));
  const nids = Array.from({ length: o.nodes }, (_, i) => i + 1);
  const before = process.memoryUsage().rss;
  const moment = (virtualNs: number): Moment => ({ virtualNs, hostSeconds: hostSeconds() });
  const started = moment(0);
  let submitted: Moment | null = null;
  let running: Moment | null = null;
  let ended: Moment | null = null;
  let result: JobResult | null = null;
  let ready = 0;
  let stdout = "";
  let io!: IoNode;
  const machine = new Machine({
    nodes: nids.map((nid) => ({
      nid,
      cores: o.cores,
      ramBytes: o.memBytes,
      kernel,
      commandLine: `nodes=${o.nodes} coords=${nid - 1}.0.0 ${o.append ?? ""}`.trim(),
      nic: true,
      onMailbox: (message, time) => o.onMailbox?.(nid, message, time),
    })),
    createEngine: createUnicornEngine,
    endpoints: (send) => {
      const host = new FabricHost(send);
      const service = new ServiceNode(host, {
        ready: (_nid, _personality, time) => {
          if (++ready < o.nodes) return;
          submitted = moment(time);
          const programs = [o.program.includes("/") ? o.program : `/margay/bin/${o.program}`];
          service.submit(
            {
              nids,
              programs,
              argv: [o.program, ...(o.args ?? [])],
              envp: [],
              userId: 1000,
              fanout: 4,
              cores: 0,
              initImage,
            },
            time,
          );
        },
        jobState: (_job, state, time) => {
          if (state === "running") running = moment(time);
        },
        jobEnded: (r, time) => {
          result = r;
          ended = moment(time);
        },
      });
      const root = o.root ?? path.join(out, "root");
      io = new IoNode(host, {
        root,
        builtIn: path.join(out, "bin"),
        onOutput: ({ bytes }) => void (stdout += Buffer.from(bytes).toString()),
      });
      return host;
    },
  });
  try {
    const until = () => result !== null;
    const { between } = o;
    let reason = "slice";
    // Idle is the end, unless something was just sent from outside.
    const goesOn = (): boolean => machine.nodes.some((node) => node.nextActivity() < Number.POSITIVE_INFINITY);
    while (reason === "slice" || (reason === "idle" && between !== undefined && goesOn())) {
      reason = machine.runSlice(between ? SLICE_INSTRUCTIONS : Number.POSITIVE_INFINITY, { until, limitNs: LIMIT_NS });
      between?.(machine, stdout);
    }
    const final = result as JobResult | null;
    const isFine = final?.kind === "exited" && final.waitStatus === 0;
    if (reason !== "until" || !isFine || !submitted || !running || !ended) {
      throw new Error(
        `${o.program} on ${o.nodes} nodes: ${reason} ${machine.fault?.text ?? ""} ${JSON.stringify(result)}: ${stdout}`,
      );
    }
    const residentBytes = process.memoryUsage().rss - before;
    return { stdout, submitted, running, ended, started, instructions: machine.instructions, residentBytes };
  } finally {
    io.shutDown();
    machine.close();
  }
}

/** Compiles one of tests/bench/programs into a new folder, the root of its job. */
export function compileProgram(packageRoot: string, name: string): { root: string; program: string } {
  const { image, diagnostics } = compile({
    name,
    roots: [path.join(packageRoot, `tests/bench/programs/${name}.ts`)],
    packageRoot,
    entry: "_start",
    layout: { kind: "program", entry: "_start", base: 0n, address: 0x400000n },
  });
  if (!image) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "margay-bench-"));
  fs.writeFileSync(path.join(root, name), image.elf, { mode: 0o755 });
  return { root, program: `/${name}` };
}
