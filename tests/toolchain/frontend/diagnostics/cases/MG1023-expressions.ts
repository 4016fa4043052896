class Box {
  size: u64 = 0;
  grow(): void { this.size++; }
}
export function f(b: ptr<Box>, x: u64): void {
  const n = 10n;
  const pattern = /a/;
  x &&= 1;
  const self = this;
  const p = addr;
  const c = Box;
}
