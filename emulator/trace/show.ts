/**
 * `--show LIST`: groups (the name before the dot: sys, irq, msg …), kinds (irq.eoi) and `all`, separated by commas.
 * `all` excludes single instructions, which occur every virtual nanosecond: `insn` must be named.
 */
import { EventKind, eventTable } from "../abi/events.ts";

const groupOf = (name: string): string => name.split(".")[0];

/** Valid group names. */
export const groups: readonly string[] = [...new Set(eventTable.map((row) => groupOf(row.name)))].sort();
export const kinds: readonly string[] = eventTable.map((row) => row.name);

export class ShowError extends Error {}

/** Kinds that `list` selects. Throws ShowError with the unknown name and the known ones. */
export function parseShow(list: string): ReadonlySet<number> {
  const selected = new Set<number>();
  for (const name of list
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")) {
    const rows = eventTable.filter(
      (row) => (name === "all" && row.kind !== EventKind.INSN) || row.name === name || groupOf(row.name) === name,
    );
    if (rows.length === 0)
      throw new ShowError(`no event or group '${name}': groups are ${groups.join(", ")}; kinds are GROUP.NAME`);
    for (const row of rows) selected.add(row.kind);
  }
  return selected;
}
