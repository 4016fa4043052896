let counter: u64 = 0;
export function f(n: u64): void {
  attr({ naked: true });
  counter++;
  asm`mov rax, ${n}`;
  asm`jmp ${f}`;
  return;
}
export function g(): void {
  attr({ naked: true });
  asm({ in: { rax: 1 } })`ret`;
}
