type Pair = [u64, u64];
class Box { items!: u64[]; anything!: object; rest: void; }
export function f(p: ptr<Pair>, v: void): void {}
export function g(b: ptr<Box>): u64 { return sizeof<void>(); }
export function h(p: ptr<keyof Box>): void {}
