export function f(a: u64): u64;
export function f(a: u32): u64;
export function f(a: u64): u64 { return a; }
export function g(): u64 { return f(1); }
