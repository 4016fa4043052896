export function f(a) { return 1; }
export function g() {}
class Box { size = 5; }
export function h(b: ptr<Box>): void {
  let x;
}
