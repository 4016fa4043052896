/** The catalogue of system calls, from kernel/abi/syscalltable.ts: `margay syscalls` and kernel/SYSCALLS.md. */
import { ErrnoNames } from "../abi/errno.ts";
import { LINUX_CALL_COUNT, Route } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";

export interface CallEntry {
  readonly number: number;
  readonly name: string;
  readonly arguments: readonly string[];
  readonly route: "local" | "shipped" | "refused";
  /** For a refused call: the name of its errno, and the reason. */
  readonly errno?: string;
  readonly why?: string;
}
const ROUTES = { [Route.LOCAL]: "local", [Route.SHIPPED]: "shipped", [Route.REFUSED]: "refused" } as const;

export const callEntries: readonly CallEntry[] = syscallInfos
  .map((row) => ({
    number: row.number as number,
    name: row.name,
    arguments: row.names === null ? [] : row.names.split(" "),
    route: ROUTES[row.route],
    ...(row.route === Route.REFUSED ? { errno: ErrnoNames.get(row.errno) ?? `errno ${row.errno}` } : {}),
    ...(row.why === null ? {} : { why: row.why }),
  }))
  .sort((a, b) => a.number - b.number);

const signature = (c: CallEntry): string => (c.route === "refused" ? c.name : `${c.name}(${c.arguments.join(", ")})`);
const routeText = (c: CallEntry): string => (c.route === "refused" ? `refused, ${c.errno}: ${c.why}` : c.route);

/** One line each: number, name and arguments, route. */
export function callLines(entries: readonly CallEntry[]): string {
  const width = Math.max(...entries.map((c) => signature(c).length));
  return entries
    .map((c) => `${String(c.number).padStart(4)}  ${signature(c).padEnd(width)}  ${routeText(c)}\n`)
    .join("");
}

/** kernel/SYSCALLS.md. */
export function callCatalogue(): string {
  const table = (entries: readonly CallEntry[]): string[] => [
    "| number | call | route |",
    "|---|---|---|",
    ...entries.map((c) => `| ${c.number} | \`${signature(c)}\` | ${routeText(c)} |`),
    "",
  ];
  return [
    "# System calls",
    "",
    "This page is generated from `kernel/abi/syscalltable.ts` by `margay syscalls --markdown`; a test compares them.",
    "A call is **local** (the kernel carries it out), **shipped** (the I/O node carries it out) or **refused** (it fails",
    "with the given errno). A call that is not listed fails with ENOSYS.",
    "",
    "## Linux",
    "",
    ...table(callEntries.filter((c) => c.number < LINUX_CALL_COUNT)),
    "## Margay",
    "",
    ...table(callEntries.filter((c) => c.number >= LINUX_CALL_COUNT)),
  ].join("\n");
}
