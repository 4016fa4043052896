/** Upcalls (core/upcall.ts): registering handlers for faults and for the end, and the return from the latter. */
import { Errno } from "../abi/errno.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import { Syscall } from "../abi/syscalls.ts";
import { leaveThread } from "../core/idle.ts";
import { currentTask, endTask, type FaultHandler } from "../core/task.ts";
import { setExitHandler, setFaultHandler } from "../core/upcall.ts";
import { type Call, isUserRange } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

export function upcallCallsStart(): void {
  registerSyscall(Syscall.MARGAY_FAULT_HANDLER, faultHandler);
  registerSyscall(Syscall.MARGAY_EXIT_HANDLER, exitHandler);
  registerSyscall(Syscall.MARGAY_EXIT, exit);
}

/** (start, length, entry, restorer, argument). */
function faultHandler(call: ptr<Call>): i64 {
  const handler: FaultHandler = zeroed();
  const bytes: u64 = (call.b + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
  if (bytes === 0 || !isUserRange(call.a, bytes)) return failure(Errno.EINVAL);
  if (!isUserRange(call.c, 0) || !isUserRange(call.d, 0)) return failure(Errno.EFAULT);
  handler.start = call.a;
  handler.end = call.a + bytes;
  handler.entry = call.c;
  handler.restorer = call.d;
  handler.argument = call.e;
  return failure(setFaultHandler(currentTask(), addr(handler)));
}
/** (entry, restorer, argument). */
function exitHandler(call: ptr<Call>): i64 {
  if (!isUserRange(call.a, 0) || !isUserRange(call.b, 0)) return failure(Errno.EFAULT);
  setExitHandler(currentTask(), call.a, call.b, call.c);
  return 0;
}
/** The handler of the end has returned. */
function exit(_call: ptr<Call>): i64 {
  const task = currentTask();
  if (task.exitHandler.runs === 0) return failure(Errno.EPERM);
  endTask(task, task.exitHandler.waitStatus);
  leaveThread();
}
