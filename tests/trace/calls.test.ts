/** kernel/SYSCALLS.md matches the table of system calls, and every row of the table says what it must. */
import path from "node:path";
import { expect, it } from "vitest";
import { Syscall, SyscallNames } from "../../emulator/abi/syscalls.ts";
import { callCatalogue, callEntries } from "../../emulator/trace/calls.ts";

const file = path.resolve(import.meta.dirname, "../../kernel/SYSCALLS.md");

it("the catalogue of system calls is up to date", async () => {
  await expect(
    callCatalogue(),
    "the table of system calls has changed: make test T=trace/calls UPDATE=1",
  ).toMatchFileSnapshot(file);
});
it("each call has one row, under the name of its number", () => {
  expect(new Set(callEntries.map((c) => c.number)).size).toBe(callEntries.length);
  for (const { number, name } of callEntries) expect(SyscallNames.get(number)?.toLowerCase()).toBe(name);
});
it("a refused call says why, and no other does", () => {
  for (const { name, route, errno, why } of callEntries) {
    expect(errno !== undefined, name).toBe(route === "refused");
    expect(why !== undefined, name).toBe(route === "refused");
  }
  expect(callEntries.find((c) => c.number === Syscall.FORK)).toMatchObject({ route: "refused", errno: "ENOSYS" });
});
