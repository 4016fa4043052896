/** Registers, backtraces and the flight recorder as text: for panics, core reports and the status message. */
import { type EventInfo, eventTable, TRACE_RING_RECORDS } from "../abi/events.ts";
import { KERNEL_BASE } from "../abi/memory.ts";
import { type Frame, fromUser } from "../arch/frame.ts";
import { breakText, print, printChar, printDecimal, printHex, type Text } from "../arch/text.ts";
import { recordCount, traceRings } from "../arch/trace.ts";
import { cpuCount } from "../arch/percpu.ts";
import { strays } from "../arch/trap.ts";
import { physical } from "../mm/frames.ts";
import { translateUser } from "../mm/pagetable.ts";
import type { AddressSpace } from "../mm/addressspace.ts";

export const BACKTRACE_MAX: u32 = 16;

function register(t: ptr<Text>, name: ptr<u8>, value: u64): void {
  printChar(t, 32);
  print(t, name);
  printChar(t, 61);
  printHex(t, value, 16);
}

/** Four lines of four registers and one of the rest, each indented by two blanks. */
export function dumpRegisters(t: ptr<Text>, f: ptr<Frame>): void {
  printChar(t, 32);
  register(t, cstr("rip"), f.rip);
  register(t, cstr("rsp"), f.rsp);
  register(t, cstr("rbp"), f.rbp);
  register(t, cstr("rfl"), f.rflags);
  print(t, cstr("\n "));
  register(t, cstr("rax"), f.rax);
  register(t, cstr("rbx"), f.rbx);
  register(t, cstr("rcx"), f.rcx);
  register(t, cstr("rdx"), f.rdx);
  print(t, cstr("\n "));
  register(t, cstr("rsi"), f.rsi);
  register(t, cstr("rdi"), f.rdi);
  register(t, cstr("r8 "), f.r8);
  register(t, cstr("r9 "), f.r9);
  print(t, cstr("\n "));
  register(t, cstr("r10"), f.r10);
  register(t, cstr("r11"), f.r11);
  register(t, cstr("r12"), f.r12);
  register(t, cstr("r13"), f.r13);
  print(t, cstr("\n "));
  register(t, cstr("r14"), f.r14);
  register(t, cstr("r15"), f.r15);
  register(t, cstr("cs "), f.cs);
  register(t, cstr("err"), f.error);
  printChar(t, 10);
}

/**
 * Stores the addresses along the chain of frame pointers, innermost first, starting with `rip`; returns their number
 * (at most BACKTRACE_MAX). `space`: the program's, null for a kernel stack. Takes no lock, because its owner may have
 * been stopped.
 */
export function backtrace(to: ptr<u64>, rip: u64, rbp: u64, space: ptr<AddressSpace> | null): u32 {
  let count: u32 = 0;
  let address: u64 = rip;
  let frame: u64 = rbp;
  for (let depth: u32 = 0; depth < BACKTRACE_MAX; depth++) {
    if (address !== 0) to[count++] = address;
    if (frame === 0 || (frame & 7) !== 0) break;
    let pair = cast<ptr<u64>>(frame);
    if (space !== null) {
      // A pair never crosses a page: stack frames are aligned to 16 bytes, so such a value ends the chain.
      if ((frame & 0xfff) > 0xff0) break;
      const at: u64 = frame >> 47 === 0 ? translateUser(space.root, frame, false) : 0;
      if (at === 0) break;
      pair = physical<u64>(at);
    } else {
      // Kernel stacks lie in the image or in the direct map; both are in the upper half.
      if (frame >> 47 !== 0x1_ffff) break;
      if (pair[1] < KERNEL_BASE) break;
    }
    // Frames ascend in memory: a chain that does not is invalid.
    if (pair[0] !== 0 && pair[0] <= frame) break;
    frame = pair[0];
    address = pair[1];
  }
  return count;
}

export function dumpBacktrace(t: ptr<Text>, rip: u64, rbp: u64, space: ptr<AddressSpace> | null): void {
  print(t, cstr("  backtrace:"));
  const addresses: arr<u64, 16> = zeroed();
  const count: u32 = backtrace(addr(addresses[0]), rip, rbp, space);
  for (let i: u32 = 0; i < count; i++) {
    printChar(t, 32);
    printHex(t, addresses[i], 16);
  }
  printChar(t, 10);
}

/** Unexpected interrupts; prints nothing if there were none. */
export function dumpStrays(t: ptr<Text>): void {
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    if (strays.spurious[cpu] !== 0) dumpCount(t, cstr("spurious interrupts on cpu "), u64(cpu), strays.spurious[cpu]);
    if (strays.nmi[cpu] !== 0) dumpCount(t, cstr("NMIs on cpu "), u64(cpu), strays.nmi[cpu]);
  }
  for (let vector: u32 = 0; vector < strays.unexpected.length; vector++) {
    if (strays.unexpected[vector] !== 0)
      dumpCount(t, cstr("unexpected interrupts of vector "), u64(vector), strays.unexpected[vector]);
  }
}
function dumpCount(t: ptr<Text>, what: ptr<u8>, of: u64, count: u64): void {
  breakText(t);
  print(t, cstr("  "));
  print(t, what);
  printDecimal(t, of);
  print(t, cstr(": "));
  printDecimal(t, count);
  printChar(t, 10);
}

export function dumpContext(t: ptr<Text>, f: ptr<Frame>, space: ptr<AddressSpace> | null): void {
  breakText(t);
  dumpRegisters(t, f);
  breakText(t);
  dumpBacktrace(t, f.rip, f.rbp, fromUser(f) ? space : null);
}

/** The last `count` records of one core, oldest first. */
export function dumpRecorder(t: ptr<Text>, cpu: u32, count: u64): void {
  const written: u64 = recordCount(cpu);
  let from: u64 = written > count ? written - count : 0;
  if (written - from > u64(TRACE_RING_RECORDS)) from = written - u64(TRACE_RING_RECORDS);
  for (let n: u64 = from; n < written; n++) {
    const r = addr(traceRings[cpu].records[n & u64(TRACE_RING_RECORDS - 1)]);
    print(t, cstr("  c"));
    printDecimal(t, u64(cpu));
    printChar(t, 32);
    printDecimal(t, r.time);
    printChar(t, 32);
    const info = infoOf(r.kind);
    if (info === null) {
      print(t, cstr("event "));
      printDecimal(t, u64(r.kind));
      printChar(t, 10);
      continue;
    }
    const name = info.name;
    if (name !== null) print(t, name);
    for (let i: u32 = 0; i < 4; i++) {
      const field = info.fields[i];
      if (field === null) continue;
      printChar(t, 32);
      print(t, field);
      printChar(t, 61);
      printHex(t, r.words[i], 1 + (63 - u64(countLeadingZeros(r.words[i] | 1))) / 4);
    }
    printChar(t, 10);
  }
}

function infoOf(kind: u16): ptr<EventInfo> | null {
  for (let i: u32 = 0; i < eventTable.length; i++) {
    if (eventTable[i].kind === kind) return addr(eventTable[i]);
  }
  return null;
}
