/**
 * Determinism as a property: whatever the host does (slices, pauses, flushed engine caches), a run is a function of its
 * seed and options. Each case draws a machine (nodes, cores, program, link faults, seed) and two ways for the host to
 * run it; full trace and state hash must be equal. To show that the test can fail: another seed gives another run.
 */
import fs from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import path from "node:path";
import { parseFaults } from "../../emulator/fabric/faults.ts";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { ServiceNode } from "../../emulator/service/service.ts";
import { fullLine } from "../../emulator/trace/format.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { createEngine } from "../engine.ts";
import { packageRoot, temporaryFolder } from "./command.ts";

const out = path.join(packageRoot, "images/out");
const kernel = fs.readFileSync(path.join(out, "kernel.elf"));
const initImage = fs.readFileSync(path.join(out, "init.bin"));
const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true }));

interface Case {
  readonly seed: number;
  readonly nodes: number;
  readonly cores: number;
  readonly program: string;
  readonly faults: string | undefined;
}
/** How the host runs the machine. It must not affect the run. */
interface Host {
  /** Most instructions of an engine run. */
  readonly hostSlice: number;
  /** Draws slices, pauses and flushes. */
  readonly disturbance: Prng | undefined;
}
let roots = 0;

function run({ seed, nodes, cores, program, faults }: Case, { hostSlice, disturbance }: Host) {
  const list = new EventList();
  const tracer = new Tracer([list]);
  const nids = Array.from({ length: nodes }, (_, i) => i + 1);
  const root = path.join(folder, `${roots++}`);
  fs.mkdirSync(root);
  let ready = 0;
  let ended = false;
  let stdout = "";
  let io!: IoNode;
  const machine = new Machine({
    nodes: nids.map((nid) => ({
      nid,
      cores,
      ramBytes: 32 << 20,
      kernel,
      commandLine: `nodes=${nodes} coords=${nid - 1}.0.0`,
      nic: true,
    })),
    seed,
    hostSlice,
    trace: tracer,
    createEngine,
    ...(faults === undefined ? {} : { faults: parseFaults(faults) }),
    endpoints: (send) => {
      const host = new FabricHost(send, tracer);
      const request = {
        nids,
        programs: [`/margay/bin/${program}`],
        argv: [program],
        envp: [],
        userId: 1000,
        fanout: 2,
        cores: 0,
        initImage,
      };
      const service: ServiceNode = new ServiceNode(
        host,
        {
          ready: (_n, _p, time) => void (++ready === nodes && service.submit(request, time)),
          jobEnded: () => void (ended = true),
        },
        tracer,
      );
      const onOutput = ({ bytes }: { readonly bytes: Uint8Array }): void =>
        void (stdout += Buffer.from(bytes).toString());
      io = new IoNode(host, { root, builtIn: path.join(out, "bin"), onOutput }, tracer);
      return host;
    },
  });
  try {
    const options = { until: () => ended, limitNs: 2e9 };
    let flushes = 0;
    for (;;) {
      const budget = disturbance === undefined ? 1e9 : 1 + disturbance.below(disturbance.chance(1, 4) ? 500 : 200_000);
      const reason = machine.runSlice(budget, options);
      if (reason !== "slice") {
        expect(reason).toBe("until");
        break;
      }
      if (disturbance === undefined) continue;
      // A host that is slow at times, and an engine that drops all its caches.
      if (disturbance.chance(1, 20))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1 + disturbance.below(3));
      for (const node of machine.nodes) {
        if (!disturbance.chance(1, 3)) continue;
        node.engine.flushCaches();
        flushes++;
      }
    }
    tracer.end();
    return { hash: machine.stateHash(), trace: list.events.map((e) => fullLine(e)), stdout, flushes };
  } finally {
    io.shutDown();
    machine.close();
  }
}

const CASES = Number(process.env["DETERMINISM_CASES"] ?? 8);
const first = Number(process.env["DETERMINISM_SEED"] ?? 1);

describe("determinism", () => {
  it.each(Array.from({ length: CASES }, (_, i) => first + i))(
    "seed %i: host slices, delays and flushes change nothing",
    (seed) => {
      const draw = new Prng(seed, 1);
      const one: Case = {
        seed,
        nodes: 1 + draw.below(3),
        cores: 1 + draw.below(3),
        program: ["hello", "ring", "files"][draw.below(3)]!,
        faults: draw.chance(1, 2) ? "drop=2%,dup=2%,corrupt=2%,reorder=2%,delay=2%" : undefined,
      };
      const hostSlice = [1e9, 997, 333, 61][draw.below(4)]!;
      const replay = `${JSON.stringify({ ...one, hostSlice })}; replay: DETERMINISM_SEED=${seed} DETERMINISM_CASES=1 make test T=system/faults-determinism`;
      const calm = run(one, { hostSlice: 1e9, disturbance: undefined });
      const disturbed = run(one, { hostSlice, disturbance: new Prng(seed, 2) });
      expect(disturbed.flushes, replay).toBeGreaterThan(0);
      // Arrays of lines, so that a difference shows where it starts.
      const at = calm.trace.findIndex((line, i) => line !== disturbed.trace[i]);
      expect(at < 0 ? [] : [calm.trace[at], disturbed.trace[at]], replay).toEqual([]);
      expect(disturbed.trace.length, replay).toBe(calm.trace.length);
      expect([disturbed.hash, disturbed.stdout], replay).toEqual([calm.hash, calm.stdout]);
    },
  );
  it("is not for want of differences: another seed of the faults is another run", () => {
    const one = { nodes: 2, cores: 1, program: "ring", faults: "drop=10%,delay=10%" };
    const [a, b] = [1, 2].map((seed) => run({ ...one, seed }, { hostSlice: 1e9, disturbance: undefined }));
    expect(a!.hash).not.toBe(b!.hash);
    expect(a!.trace).not.toEqual(b!.trace);
  });
});
