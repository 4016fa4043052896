/**
 * The network's only timer. It runs on the NIC's core, whichever core has sent: acknowledgements arrive there, so it
 * can be stopped there, and no core is interrupted for a frame that has already been acknowledged. Other cores request
 * it by an interrupt. Under `netLock`.
 */
import { Vector } from "../abi/vectors.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { lapicSend } from "../arch/lapic.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { armTimer, disarmTimer, type Timer } from "../arch/timer.ts";
import { registerInterrupt } from "../arch/trap.ts";
import { netLock } from "./peer.ts";

/** ioapicRoute sends the NIC's interrupts to this core. */
const NIC_CPU: u32 = 0;

class NetTimer {
  timer!: Timer;
  /** When it should run; 0: not at all. */
  wanted: u64 = 0;
  due: (() => void) | null = null;
}
const state: NetTimer = zeroed();

export function netTimerStart(due: () => void): void {
  state.due = due;
  registerInterrupt(Vector.NET_TIMER, setInterrupt, 0);
}

/** `deadline` in TSC ns, 0 = none. */
export function netTimerSet(deadline: u64): void {
  assertHeld(addr(netLock));
  const before: u64 = state.wanted;
  if (deadline === before) return;
  state.wanted = deadline;
  if (cpuIndex() === NIC_CPU) apply();
  // A later time is set by the interrupt for the acknowledgement of the earlier frame.
  else if (deadline !== 0 && (before === 0 || deadline < before)) lapicSend(NIC_CPU, Vector.NET_TIMER);
}

function apply(): void {
  if (state.wanted === 0) disarmTimer(addr(state.timer));
  else armTimer(addr(state.timer), state.wanted, run, 0);
}
function run(_argument: u64): void {
  state.wanted = 0;
  const due = state.due;
  if (due !== null) due();
}

function setInterrupt(_vector: u32, _device: u64): void {
  const flags: u64 = lock(addr(netLock));
  apply();
  unlock(addr(netLock), flags);
}
