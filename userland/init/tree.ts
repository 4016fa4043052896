/** The load tree: the children of rank r are r·k + 1 … r·k + k, so a sub-tree is one range of ranks on each level. */

export function firstChildOf(rank: u32, fanout: u32): u64 {
  return u64(rank) * u64(fanout) + 1;
}
export function childCountOf(rank: u32, fanout: u32, size: u32): u32 {
  const first: u64 = firstChildOf(rank, fanout);
  if (first >= u64(size)) return 0;
  const rest: u64 = u64(size) - first;
  return rest < u64(fanout) ? u32(rest) : fanout;
}
/** Position of a rank among its parent's children. */
export function indexInParent(rank: u32, fanout: u32): u32 {
  return (rank - 1) % fanout;
}
/** Whether a rank of the sub-tree under `root` runs program `index`. */
export function subtreeRuns(root: u32, fanout: u32, size: u32, programOfRank: ptr<u32>, index: u32): boolean {
  let first: u64 = root;
  let end: u64 = u64(root) + 1;
  while (first < u64(size)) {
    const last: u64 = end < u64(size) ? end : u64(size);
    for (let rank: u64 = first; rank < last; rank++) {
      if (programOfRank[rank] === index) return true;
    }
    first = first * u64(fanout) + 1;
    end = end * u64(fanout) + 1;
  }
  return false;
}
