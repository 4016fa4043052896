/**
 * The system-call table. Subsystems and drivers register their calls while the kernel boots; then the table is closed.
 * A handler gets the caller's registers, runs with interrupts off, and returns a result or a negated errno.
 */
import { Errno } from "../abi/errno.ts";
import { LINUX_CALL_COUNT, MARGAY_CALL_BASE, MARGAY_CALL_COUNT } from "../abi/syscalls.ts";
import { assert } from "../arch/fatal.ts";

/** What the SYSCALL entry leaves on the stack, lowest address first: arguments a…f, number, and where to go back to. */
export class Call {
  f: u64 = 0;
  e: u64 = 0;
  d: u64 = 0;
  c: u64 = 0;
  b: u64 = 0;
  a: u64 = 0;
  number: u64 = 0;
  rip: u64 = 0;
  rflags: u64 = 0;
  rsp: u64 = 0;
}
class Slot {
  run: ((call: ptr<Call>) => i64) | null = null;
}
/** Without a null once the table is closed: the SYSCALL entry calls what it finds. */
export const linuxCalls: arr<Slot, 512> = zeroed();
export const margayCalls: arr<Slot, 32> = zeroed();
class TableState {
  closed: u32 = 0;
}
const table: TableState = new TableState();

export function registerSyscall(number: u32, run: (call: ptr<Call>) => i64): void {
  assert(table.closed === 0, cstr("syscall: registered after the table was closed"), u64(number));
  const slot = slotOf(u64(number));
  if (slot === null) {
    assert(false, cstr("syscall: number out of range"), u64(number));
    return;
  }
  assert(slot.run === null, cstr("syscall: registered twice"), u64(number));
  slot.run = run;
}
export function closeSyscalls(): void {
  table.closed = 1;
  for (let i: u32 = 0; i < linuxCalls.length; i++) if (linuxCalls[i].run === null) linuxCalls[i].run = noSuchCall;
  for (let i: u32 = 0; i < margayCalls.length; i++) if (margayCalls[i].run === null) margayCalls[i].run = noSuchCall;
}
export function noSuchCall(_call: ptr<Call>): i64 {
  return -i64(Errno.ENOSYS);
}

function slotOf(number: u64): ptr<Slot> | null {
  if (number < u64(LINUX_CALL_COUNT)) return addr(linuxCalls[number]);
  const own: u64 = number - u64(MARGAY_CALL_BASE);
  if (own < u64(MARGAY_CALL_COUNT)) return addr(margayCalls[own]);
  return null;
}

export function failure(errno: u32): i64 {
  return -i64(errno);
}
