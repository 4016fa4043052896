export function f(): ptr<u8> {
  const text = "hello";
  const line = `n=${1}`;
  const code: u8 = "A".charCodeAt(3);
  return cstr(line);
}
export function g(s: string): void {}
export function h(): ptr<u8> { return cstr("a\0b"); }
