/**
 * The stub on a real machine with the real kernel, without gdb: what it reports, and that inspection changes nothing.
 */
import { describe, expect, it } from "vitest";
import { registers } from "../../emulator/gdb/registers.ts";
import { taskStates } from "../../emulator/gdb/kernel.ts";
import fs from "node:fs";
import path from "node:path";
import { frame } from "../../emulator/gdb/framing.ts";
import { packageRoot } from "../system/command.ts";
import { type ClusterRun, runCluster } from "../system/cluster.ts";
import { Debugged } from "./debugged.ts";
import { Garbage, writers } from "./garbage.ts";

const SEED = Number(process.env["GDB_SEED"] ?? 1);

/** Runs `program` with a debugger that calls `act`; the rest of the run is skipped. */
function debug(program: string, act: (d: Debugged) => void): void {
  runCluster({
    nodes: 2,
    program,
    drive: (machine, options) => {
      act(new Debugged(machine, options, program));
      return "stopped";
    },
  });
}
/** … and then resumes, up to the run's own end. */
function debugAll(program: string, act: (d: Debugged) => void): ClusterRun {
  return runCluster({
    nodes: 2,
    program,
    drive: (machine, options) => {
      const d = new Debugged(machine, options, program);
      act(d);
      return d.finish();
    },
  });
}
const hex = (value: bigint): string => value.toString(16);

describe("a run under a debugger is the run without one", () => {
  const plain = runCluster({ nodes: 2, program: "ring" });
  const same = (run: ClusterRun): void => {
    expect(run.reason).toBe("until");
    expect(run.stdout).toBe(plain.stdout);
    expect(run.stateHash).toBe(plain.stateHash);
    expect(run.fullTrace() === plain.fullTrace()).toBe(true);
  };

  it("garbage between the slices, interrupts at odd places, another peer", () => {
    const garbage = new Garbage(SEED);
    same(
      debugAll("ring", (d) => {
        for (let i = 0; i < 20_000; i++) {
          if (i % 10 === 0) d.stub.receive(garbage.noise());
          const payload = garbage.payload();
          if (!writers.test(payload) && !payload.startsWith("Z") && !payload.startsWith("qRcmd"))
            d.stub.receive(frame(payload));
          if (i % 100 !== 0) continue;
          d.stub.receive(frame("vCont;c"));
          for (let slices = garbage.below(3); slices >= 0; slices--) d.stub.advance(1 + garbage.below(20_000));
          if (i % 500 === 0) {
            d.stub.disconnected();
            d.stub.connected();
            d.greet();
          } else {
            d.stub.receive(Buffer.from([3]));
            d.stub.advance(1);
          }
        }
      }),
    );
  });

  it("breakpoints, watchpoints, steps and everything that looks", () => {
    same(
      debugAll("ring", (d) => {
        d.select(2, 0);
        d.ask(`Z0,${hex(d.address("netInterrupt"))},1`);
        d.select(1, 0);
        d.ask(`Z0,${hex(d.program("main"))},1`);
        d.ask(`Z2,${hex(d.address("tokens"))},8`);
        for (let i = 0; i < 8; i++) {
          d.go("vCont;c");
          for (let steps = 0; steps < 5; steps++) d.go("vCont;s:p1.1;c");
          d.ask("g");
          for (const command of [
            "nodes",
            "time",
            "lapic",
            "ioapic",
            "idt",
            "gdt",
            "tlb",
            "tasks",
            "job",
            "messages",
            "flight",
            "pt 400000",
          ])
            d.monitor(command);
          d.ask("qXfer:threads:read::0,ffff");
        }
      }),
    );
  });
});

describe("where points fire", () => {
  it("a low address in the job of the selected node, before there is one", () => {
    const at: string[] = [];
    debug("hello", (d) => {
      d.select(2, 0);
      expect(d.ask(`m${hex(d.program("main"))},4`)).toMatch(/^[0-9a-f]{8}$/);
      expect(d.ask(`Z0,${hex(d.program("main"))},1`)).toBe("OK");
      at.push(d.go("vCont;c"));
      expect(d.view.describe({ nid: 2, core: 0 })).toBe("user hello rank 1");
      expect(d.view.taskOn({ nid: 2, core: 0 })).toMatchObject({
        rank: 1,
        size: 2,
        state: taskStates.indexOf("running"),
      });
    });
    expect(at[0]).toMatch(/^T05thread:p2.1;core:0;swbreak:;/);
  });

  it("a high address in every space of the node", () => {
    debug("hello", (d) => {
      d.ask(`Z0,${hex(d.address("kernel/io/transfer.write"))},1`);
      expect(d.go("vCont;c")).toMatch(/^T05thread:p1\.1/);
      expect(d.view.describe({ nid: 1, core: 0 })).toContain("for hello rank 0");
    });
  });

  it("monitor break by physical address, and by a space", () => {
    debug("hello", (d) => {
      const target = d.address("netInterrupt");
      const physical = target - 0xffff_ffff_8000_0000n;
      expect(d.monitor(`break physical ${hex(physical)}`)).toMatch(/^n1: break \d+ at physical 0x/);
      expect(d.go("vCont;c")).toMatch(/T05thread:p1\.1/);
      expect(d.console).toMatch(/^monitor break \d+ on n1/);
      const number = /break\s+(\d+)|(\d+)\s+break/.exec(d.monitor("break"))!;
      expect(d.monitor(`delete ${number[1] ?? number[2]}`)).toContain("deleted");
      expect(d.monitor("break")).toContain("no points");
      expect(d.monitor("break nowhere 5")).toContain("usage");
      expect(d.monitor("break physical zz")).toContain("no hexadecimal address");
    });
  });

  it("a condition that gdb sends, on a system call's number", () => {
    debug("hello", (d) => {
      // reg rax == 1 (write): const8 1, reg 0, equal, end
      const code = "2201260000" + "13" + "27";
      d.ask(`Z0,${hex(d.address("syscallEntry"))},1;X${(code.length / 2).toString(16)},${code}`);
      d.go("vCont;c");
      expect(d.ask("p0")).toBe("0100000000000000");
    });
  });
});

describe("registers", () => {
  it("each is read, and taken back as it was", () => {
    debug("hello", (d) => {
      d.ask(`Z0,${hex(d.program("main"))},1`);
      d.go("vCont;c");
      for (const [number, r] of registers.entries()) {
        const value = d.ask(`p${number.toString(16)}`);
        expect(value, r.name).toMatch(new RegExp(`^[0-9a-f]{${r.bits / 4}}$`));
        if (r.set !== undefined) expect(d.ask(`P${number.toString(16)}=${value}`), r.name).toBe("OK");
        expect(d.ask(`p${number.toString(16)}`), r.name).toBe(value);
      }
      const all = d.ask("g");
      expect(d.ask(`G${all}`)).toBe("OK");
      expect(d.ask("g")).toBe(all);
    });
  });
});

describe("monitor", () => {
  it("shows the machine as it is", () => {
    debug("shootdown", (d) => {
      d.ask(`Z0,${hex(d.address("requestInterrupt"))},1`);
      d.go("vCont;c");
      expect(d.monitor("nodes")).toMatch(/^node +state +cores .*\nn1 +ready +2 +64 MB/);
      expect(d.monitor("time")).toMatch(/^machine: [\d,]+ ns .*\nn1\.c0 +[\d,]+ ns/);
      const core = Number(/core:(\d)/.exec(d.ask("?"))![1]);
      expect(d.monitor(`lapic ${core}`)).toMatch(/in service +0xf[12] /);
      expect(d.monitor(`lapic ${1 - core}`)).toMatch(/last ICR +FIXED \S+ to destination/);
      expect(d.monitor("ioapic")).toContain("IRQ_VIRTIO7");
      expect(d.monitor("idt 0xf1")).toMatch(/interrupt gate, DPL 0, IST 0, 0x8:trapStubs/);
      expect(d.monitor("idt")).toContain("#NMI");
      expect(d.monitor("gdt")).toMatch(/0x08 +code 64 +DPL 0 .* in cs/);
      expect(d.monitor(`pt ${hex(d.address("requestInterrupt"))}`)).toMatch(
        /PML4E\[511\].*\n.*\n.*\n.*\nphysical 0x1[0-9a-f]+ in a 4 KB page: read only, execute, supervisor, global/,
      );
      expect(d.monitor("pt 123456000")).toContain("not mapped");
      expect(d.monitor("tlb 0")).toMatch(/^n1\.c0: \d+ entries, \d+ stale/);
      expect(d.monitor("tasks")).toMatch(/\n\d+ +1 +0 of 2 +1000 +running +0,1 /);
      expect(d.monitor("job")).toMatch(/\n1 +0 +n1 pid \d+ .*\n1 +1 +n2 pid/);
      expect(d.monitor("job 77")).toBe("no task of job 77 on any node\n");
      expect(d.monitor("messages")).toMatch(/^n1's peers:\n +n0 /);
      expect(d.monitor("flight 5").trim().split("\n")).toHaveLength(5);
      expect(d.monitor("help")).toContain("pt ADDRESS");
      expect(d.monitor("tl")).toContain("entries");
      expect(d.monitor("nonsense")).toContain("no monitor command 'nonsense'");
      expect(d.monitor("t")).toContain("one of time, tlb, tasks, trace?");
      expect(d.monitor("lapic 99")).toContain("usage: monitor lapic [CORE]");
    });
  });

  it("a missing shootdown shows as a stale entry", () => {
    let stale = "";
    runCluster({
      nodes: 1,
      cores: 4,
      program: "shootdown",
      append: "tlb_ipi=off",
      expectViolations: /^/,
      machine: { strict: false },
      drive: (machine, options) => {
        const d = new Debugged(machine, options, "shootdown");
        for (let i = 0; i < 2000 && stale === ""; i++) {
          d.stub.receive(frame("vCont;c"));
          d.stub.advance(5000);
          if (!d.stub.running) break;
          d.stub.receive(Buffer.from([3]));
          d.stub.advance(1);
          const text = d.monitor("tlb stale");
          if (text.includes("STALE")) stale = text;
        }
        return "stopped";
      },
    });
    expect(stale).toMatch(/STALE: (?:not mapped any more|now physical 0x)/);
  });

  it("its names of task states are the kernel's", () => {
    const source = fs.readFileSync(path.join(packageRoot, "kernel/core/task.ts"), "utf8");
    const body = /enum TaskState \{([^}]*)\}/.exec(source)![1]!;
    const names = [...body.matchAll(/(\w+) = (\d+)/g)].map(
      (m) => [Number(m[2]), m[1]!.toLowerCase().replace("_", "-")] as const,
    );
    expect(names).toEqual(taskStates.map((name, i) => [i, name]));
  });
});

describe("ends", () => {
  it("a guest that gives up can be looked at, then the run ends", () => {
    let stop = "";
    let text = "";
    const run = runCluster({
      nodes: 1,
      program: "hello",
      append: "panic=irq",
      expectViolations: /^/,
      drive: (machine, options) => {
        const d = new Debugged(machine, options, "hello");
        stop = d.go("vCont;c", 1000);
        text = d.console;
        return d.finish();
      },
    });
    expect(stop).toMatch(/T06thread:p1\.1/);
    expect(text).toContain("debug exit with status 3");
    expect(run.reason).toBe("exit");
  });
});
