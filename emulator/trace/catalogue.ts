/** The catalogue of events, EVENTS.md, generated from the table of kernel/abi/events.ts: `margay trace events`. */
import { EventKind, eventTable, FieldFormatNames } from "../abi/events.ts";

/** The machine and its services observe kinds from here on; the kernel writes those below. */
const FIRST_OBSERVED = EventKind.CORE_INIT;

// biome-ignore format: a table
const formats: ReadonlyMap<string, string> = new Map([
  ["DECIMAL",     "a number"],
  ["HEX",         "a number, in hexadecimal"],
  ["ADDRESS",     "an address, with its symbol"],
  ["VECTOR",      "an interrupt or exception vector, by name"],
  ["SYSCALL",     "a system call, by name"],
  ["SYSARG",      "the call's argument, by its own name; flags by name"],
  ["RESULT",      "a result, an address, or -ERRNO"],
  ["OPERATION",   "an operation of a message (kernel/abi/net.ts)"],
  ["CAUSE",       "why something was refused (kernel/abi/net.ts); OK"],
  ["NID",         "a node: n3"],
  ["CORE",        "a core: c1"],
  ["WAIT_STATUS", "exit:N or signal:N"],
  ["TEXT",        "text"],
  ["INIT_MATCH",  "match bits; those of init by name (kernel/abi/job.ts)"],
  ["BYTES",       "bytes"],
  ["CODE",        "an instruction"],
]);

export function eventCatalogue(): string {
  const row = ({ name, fields, formats: f }: (typeof eventTable)[number]): string => {
    const shown = fields.flatMap((field, i) =>
      field === null ? [] : [`\`${field}\` ${FieldFormatNames.get(f[i]!) ?? "NONE"}`],
    );
    return `| \`${name}\` | ${shown.join(", ")} |`;
  };
  const table = (rows: readonly (typeof eventTable)[number][]): string[] => [
    "| event | fields |",
    "|---|---|",
    ...rows.map(row),
  ];
  return [
    "# Events",
    "",
    "Generated from the table in `kernel/abi/events.ts` by `margay trace events`; a test keeps it true.",
    "",
    "## Written by the kernel",
    "",
    ...table(eventTable.filter(({ kind }) => kind < FIRST_OBSERVED)),
    "",
    "## Observed by the machine, the fabric, the service node and the I/O node",
    "",
    ...table(eventTable.filter(({ kind }) => kind >= FIRST_OBSERVED)),
    "",
    "## How a field is shown",
    "",
    "| format | shown as |",
    "|---|---|",
    ...[...formats].map(([name, text]) => `| ${name} | ${text} |`),
    "",
  ].join("\n");
}
