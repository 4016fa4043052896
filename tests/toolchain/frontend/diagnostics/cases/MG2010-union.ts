export function f(x: u64 | null, p: ptr<u64> | null, q: ptr<u64> | ptr<u32>): void {
}
export function g(p: ptr<u64> | null): boolean { return p === undefined; }
