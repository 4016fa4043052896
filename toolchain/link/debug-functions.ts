/**
 * Functions as entries: subprograms with their scopes, parameters and locals. DWARF 5, sections 3.3 to 3.5 and 4.1.
 *
 * If a unit holds inlined copies of a function, it has an abstract instance of that function, with the name and the
 * variables of its outermost scope. The copies refer to it, and so does the function's own code if it is in the unit.
 * Blocks without declarations are left out; their contents move to the parent.
 */
import { Attribute, Form, INLINED, Tag } from "../lib/dwarf.ts";
import type { DebugCall, DebugScope, DebugType, DebugVariable } from "./debug.ts";
import type { Attributed, DieWriter } from "./debug-dies.ts";
import type { UnitFiles } from "./debug-line.ts";
import {
  type Addresses,
  addressExpression,
  FRAME_BASE,
  joinRanges,
  type LocationLists,
  locationExpression,
  type Range,
  type RangeLists,
  registerExpression,
  valueExpression,
} from "./debug-location.ts";
import { declared, named, sizeOf, typed } from "./debug-types.ts";
import type { PlacedChunk } from "./layout.ts";

/** State shared by the entries of one unit. */
export interface UnitContext {
  readonly dies: DieWriter;
  readonly types: readonly DebugType[];
  readonly files: UnitFiles;
  readonly addresses: Addresses;
  readonly ranges: RangeLists;
  readonly locations: LocationLists;
  /** The unit's low_pc. */
  readonly base: bigint;
}

interface Abstract {
  readonly symbol: string;
  readonly sourceName: string;
  readonly file: number;
  readonly line: number;
  readonly result: number;
  readonly variables: Map<string, DebugVariable>;
  offset: number;
  /** Offsets of the variables' entries, by key. */
  readonly offsets: Map<string, number>;
}

const keyOf = (v: DebugVariable): string => `${v.parameter ? "p" : "l"}${v.name}:${v.file}:${v.line}:${v.type}`;
const parametersFirst = (a: DebugVariable, b: DebugVariable): number => Number(b.parameter) - Number(a.parameter);

export function writeFunctions(unit: UnitContext, functions: readonly PlacedChunk[]): void {
  const abstracts = abstractInstances(functions);
  for (const abstract of abstracts.values()) writeAbstract(unit, abstract);
  for (const placed of functions) new FunctionWriter(unit, abstracts, placed).write();
}

/** Abstract instances of all functions inlined into `functions`, by link name, in the order of their first copies. */
function abstractInstances(functions: readonly PlacedChunk[]): Map<string, Abstract> {
  const abstracts = new Map<string, Abstract>();
  const gather = (abstract: Abstract, variables: readonly DebugVariable[]): void => {
    for (const v of variables) if (!abstract.variables.has(keyOf(v))) abstract.variables.set(keyOf(v), v);
  };
  for (const { chunk } of functions) {
    for (const { inlined, variables } of chunk.debug?.scopes ?? []) {
      if (inlined === null) continue;
      let abstract = abstracts.get(inlined.symbol);
      if (abstract === undefined) {
        abstract = { ...inlined, variables: new Map(), offset: 0, offsets: new Map() };
        abstracts.set(inlined.symbol, abstract);
      }
      gather(abstract, variables);
    }
  }
  for (const { chunk } of functions) {
    const abstract = abstracts.get(chunk.symbol);
    if (abstract !== undefined) gather(abstract, chunk.debug?.scopes[0]?.variables ?? []);
  }
  return abstracts;
}

/**
 * Names come from the source alone: gdb would print a link name instead, because C has no other. All are external, also
 * what its file does not export: gdb looks for external names in the frame's own image first (elf-writer.ts,
 * DT_SYMBOLIC), and for the others in the order in which it has read the images.
 */
export const naming = (sourceName: string): Attributed[] => [
  ...named(sourceName),
  [Attribute.EXTERNAL, Form.FLAG_PRESENT, 1],
];

function writeAbstract({ dies, files }: UnitContext, abstract: Abstract): void {
  const { sourceName, file, line, result, variables, offsets } = abstract;
  const attributes: Attributed[] = [
    ...naming(sourceName),
    ...declared(files, file, line),
    ...typed(result),
    [Attribute.PROTOTYPED, Form.FLAG_PRESENT, 1],
    [Attribute.INLINE, Form.DATA1, INLINED],
  ];
  abstract.offset = dies.die(Tag.SUBPROGRAM, variables.size > 0, attributes);
  const ordered = [...variables].sort(([, a], [, b]) => parametersFirst(a, b));
  for (const [key, v] of ordered) offsets.set(key, dies.die(tagOf(v), false, described(files, v)));
  if (variables.size > 0) dies.end();
}

const tagOf = (v: DebugVariable): Tag => (v.parameter ? Tag.FORMAL_PARAMETER : Tag.VARIABLE);
const described = (files: UnitFiles, v: DebugVariable): Attributed[] => [
  ...named(v.name),
  ...declared(files, v.file, v.line),
  ...typed(v.type),
];

class FunctionWriter {
  readonly #unit: UnitContext;
  readonly #abstracts: ReadonlyMap<string, Abstract>;
  readonly #placed: PlacedChunk;
  /** Offset of the function from the unit's low_pc. */
  readonly #base: number;
  readonly #scopes: readonly DebugScope[];
  readonly #ranges: readonly Range[][];
  /** By scope: its direct children. */
  readonly #children: number[][];

  constructor(unit: UnitContext, abstracts: ReadonlyMap<string, Abstract>, placed: PlacedChunk) {
    this.#unit = unit;
    this.#abstracts = abstracts;
    this.#placed = placed;
    this.#base = Number(placed.address - unit.base);
    this.#scopes = placed.chunk.debug?.scopes ?? [];
    this.#ranges = this.#scopes.map(({ ranges }, i) =>
      i === 0 ? [{ start: 0, end: placed.chunk.size }] : joinRanges(ranges),
    );
    this.#children = this.#scopes.map(() => []);
    this.#scopes.forEach(({ parent }, i) => {
      if (parent >= 0) this.#children[parent].push(i);
    });
  }

  write(): void {
    const { dies, files } = this.#unit;
    const { chunk, address } = this.#placed;
    const { debug } = chunk;
    const abstract = this.#abstracts.get(chunk.symbol) ?? null;
    const row = chunk.lines.find(({ file }) => file >= 0);
    const attributes: Attributed[] =
      abstract !== null
        ? [[Attribute.ABSTRACT_ORIGIN, Form.REF4, abstract.offset]]
        : [
            ...naming(chunk.sourceName),
            ...declared(files, debug?.file ?? row?.file ?? -1, debug?.line ?? row?.line ?? 0),
            ...typed(debug?.result ?? -1),
            [Attribute.PROTOTYPED, Form.FLAG_PRESENT, 1],
          ];
    const labels = chunk.labels ?? [];
    const entries = labels.filter(({ called }) => called);
    const cuts = this.#cuts(entries.map(({ offset }) => offset));
    const end = cuts[0] ?? chunk.size;
    attributes.push([Attribute.LOW_PC, Form.ADDR, address], [Attribute.HIGH_PC, Form.UDATA, end]);
    if (chunk.frame !== undefined) attributes.push([Attribute.FRAME_BASE, Form.EXPRLOC, FRAME_BASE]);
    if (debug?.calls && debug.calls.length > 0) attributes.push([Attribute.CALL_ALL_CALLS, Form.FLAG_PRESENT, 1]);
    if (labels.length > 0) {
      this.#assembly(attributes, 0, end);
      cuts.forEach((offset, i) => {
        const behind = cuts[i + 1] ?? chunk.size;
        const at = labels.find((label) => label.offset === offset);
        const before = labels.findLast((label) => label.called && label.offset < offset)?.name ?? chunk.sourceName;
        this.#assembly(
          [
            ...named(at?.name ?? `${before}.return`),
            ...this.#declaredAt(offset),
            [Attribute.PROTOTYPED, Form.FLAG_PRESENT, 1],
            [Attribute.LOW_PC, Form.ADDR, address + BigInt(offset)],
            [Attribute.HIGH_PC, Form.UDATA, behind - offset],
            ...(chunk.frame === undefined ? [] : ([[Attribute.FRAME_BASE, Form.EXPRLOC, FRAME_BASE]] as const)),
          ],
          offset,
          behind,
        );
      });
      return;
    }
    const children = this.#scopes.length > 0 && this.#hasChildren(0);
    dies.die(Tag.SUBPROGRAM, children, attributes);
    if (!children) return;
    this.#contents(0, abstract);
    dies.end();
  }

  /** Where assembly is divided into functions: at labels that are called, and around exits (debug-frame.ts). */
  #cuts(entries: readonly number[]): number[] {
    const { size, frame } = this.#placed.chunk;
    const exits = entries.length === 0 ? [] : (frame?.exits ?? []).flatMap(({ start, end }) => [start - 1, end]);
    return [...new Set([...entries, ...exits])].filter((at) => at > 0 && at < size).sort((a, b) => a - b);
  }
  /** A function in assembly, from `start` to `end` in the chunk, with its labels. */
  #assembly(attributes: readonly Attributed[], start: number, end: number): void {
    const { dies } = this.#unit;
    const { chunk, address } = this.#placed;
    const inside = (chunk.labels ?? []).filter((l) => !l.called && l.offset >= start && l.offset < end);
    dies.die(Tag.SUBPROGRAM, inside.length > 0, attributes);
    for (const { name, offset } of inside)
      dies.die(Tag.LABEL, false, [
        ...named(name),
        ...this.#declaredAt(offset),
        [Attribute.LOW_PC, Form.ADDR, address + BigInt(offset)],
      ]);
    if (inside.length > 0) dies.end();
  }
  #declaredAt(offset: number): Attributed[] {
    const row = this.#placed.chunk.lines.findLast((r) => r.file >= 0 && r.offset <= offset);
    return declared(this.#unit.files, row?.file ?? -1, row?.line ?? 0);
  }

  #hasChildren(scope: number): boolean {
    if (this.#scopes[scope].variables.length > 0 || this.#children[scope].some((child) => this.#appears(child)))
      return true;
    return scope === 0 && (this.#placed.chunk.debug?.calls ?? []).length > 0;
  }
  /** Whether the scope, or anything in it, needs an entry. */
  #appears(scope: number): boolean {
    if (this.#ranges[scope].length === 0) return false;
    return this.#scopes[scope].inlined !== null || this.#hasChildren(scope);
  }

  /** Variables and scopes in `scope`; `abstract`: the instance that the scope is a copy of. */
  #contents(scope: number, abstract: Abstract | null): void {
    const variables = this.#scopes[scope].variables;
    if (abstract === null) for (const v of [...variables].sort(parametersFirst)) this.#variable(scope, v, null);
    else {
      const own = new Map(variables.map((v) => [keyOf(v), v]));
      // All parameters, so that they match the function's order; only those locals that the copy has.
      for (const [key, offset] of abstract.offsets) {
        const v = own.get(key);
        const known = abstract.variables.get(key);
        if (v !== undefined) this.#variable(scope, v, offset);
        else if (known?.parameter)
          this.#unit.dies.die(tagOf(known), false, [[Attribute.ABSTRACT_ORIGIN, Form.REF4, offset]]);
      }
    }
    for (const child of this.#children[scope]) if (this.#appears(child)) this.#scope(child);
    // Not inside blocks: LLVM 14 accepts call sites only directly in functions.
    if (scope === 0) for (const call of this.#placed.chunk.debug?.calls ?? []) this.#call(call);
  }

  #call({ end, target, arguments: args }: DebugCall): void {
    const { dies, addresses } = this.#unit;
    const to = target === null ? null : addressExpression(target, 0n, addresses);
    const values = args.flatMap(({ register, place }) => {
      const value = valueExpression(place, addresses);
      return value === null ? [] : [{ register, value }];
    });
    dies.die(Tag.CALL_SITE, values.length > 0, [
      [Attribute.CALL_RETURN_PC, Form.ADDR, this.#placed.address + BigInt(end)],
      ...(to === null ? [] : ([[Attribute.CALL_TARGET, Form.EXPRLOC, to]] as const)),
    ]);
    for (const { register, value } of values) {
      dies.die(Tag.CALL_SITE_PARAMETER, false, [
        [Attribute.LOCATION, Form.EXPRLOC, registerExpression(register)],
        [Attribute.CALL_VALUE, Form.EXPRLOC, value],
      ]);
    }
    if (values.length > 0) dies.end();
  }

  #scope(scope: number): void {
    const { dies, files } = this.#unit;
    const { inlined, variables } = this.#scopes[scope];
    if (inlined === null) {
      if (variables.length === 0) {
        for (const child of this.#children[scope]) if (this.#appears(child)) this.#scope(child);
        return;
      }
      dies.die(Tag.LEXICAL_BLOCK, true, this.#extent(scope));
      this.#contents(scope, null);
      dies.end();
      return;
    }
    const abstract = this.#abstracts.get(inlined.symbol);
    if (abstract === undefined) throw new Error(`no abstract instance of ${inlined.symbol}`);
    const attributes: Attributed[] = [[Attribute.ABSTRACT_ORIGIN, Form.REF4, abstract.offset], ...this.#extent(scope)];
    if (inlined.callFile >= 0) {
      attributes.push(
        [Attribute.CALL_FILE, Form.UDATA, files.index(inlined.callFile)],
        [Attribute.CALL_LINE, Form.UDATA, inlined.callLine],
      );
      attributes.push([Attribute.CALL_COLUMN, Form.UDATA, inlined.callColumn]);
    }
    const children = this.#hasChildren(scope) || [...abstract.variables.values()].some((v) => v.parameter);
    dies.die(Tag.INLINED_SUBROUTINE, children, attributes);
    if (!children) return;
    this.#contents(scope, abstract);
    dies.end();
  }

  #extent(scope: number): Attributed[] {
    const ranges = this.#ranges[scope];
    if (ranges.length > 1) return [[Attribute.RANGES, Form.SEC_OFFSET, this.#unit.ranges.add(this.#base, ranges)]];
    const [{ start, end }] = ranges;
    return [
      [Attribute.LOW_PC, Form.ADDR, this.#placed.address + BigInt(start)],
      [Attribute.HIGH_PC, Form.UDATA, end - start],
    ];
  }

  #variable(scope: number, v: DebugVariable, abstract: number | null): void {
    const { dies, files } = this.#unit;
    const attributes: Attributed[] =
      abstract === null ? described(files, v) : [[Attribute.ABSTRACT_ORIGIN, Form.REF4, abstract]];
    attributes.push(...this.#location(scope, v));
    dies.die(tagOf(v), false, attributes);
  }

  #location(scope: number, v: DebugVariable): Attributed[] {
    const { types, addresses, locations } = this.#unit;
    const bytes = sizeOf(types, v.type);
    const entries: (Range & { readonly expression: Uint8Array })[] = [];
    for (const location of v.locations) {
      const expression = location.start < location.end ? locationExpression(location, bytes, addresses) : null;
      if (expression === null) continue;
      const last = entries[entries.length - 1];
      const { start, end } = location;
      if (last !== undefined && last.end === start && equal(last.expression, expression))
        entries[entries.length - 1] = { start: last.start, end, expression };
      else entries.push({ start, end, expression });
    }
    if (entries.length === 0) return [];
    const [first] = entries;
    const always =
      entries.length === 1 && this.#ranges[scope].every(({ start, end }) => first.start <= start && end <= first.end);
    if (always) return [[Attribute.LOCATION, Form.EXPRLOC, first.expression]];
    return [[Attribute.LOCATION, Form.SEC_OFFSET, locations.add(this.#base, entries)]];
  }
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
