const ZERO: u64 = 0;
export function f(n: u64): u64 { return n / 0 + n % ZERO + 5 / 0; }
