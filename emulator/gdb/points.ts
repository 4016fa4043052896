/**
 * Break- and watchpoints that the debugger has set (Z0–Z4), and the handling of a stop at one.
 *
 * Scope. In the high half a point belongs to the node, in every address space. In the low half it belongs to the
 * selected node's job task at the time when it is set, or else to the first task that reaches it; in other tasks the
 * machine continues. When that task is gone, the point passes to the next one. The engine stops in every space and the
 * scope is checked here, so nothing has to be moved when a task ends.
 *
 * Removal is delayed until the machine resumes. gdb removes all points whenever it stops and inserts them again to
 * resume, and removes them to step one thread past one. Here the other cores run meanwhile, and must not pass a point
 * unnoticed that is only removed for a step.
 */
import type { Place, WatchKind } from "../cpu/engine.ts";
import { AgentError, evaluate } from "./agent.ts";
import type { CoreId, OwnKind, OwnPoints, Target, TargetStop, Task } from "./target.ts";

/** Z types. */
export const PointType = { SOFTWARE: 0, HARDWARE: 1, WRITE: 2, READ: 3, ACCESS: 4 } as const;
/** Reason in a stop reply, by Z type. */
const reasons = ["swbreak", "hwbreak", "watch", "rwatch", "awatch"] as const;
const watchKinds: readonly (WatchKind | undefined)[] = [undefined, undefined, "write", "read", "access"];

const ownTypes: Readonly<Record<OwnKind, number>> = {
  break: PointType.HARDWARE,
  watch: PointType.WRITE,
  rwatch: PointType.READ,
  awatch: PointType.ACCESS,
};

interface Point {
  readonly key: string;
  readonly type: number;
  readonly nid: number;
  readonly place: Place;
  readonly address: bigint;
  readonly bytes: number;
  /** The engine's id. */
  readonly id: number;
  /** Stops if one of them is not 0, or cannot be evaluated. Empty: always stops. */
  conditions: readonly Uint8Array[];
  /** Low half only. */
  task: Task | undefined;
  removed: boolean;
  /** Set by `monitor break` or a similar command: gdb does not know it. */
  readonly own: OwnKind | undefined;
}

/** Meaning of a stop for the debugger. */
export type Hit =
  /** Not for the debugger: continue. */
  | undefined
  /** `reason`: "swbreak:" or "watch:ADDRESS"; empty for a point that gdb does not know. */
  | { readonly reason: string; readonly text?: string };

const isLow = (address: bigint): boolean => address >> 63n === 0n;

export class Points implements OwnPoints {
  private readonly byKey = new Map<string, Point>();

  constructor(private readonly target: Target) {}

  /** False: more than the engine can watch, or an invalid type. */
  add(type: number, nid: number, address: bigint, bytes: number, conditions: readonly Uint8Array[]): boolean {
    const key = `${type}:${nid}:${address}:${bytes}`;
    const known = this.byKey.get(key);
    if (known !== undefined) {
      known.removed = false;
      known.conditions = conditions;
      return true;
    }
    return this.insert({
      key,
      type,
      nid,
      place: { virtual: address, space: null },
      address,
      bytes,
      conditions,
      own: undefined,
    });
  }

  /**
   * For `monitor break` and similar commands: a separate place, physical or in a given space. Returns its number, for
   * `removeOwn`.
   */
  addOwn(nid: number, place: Place, what: OwnKind, bytes: number): number | undefined {
    const address = "physical" in place ? BigInt(place.physical) : place.virtual;
    const key = `${what}:${nid}:${"physical" in place ? "physical" : place.space}:${address}:${bytes}`;
    const point = { key, type: ownTypes[what], nid, place, address, bytes, conditions: [], own: what };
    return this.byKey.has(key) || this.insert(point) ? this.byKey.get(key)!.id : undefined;
  }
  removeOwn(nid: number, id: number): boolean {
    const point = [...this.byKey.values()].find((p) => p.own !== undefined && p.nid === nid && p.id === id);
    if (point !== undefined) this.drop(point);
    return point !== undefined;
  }
  get own(): OwnPoints["own"] {
    return [...this.byKey.values()].flatMap((p) =>
      p.own === undefined ? [] : [{ nid: p.nid, id: p.id, place: p.place, what: p.own }],
    );
  }

  /** Removing a point that does not exist succeeds. */
  remove(type: number, nid: number, address: bigint, bytes: number): void {
    const point = this.byKey.get(`${type}:${nid}:${address}:${bytes}`);
    if (point !== undefined) point.removed = true;
  }

  /** The machine resumes on all cores: removed points are deleted now. */
  settle(): void {
    for (const point of [...this.byKey.values()]) if (point.removed) this.drop(point);
  }

  /** The debugger has left. */
  clear(): void {
    for (const point of [...this.byKey.values()]) this.drop(point);
  }

  /** Whether the target's point `id` is still in use. */
  has(nid: number, id: number): boolean {
    return [...this.byKey.values()].some((p) => p.nid === nid && p.id === id);
  }

  /** Decides whom a stop of the engine concerns. */
  judge(stop: TargetStop & { kind: "breakpoint" | "watchpoint" }): Hit {
    const point = [...this.byKey.values()].find((p) => p.nid === stop.nid && p.id === stop.id);
    if (point === undefined) return undefined;
    if (point.own === undefined && isLow(point.address) && !this.belongs(point, stop)) return undefined;
    if (!this.holds(point, stop)) return undefined;
    if (point.own !== undefined) {
      const access =
        stop.kind === "watchpoint" ? `: ${stop.write ? "write" : "read"} at 0x${stop.virtual.toString(16)}` : "";
      return { reason: "", text: `monitor ${point.own} ${point.id} on n${point.nid}${access}\n` };
    }
    const reason = reasons[point.type]!;
    // gdb identifies the watchpoint by the address that it set; an access of a wider word may start before it.
    if (stop.kind === "watchpoint")
      return { reason: `${reason}:${(stop.virtual > point.address ? stop.virtual : point.address).toString(16)}` };
    return { reason: `${reason}:` };
  }

  private insert(point: Omit<Point, "id" | "task" | "removed">): boolean {
    const kind = watchKinds[point.type];
    const { nid, place, bytes, address, own } = point;
    const id =
      kind === undefined ? this.target.addBreakpoint(nid, place) : this.target.addWatchpoint(nid, place, bytes, kind);
    if (id <= 0) return false;
    this.byKey.set(point.key, {
      ...point,
      id,
      task: own === undefined && isLow(address) ? this.target.tasks(nid)[0] : undefined,
      removed: false,
    });
    return true;
  }

  private drop(point: Point): void {
    this.byKey.delete(point.key);
    if (watchKinds[point.type] === undefined) this.target.removeBreakpoint(point.nid, point.id);
    else this.target.removeWatchpoint(point.nid, point.id);
  }

  private belongs(point: Point, id: CoreId): boolean {
    const here = this.target.taskOf(id);
    // Low addresses without a task: boot code.
    if (here === undefined) return point.task === undefined;
    const bound = point.task;
    const same = (task: Task): boolean => bound !== undefined && task.pid === bound.pid && task.space === bound.space;
    if (same(here)) return true;
    if (bound !== undefined && this.target.tasks(id.nid).some(same)) return false;
    point.task = here;
    return true;
  }

  private holds(point: Point, id: CoreId): boolean {
    if (point.conditions.length === 0) return true;
    const context = {
      registers: this.target.registers(id),
      read: (address: bigint, length: number) => this.target.read(id, address, length),
    };
    return point.conditions.some((code) => {
      try {
        return evaluate(code, context) !== 0n;
      } catch (error) {
        if (error instanceof AgentError) return true;
        throw error;
      }
    });
  }
}
