class Point { x: u64 = 0; y: u64 = 0; }
export function take(p: ptr<Point>): void {}
export function f(x: u64): void {
  take(addr(new Point()));
  const p: Point = { x, y: 0 };
  zeroed<Point>();
}
