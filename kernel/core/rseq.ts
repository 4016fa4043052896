/**
 * Restartable sequences (rseq(2)): short code on per-core data that must run without interruption. Threads are not
 * preempted and never move, so only a signal can interrupt one: the sequence is then aborted before the handler runs.
 */
import { USER_END } from "../abi/memory.ts";
import type { Rseq, RseqSection } from "../abi/process.ts";
import type { Frame } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import { currentTask, type Task, type Thread } from "./task.ts";

/** cpu of a structure that no thread has registered. */
const UNREGISTERED: u32 = 0xffff_ffff;

/** Writes the core's number where the program reads it. False: the address is invalid. */
export function rseqStart(at: u64): boolean {
  return write(at, cpuIndex(), cpuIndex());
}
export function rseqReset(at: u64): boolean {
  return write(at, 0, UNREGISTERED);
}
function write(at: u64, cpuStart: u32, cpu: u32): boolean {
  const r: Rseq = zeroed();
  const space = addr(currentTask().space);
  if (!copyFromUser(space, cast<ptr<u8>>(addr(r)), at, sizeof<Rseq>())) return false;
  r.cpuStart = cpuStart;
  r.cpu = cpu;
  r.node = 0;
  r.concurrency = cpuStart;
  return copyToUser(space, at, cast<ptr<u8>>(addr(r)), sizeof<Rseq>());
}

/** A signal interrupts the thread at `frame`: aborts its sequence, if any. False: the program's data is invalid. */
export function rseqAbort(frame: ptr<Frame>, task: ptr<Task>, thread: ptr<Thread>): boolean {
  const space = addr(task.space);
  const section: RseqSection = zeroed();
  const at: u64 = thread.rseq + offsetof<Rseq>("section");
  let address: u64 = 0;
  let signature: u32 = 0;
  if (!copyFromUser(space, cast<ptr<u8>>(addr(address)), at, 8)) return false;
  if (address === 0) return true;
  if (!copyFromUser(space, cast<ptr<u8>>(addr(section)), address, sizeof<RseqSection>())) return false;
  if (section.version !== 0 || section.start >= USER_END || section.abort >= USER_END) return false;
  if (section.start + section.lengthBytes < section.start) return false;
  if (section.abort - section.start < section.lengthBytes) return false;
  if (!copyFromUser(space, cast<ptr<u8>>(addr(signature)), section.abort - 4, 4)) return false;
  if (signature !== thread.rseqSignature) return false;
  let none: u64 = 0;
  if (!copyToUser(space, at, cast<ptr<u8>>(addr(none)), 8)) return false;
  if (frame.rip - section.start < section.lengthBytes) frame.rip = section.abort;
  return true;
}
