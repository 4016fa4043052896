/**
 * State of one function under construction: what is in scope, the work spent so far, and the places that can be named.
 * The families of statements and expressions (make-*.ts) are functions over it.
 */
import type { Prng } from "../../../toolchain/lib/prng.ts";
import type { Container, Expr, Fn, Global, Place, Scalar, Shape, Signature, Stmt, Struct } from "./program.ts";
import { INTS, type Int, isInt, isSigned, width } from "./program.ts";

/** Statements executed by the whole program, estimated. */
export const MAX_WORK = 6000;

/** State shared by all functions of a program. */
export interface World {
  readonly structs: readonly Struct[];
  readonly signatures: readonly Signature[];
  readonly globals: readonly Global[];
  /** Instances that are used. */
  readonly containers: Container[];
}
export interface FnInfo {
  readonly fn: Fn;
  readonly work: number;
}
export interface Var {
  readonly name: string;
  readonly shape: Shape;
  /** For a pointer to `shape`: number of elements that it may index. */
  readonly pointer?: number;
  readonly constant?: boolean;
  /** For a pointer: its target certainly has the alignment of its type. */
  readonly aligned?: boolean;
}
export interface Located {
  readonly t: Scalar;
  readonly p: Place;
  readonly aligned: boolean;
}
export interface Aggregate {
  readonly p: Place;
  readonly struct: Struct;
  readonly aligned: boolean;
}
export const nameOf = (name: string): Place => ({ k: "name", name });
const at = (base: Place, index: Expr, length: number): Place => ({ k: "index", base, index, mask: length - 1 });

/** Prefers boundary values of the type. */
export function constant(prng: Prng, t: Int): bigint {
  const w = width(t);
  const top = 1n << BigInt(w - 1);
  // biome-ignore format: a table
  const edges = [
    0n, 1n, -1n, 2n, 3n, 7n, 10n, BigInt(w - 1), top, top - 1n, 0x7fn, 0x80n, 0xffn, 0x100n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn,
  ];
  const v = prng.chance(0.4) ? prng.pick(edges) : prng.chance(0.3) ? BigInt(prng.below(100)) : prng.u64();
  return isSigned(t) ? BigInt.asIntN(w, v) : BigInt.asUintN(w, v);
}
/** The scalars of a place, outer before inner. */
export function scalarPlaces(p: Place, shape: Shape, arrow: boolean): { t: Scalar; p: Place }[] {
  if (shape.kind === "scalar") return [{ t: shape.type, p }];
  if (shape.kind === "fn") return [];
  if (shape.kind === "struct")
    return shape.struct.fields.flatMap((f) =>
      scalarPlaces({ k: "field", base: p, field: f.name, arrow }, f.shape, false),
    );
  return Array.from({ length: shape.length }, (_, i) => i).flatMap((i) =>
    scalarPlaces(at(p, { k: "lit", t: "u32", v: BigInt(i) }, shape.length), shape.of, false),
  );
}

export class Maker {
  readonly prng: Prng;
  readonly fn: Fn;
  readonly world: World;
  readonly callable: readonly FnInfo[];
  scope: Var[];
  containers: { readonly name: string; readonly c: Container }[] = [];
  /** How often the current statement runs in one call, and the work of one call so far. */
  times = 1;
  work = 0;
  /** What break leaves, and whether there is a loop for continue. */
  breaks: "nothing" | "loop" | "switch" = "nothing";
  inLoop = false;
  #names = 0;

  constructor(prng: Prng, fn: Fn, world: World, callable: readonly FnInfo[]) {
    this.prng = prng;
    this.fn = fn;
    this.world = world;
    this.callable = [...callable];
    const params = fn.params.flatMap((p): Var[] => {
      if (p.hidden || p.type.kind === "fn") return [];
      if (p.type.kind === "scalar") return [{ name: p.name, shape: p.type }];
      return [{ name: p.name, shape: { kind: "struct", struct: p.type.struct }, pointer: 1 }];
    });
    this.scope = [...world.globals.map((g) => ({ name: g.name, shape: g.shape })), ...params];
  }
  newName(prefix: string): string {
    return `${prefix}${this.#names++}`;
  }
  int(): Int {
    return this.prng.pick(INTS);
  }
  scalar(): Scalar {
    if (this.fn.instances && this.prng.chance(0.3)) return "T";
    return this.prng.chance(0.15) ? "f64" : this.int();
  }
  /** The names that `make` declares go out of scope after it. */
  scoped<R>(times: number, make: () => R): R {
    const saved = [this.scope, this.containers, this.breaks, this.inLoop] as const;
    this.scope = [...this.scope];
    this.containers = [...this.containers];
    this.times *= times;
    const made = make();
    this.times /= times;
    [this.scope, this.containers, this.breaks, this.inLoop] = saved;
    return made;
  }
  declare(v: Var): string {
    this.scope.push(v);
    return v.name;
  }

  // ---- places
  /** A plain scalar variable that may be written. */
  variable(t: Scalar): Place | null {
    const list = this.scope.filter(
      (v) => v.pointer === undefined && !v.constant && v.shape.kind === "scalar" && v.shape.type === t,
    );
    return list.length > 0 ? nameOf(this.prng.pick(list).name) : null;
  }
  /** Structs in scope, including nested ones. */
  aggregates(): Aggregate[] {
    const walk = (p: Place, shape: Shape, arrow: boolean, aligned: boolean): Aggregate[] => {
      if (shape.kind === "scalar" || shape.kind === "fn") return [];
      if (shape.kind === "array") {
        const index: Expr = { k: "lit", t: "u32", v: BigInt(this.prng.below(shape.length)) };
        return walk(at(p, index, shape.length), shape.of, false, aligned);
      }
      const { struct } = shape;
      const inner = struct.fields.flatMap((f) =>
        walk({ k: "field", base: p, field: f.name, arrow }, f.shape, false, aligned && !struct.packed),
      );
      return arrow ? inner : [{ p, struct, aligned }, ...inner];
    };
    return this.scope.flatMap((v) =>
      walk(nameOf(v.name), v.shape, v.pointer !== undefined, v.pointer === undefined || v.aligned === true),
    );
  }
  /** Struct types of objects in scope, or of pointers' targets. */
  structs(): Struct[] {
    return this.scope.flatMap((v) => (v.shape.kind === "struct" ? [v.shape.struct] : []));
  }
  /** A scalar in memory or a variable; of type `t` if there is one. */
  place(t: Scalar | null, write: boolean): Located {
    const { prng } = this;
    for (let tries = 0; ; tries++) {
      const v = prng.chance(0.5)
        ? prng.pick(this.scope)
        : (this.scope[this.scope.length - 1 - prng.below(Math.min(6, this.scope.length))] as Var);
      if (write && v.constant && tries < 50) continue;
      let p = nameOf(v.name);
      let { shape } = v;
      let aligned = v.pointer === undefined || v.aligned === true;
      let arrow = v.pointer !== undefined && shape.kind === "struct";
      if (v.pointer !== undefined && shape.kind === "scalar") p = at(p, this.index(), v.pointer);
      while (shape.kind === "array" || shape.kind === "struct") {
        if (shape.kind === "array") {
          p = at(p, this.index(), shape.length);
          shape = shape.of;
        } else {
          aligned &&= !shape.struct.packed;
          const field: Struct["fields"][number] = prng.pick(shape.struct.fields.filter((f) => f.shape.kind !== "fn"));
          p = { k: "field", base: p, field: field.name, arrow };
          arrow = false;
          shape = field.shape;
        }
      }
      if (shape.kind === "fn") continue;
      if (t === null || shape.type === t || tries > 8) {
        if (write && v.constant) return { t: "u64", p: nameOf("hash"), aligned: true };
        return { t: shape.type, p, aligned };
      }
    }
  }
  /** An integer that atomic operations may access; null: none. */
  atomicPlace(): { t: Int; p: Place } | null {
    for (let tries = 0; tries < 10; tries++) {
      const { t, p, aligned } = this.place(null, true);
      if (aligned && isInt(t)) return { t, p };
    }
    return null;
  }
  index(): Expr {
    const t = this.prng.pick(["u8", "u32", "u64", "i32", "i64"] as const);
    const plain = this.scope.filter((v) => v.pointer === undefined && v.shape.kind === "scalar" && v.shape.type === t);
    if (plain.length > 0 && this.prng.chance(0.6)) return { k: "read", t, p: nameOf(this.prng.pick(plain).name) };
    return { k: "lit", t, v: BigInt(this.prng.below(16)) };
  }
}

/**
 * A family of statements: how often it is chosen, whether it nests, and its constructor; null: there is nothing to
 * build it from.
 */
export interface Family {
  readonly weight: number;
  readonly nests?: boolean;
  readonly make: (m: Maker, block: Block) => Stmt[] | Stmt | null;
}
/** Up to `max` statements, nested one level deeper, in a separate scope that runs `times` times. */
export type Block = (max: number, times?: number) => Stmt[];
