/**
 * The native engine's own faults: a signal inside translated code ends as an error that names the guest's instruction
 * and its block, and the process goes on. Memory beside the guest's and the engine's is not mapped.
 */
import { describe, expect, it } from "vitest";
import { describeFailure } from "../../emulator/cli/errors.ts";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { Env, readTable, SUPERVISOR, TLB_ENTRIES, type Environment } from "../../emulator/cpu/native/environment.ts";
import { skipReason } from "../engine.ts";
import { CODE, Guest } from "./guest.ts";

const DATA = 0x3_0000;

/** A guest that has loaded from DATA once, so that the page is in the engine's table. */
function loaded(): { guest: Guest; env: Environment; load: number } {
  const guest = new Guest({ create: createNativeEngine });
  const label = guest.code(CODE, `mov rbx, ${DATA}; mov rcx, 1; again: add rcx, 2; mov rax, [rbx]; jmp again`);
  guest.start(guest.core, CODE);
  guest.core.run(20);
  const { env } = guest.core as unknown as { env: Environment };
  return { guest, env, load: label("again") };
}
/** Makes the table's entry for DATA lead to `address`. */
function corrupt(env: Environment, address: number): void {
  const entry = readTable(SUPERVISOR) + ((DATA / 4096) & (TLB_ENTRIES - 1)) * 16;
  expect(env.address64(entry)).toBe(DATA);
  env.setAddress64(entry + 8, address);
}

describe.skipIf(skipReason("tests/cpu/crash", createNativeEngine))("crashes of the native engine", () => {
  it("name the guest's instruction and its block; status 3; the engine goes on", () => {
    const { guest, env, load } = loaded();
    corrupt(env, 0x1000);
    let thrown: unknown;
    try {
      guest.core.run(20);
    } catch (error) {
      thrown = error;
    }
    expect(describeFailure(thrown)).toEqual({
      line: `margay: native engine: SIGSEGV in translated code of the instruction at 0x${(load + 4).toString(16)}, in the block at 0x${load.toString(16)}: please report it, and give --engine unicorn`,
      status: 3,
    });
    guest.engine.flushCaches();
    const before = guest.core.time;
    expect(guest.core.run(30)).toEqual({ reason: "budget", retired: 30 });
    expect(guest.core.time).toBe(before + 30);
    guest.close();
  });

  it("are what an access beside the guest's RAM or the core's environment is", () => {
    const { guest, env } = loaded();
    const ram = guest.engine as unknown as { memory: { address: number } };
    const environments = guest.engine as unknown as { environments: { address: number } };
    const pages = [
      ram.memory.address - 4096,
      ram.memory.address + guest.engine.ram.length,
      environments.environments.address - 4096,
      environments.environments.address + Math.ceil(Env.BYTES / 4096) * 4096,
    ];
    for (const page of pages) {
      guest.core.run(20);
      corrupt(env, page);
      expect(() => guest.core.run(20)).toThrow(/^native engine: SIGSEGV/);
      guest.engine.flushCaches();
    }
    guest.close();
  });
});
