export function f(): void {
  class Local { x: u64 = 0; }
  const enum Color { RED = 1 }
  type Word = u64;
  const k = class {};
}
