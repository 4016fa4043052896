export function average(a: number, b: number): number {
  return (a + b) / 2;
}
