/**
 * The kernel's hot paths in guest instructions, exact: a null system call from `syscall` to `sysret`, and an interrupt
 * without work from its stub to `iretq`, both from user mode, including EOI and flight recorder. A change that makes
 * one longer fails here first.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Vector } from "../../emulator/abi/vectors.ts";
import { realEngine } from "../machine/guest.ts";
import { expectGolden } from "../system/cluster.ts";
import { runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/paths skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

describe.skipIf(create === null)("path lengths", () => {
  let sent = false;
  const run =
    create &&
    runJob(create, {
      program: "paths",
      cores: 2,
      step: (machine, events) => {
        const last = events.findLast((e) => e.kind === EventKind.MARK);
        if (sent || last === undefined || Number(last.words[0]) !== 1) return;
        sent = true;
        machine.nodes[0]!.board.lapics[1]!.accept(Vector.WAKE, false);
      },
    });
  const lengths = new Map((run?.stdout ?? "").split("\n").map((l) => l.split(" ") as [string, string]));
  console.log(
    `path lengths: ${[...lengths]
      .filter(([k]) => k)
      .map(([k, v]) => `${k} ${v}`)
      .join(", ")}`,
  );
  const length = (name: string): number => Number(lengths.get(name));

  it("are those of the golden file, to the instruction", async () => {
    const lines = [...lengths]
      .filter(([k, v]) => k !== "" && /^\d+$/.test(v ?? ""))
      .map(([k, v]) => `cost ${k} instructions=${v}`);
    expect(lines.length).toBeGreaterThanOrEqual(5);
    await expectGolden(
      `# costs in instructions: image=paths nodes=1 cores=2\n${lines.join("\n")}\n`,
      "paths-cost.trace",
    );
  });
  it("null system call: at most 60", () => {
    expect(length("getpid")).toBeGreaterThan(30);
    expect(length("getpid")).toBeLessThanOrEqual(60);
    expect(length("sched_yield")).toBeLessThanOrEqual(60);
  });
  it("a call that does not exist, and one of Margay's own, are little longer", () => {
    expect(length("none")).toBeLessThanOrEqual(64);
    expect(length("margay_mark")).toBeLessThanOrEqual(105);
  });
  it("null interrupt: at most 90", () => {
    expect(sent).toBe(true);
    expect(
      run!.events.filter((e) => e.kind === EventKind.IRQ_DELIVER && e.core === 1 && Number(e.words[0]) === Vector.WAKE),
    ).not.toEqual([]);
    expect(length("interrupt")).toBeGreaterThan(40);
    expect(length("interrupt")).toBeLessThanOrEqual(90);
  });
});
