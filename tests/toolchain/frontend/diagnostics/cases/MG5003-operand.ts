class T { x: u64 = 0; }
export function f(p: ptr<T>): void {
  asm`mov rax, ${p[0]}`;
  asm({ in: { rax: 1.5 } })`nop`;
  const r = ret;
}
