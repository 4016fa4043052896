/**
 * Which node and which cores each rank gets: `--ranks`, `--tasks-per-node`, `--distribution`, `--cores-per-task`,
 * `--bind`. Every mistake is refused before anything starts.
 */
import { UserError } from "./errors.ts";
import { bounds } from "./limits.ts";
import type { Texts } from "./parse.ts";
import { parseCount } from "./units.ts";

export interface Placement {
  /** The nid of each rank. */
  readonly nids: readonly number[];
  /** The cores of each rank, as a mask. Left out: each rank has a node of its own, with all its cores. */
  readonly coresOfRank?: readonly bigint[];
}

/** `mapped`: number of ranks that `--map` names. */
export function placement(texts: Texts, nodes: number, cores: number, mapped?: number): Placement {
  const nids = nidsOf(texts, nodes, mapped);
  const orders = ordersOf(nids);
  const most = Math.max(...orders) + 1;
  const masks = masksOf(texts, most, cores);
  return masks === undefined ? { nids } : { nids, coresOfRank: orders.map((order) => masks[order]!) };
}

/** Number of ranks before each rank on its node. */
function ordersOf(nids: readonly number[]): number[] {
  const counts = new Map<number, number>();
  return nids.map((nid) => {
    const order = counts.get(nid) ?? 0;
    counts.set(nid, order + 1);
    return order;
  });
}

function nidsOf(texts: Texts, nodes: number, mapped: number | undefined): number[] {
  const perNode =
    texts["tasks-per-node"] === undefined
      ? undefined
      : parseCount("--tasks-per-node", texts["tasks-per-node"], 1, bounds.cores);
  const given = texts["ranks"] === undefined ? undefined : parseCount("--ranks", texts["ranks"], 1, bounds.ranks);
  if (given !== undefined && mapped !== undefined && given !== mapped)
    throw new UserError("bad --map", `it names ${mapped} ranks, --ranks ${given}`, "leave out --ranks");
  const ranks = mapped ?? given ?? nodes * (perNode ?? 1);
  const most = perNode ?? bounds.cores;
  if (ranks > nodes * most) {
    const where = perNode === undefined ? "a node has one core for each at most" : `${perNode} on each`;
    const todo = Math.ceil(ranks / most);
    throw new UserError(
      mapped === undefined ? "bad --ranks" : "bad --map",
      `${ranks} ranks on ${nodes} nodes, ${where}`,
      todo <= bounds.nodes ? `give --nodes ${todo} too` : `give at most ${bounds.nodes * most} ranks`,
    );
  }
  if (ranks > bounds.ranks) throw new UserError("bad --ranks", `${ranks} ranks`, `give at most ${bounds.ranks}`);
  const counts = countsOf(ranks, nodes, perNode);
  switch (texts["distribution"] ?? "block") {
    case "block":
      return counts.flatMap((count, i) => Array.from({ length: count }, () => i + 1));
    case "cyclic":
      // Round by round, one rank on each node that still has room.
      return Array.from({ length: Math.max(...counts) }, (_, round) =>
        counts.flatMap((count, i) => (count > round ? [i + 1] : [])),
      ).flat();
    default:
      throw new UserError("bad --distribution", `'${texts["distribution"]}'`, "give block or cyclic");
  }
}
/** Number of ranks on each node: `perNode` from the first on, otherwise as equal as possible. */
function countsOf(ranks: number, nodes: number, perNode: number | undefined): number[] {
  if (perNode !== undefined)
    return Array.from({ length: nodes }, (_, i) => Math.min(perNode, Math.max(0, ranks - i * perNode)));
  const share = Math.floor(ranks / nodes);
  return Array.from({ length: nodes }, (_, i) => share + (i < ranks % nodes ? 1 : 0));
}

/** The cores of a node's tasks, by their order; undefined: one task, with all of them. */
function masksOf(texts: Texts, tasks: number, cores: number): readonly bigint[] | undefined {
  const { bind } = texts;
  const each = texts["cores-per-task"];
  if (bind !== undefined) {
    if (each !== undefined) throw new UserError("bad --bind", "with --cores-per-task", "give one of them");
    return parseBind(bind, tasks, cores);
  }
  if (each === undefined && tasks === 1) return undefined;
  if (tasks > cores)
    throw new UserError("too many tasks", `${tasks} tasks on a node of ${cores} cores`, `give --cores ${tasks}`);
  const count = each === undefined ? Math.floor(cores / tasks) : parseCount("--cores-per-task", each, 1, bounds.cores);
  if (count * tasks > cores)
    throw new UserError(
      "bad --cores-per-task",
      `${tasks} tasks of ${count} cores on a node of ${cores}`,
      count * tasks <= bounds.cores ? `give --cores ${count * tasks}` : `give at most ${Math.floor(cores / tasks)}`,
    );
  return Array.from({ length: tasks }, (_, i) => ((1n << BigInt(count)) - 1n) << BigInt(i * count));
}

/** `0-1:2,4`: a list for each task of a node. */
function parseBind(text: string, tasks: number, cores: number): readonly bigint[] {
  const refuse = (why: string, todo: string): never => {
    throw new UserError("bad --bind", `'${text}': ${why}`, todo);
  };
  const owners = new Map<number, number>();
  const masks = text.split(":").map((list, task) =>
    list.split(",").reduce((mask, part) => {
      const [, from, to] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? refuse(`'${part}' is no core`, FORM);
      const first = Number(from);
      const last = Number(to ?? from);
      if (last < first) refuse(`${part} descends`, FORM);
      if (last >= cores) refuse(`there is no core ${last}`, `a node has cores 0 to ${cores - 1}: see --cores`);
      let all = mask;
      for (let core = first; core <= last; core++) {
        const owner = owners.get(core);
        if (owner !== undefined)
          refuse(`core ${core} is in ${owner === task ? "a list twice" : `lists ${owner} and ${task}`}`, FORM);
        owners.set(core, task);
        all |= 1n << BigInt(core);
      }
      return all;
    }, 0n),
  );
  if (masks.length < tasks)
    refuse(`${masks.length} lists for ${tasks} tasks on a node`, "give a list for each task, joined by ':'");
  return masks;
}
const FORM = "give disjoint lists of cores, one for each task of a node, as 0-1:2,4";
