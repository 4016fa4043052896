/**
 * The kernel, broken on purpose in one instruction, is stopped by `strict` with the diagnostic's name, node, core,
 * symbol and source line. The patches find the code by the LAPIC addresses in it, so they follow it when it moves.
 */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { FabricHost } from "../../emulator/fabric/host.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { ServiceNode } from "../../emulator/service/service.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { createEngine } from "../engine.ts";
import { packageRoot } from "./command.ts";

const kernel = fs.readFileSync(path.join(packageRoot, "images/out/kernel.elf"));

/** Direct map + LAPIC + `register` as the 64-bit operand of MOVABS. */
function operand(register: number): number {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(0xffff_8000_fee0_0000n + BigInt(register));
  const at = kernel.indexOf(bytes);
  if (at < 0) throw new Error(`the kernel does not use LAPIC register 0x${register.toString(16)} by a constant`);
  return at;
}
const patched = (offset: number, ...bytes: number[]): Uint8Array => {
  const copy = Buffer.from(kernel);
  copy.set(bytes, offset);
  return copy;
};
/** File offset of a function's code. */
function code(name: string): number {
  const address = SymbolTable.fromElf(kernel).find(name)!.address;
  const programHeaders = Number(kernel.readBigUInt64LE(32));
  for (let i = 0; i < kernel.readUInt16LE(56); i++) {
    const at = programHeaders + i * 56;
    const [offset, virtual, , fileBytes] = [8, 16, 24, 32].map((field) => kernel.readBigUInt64LE(at + field)) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    if (kernel.readUInt32LE(at) === 1 && address >= virtual && address < virtual + fileBytes)
      return Number(address - virtual + offset);
  }
  throw new Error(`${name} is in no segment`);
}

function bootUntilFault(image: Uint8Array): string | undefined {
  const machine = new Machine({
    nodes: [{ nid: 1, cores: 1, ramBytes: 64 << 20, kernel: image, commandLine: "nodes=1", nic: true }],
    strict: true,
    createEngine,
    endpoints: (send) => {
      const host = new FabricHost(send);
      void new ServiceNode(host);
      return host;
    },
  });
  try {
    machine.run({ limitNs: 1e9 });
    return machine.fault?.text;
  } finally {
    machine.close();
  }
}

// [\w+]: the symbol, with an offset or without.
const place = (file: string): string => `\\(n1\\.c0, [A-Za-z]\\w*(\\+0x[0-9a-f]+)?, ${file}:[1-9]\\d*\\)$`;
const EOI = 0xb0;
const SVR = 0xf0;
// biome-ignore format: what, the patched kernel, the diagnostic
const cases: readonly (readonly [what: string, image: () => Uint8Array, text: string, file: string])[] = [
  ["a write to a read-only register", () => patched(operand(EOI), 0x30),  "lapic: write to read-only VERSION 0x030",     "kernel/arch/trap\\.ts"],
  ["a write to an unknown register",  () => patched(operand(EOI), 0x40),  "lapic: write to unknown register 0x040",      "kernel/arch/trap\\.ts"],
  ["an EOI with nothing in service",  () => patched(operand(SVR), 0xb0),  "lapic: EOI with nothing in service",          "kernel/arch/lapic\\.ts"],
  // The wrapper writes 0 to the TPR instead.
  ["a missing EOI",                   () => patched(operand(EOI), 0x80),  "lapic: missing EOI: IRQ_VIRTIO\\d+ still in service at hlt", "kernel/\\w+/\\w+\\.ts"],
  // Instead of the movabs: xor esp, esp; push rax; nops. No stack for #PF; #DF has its own.
  ["a double fault",                  () => patched(operand(SVR) - 2, 0x31, 0xe4, 0x50, ...new Array<number>(7).fill(0x90)), "processor: double fault: #PF while #PF was delivered", "kernel/arch/lapic\\.ts"],
  // ud2 before there is an IDT.
  ["a triple fault",                  () => patched(code("bootMain"), 0x0f, 0x0b), "processor: triple fault",           "kernel/boot/main\\.ts"],
];

describe("--strict names", () => {
  it("nothing in a sound kernel", () => expect(bootUntilFault(kernel)).toBeUndefined());
  it.each(cases)("%s, its place and its line", (_what, image, text, file) => {
    expect(bootUntilFault(image())).toMatch(new RegExp(`^${text} ${place(file)}`));
  });
});
