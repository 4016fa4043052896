/** Tasks of a node, and jobs over all nodes, from the kernels' own tables. */
import { taskStates, type KernelTask, type KernelView } from "../kernel.ts";
import { columns, hex, type MonitorCommand, type MonitorContext, parseNumber } from "./command.ts";

const bits = (mask: bigint): string =>
  Array.from({ length: 64 }, (_, i) => i)
    .filter((i) => ((mask >> BigInt(i)) & 1n) !== 0n)
    .join(",") || "-";

/** Cores with a thread of the task, and their activity. */
function threadsOf(view: KernelView, nid: number, task: KernelTask): string {
  const found: string[] = [];
  for (const [core, thread] of (view.global(nid, "threads")?.elements ?? []).entries()) {
    if (thread.bits("task") !== task.datum.address || core >= view.control.machine.node(nid)!.engine.cores.length)
      continue;
    found.push(`tid ${thread.numberOf("tid")} on c${core}`);
  }
  return found.join(", ") || "-";
}

function tasks({ id, view }: MonitorContext): readonly string[] {
  if (view.global(id.nid, "tasks") === undefined) return ["this kernel's debug information names no 'tasks'"];
  const all = view.allTasks(id.nid);
  if (all.length === 0) return [`n${id.nid}: no tasks`];
  return columns([
    ["pid", "job", "rank", "user", "state", "cores", "CR3", "parent", "threads"],
    ...all.map((t) => [
      String(t.pid),
      String(t.jobId),
      t.size === 0 ? String(t.rank) : `${t.rank} of ${t.size}`,
      String(t.datum.numberOf("userId")),
      taskStates[t.state] ?? String(t.state),
      bits(t.cores),
      hex(t.space),
      `n${t.datum.numberOf("parentNid")} pid ${t.datum.numberOf("parentPid")}`,
      threadsOf(view, id.nid, t),
    ]),
  ]);
}

function job({ view, words }: MonitorContext): readonly string[] {
  const wanted = words[0] === undefined ? undefined : parseNumber(words[0], "job", 0xffff_ffff);
  const rows: { readonly job: number; readonly rank: number; readonly row: string[] }[] = [];
  for (const { nid, engine } of view.control.machine.nodes) {
    for (const t of view.allTasks(nid)) {
      if (wanted !== undefined && t.jobId !== wanted) continue;
      const tree = view.global(nid, "trees")?.elements[t.slot];
      const children = Math.min(tree?.numberOf("childCount") ?? 0, tree?.field("children")?.elements.length ?? 0);
      const nids = (tree?.field("children")?.elements ?? [])
        .slice(0, children)
        .map((child) => `n${child.numberOf("nid")}`);
      const doing = engine.cores.map((_, core) => ({ nid, core })).filter((id) => view.taskOn(id)?.slot === t.slot);
      rows.push({
        job: t.jobId,
        rank: t.rank,
        row: [
          String(t.jobId),
          String(t.rank),
          `n${nid} pid ${t.pid}`,
          taskStates[t.state] ?? "",
          `n${t.datum.numberOf("parentNid")}`,
          nids.join(",") || "-",
          doing.map((id) => `c${id.core} ${view.describe(id)}`).join(" | "),
        ],
      });
    }
  }
  if (rows.length === 0) return [wanted === undefined ? "no job on any node" : `no task of job ${wanted} on any node`];
  rows.sort((a, b) => a.job - b.job || a.rank - b.rank);
  return columns([["job", "rank", "task", "state", "parent", "children", "doing"], ...rows.map((r) => r.row)]);
}

export const jobCommands: readonly MonitorCommand[] = [
  {
    name: "tasks",
    usage: "tasks",
    help: "the node's tasks: job, rank, state, cores, address space, threads",
    run: tasks,
  },
  {
    name: "job",
    usage: "job [ID]",
    help: "a job's ranks on all nodes, with the tree that its exits fan in by",
    run: job,
  },
];
