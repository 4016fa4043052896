export function f(a: u64, b: u64 = 1): u64 { return a + b; }
export function g(a?: u64): u64 { return 0; }
export function h(...rest: arr<u64, 2>): u64 { return 0; }
class Box { size?: u64; }
export function k(b: ptr<Box>): void {}
