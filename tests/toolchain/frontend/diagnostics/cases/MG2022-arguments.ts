export function add(a: u64, b: u64): u64 { return a + b; }
export function f(): u64 { return add(1) + add(1, 2, 3) + sizeof<u64>(1); }
