export function f(n: u64): void {
  asm`cli; frobnicate rax, ${n}
      mov cr3`;
}
