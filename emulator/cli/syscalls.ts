/** `margay syscalls`: what the kernel does with each system call. */
import { type CallEntry, callCatalogue, callEntries, callLines } from "../trace/calls.ts";
import { UserError } from "./errors.ts";
import { print } from "./output.ts";
import type { Parsed } from "./parse.ts";

export function syscallsCommand({ operands, texts }: Parsed): number {
  const chosen = operands.length === 0 ? callEntries : operands.map(find);
  if (texts["markdown"] !== undefined) print(callCatalogue());
  else if (texts["json"] !== undefined) print(`${JSON.stringify(chosen)}\n`);
  else print(callLines(chosen));
  return 0;
}
function find(operand: string): CallEntry {
  const entry = callEntries.find((c) => c.name === operand || String(c.number) === operand);
  if (entry === undefined)
    throw new UserError("no such system call", `'${operand}'`, "`margay syscalls` lists them; others fail with ENOSYS");
  return entry;
}
