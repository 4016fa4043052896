/**
 * Proves, on the real machine with the real kernel and init: a different program for each rank, refusals that free
 * every node, busy nodes, several jobs on a node, kills at any moment of a load. Every trace passes the checkers.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Errno } from "../../emulator/abi/errno.ts";
import { Cause } from "../../emulator/abi/net.ts";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { IoNode } from "../../emulator/ionode/ionode.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { type JobRequest, type JobResult, ServiceNode } from "../../emulator/service/service.ts";
import { checkTrace } from "../../emulator/trace/checkers.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { compiled, program as testProgram } from "../compiled.ts";
import { realEngine } from "../machine/guest.ts";

const packageRoot = path.resolve(import.meta.dirname, "../..");
const built = (name: string): string => path.join(packageRoot, "images/out", name);
const engine = await realEngine();
const isBuilt = ["kernel.elf", "init.bin", "bin/hello", "bin/ring"].every((f) => fs.existsSync(built(f)));
const reason = typeof engine === "string" ? engine : isBuilt ? undefined : "images/out is not built: run `make build`";
if (reason !== undefined) console.log(`tests/service/machine skipped: ${reason}`);

const LIMIT_NS = 2e9;
const base = fs.mkdtempSync(path.join(os.tmpdir(), "margay-jobs-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

/** A program of tests/userland/cases, copied into the root. */
function program(name: string): string {
  const file = path.join(base, name);
  const source = path.join(packageRoot, `tests/userland/cases/${name}.ts`);
  if (!fs.existsSync(file)) fs.writeFileSync(file, compiled(testProgram(source)), { mode: 0o755 });
  return `/${name}`;
}

class Cluster {
  readonly machine: Machine;
  readonly results: JobResult[] = [];
  readonly output: { nid: number; jobId: number; text: string }[] = [];
  service!: ServiceNode;
  private io!: IoNode;
  private readonly list = new EventList();
  private readonly tracer = new Tracer([this.list]);

  constructor(
    readonly nodes: number,
    cores: number,
  ) {
    if (typeof engine === "string") throw new Error(engine);
    const kernel = fs.readFileSync(built("kernel.elf"));
    this.machine = new Machine({
      nodes: Array.from({ length: nodes }, (_, i) => ({
        nid: i + 1,
        cores,
        ramBytes: 32 << 20,
        kernel,
        commandLine: `nodes=${nodes}`,
        nic: true,
      })),
      createEngine: engine,
      strict: true,
      trace: this.tracer,
      endpoints: (send) => this.attach(send),
    });
    this.until(() => this.service.nodes.size === nodes);
  }
  private attach(send: ConstructorParameters<typeof FabricHost>[0]): FabricHost {
    const host = new FabricHost(send, this.tracer);
    this.service = new ServiceNode(host, { jobEnded: (r) => this.results.push(r) }, this.tracer);
    this.io = new IoNode(host, {
      root: base,
      builtIn: built("bin"),
      onOutput: ({ nid, jobId, bytes }) => this.output.push({ nid, jobId, text: new TextDecoder().decode(bytes) }),
    });
    return host;
  }
  until(done: () => boolean): void {
    const reason = this.machine.run({ until: done, limitNs: LIMIT_NS });
    if (reason !== "until")
      throw new Error(`the machine stopped: ${reason} ${this.machine.fault?.text ?? ""} at ${this.machine.time} ns`);
  }
  submit(change: Partial<JobRequest>): number {
    const nids = Array.from({ length: this.nodes }, (_, i) => i + 1);
    const initImage = fs.readFileSync(built("init.bin"));
    const request = {
      nids,
      programs: ["/margay/bin/hello"],
      argv: ["x"],
      envp: [],
      userId: 1000,
      fanout: 2,
      cores: 0,
      initImage,
      ...change,
    };
    return this.service.submit(request, this.machine.time);
  }
  /** Runs to the job's end. */
  result(jobId: number): JobResult {
    this.until(() => this.results.some((r) => r.jobId === jobId));
    return this.results.find((r) => r.jobId === jobId)!;
  }
  said(jobId: number): string[] {
    return this.output
      .filter((o) => o.jobId === jobId)
      .map((o) => o.text)
      .join("")
      .split("\n")
      .filter(Boolean)
      .sort();
  }
  /** Closes the machine; its trace must pass the checkers. `complete`: nothing was killed half-way. */
  end(complete: boolean): void {
    this.tracer.end();
    this.io.shutDown();
    this.machine.close();
    expect(checkTrace(this.list.events, complete)).toEqual([]);
  }
}
describe.skipIf(reason !== undefined)("jobs on the machine", () => {
  it("run a program of its own on each rank, with arguments and environment; the lowest failure is told", () => {
    const c = new Cluster(6, 2);
    const programs = ["/margay/bin/hello", program("args")];
    const id = c.submit({
      programs,
      programOfRank: [0, 0, 1, 0, 1, 1],
      argv: ["prog", "", "two words"],
      envp: ["A=1", "B="],
    });
    expect(c.result(id)).toEqual({ kind: "exited", jobId: id, waitStatus: 20 << 8, rank: 2, count: 6 });
    expect(c.said(id)).toEqual([
      "hello from rank 0 of 6 on nid 1 core 0",
      "hello from rank 1 of 6 on nid 2 core 0",
      "hello from rank 3 of 6 on nid 4 core 0",
      "rank 2 [prog] [] [two words] {A=1} {B=}",
      "rank 4 [prog] [] [two words] {A=1} {B=}",
      "rank 5 [prog] [] [two words] {A=1} {B=}",
    ]);
    c.end(true);
  });

  it("go where the nid map says, in a chain, a bush and a tree, one after the other on the same nodes", () => {
    const c = new Cluster(5, 1);
    for (const [nids, fanout] of [
      [[5, 3, 1], 1],
      [[2, 1, 4, 3, 5], 64],
      [[4, 5, 1, 2], 2],
      [[3], 1],
    ] as const) {
      const id = c.submit({ nids, fanout, programs: ["/margay/bin/ring"] });
      expect(c.result(id)).toMatchObject({ kind: "exited", waitStatus: 0, count: nids.length });
      expect(c.said(id)[0]).toMatch(
        nids.length > 1 ? new RegExp(`^ring: ${nids.length} ranks, mean hop \\d+ ns$`) : /1 rank/,
      );
    }
    c.end(true);
  });

  it("are refused with the cause, and leave every node free", () => {
    const c = new Cluster(5, 2);
    fs.writeFileSync(path.join(base, "text"), "no program", { mode: 0o755 });
    fs.writeFileSync(path.join(base, "plain"), fs.readFileSync(built("bin/hello")), { mode: 0o644 });
    const refusals = [
      [
        { programs: ["/margay/bin/hello", "/absent"], programOfRank: [0, 0, 0, 1, 0] },
        { cause: Cause.PROGRAM_OPEN, errno: Errno.ENOENT, rank: 3, nid: 4 },
      ],
      [
        { programs: ["/margay/bin/hello", "/text"], programOfRank: [0, 0, 0, 0, 1] },
        { cause: Cause.PROGRAM_FORMAT, errno: Errno.ENOEXEC, rank: 4, nid: 5 },
      ],
      [{ programs: ["/plain"] }, { cause: Cause.PROGRAM_OPEN, errno: Errno.EACCES, rank: 0, nid: 1 }],
      [{ programs: ["/margay/bin/absent"] }, { cause: Cause.PROGRAM_OPEN, errno: Errno.ENOENT, rank: 0, nid: 1 }],
      [{ cores: 3 }, { cause: Cause.BAD_REQUEST, rank: 0, nid: 1 }],
    ] as const;
    for (const [change, expected] of refusals) {
      expect(c.result(c.submit(change))).toMatchObject({ kind: "refused", ...expected });
      const id = c.submit({});
      expect(c.result(id)).toMatchObject({ kind: "exited", waitStatus: 0, count: 5 });
    }
    c.end(true);
  });

  it("find a node busy, share a node where there are cores, and end when they are killed", () => {
    const c = new Cluster(3, 2);
    const spin = c.submit({ programs: [program("spin")], cores: 1, nids: [1, 2] });
    c.until(() => c.said(spin).length === 2);
    const wide = c.submit({ cores: 2, nids: [3, 2] });
    expect(c.result(wide)).toMatchObject({ kind: "refused", cause: Cause.BUSY, nid: 2, rank: 1 });
    // On nids 1 and 2 the pids differ from 1: the ring finds them in the rank map.
    const ring = c.submit({ cores: 1, programs: ["/margay/bin/ring"] });
    expect(c.result(ring)).toMatchObject({ kind: "exited", waitStatus: 0, count: 3 });
    const texts: (string | null)[] = [];
    c.service.requestStatus(2, spin, (text) => texts.push(text), c.machine.time);
    c.until(() => texts.length === 1);
    expect(texts[0]).toMatch(/rip/i);
    expect(c.service.kill(spin, c.machine.time)).toBe(true);
    expect(c.result(spin)).toEqual({ kind: "killed", jobId: spin });
    expect(c.result(c.submit({}))).toMatchObject({ kind: "exited", count: 3 });
    c.end(false);
  });

  it("end with the signal of a rank that crashes", () => {
    const c = new Cluster(3, 1);
    const SIGSEGV = 11;
    const r = c.result(c.submit({ programs: [program("crash")] }));
    expect(r).toMatchObject({ kind: "exited", rank: 1, count: 3 });
    expect((r as { waitStatus: number }).waitStatus & 0x7f).toBe(SIGSEGV);
    expect(c.result(c.submit({}))).toMatchObject({ kind: "exited", waitStatus: 0 });
    c.end(true);
  });

  it("can be killed at any moment of a load, and leave every node free", () => {
    const c = new Cluster(4, 1);
    const start = c.machine.time;
    c.result(c.submit({}));
    const wholeNs = c.machine.time - start;
    const MOMENTS = 12;
    for (let n = 0; n < MOMENTS; n++) {
      const id = c.submit({ programs: [program("spin")], fanout: 1 });
      const at = c.machine.time + Math.floor((wholeNs * n) / MOMENTS);
      c.machine.run({ limitNs: at });
      expect(c.service.kill(id, c.machine.time)).toBe(true);
      expect(c.result(id), `killed ${at} ns after the start`).toEqual({ kind: "killed", jobId: id });
      expect(c.result(c.submit({})), `after the kill number ${n}`).toMatchObject({
        kind: "exited",
        waitStatus: 0,
        count: 4,
      });
    }
    c.end(false);
  });
});
