// Widths, signedness, wrapping, exact constants, casts, shifts.
const BIG: u64 = 0xffff_ffff_ffff_ffff;
const NX: u64 = 1 << 63;
const MASK = ~0xfff;
const enum Bit { LOW = 1 << 0, HIGH = 0x8000_0000_0000 }

// expect 0xffffffffffffffff
export function literalIsExact(): u64 { return BIG; }
// expect 0x8000000000000000
export function constantShiftIsExact(): u64 { return NX; }
// expect 0x12345000
export function complementTakesTheWidthOfItsContext(): u64 { const x: u64 = 0x12345678; return x & MASK; }
// expect 0x800000000001
export function enumMembers(): u64 { return Bit.LOW | Bit.HIGH; }
// expect 44
export function wrapsAtItsWidth(): u64 { let x: u8 = 200; x += 100; return x; }
// expect -1
export function signExtension(): i64 { const x: i8 = -1; return x; }
// expect 255
export function zeroExtension(): i64 { const x: u8 = 255; return x; }
// expect 0xff
export function truncation(): u64 { let x: u64 = 0x1ff; return u8(x); }
// expect -2
export function signedDivisionTruncates(): i64 { let a: i64 = -7; return a / 3; }
// expect -1
export function signedRemainder(): i64 { let a: i32 = -7; return i64(a % 3); }
// expect 3
export function unsignedDivision(): u64 { let a: u32 = 0xffff_ffff; return u64(a / 0x5000_0000); }
// expect -1
export function arithmeticShift(): i64 { let a: i32 = -8; return a >> 3; }
// expect 0x1fffffff
export function logicalShiftOfSigned(): i64 { let a: i32 = -8; return a >>> 3; }
// expect 1
export function unsignedShift(): u64 { let a: u64 = 0x8000_0000_0000_0000; return a >> 63; }
// expect 0xfff
export function openShiftTakesTheContext(): u64 { let n: u32 = 12; const x: u64 = 0xabcd_efff; return x & ((1 << n) - 1); }
// expect 0x100000000
export function openShiftOnTheLeft(): u64 { let n: u32 = 32; let x: u64 = 0x1_0000_0000; return (1 << n) & x; }
// expect 6
export function comparesUnsigned(): u64 {
  let a: u32 = 0xffff_ffff;
  let b: i32 = -1;
  return u64(a > 1) * 2 + u64(b < 1) * 4 + u64(b > 0);
}
// expect 0xfffffffb
export function negation(): u64 { let a: u32 = 5; return u64(-a); }
// expect 7
export function steps(): u64 { let i: u64 = 3; const a = i++; const b = ++i; return a - 1 + b; }
// expect 0x0201
export function swapsBytes(): u64 { let x: u16 = 0x0102; return byteSwap(x); }
// expect 35
export function countsZeros(): u64 { let x: u32 = 0x0001_0000; let y: u64 = 0x10_0000; return u64(countLeadingZeros(x) + countTrailingZeros(y)); }
// expect 0x23456781
export function rotates(): u64 { let x: u32 = 0x12345678; return rotateLeft(x, 4); }
// expect 0xfffffffffffffffe
export function highProduct(): u64 { let a: u64 = BIG; return mulHigh(a, a); }
// expect -3
export function defaultIsI64(): i64 { let x = 5; x -= 8; return x; }
// expect 66
export function characters(): u64 { const c: u8 = "AB".charCodeAt(1); return c; }
