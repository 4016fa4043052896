/**
 * A host fault inside translated code is a fault of this engine. A signal handler, in machine code at the start of the
 * code buffer, does what is safe there: if the interrupted instruction is translated code, the handler notes its
 * position and continues at the exit with the number CRASHED. The run loop gets this as any other exit and throws
 * EngineCrash. Translated code never changes the host's stack pointer, so the exit finds its frame. Every other signal
 * goes to the handler that was installed before (Node's), or takes its default action.
 */
import type { CodeMap } from "./codemap.ts";
import type { Encoder } from "./emit/encoder.ts";
import { Env, type Environment } from "./environment.ts";
import { type CodeMemory, handleSignal } from "./memory.ts";

/** The exit number of a crash; no exit in code has this number. */
export const CRASHED = 0xffff_ffff;

/** Linux x86-64: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV. */
const signals: ReadonlyMap<number, string> = new Map([
  [4, "SIGILL"],
  [5, "SIGTRAP"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [11, "SIGSEGV"],
]);
const SIGNAL_SLOTS = 16;
/** struct ucontext_t of the x86-64 ABI: general registers from 40 on, in the order R8 to R15, …, RIP is the 17th. */
const Context = { R13: 40 + 5 * 8, R15: 40 + 7 * 8, RIP: 40 + 16 * 8 } as const;

/** A fault of the engine itself: the guest instruction that ran, and its block. */
export class EngineCrash extends Error {
  override readonly name = "EngineCrash";
}

export interface CrashHandler {
  /** Positions in the buffer: of the handler, and of the table of the previously installed handlers. */
  readonly handler: number;
  readonly previous: number;
  /**
   * Two values of 8 bytes that the caller sets: the first position of translated code, and the size of translated code
   * in bytes.
   */
  readonly limits: number;
}

/** Emits handler(signal, siginfo, context) at the current position; `exit`: the position where code leaves. */
export function emitCrashHandler(e: Encoder, exit: number): CrashHandler {
  while (e.p % 8) e.byte(0xcc);
  const previous = e.p;
  for (let byte = 0; byte < SIGNAL_SLOTS * 8; byte++) e.byte(0);
  const limits = e.p;
  for (let byte = 0; byte < 16; byte++) e.byte(0);
  // struct kernel_sigaction: default action.
  const defaultAction = e.p;
  for (let byte = 0; byte < 32; byte++) e.byte(0);

  const handler = e.p;
  const relative = (target: number): void => e.word32(target - e.p - 4);
  e.bytes(0x48, 0x8b, 0x82); // mov rax, [rdx + RIP]
  e.word32(Context.RIP);
  e.bytes(0x48, 0x8d, 0x0d); // lea rcx, [rip + start of the buffer]
  relative(0);
  e.bytes(0x48, 0x29, 0xc8, 0x49, 0x89, 0xc0); // sub rax, rcx; mov r8, rax
  e.bytes(0x48, 0x2b, 0x05); // sub rax, [rip + first]
  relative(limits);
  e.bytes(0x48, 0x3b, 0x05); // cmp rax, [rip + bytes]
  relative(limits + 8);
  const elsewhere = e.jumpIf(3); // jae
  e.bytes(0x4c, 0x8b, 0x4a, Context.R15); // mov r9, [rdx + R15]
  e.bytes(0x4d, 0x89, 0x81); // mov [r9 + CRASH_AT], r8
  e.word32(Env.CRASH_AT);
  e.bytes(0x41, 0x89, 0xb9); // mov [r9 + CRASH_SIGNAL], edi
  e.word32(Env.CRASH_SIGNAL);
  e.bytes(0x48, 0x8d, 0x05); // lea rax, [rip + exit]
  relative(exit);
  e.bytes(0x48, 0x89, 0x82); // mov [rdx + RIP], rax
  e.word32(Context.RIP);
  e.bytes(0xb8); // mov eax, CRASHED
  e.word32(CRASHED);
  e.bytes(0x48, 0x89, 0x42, Context.R13, 0xc3); // mov [rdx + R13], rax; ret

  e.patch(elsewhere, e.p);
  e.bytes(0x48, 0x8d, 0x0d); // lea rcx, [rip + previous]
  relative(previous);
  e.bytes(0x48, 0x8b, 0x04, 0xf9); // mov rax, [rcx + rdi * 8]
  e.bytes(0x48, 0x83, 0xf8, 1); // cmp rax, 1
  const none = e.jumpIf(6); // jbe: SIG_DFL, SIG_IGN
  e.bytes(0xff, 0xe0); // jmp rax
  e.patch(none, e.p);
  // rt_sigaction(signal, default, 0, 8): the instruction is repeated, and the signal then takes its default action.
  e.bytes(0x48, 0x8d, 0x35); // lea rsi, [rip + defaultAction]
  relative(defaultAction);
  e.bytes(0x31, 0xd2, 0x41, 0xba, 8, 0, 0, 0, 0xb8, 13, 0, 0, 0, 0x0f, 0x05, 0xc3); // xor edx, edx; …; syscall; ret
  return { handler, previous, limits };
}

/** Installs the handler, once per process. Translated code starts at `first`. */
export function installCrashHandler(memory: CodeMemory, { handler, previous, limits }: CrashHandler): void {
  const first = limits + 16;
  memory.view.setBigUint64(limits, BigInt(first), true);
  memory.view.setBigUint64(limits + 8, BigInt(memory.bytes.length - first), true);
  for (const signal of signals.keys())
    memory.view.setBigUint64(previous + signal * 8, handleSignal(signal, memory.address + handler), true);
}

/** The error that reports a crash. */
export function crashOf(env: Environment, map: CodeMap): EngineCrash {
  const at = env.u32(Env.CRASH_AT);
  const signal = signals.get(env.u32(Env.CRASH_SIGNAL)) ?? "signal";
  const place = map.find(at);
  const hex = (address: number): string => `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
  const where =
    place === undefined
      ? `code at +0x${at.toString(16)}, of no block`
      : `the instruction at ${hex(place.pc)}, in the block at ${hex(place.block)}`;
  return new EngineCrash(`native engine: ${signal} in translated code of ${where}`);
}
