/** Points that gdb's own commands cannot express: physical addresses, and addresses in a chosen address space. */
import type { Place } from "../../cpu/engine.ts";
import {
  columns,
  hex,
  type MonitorCommand,
  type MonitorContext,
  MonitorError,
  parseAddress,
  parseNumber,
} from "./command.ts";

const MOST_WATCHED = 4096;

/** `physical ADDRESS`, `space CR3 ADDRESS`, `any ADDRESS` (every space); also returns the remaining words. */
function place(words: readonly string[], what: string): readonly [Place, readonly string[]] {
  const [kind, ...rest] = words;
  switch (kind) {
    case "physical":
      return [{ physical: Number(parseAddress(rest[0], what)) }, rest.slice(1)];
    case "space":
      return [
        { virtual: parseAddress(rest[1], what), space: Number(parseAddress(rest[0], what) & 0xf_ffff_ffff_f000n) },
        rest.slice(2),
      ];
    case "any":
      return [{ virtual: parseAddress(rest[0], what), space: null }, rest.slice(1)];
  }
  throw new MonitorError(`${what}: '${kind ?? ""}' is none of physical, space, any`);
}
const placeText = (p: Place): string =>
  "physical" in p
    ? `physical ${hex(p.physical)}`
    : `${hex(p.virtual)} in ${p.space === null ? "every space" : `space ${hex(p.space)}`}`;

function add(c: MonitorContext, kind: "break" | "watch" | "rwatch" | "awatch"): readonly string[] {
  const { words, points, id } = c;
  if (words.length === 0) {
    const own = points.own.map((p) => [`  n${p.nid}`, String(p.id), p.what, placeText(p.place)]);
    return own.length === 0 ? ["no points of 'monitor break' and 'monitor watch'"] : columns(own);
  }
  const [where, rest] = place(words, kind);
  const bytes = kind === "break" || rest[0] === undefined ? 8 : parseNumber(rest[0], kind, MOST_WATCHED);
  if (bytes === 0 || rest.length > (kind === "break" ? 0 : 1))
    throw new MonitorError(`${kind}: '${words.join(" ")}' has too much or too little in it`);
  const number = points.addOwn(id.nid, where, kind, bytes);
  if (number === undefined) throw new MonitorError(`${kind}: the engine cannot watch ${placeText(where)}`);
  return [`n${id.nid}: ${kind} ${number} at ${placeText(where)}`];
}

function remove({ words, points, id }: MonitorContext): readonly string[] {
  const number = parseNumber(words[0] ?? "", "delete", Number.MAX_SAFE_INTEGER);
  if (!points.removeOwn(id.nid, number))
    throw new MonitorError(`delete: n${id.nid} has no point ${number} of 'monitor break' or 'monitor watch'`);
  return [`n${id.nid}: ${number} deleted`];
}

const WHERE = "physical ADDRESS | space CR3 ADDRESS | any ADDRESS";
export const placeCommands: readonly MonitorCommand[] = [
  {
    name: "break",
    usage: `break [${WHERE}]`,
    help: "breakpoint where gdb has no words for it; without arguments a list",
    run: (c) => add(c, "break"),
  },
  {
    name: "watch",
    usage: `watch [${WHERE}] [BYTES]`,
    help: "watchpoint on writes, likewise; also rwatch (reads), awatch (both)",
    run: (c) => add(c, "watch"),
  },
  { name: "rwatch", usage: `rwatch [${WHERE}] [BYTES]`, help: "watchpoint on reads", run: (c) => add(c, "rwatch") },
  {
    name: "awatch",
    usage: `awatch [${WHERE}] [BYTES]`,
    help: "watchpoint on reads and writes",
    run: (c) => add(c, "awatch"),
  },
  { name: "delete", usage: "delete NUMBER", help: "remove a point of these commands", run: remove },
];
