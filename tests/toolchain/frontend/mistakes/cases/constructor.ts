class Point {
  x: i64;
  y: i64;
  constructor(x: i64, y: i64) {
    this.x = x;
    this.y = y;
  }
}
export function size(x: i64, y: i64): i64 {
  const p = new Point(x, y);
  return p.x * p.x + p.y * p.y;
}
