export function f(n: u32, p: ptr<u8>): void {
  const a = cast<ptr<u8>>(n);
  const b = cast<u32>(p);
}
