/**
 * Cross-calls: run a function on other cores and wait until each has run it.
 *
 * As a sender each core has two request slots: one for calls that wait with interrupts on, and one for calls of
 * interrupt handlers, which may occur during such a wait. For each slot a receiver has a mask of the senders with a
 * pending request. A receiver serves its masks in the interrupt, or earlier if it waits with interrupts off: every wait
 * of the kernel, spinlocks included, calls `serveRequests`. So two cores that call each other cannot deadlock, and
 * neither can a core that holds a lock and calls another that spins on it. The function runs with interrupts off, takes
 * no lock and makes no cross-call; both are checked.
 */
import { EventKind } from "../abi/events.ts";
import { Vector } from "../abi/vectors.ts";
import { disableInterrupts, pause, restoreInterrupts } from "./cpu.ts";
import { lapicSend } from "./lapic.ts";
import { assert } from "./fatal.ts";
import { admitInterrupts, ALL_LOCKS, cpuIndex, thisCpu } from "./percpu.ts";
import { record } from "./trace.ts";
import { registerInterrupt } from "./trap.ts";

class Request {
  run: ((argument: u64, id: u64) => void) | null = null;
  argument: u64 = 0;
  id: u64 = 0;
  /** Mask of receivers that have not run it yet. */
  outstanding: u64 = 0;
}
/** The two slots of a sender: for calls that wait with interrupts on, and off. */
// biome-ignore format: a table
const enum Wait { OPEN = 0, CLOSED = 1 }
/** By sender, then by Wait. */
const requests: arr<arr<Request, 2>, 64> = zeroed();
class Wanted {
  /** By Wait: bit n is set while sender n's request is pending here. */
  senders!: arr<u64, 2>;
}
/** By receiver. */
const wanted: arr<Wanted, 64> = zeroed();
class RequestIds {
  last: u64 = 0;
}
const ids: RequestIds = new RequestIds();

export function crossCallStart(): void {
  registerInterrupt(Vector.CROSS_CALL, requestInterrupt, 0);
  registerInterrupt(Vector.TLB_SHOOTDOWN, requestInterrupt, 0);
  registerInterrupt(Vector.WAKE, wakeInterrupt, 0);
}

/**
 * Runs `run(argument, id)` on the cores of `mask`, except this one, and waits for all of them. Interrupts are on during
 * the wait if the caller holds no lock. Returns the request's id; 0: no core to call.
 */
export function crossCall(mask: u64, vector: u32, run: (argument: u64, id: u64) => void, argument: u64): u64 {
  const flags: u64 = disableInterrupts();
  const self: u32 = cpuIndex();
  const others: u64 = mask & ~(u64(1) << u64(self));
  if (others === 0) {
    restoreInterrupts(flags);
    return 0;
  }
  assert(thisCpu().locks !== ALL_LOCKS, cstr("cross-call: from within a cross-called function"), others);
  // While a lock is held (also by the code that an interrupt handler interrupted) interrupts stay off during the wait.
  const wait: u32 = thisCpu().locks === 0 ? Wait.OPEN : Wait.CLOSED;
  const request = addr(requests[self][wait]);
  assert(request.outstanding === 0, cstr("cross-call: the last one has not ended"), request.outstanding);
  const id: u64 = atomicAdd(addr(ids.last), 1) + 1;
  request.run = run;
  request.argument = argument;
  request.id = id;
  atomicStore(addr(request.outstanding), others);
  for (let rest: u64 = others; rest !== 0; rest = rest & (rest - 1)) {
    const to: u32 = u32(countTrailingZeros(rest));
    atomicOr(addr(wanted[to].senders[wait]), u64(1) << u64(self));
    record(EventKind.IPI_SEND, u64(to), u64(vector), id, 0);
    lapicSend(to, vector);
  }
  while (atomicLoad(addr(request.outstanding)) !== 0) {
    serveRequests();
    if (wait === Wait.OPEN) admitInterrupts();
    else pause();
  }
  record(EventKind.IPI_ACKED, id, 0, 0, 0);
  restoreInterrupts(flags);
  return id;
}

/** Runs the pending requests of other cores. Interrupts are off. */
export function serveRequests(): void {
  serve(Wait.OPEN);
  serve(Wait.CLOSED);
}
function serve(wait: u32): void {
  const self: u32 = cpuIndex();
  const senders = addr(wanted[self].senders[wait]);
  if (volatileRead(senders) === 0) return;
  const cpu = thisCpu();
  const held: u32 = cpu.locks;
  cpu.locks = ALL_LOCKS;
  for (let rest: u64 = atomicExchange(senders, 0); rest !== 0; rest = rest & (rest - 1)) {
    const request = addr(requests[u32(countTrailingZeros(rest))][wait]);
    const run = request.run;
    if (run !== null) run(request.argument, request.id);
    atomicAnd(addr(request.outstanding), ~(u64(1) << u64(self)));
  }
  cpu.locks = held;
}

/** Wakes core `cpu` from hlt; the caller provides what it will find then. Does nothing for this core. */
export function wakeCpu(cpu: u32): void {
  if (cpu !== cpuIndex()) lapicSend(cpu, Vector.WAKE);
}

function requestInterrupt(_vector: u32, _device: u64): void {
  serveRequests();
}
function wakeInterrupt(_vector: u32, _device: u64): void {}
