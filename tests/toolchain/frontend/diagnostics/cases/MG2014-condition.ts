export function nothing(): void {}
export function f(d: f64): void {
  if (d) nothing();
  while (1.5) nothing();
}
