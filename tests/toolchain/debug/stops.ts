/**
 * Stops of a program at its lines, as gdb shows them (stops.py) or as the interpreter computes them, and how well they
 * agree.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { DebugValue, Func, Instr, Module, Scope, Variable } from "../../../toolchain/ir/ir.ts";
import type { DebugType } from "../../../toolchain/link/debug.ts";

/** Integers are decimal text if large; pointers are text; null: unknown. */
export type Shown = number | string | null | readonly Shown[];
export interface Stop {
  readonly file: string;
  readonly line: number;
  /** The line that the debugger reports, if the requested line has no code. */
  readonly shown?: number;
  readonly locals: Readonly<Record<string, readonly [declared: number, value: Shown]>>;
}

/** Lines in the order of their first visits. */
export function linesOf(stops: readonly Stop[]): [file: string, line: number][] {
  return [...new Map(stops.map(({ file, line }) => [`${file}:${line}`, [file, line] as [string, number]])).values()];
}

/** Every stop of `program` with gdb's breakpoints on `lines`. `folder`: location of the sources. */
export function gdbStops(program: string, folder: string, lines: readonly [file: string, line: number][]): Stop[] {
  const script = path.join(import.meta.dirname, "stops.py");
  const { stdout, stderr, status } = spawnSync("gdb", ["-nx", "-batch", "-x", script, program], {
    cwd: folder,
    env: { ...process.env, STOP_LINES: JSON.stringify(lines) },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  // Large integers would lose digits as numbers.
  const stops = stdout
    .split("\n")
    .filter((l) => l.startsWith("STOP "))
    .map((l) => JSON.parse(l.slice(5).replace(/([[ ,])(-?\d{15,})/g, '$1"$2"')) as Stop);
  if (stops.length === 0) throw new Error(`gdb (status ${status}) stopped nowhere\n${stdout}\n${stderr}`);
  return stops;
}

// ---- the reference

/** Every line that `entry(arguments)` visits in the unoptimised IR, with all locals in scope. */
export const referenceStops = (module: Module, entry: string, args: readonly bigint[]): Stop[] =>
  interpret(module, entry, args).stops;

/** Also returns every scalar value that each local ever had, by `file:line of declaration name`. */
export function interpret(
  module: Module,
  entry: string,
  args: readonly bigint[],
): { stops: Stop[]; ever: Map<string, Set<Shown>> } {
  const stops: Stop[] = [];
  const ever = new Map<string, Set<Shown>>();
  const known = new WeakMap<object, { line: number; bound: Map<Variable, DebugValue> }>();
  const data = [...module.data.values()];
  const functions = new Map<bigint, string>();
  let interpreter: Interpreter;
  const watch = (
    func: Func,
    instr: Instr,
    value: (i: Instr) => bigint | number | undefined,
    activation: object,
  ): void => {
    let state = known.get(activation);
    if (state === undefined) known.set(activation, (state = { line: func.loc.line, bound: new Map() }));
    const { loc } = instr;
    for (const [variable, bound] of instr.op === "alloca" ? [] : state.bound) {
      const key = keyOf(path.basename(module.files[variable.loc.file]), variable.loc.line, variable.name);
      const known = ever.get(key);
      const now = read(module.types[variable.type], bound, value);
      if (known) known.add(now);
      else ever.set(key, new Set([now]));
    }
    if (loc.file >= 0 && loc.line !== state.line && instr.op !== "dbg" && instr.op !== "alloca") {
      state.line = loc.line;
      const locals: Record<string, [number, Shown]> = {};
      for (let scope: Scope | null = loc.scope ?? func.scope; scope; scope = scope.parent) {
        for (const [variable, bound] of state.bound) {
          if (variable.scope !== scope || variable.name in locals) continue;
          const type = module.types[variable.type];
          locals[variable.name] = [variable.loc.line, read(type, bound, value)];
        }
      }
      stops.push({ file: path.basename(module.files[loc.file]), line: loc.line, locals });
    }
    if (instr.op === "dbg") state.bound.set(instr.debug.variable, instr.debug);
  };
  const read = (
    type: DebugType,
    { watched, indirect, bytes }: DebugValue,
    value: (i: Instr) => bigint | number | undefined,
  ): Shown => {
    const known = watched && value(watched);
    if (known === null || known === undefined) return null;
    if (indirect)
      return decode(type, new DataView(Uint8Array.from(interpreter.bytesAt(known as bigint, bytes)).buffer), 0);
    const view = new DataView(new ArrayBuffer(8));
    if (typeof known === "number") view.setFloat64(0, known, true);
    else view.setBigUint64(0, BigInt.asUintN(64, known), true);
    return decode(type, view, 0);
  };
  const decode = (type: DebugType, view: DataView, at: number, deep = true): Shown => {
    switch (type.kind) {
      case "typedef":
        return decode(module.types[type.target], view, at, deep);
      case "enum":
        return decode(module.types[type.base], view, at, deep);
      case "struct":
        return type.members.map((m) => decode(module.types[m.type], view, at + m.offset, deep));
      case "array": {
        const element = module.types[type.element];
        return Array.from({ length: type.count }, (_, i) =>
          decode(element, view, at + i * sizeOf(module, element), deep),
        );
      }
      case "base": {
        let bits = 0n;
        for (let i = type.bytes - 1; i >= 0; i--) bits = (bits << 8n) | BigInt(view.getUint8(at + i));
        return shown(type.encoding === "signed" ? BigInt.asIntN(8 * type.bytes, bits) : bits);
      }
      default: {
        const address = view.getBigUint64(at, true);
        if (address === 0n) return "null";
        for (const { name, size } of data) {
          const start = interpreter.addressOf(name);
          if (address >= start && address < start + BigInt(size)) return `${name}+${address - start}`;
        }
        const target = type.kind === "pointer" ? module.types[type.target] : undefined;
        if (target?.kind === "function") return `${functions.get(address) ?? "?"}+0`;
        if (!deep || target === undefined) return "elsewhere";
        const bytes = interpreter.bytesAt(address, sizeOf(module, target));
        return ["to", decode(target, new DataView(Uint8Array.from(bytes).buffer), 0, false)];
      }
    }
  };
  interpreter = new Interpreter(module, { watch });
  for (const name of module.functions.keys()) functions.set(interpreter.addressOf(name), name);
  const outcome = interpreter.run(entry, args);
  if (outcome.kind !== "returned") throw new Error(outcome.message);
  return { stops, ever };
}
const keyOf = (file: string, declared: number, name: string): string => `${file}:${declared} ${name}`;

/** Scalars that the debugger showed and the local never had, as text: worse than a value of another moment. */
export function impossible(stops: readonly Stop[], ever: ReadonlyMap<string, ReadonlySet<Shown>>): string[] {
  return stops.flatMap(({ file, line, locals }) =>
    Object.entries(locals).flatMap(([name, [declared, value]]) => {
      const known = ever.get(keyOf(file, declared, name));
      if (value === null || Array.isArray(value) || value === "elsewhere" || !known || known.has(value)) return [];
      return `${file}:${line} ${name}: ${value}, and not ${[...known].slice(0, 5).join(", ")} …`;
    }),
  );
}

const shown = (value: bigint): Shown => (/\d{15,}/.test(`${value}`) ? `${value}` : Number(value));
function sizeOf(module: Module, type: DebugType): number {
  switch (type.kind) {
    case "base":
    case "struct":
      return type.bytes;
    case "array":
      return type.count * sizeOf(module, module.types[type.element]);
    case "enum":
      return sizeOf(module, module.types[type.base]);
    case "typedef":
      return sizeOf(module, module.types[type.target]);
    default:
      return 8;
  }
}

// ---- agreement

export interface Agreement {
  /** Mean over every local at every line: share of visits at which its value was shown correctly. */
  readonly share: number;
  /** Number of (local, line) pairs. */
  readonly pairs: number;
  /** Wrong values shown while the debugger was at that very line, as text; over all visits. */
  readonly wrong: readonly string[];
  /** By `file:line name`: visits, right, wrong. */
  readonly details: ReadonlyMap<string, { visits: number; right: number; wrong: number }>;
}

/**
 * Matches stops with visits of the reference: in order, each stop with at most one visit of its line, so that as much
 * as possible agrees; a visit without a stop shows nothing. Locals count at lines after their declaration.
 */
export function agreement(reference: readonly Stop[], stops: readonly Stop[]): Agreement {
  const visits = reference.map(({ file, line, locals }) => ({
    place: `${file}:${line}`,
    locals: Object.entries(locals).filter(([, [declared, value]]) => declared < line && isWhole(value)),
  }));
  const places = stops.map(({ file, line }) => `${file}:${line}`);
  const width = stops.length + 1;
  const best = new Int32Array((visits.length + 1) * width);
  const right = (v: number, s: number): number =>
    visits[v].locals.filter(([name, [, value]]) => isSame(value, stops[s].locals[name]?.[1] ?? null)).length;
  for (let v = visits.length - 1; v >= 0; v--) {
    for (let s = stops.length - 1; s >= 0; s--) {
      let most = Math.max(best[(v + 1) * width + s], best[v * width + s + 1]);
      if (places[s] === visits[v].place) most = Math.max(most, best[(v + 1) * width + s + 1] + 1 + right(v, s));
      best[v * width + s] = most;
    }
  }
  const details = new Map<string, { visits: number; right: number; wrong: number }>();
  const wrong: string[] = [];
  const count = (v: number, stop: Stop | null): void => {
    const { place, locals } = visits[v];
    for (const [name, [, value]] of locals) {
      const key = `${place} ${name}`;
      let detail = details.get(key);
      if (detail === undefined) details.set(key, (detail = { visits: 0, right: 0, wrong: 0 }));
      detail.visits++;
      const seen = stop?.locals[name]?.[1] ?? null;
      if (isSame(value, seen)) detail.right++;
      else if (isWhole(seen) && stop?.shown === stop?.line) {
        detail.wrong++;
        wrong.push(`${key}: ${JSON.stringify(seen)}, not ${JSON.stringify(value)}`);
      }
    }
  };
  for (let v = 0, s = 0; v < visits.length; ) {
    const here = best[v * width + s];
    if (s < stops.length && here === best[v * width + s + 1]) s++;
    else if (here === best[(v + 1) * width + s]) count(v++, null);
    else count(v++, stops[s++]);
  }
  const shares = [...details.values()].map((d) => d.right / d.visits);
  return { share: shares.reduce((a, b) => a + b, 0) / shares.length, pairs: shares.length, wrong, details };
}

const isWhole = (value: Shown): boolean => value !== null && (!Array.isArray(value) || value.every(isWhole));
function isSame(a: Shown, b: Shown): boolean {
  if (Array.isArray(a))
    return Array.isArray(b) && a.length === b.length && a.every((x, i) => isSame(x as Shown, b[i] as Shown));
  return a === b && a !== null;
}
