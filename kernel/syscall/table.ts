/**
 * The calls that the SYSCALL entry makes. Subsystems and drivers register their handlers during boot; then the table is
 * closed: each LOCAL and SHIPPED row of abi/syscalltable.ts must have its handler, and each handler its row. A handler
 * gets checked arguments (arguments.ts), runs with interrupts off, and returns a result or a negated errno.
 */
import { Errno } from "../abi/errno.ts";
import { LINUX_CALL_COUNT, MARGAY_CALL_BASE, MARGAY_CALL_COUNT, Route } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";
import { assert, fatal } from "../arch/fatal.ts";
import { type Call, checkArguments, compileRule, type Handler, type Rule } from "./arguments.ts";

class Slot {
  run: Handler | null = null;
}
/** Without nulls once the table is closed: the SYSCALL entry calls the entry without a check. */
export const linuxCalls: arr<Slot, 512> = zeroed();
export const margayCalls: arr<Slot, 32> = zeroed();
/** Rules of the calls that have something to check. */
const rules: arr<Rule, 256> = zeroed();
/** By Linux call, then by Margay call: index in `rules`; for a refused call the errno. */
const details: arr<u8, 544> = zeroed();
class TableState {
  closed: u32 = 0;
}
const table: TableState = new TableState();

export function registerSyscall(number: u32, run: Handler): void {
  assert(table.closed === 0, cstr("syscall: registered after the table was closed"), u64(number));
  const slot = slotOf(u64(number));
  if (slot === null) {
    assert(false, cstr("syscall: number out of range"), u64(number));
    return;
  }
  assert(slot.run === null, cstr("syscall: registered twice"), u64(number));
  slot.run = run;
}
export function hasHandler(number: u32): boolean {
  const slot = slotOf(u64(number));
  return slot !== null && slot.run !== null;
}
export function closeSyscalls(): void {
  table.closed = 1;
  let registered: u32 = 0;
  for (let i: u32 = 0; i < linuxCalls.length; i++) registered += u32(linuxCalls[i].run !== null);
  for (let i: u32 = 0; i < margayCalls.length; i++) registered += u32(margayCalls[i].run !== null);
  let ruleCount: u32 = 0;
  for (let i: u32 = 0; i < syscallInfos.length; i++) {
    const info = addr(syscallInfos[i]);
    const slot = slotOf(u64(info.number));
    if (slot === null) fatal(cstr("syscall: a row whose number is out of range"), u64(info.number));
    const refused: boolean = info.route === Route.REFUSED;
    assert((slot.run === null) === refused, cstr("syscall: no handler, or one of a refused call"), u64(info.number));
    if (refused) {
      details[indexOf(u64(info.number))] = info.errno;
      slot.run = refusedCall;
      continue;
    }
    registered--;
    assert(ruleCount < u32(rules.length), cstr("syscall: more calls than rules"), u64(ruleCount));
    const rule = addr(rules[ruleCount]);
    if (!compileRule(rule, info)) continue;
    rule.run = slot.run;
    details[indexOf(u64(info.number))] = u8(ruleCount++);
    slot.run = checkedCall;
  }
  assert(registered === 0, cstr("syscall: handlers of calls without a row"), u64(registered));
  for (let i: u32 = 0; i < linuxCalls.length; i++) if (linuxCalls[i].run === null) linuxCalls[i].run = noSuchCall;
  for (let i: u32 = 0; i < margayCalls.length; i++) if (margayCalls[i].run === null) margayCalls[i].run = noSuchCall;
}
export function noSuchCall(_call: ptr<Call>): i64 {
  return -i64(Errno.ENOSYS);
}
function refusedCall(frame: ptr<Call>): i64 {
  return -i64(details[indexOf(frame.number)]);
}

/** The SYSCALL entry calls this for all calls whose arguments must be checked. */
function checkedCall(frame: ptr<Call>): i64 {
  const rule = addr(rules[details[indexOf(frame.number)]]);
  const call: Call = uninitialized();
  copy(addr(call), frame);
  const errno: u32 = checkArguments(rule, addr(call));
  const run = rule.run;
  return errno === 0 && run !== null ? run(addr(call)) : -i64(errno);
}

function indexOf(number: u64): u64 {
  return number < u64(LINUX_CALL_COUNT) ? number : number - u64(MARGAY_CALL_BASE) + u64(LINUX_CALL_COUNT);
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
