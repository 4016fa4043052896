export function f(n: u64): u64 {
  const add = (x: u64): u64 => x + n;
  function inner(): u64 { return n; }
  return add(inner());
}
const g = function (): void {};
export function h(): void { g(); }
