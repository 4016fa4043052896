export function g(): u64 { return 1; }
export function f(n: u64): void {
  g() = 2;
  const p = addr(n + 1);
  n + 1++;
}
export function h(): void {
  const p = addr(g());
}
