// Pointers, arrays, function pointers, strings, static tables, null.
class Node { value: u64 = 0; next: ptr<Node> | null = null; }
class Operation { name: ptr<u8> | null = null; run: (a: u64, b: u64) => u64 = add; }
function add(a: u64, b: u64): u64 { return a + b; }
function first(a: u64): u64 { return a; }
const three: Node = { value: 3, next: null };
const two: Node = { value: 2, next: addr(three) };
const table: arr<Operation, 3> = [{ name: cstr("add"), run: add }, { name: cstr("first"), run: first }, new Operation()];
const words: arr<u16, 4> = [1, 2, 3, 0xffff];
const middle: ptr<u16> = addr(words[2]);
const code: u64 = cast<u64>(addr(words)) + 2;
let cursor: ptr<Node> | null = addr(two);

// expect 5
export function linkedList(): u64 { let s: u64 = 0; for (let p = cursor; p !== null; p = p.next) s += p.value; return s; }
// expect 17
export function functionPointers(): u64 { return table[0].run(4, 5) + table[1].run(3, 100) + table[2].run(2, 3); }
// expect 102
export function strings(): u64 { const s = table[1].name; return s === null ? 0 : s[0]; }
// expect 65541
export function staticAddresses(): u64 { return u64(middle[0]) + u64(middle[1]) + cast<ptr<u16>>(code)[0] + 1; }
// expect 6
export function swapped(): u64 { let a: u64 = 1; let b: u64 = 6; swap(addr(a), addr(b)); return a; }
function swap<T>(a: ptr<T>, b: ptr<T>): void { const t = a[0]; a[0] = b[0]; b[0] = t; }
// expect 300
export function genericOfWidest(): u64 { const c: u8 = 7; const x: u64 = 300; return max(c, x); }
function max<T extends number>(a: T, b: T): T { return a > b ? a : b; }
// expect 9
export function inferredFromResult(): u64 { let x: u64 = 9; const p: ptr<u64> = from(cast<u64>(addr(x))); return p[0]; }
function from<T>(address: u64): ptr<T> { return cast<ptr<T>>(address); }
// expect 14
export function pointerArithmetic(): u64 { const a: arr<u32, 4> = [1, 2, 3, 9]; const p = addr(a[1]); const q = addr(p[2]); return u64(q[0]) + u64(p[0]) + u64(q[-1]); }
// expect 2
export function coalescing(): u64 { const none: ptr<Node> | null = three.next; return (none ?? addr(two)).value; }
// expect 3
export function truthOfPointers(): u64 { return u64(cursor && two.next ? 1 : 0) + u64(!three.next) * 2; }
// expect 8
export function difference(): u64 { const a: arr<u64, 2> = zeroed(); return cast<u64>(addr(a[1])) - cast<u64>(addr(a[0])); }
// expect 12
export function lengths(): u64 { const a: arr<u8, 8> = zeroed(); return u64(a.length) + u64(words.length); }
// expect 21
export function atomics(): u64 {
  let x: u64 = 5;
  const p = addr(x);
  const old = atomicAdd(p, 3);
  const seen = atomicCompareExchange(p, 8, 13);
  atomicStore(p, atomicLoad(p) - 5);
  return old + seen + volatileRead(p);
}
// expect 5
export function memberFunctionPointer(): u64 { const f: ((a: u64, b: u64) => u64) | null = table[0].run; return f !== null ? f(2, 3) : 0; }
// expect 11
export function parameterIsStored(): u64 { return counted(10); }
function counted(n: u64): u64 { n++; const p = addr(n); return p[0]; }
