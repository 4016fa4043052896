export function f(x: u64): boolean { return x == 1 || x != 2; }
