class Pool<T> { items!: arr<T, 4>; }
export function make<T>(): ptr<T> { return cast<ptr<T>>(0x1000); }
export function same<T>(a: ptr<T>): ptr<T> { return a; }
export function f(p: ptr<u64>): void {
  const a = make();
  const b = same;
  const c = sizeof();
  const fine: ptr<u32> = make();
}
