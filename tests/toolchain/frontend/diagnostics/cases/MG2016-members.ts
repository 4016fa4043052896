class T { first: u64 = 0; second: u64 = 0; step(): void {} }
export function f(t: ptr<T>, pp: ptr<ptr<T>>, n: u64): void {
  const a = t.third;
  t.jump();
  const b = pp.first;
  const c = n.first;
  const d = n[0];
  const e = t.step;
  const g = offsetof<T>("none");
}
