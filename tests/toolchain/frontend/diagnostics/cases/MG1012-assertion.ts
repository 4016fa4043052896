export function f(x: u64): u32 { return x as u32; }
export function g(x: u64): u64 { return <u64>x; }
export function h(x: u64): u64 { return x satisfies u64; }
