// f64: arithmetic, comparisons, conversions.
const HALF: f64 = 0.5;
// expect 7
export function arithmetic(): u64 { let x: f64 = 3.0; return u64(x * 2 + HALF * 2); }
// expect -3
export function truncates(): i64 { let x: f64 = -3.9; return i64(x); }
// expect 0x3ff0000000000000
export function bits(): u64 { let x: f64 = 1; return bitsOfF64(x); }
// expect 0x8000000000000000
export function negativeZero(): u64 { let x: f64 = 0; return bitsOfF64(-x); }
// expect 5
export function comparisons(): u64 { let a: f64 = 1.5; let b: f64 = f64(2); return u64(a < b) + u64(a >= b) * 2 + u64(a !== b) * 4; }
// expect 4
export function fromInteger(): u64 { let n: i32 = -8; const f: f64 = f64(n) / -2; return u64(f); }
// expect 0xb2d05e00
export function lowBitsOfWhatIsTooLarge(): u64 { let x: f64 = 3000000000; return u64(u32(i32(x)) & u32(i32(3e9))); }
// expect 0x8000000000000000
export function indefinite(): u64 { let x: f64 = 1e30; return u64(i64(x)) & u64(i64(1e30)); }
// expect 0
export function beyondEverything(): u64 { let x: f64 = 1e30; return u64(x) | u64(1e30) | u64(i32(x)) | u64(i32(1e30)); }
