export function f(): void {
  asm({ in: { eax: 1 } })`nop`;
  asm({ clobber: ["xmm0"] })`nop`;
  asm({ outs: "rax" })`nop`;
}
