/** The runtime's CRC-32C, on the machine: the kernel's frames go by it. */
import { expect, it } from "vitest";
import { realEngine } from "../machine/guest.ts";
import { runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/crc skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

it.skipIf(create === null)("CRC-32C equals its definition, at most 1.3 instructions a byte in a whole frame", () => {
  const { stdout } = runJob(create!, { program: "crc" });
  const [, compared, different] = /^crc: (\d+) compared, (\d+) different$/m.exec(stdout) ?? [];
  expect(Number(compared)).toBeGreaterThan(380);
  expect(different).toBe("0");
  const [, instructions] = /^crc: (\d+) instructions for 8192 bytes, /m.exec(stdout) ?? [];
  console.log(`crc32c of 8,192 bytes: ${instructions} instructions`);
  expect(Number(instructions)).toBeLessThanOrEqual(1.3 * 8192);
});
