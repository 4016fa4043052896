/** Upcalls of the kernel: handlers for faults in a range of addresses, and for the end of the task. */
import { Syscall } from "../../kernel/abi/syscalls.ts";
import { syscall3, syscall6 } from "./syscall.ts";

/** `error`: the exception's error code (PageFault); `context`: SignalContext, which may be changed. */
export type FaultUpcall = (address: u64, error: u64, context: u64, argument: u64) => void;
export type ExitUpcall = (waitStatus: u64, argument: u64) => void;

/**
 * Faults in the pages of the range enter `run`, on the stack of the thread; when it returns, the instruction is tried
 * again. 0 or -errno.
 */
export function onFault(start: u64, lengthBytes: u64, run: FaultUpcall, argument: u64): i64 {
  return syscall6(
    Syscall.MARGAY_FAULT_HANDLER,
    start,
    lengthBytes,
    cast<u64>(run),
    cast<u64>(faultReturn),
    argument,
    0,
  );
}
export function noFault(start: u64, lengthBytes: u64): i64 {
  return syscall6(Syscall.MARGAY_FAULT_HANDLER, start, lengthBytes, 0, 0, 0, 0);
}
/** `run` is entered once, before the task ends by itself or by a signal. */
export function onExit(run: ExitUpcall, argument: u64): i64 {
  return syscall6(Syscall.MARGAY_EXIT_HANDLER, cast<u64>(run), cast<u64>(exitReturn), argument, 0, 0, 0);
}
export function noExit(): i64 {
  return syscall3(Syscall.MARGAY_EXIT_HANDLER, 0, 0, 0);
}

function faultReturn(): void {
  attr({ naked: true });
  asm`
    mov eax, ${Syscall.RT_SIGRETURN}
    syscall
  `;
}
function exitReturn(): void {
  attr({ naked: true });
  asm`
    mov eax, ${Syscall.MARGAY_EXIT}
    syscall
  `;
}
