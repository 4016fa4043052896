class Node { value: u64 = 0; next!: Node; }
class Good { next: ptr<Good> | null = null; }
export function f(n: ptr<Node>): u64 { return sizeof<Node>(); }
export function grow<T>(p: ptr<T>): void { grow(addr(p)); }
export function g(p: ptr<u64>): void { grow(p); }
