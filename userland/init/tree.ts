/**
 * The load tree. Its nodes are the job's nodes, by position: the children of position p are p·k + 1 … p·k + k, so a
 * sub-tree is one range of positions on each level. The first rank of a node, its leader, stands for it; the node's
 * other ranks are the leader's children.
 */
import type { RankPlace } from "../../kernel/abi/job.ts";

export function firstChildOf(position: u32, fanout: u32): u64 {
  return u64(position) * u64(fanout) + 1;
}
export function childCountOf(position: u32, fanout: u32, nodes: u32): u32 {
  const first: u64 = firstChildOf(position, fanout);
  if (first >= u64(nodes)) return 0;
  const rest: u64 = u64(nodes) - first;
  return rest < u64(fanout) ? u32(rest) : fanout;
}
/** Number of a position among its parent's children. */
export function indexInParent(position: u32, fanout: u32): u32 {
  return (position - 1) % fanout;
}

/** `places` null: rank r is alone at position r. */
export function leaderAt(places: ptr<RankPlace> | null, position: u32): u32 {
  return places === null ? position : places[position].leader;
}
/** The next rank on the same node; 0: there is none. */
export function nextOnNode(places: ptr<RankPlace> | null, rank: u32): u32 {
  return places === null ? 0 : places[rank].next;
}

/** Whether a rank on the node at `position` runs program `index`. */
export function nodeRuns(places: ptr<RankPlace> | null, position: u32, programOfRank: ptr<u32>, index: u32): boolean {
  let rank: u32 = leaderAt(places, position);
  while (programOfRank[rank] !== index) {
    rank = nextOnNode(places, rank);
    if (rank === 0) return false;
  }
  return true;
}
/** Whether a rank in the sub-tree of nodes under `root` runs program `index`. */
export function subtreeRuns(
  root: u32,
  fanout: u32,
  nodes: u32,
  places: ptr<RankPlace> | null,
  programOfRank: ptr<u32>,
  index: u32,
): boolean {
  let first: u64 = root;
  let end: u64 = u64(root) + 1;
  while (first < u64(nodes)) {
    const last: u64 = end < u64(nodes) ? end : u64(nodes);
    for (let position: u64 = first; position < last; position++) {
      if (nodeRuns(places, u32(position), programOfRank, index)) return true;
    }
    first = first * u64(fanout) + 1;
    end = end * u64(fanout) + 1;
  }
  return false;
}
