/**
 * Debug information of a function (../../link/debug.ts): its scopes with their code, for each variable the ranges of
 * code in which its value has a location, and the arguments of its calls. The writer reports what each allocated
 * instruction became (`wrote`).
 */
import type { Func, Scope } from "../../ir/ir.ts";
import type { DebugCall, FunctionDebug } from "../../link/debug.ts";
import type { Frame } from "../frame.ts";
import type { MachineBlock } from "../machine.ts";
import type { CodeSink } from "../operand.ts";
import type { Placed, PlacedFunction } from "../regalloc-place.ts";
import { callsOf } from "./calls.ts";
import { LocationWalk } from "./locations.ts";
import { Scopes } from "./scopes.ts";
import { MeasuringSink, type Written } from "./written.ts";

/** Records what the writer does. */
export class DebugWriter {
  readonly sink: MeasuringSink;
  readonly #written: { readonly block: MachineBlock; readonly code: Written[] }[] = [];
  #start = 0;
  frame: Frame | null = null;
  constructor(sink: CodeSink & { readonly length: number }) {
    this.sink = new MeasuringSink(sink);
  }
  enter(block: MachineBlock): void {
    this.#written.push({ block, code: [] });
    this.#start = this.sink.length;
    this.sink.ends = [];
  }
  wrote(placed: Placed): void {
    const { ends } = this.sink;
    const end = this.sink.length;
    this.#written[this.#written.length - 1].code.push({ placed, start: this.#start, first: ends[0] ?? end, end });
    this.#start = end;
    this.sink.ends = [];
  }

  /** `moved`: maps offsets during writing to offsets in the finished code of `size` bytes. */
  describe(
    f: Func,
    root: Scope,
    placed: PlacedFunction,
    size: number,
    moved: (offset: number) => number,
  ): FunctionDebug {
    const locations = new LocationWalk(f, placed, this.frame as Frame, moved).run(this.#written);
    const scopes = new Scopes(root);
    for (const { code } of this.#written)
      for (const { placed: p, start, end } of code) scopes.cover(p.instr.loc, moved(start), moved(end));
    const { file, line } = f.loc;
    const list = scopes.list(locations, size);
    const calls: DebugCall[] = [];
    for (const { end, instr, told } of callsOf(this.#written, placed.slotCount, this.frame as Frame)) {
      const [to] = instr.operands;
      calls.push({ end: moved(end), target: to.kind === "sym" ? to.name : null, arguments: told });
    }
    return { file, line, result: root.function.result, scopes: list, calls };
  }
}
