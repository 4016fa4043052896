/** The kernel boots to its ready line on every size of node, with and without NIC, and prints the same on QEMU. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
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

const CR4_SMEP_SMAP_UMIP = 0x30_0800;
/**
 * Boots on QEMU with processor model `cpu` and stops QEMU at the ready line. Returns the console up to that line, and
 * CR4 of the first core as QEMU's monitor prints it.
 */
async function bootOnQemu(cores: number, nic: boolean, cpu: string): Promise<{ lines: string[]; cr4: number }> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "margay-qemu-"));
  const image = path.join(dir, "kernel.elf");
  const socket = path.join(dir, "monitor");
  fs.writeFileSync(image, kernelImage());
  // biome-ignore format: option and value
  const args = [
    "-M", "microvm,acpi=off", "-smp", `${cores}`, "-cpu", cpu, "-m", "64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
    "-global", "virtio-mmio.force-legacy=false", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-device", "i8042",
    ...(nic ? ["-netdev", "hubport,hubid=0,id=n0", "-device", "virtio-net-device,netdev=n0,mac=02:4d:47:00:00:01"] : []),
    "-kernel", image, "-monitor", `unix:${socket},server,nowait`,
  ];
  const qemu = spawn("qemu-system-x86_64", args);
  const timer = setTimeout(() => qemu.kill("SIGKILL"), 60_000);
  let text = "";
  const closed = new Promise((resolve) => qemu.on("close", resolve));
  const printed = new Promise<void>((resolve) =>
    qemu.stdout.on("data", (part: Buffer) => {
      text += part.toString();
      if (/margay: (ready|halted).*\n/.test(text)) resolve();
    }),
  );
  await Promise.race([closed, printed]);
  const registers = await monitor(socket, "info registers");
  qemu.kill("SIGKILL");
  await closed;
  clearTimeout(timer);
  fs.rmSync(dir, { recursive: true });
  const cr4 = Number.parseInt(/\bCR4=([0-9a-f]{8})/.exec(registers)?.[1] ?? "", 16);
  return { lines: text.split(/\r?\n/).filter((l) => l !== ""), cr4 };
}
/** What QEMU's monitor answers up to its next prompt. */
function monitor(socket: string, command: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const stream = net.connect(socket, () => stream.write(`${command}\n`));
    stream.on("data", (part: Buffer) => {
      answer += part.toString();
      if (answer.split("(qemu) ").length > 2) stream.destroy();
    });
    stream.on("error", () => {});
    stream.on("close", () => resolve(answer));
  });
}

if (!hasQemu) console.log("tests/kernel/boot: comparison with QEMU skipped: qemu-system-x86_64 is not installed");
describe.skipIf(create === null || !hasQemu)("the console is QEMU's, line by line", () => {
  const without = "max,-smep,-smap,-umip";
  it.each([
    [true, "qemu64", 0],
    [false, "qemu64", 0],
    [true, "max", CR4_SMEP_SMAP_UMIP],
    [false, "max", CR4_SMEP_SMAP_UMIP],
    [true, without, 0],
    [true, "max,-smap", CR4_SMEP_SMAP_UMIP & ~0x20_0000],
  ])("4 cores, with NIC: %s, processor %s: CR4 has what the processor has", async (nic, cpu, bits) => {
    const qemu = await bootOnQemu(4, nic, cpu);
    expect(qemu.lines.at(-1)).toMatch(/^margay: ready /);
    expect(boot(create!, { cores: 4, nic }).lines).toEqual(qemu.lines);
    expect(qemu.cr4 & CR4_SMEP_SMAP_UMIP).toBe(bits);
  });
});
