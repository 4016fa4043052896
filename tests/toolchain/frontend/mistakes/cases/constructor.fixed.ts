class Point {
  x: i64 = 0;
  y: i64 = 0;
}
export function size(x: i64, y: i64): i64 {
  const p: Point = { x: x, y: y };
  return p.x * p.x + p.y * p.y;
}
