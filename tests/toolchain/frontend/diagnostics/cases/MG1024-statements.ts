export function f(x: u64): void {
  debugger;
  x + 1;
}
