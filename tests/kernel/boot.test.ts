/** The kernel boots to its ready line on every size of node, with and without NIC, and prints the same on QEMU. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { hasQemu, realEngine } from "../machine/guest.ts";
import { boot, kernelImage } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/boot skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

describe.skipIf(create === null)("boot", () => {
  for (const [cores, nic] of [
    [1, true],
    [2, true],
    [8, true],
    [2, false],
  ] as const) {
    it(`${cores} cores, ${nic ? "with" : "without"} NIC: ready, all cores idle`, () => {
      const { lines, reason, events } = boot(create!, { cores, nic });
      expect(reason).toBe("until");
      expect(lines).toEqual([
        "margay: light-weight kernel for x86-64",
        "margay: memory 64 MB",
        `margay: processors ${cores}`,
        nic ? `margay: ready nid=1 cpus=${cores} mem=64 net=up` : `margay: ready nid=0 cpus=${cores} mem=64 net=none`,
      ]);
      const idle = new Set(events.filter((e) => e.kind === EventKind.CPU_IDLE).map((e) => e.core));
      for (let core = 1; core < cores; core++) expect(idle.has(core)).toBe(true);
    });
  }

  it("boots in the smallest memory", () => {
    expect(boot(create!, { cores: 1, ramMegabytes: 16 }).lines.at(-1)).toBe("margay: ready nid=1 cpus=1 mem=16 net=up");
  });

  it("names its own boot parameters that do not hold, and no others", () => {
    const { lines } = boot(create!, {
      cores: 1,
      commandLine: "quiet nodes=x coords=1.2.3 margay.colour=blue console=ttyS0 epoch=5 coords=1.2",
    });
    expect(lines.filter((l) => l.includes("parameter"))).toEqual([
      "margay: boot parameter ignored: nodes=x",
      "margay: boot parameter ignored: margay.colour=blue",
      "margay: boot parameter ignored: coords=1.2",
    ]);
  });
});

/** Returns the console up to the ready line and then stops QEMU. */
function bootOnQemu(cores: number, nic: boolean): Promise<string[]> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "margay-qemu-"));
  const image = path.join(dir, "kernel.elf");
  fs.writeFileSync(image, kernelImage());
  // biome-ignore format: option and value
  const args = [
    "-M", "microvm,acpi=off", "-smp", `${cores}`, "-m", "64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
    "-global", "virtio-mmio.force-legacy=false", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-device", "i8042",
    ...(nic ? ["-netdev", "hubport,hubid=0,id=n0", "-device", "virtio-net-device,netdev=n0,mac=02:4d:47:00:00:01"] : []),
    "-kernel", image,
  ];
  return new Promise((resolve) => {
    const qemu = spawn("qemu-system-x86_64", args);
    let text = "";
    qemu.stdout.on("data", (part: Buffer) => {
      text += part.toString();
      if (/margay: (ready|halted).*\n/.test(text)) qemu.kill("SIGKILL");
    });
    const timer = setTimeout(() => qemu.kill("SIGKILL"), 60_000);
    qemu.on("close", () => {
      clearTimeout(timer);
      fs.rmSync(dir, { recursive: true });
      resolve(text.split(/\r?\n/).filter((l) => l !== ""));
    });
  });
}

if (!hasQemu) console.log("tests/kernel/boot: comparison with QEMU skipped: qemu-system-x86_64 is not installed");
describe.skipIf(create === null || !hasQemu)("the console is QEMU's, line by line", () => {
  for (const nic of [true, false]) {
    it(`4 cores, ${nic ? "with" : "without"} NIC`, async () => {
      const qemu = await bootOnQemu(4, nic);
      expect(qemu.at(-1)).toMatch(/^margay: ready /);
      expect(boot(create!, { cores: 4, nic }).lines).toEqual(qemu);
    });
  }
});
