/** The scopes of a function for debuggers: their code, and their variables in order. */
import type { Loc, Scope, Variable } from "../../ir/ir.ts";
import type { DebugLocation, DebugPiece, DebugPlace, DebugScope, DebugVariable } from "../../link/debug.ts";

export class Scopes {
  readonly #root: Scope;
  readonly #ranges = new Map<Scope, { start: number; end: number }[]>();
  constructor(root: Scope) {
    this.#root = root;
  }
  /** The code belongs to the position's scope and to all enclosing ones. */
  cover(loc: Loc, start: number, end: number): void {
    if (end <= start) return;
    for (let scope = loc.scope ?? this.#root; scope !== this.#root; scope = this.#parent(scope)) {
      let ranges = this.#ranges.get(scope);
      if (ranges === undefined) this.#ranges.set(scope, (ranges = []));
      const last = ranges[ranges.length - 1];
      if (last && last.end === start) last.end = end;
      else ranges.push({ start, end });
    }
  }
  #parent(scope: Scope): Scope {
    return scope.parent ?? scope.inlinedAt?.scope ?? this.#root;
  }

  list(locations: ReadonlyMap<Variable, DebugLocation[]>, size: number): DebugScope[] {
    const order: Scope[] = [this.#root];
    const index = new Map<Scope, number>([[this.#root, 0]]);
    const add = (scope: Scope): number => {
      const known = index.get(scope);
      if (known !== undefined) return known;
      add(this.#parent(scope));
      index.set(scope, order.length);
      return order.push(scope) - 1;
    };
    for (const scope of this.#ranges.keys()) add(scope);
    const variables = new Map<Scope, [Variable, DebugLocation[]][]>();
    for (const entry of locations) {
      const list = variables.get(entry[0].scope);
      if (list === undefined) variables.set(entry[0].scope, [entry]);
      else list.push(entry);
    }
    return order.map((scope, i): DebugScope => {
      const call = scope.inlinedAt;
      const { name, sourceName, loc, result } = scope.function;
      const inlined = call && {
        symbol: name,
        sourceName,
        file: loc.file,
        line: loc.line,
        callFile: call.file,
        callLine: call.line,
        callColumn: call.column,
        result,
      };
      return {
        parent: i === 0 ? -1 : (index.get(this.#parent(scope)) as number),
        ranges: i === 0 ? [{ start: 0, end: size }] : (this.#ranges.get(scope) ?? []),
        inlined,
        variables: (variables.get(scope) ?? []).sort(([a], [b]) => rank(a) - rank(b)).map(([v, l]) => describe(v, l)),
      };
    });
  }
}

/** Parameters first, in order; then by position of the declaration. */
const rank = ({ parameter, loc }: Variable): number =>
  parameter >= 0 ? parameter - 1e9 : loc.line * 1000 + loc.column;

function describe({ name, type, parameter, loc }: Variable, locations: readonly DebugLocation[]): DebugVariable {
  return { name, type, parameter: parameter >= 0, file: loc.file, line: loc.line, locations: joined(locations) };
}
/** Merges adjacent equal entries. */
function joined(locations: readonly DebugLocation[]): DebugLocation[] {
  const result: DebugLocation[] = [];
  for (const location of locations) {
    const last = result[result.length - 1];
    if (last && last.end === location.start && same(last.pieces, location.pieces))
      result[result.length - 1] = { ...last, end: location.end };
    else result.push(location);
  }
  return result;
}
const same = (a: readonly DebugPiece[], b: readonly DebugPiece[]): boolean =>
  a.length === b.length && a.every((x, i) => samePiece(x, b[i]));
function samePiece(a: DebugPiece, b: DebugPiece): boolean {
  return (
    a.offset === b.offset &&
    a.bytes === b.bytes &&
    a.indirect === b.indirect &&
    (a.place === b.place || textOf(a.place) === textOf(b.place))
  );
}
const textOf = (place: DebugPlace): string =>
  JSON.stringify(place, (_key, v: unknown) => (typeof v === "bigint" ? `${v}` : v));
