class Op { run: (a: u64, b: u32) => u64 = add; }
export function add(a: u64, b: u32): u64 { return a + b; }
export function wide(a: u64, b: u64): u64 { return a + b; }
export function short(a: u64): u64 { return a; }
export function long(a: u64, b: u32, c: u64): u64 { return a; }
export function f(op: ptr<Op>, n: u64): void {
  op.run = short;
  op.run = wide;
  op.run = long;
  op.run = n;
}
