/** A PVH guest finds the same machine here and on QEMU's microvm. */
import { describe, expect, it } from "vitest";
import { Machine } from "../../emulator/machine/machine.ts";
import { assembleFile, hasAssembler, hasQemu, realEngine, runOnQemu } from "./guest.ts";

const engine = await realEngine();
const reason =
  typeof engine === "string" ? engine : hasAssembler ? undefined : "GNU as and ld are needed: install binutils";
if (reason !== undefined) console.log(`tests/machine/boot skipped: ${reason}`);

describe.skipIf(reason !== undefined)("PVH boot", () => {
  const commandLine = "console=uart nodes=1";
  const module = new TextEncoder().encode("a boot module\0");
  const ours = (cores: number) => {
    if (typeof engine === "string") throw new Error(engine);
    let text = "";
    const node = {
      nid: 1,
      cores,
      ramBytes: 64 << 20,
      kernel: assembleFile("pvh.s").image,
      commandLine,
      module,
      nic: true,
      onConsole: (part: string) => (text += part),
    };
    const machine = new Machine({ nodes: [node], createEngine: engine, strict: true });
    try {
      expect(machine.run({ limitNs: 1e8 })).toBe("exit");
      expect(machine.exits[0].status).toBe((0x2a << 1) | 1);
      return text;
    } finally {
      machine.close();
    }
  };

  it("shows start info, memory map, command line with the NIC's slot, module and devices", () => {
    const lines = ours(2).split("\n");
    expect(lines[0].trim()).toBe("336ec578 00000001 00000001");
    expect(lines.slice(1, 6).map((line) => line.trim())).toEqual([
      "00000001 00000000 00000000 00000000 0009fc00",
      "00000002 00000000 0009fc00 00000000 00000400",
      "00000004 00000000 000d0000 00000000 00020000",
      "00000002 00000000 000f0000 00000000 00010000",
      "00000001 00000000 00100000 00000000 03f00000",
    ]);
    expect(lines[6]).toBe(`${commandLine} virtio_mmio.device=512@0xfeb00e00:12`);
    expect(lines[7].trim()).toBe("03fff000 0000000e");
    expect(lines[8]).toBe("a boot module");
  });

  it.skipIf(!hasQemu)("is QEMU's microvm, line by line", () => {
    const run = runOnQemu(assembleFile("pvh.s").image, 2, 64, { commandLine, module });
    expect(run.status).toBe((0x2a << 1) | 1);
    expect(ours(2).split("\n")).toEqual(run.stdout.split("\n"));
  });
  if (!hasQemu) console.log("tests/machine/boot: comparison with QEMU skipped: qemu-system-x86_64 is not installed");
});
