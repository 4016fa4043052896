// Layout, inheritance, inline fields, methods, packed and aligned structs, initialisers, copies.
class Base { id: u32 = 7; tag: u8 = 1; }
class Derived extends Base { value: u64 = 9; small: u8 = 3; }
class Inner { a: u16 = 2; b: u64 = 5; }
class Outer { head: u8 = 0; inner: Inner = new Inner(); bare!: Inner; rows!: arr<arr<u32, 3>, 2>; }
@packed class Packed { a: u8 = 1; b: u64 = 2; c: u16 = 3; }
@align(64) class Line { x: u64 = 0; }
class Fields { x: u8 = 0; @align(16) y: u64 = 0; }
class Counter {
  n: u64 = 0;
  step: u64 = 2;
  add(times: u64): u64 { for (let i: u64 = 0; i < times; i++) this.n += this.step; return this.n; }
  self(): ptr<Counter> { return addr(this); }
  twice(): u64 { return this.add(1) + this.add(1); }
}
class Stack<T, N extends number> {
  depth: u64 = 0;
  items!: arr<T, N>;
  push(x: T): void { this.items[this.depth++] = x; }
  pop(): T { return this.items[--this.depth]; }
  capacity(): u64 { return this.items.length; }
}
const global: Outer = new Outer();
const shared: Counter = new Counter();

// expect 24
export function prefixLayout(): u64 { return sizeof<Derived>(); }
// expect 8
export function derivedOffset(): u64 { return offsetof<Derived>("value"); }
// expect 8
export function inlineField(): u64 { return offsetof<Outer>("inner"); }
// expect 64
export function outerSize(): u64 { return sizeof<Outer>(); }
// expect 11
export function packedSize(): u64 { return sizeof<Packed>(); }
// expect 128
export function alignedStruct(): u64 { return sizeof<Line>() + alignof<Line>(); }
// expect 48
export function alignedField(): u64 { return sizeof<Fields>() + offsetof<Fields>("y"); }
// expect 19
export function inheritedInitialisers(): u64 { const d = new Derived(); return d.id + d.value + d.small; }
// expect 7
export function upcast(): u64 { const d: Derived = new Derived(); return idOf(addr(d)); }
function idOf(b: ptr<Base>): u64 { return b.id; }
// expect 7
export function staticInitialisers(): u64 { return global.inner.b + global.inner.a + global.bare.b; }
// expect 6
export function nestedArrays(): u64 { global.rows[1][2] = 6; const p = addr(global.rows[1][0]); return p[2]; }
// expect 8
export function methods(): u64 { const c: Counter = new Counter(); shared.add(2); return c.add(2) + shared.n; }
// expect 6
export function methodThroughPointer(): u64 { const c: Counter = new Counter(); return c.self().self().twice(); }
// expect 503
export function genericStruct(): u64 { const s: Stack<u32, 5> = new Stack<u32, 5>(); s.push(1); s.push(3); return u64(s.pop()) + s.capacity() * 100; }
// expect 12
export function objectLiteral(): u64 { const n: u64 = 5; const i: Inner = { a: 7, b: n }; return i.a + i.b; }
// expect 10
export function copyStruct(): u64 { const a: Inner = { a: 1, b: 10 }; const b: Inner = uninitialized(); copy(addr(b), addr(a)); return b.b; }
// expect 0
export function zeroStruct(): u64 { const a: Inner = new Inner(); zero(addr(a)); return a.b + a.a; }
// expect 2
export function reinitialise(): u64 { let a: Inner = { a: 9, b: 9 }; a = new Inner(); return a.a; }
