class Point {
  x: i64 = 0;
  y: i64 = 0;
}
export function dot(a: Point, b: Point): i64 {
  return a.x * b.x + a.y * b.y;
}
export function norm(a: Point): i64 {
  return dot(a, a);
}
