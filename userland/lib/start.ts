/**
 * The start of every program: `_start`, main, exit. A job imports this module for its effect and exports `main(argc,
 * argv, envp)` under the link name `main`. Source: System V ABI, AMD64 supplement 3.4.1: at entry rsp points to argc,
 * argv[], null, envp[], null, auxiliary vector.
 */
import { flushAll, stdout } from "./stdio.ts";
import { exitGroup } from "./syscall.ts";

declare function main(argc: i32, argv: ptr<ptr<u8>>, envp: ptr<ptr<u8>>): i32;

export function _start(): void {
  attr({ naked: true, symbol: "_start", keep: true });
  asm`
    .cfi_undefined rip
    xor ebp, ebp
    mov rdi, rsp
    and rsp, -16
    call ${start}
    ud2
  `;
}

/** `stack` is the stack pointer at entry. */
function start(stack: ptr<u64>): never {
  const argc: u64 = stack[0];
  const argv = cast<ptr<ptr<u8>>>(addr(stack[1]));
  const envp = cast<ptr<ptr<u8>>>(addr(stack[argc + 2]));
  let status: i32 = main(i32(argc), argv, envp);
  flushAll();
  // Output that could not be written is a failure.
  if (status === 0 && stdout().error !== 0) status = 1;
  exitGroup(status);
}
