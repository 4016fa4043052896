/**
 * The frame that a handler of a signal runs on and returns through, as Linux lays it out for x86-64
 * (arch/x86/kernel/signal_64.c): the interrupted registers as an ucontext, the siginfo, and an FXSAVE area, on the
 * thread's stack or its alternate one. C libraries, unwinders and gdb know this layout. The context that rt_sigreturn
 * reads comes from the program and is checked: it cannot set registers or flags that belong to the kernel.
 */
import { USER_END } from "../abi/memory.ts";
import {
  ContextFlag,
  FX_BYTES,
  RED_ZONE_BYTES,
  type SignalAction,
  type SignalContext,
  SignalFlag,
  type SignalFrame,
  type SignalStack,
  StackFlag,
} from "../abi/signal.ts";
import { Rflags, Selector } from "../abi/x86.ts";
import { type FxArea, fpuLoad, fpuReset, fpuSave } from "../arch/fpu.ts";
import { type Frame, USER_FLAGS } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { QueuedSignal } from "./signalstate.ts";
import type { Task, Thread } from "./task.ts";

const FX_ALIGN: u64 = 64;
const FRAME_ALIGN: u64 = 16;
/** MXCSR's valid bits where FXSAVE names none. Source: Intel SDM vol. 1, 11.6.6. */
const MXCSR_BITS: u32 = 0xffbf;
/**
 * By core.
 * @align 16
 */
const areas: arr<FxArea, 64> = zeroed();

/** Whether `sp` lies on the alternate stack. */
function lies(stack: ptr<SignalStack>, sp: u64): boolean {
  return sp > stack.address && sp - stack.address <= stack.bytes;
}
/** Whether the stack is in use. A stack that is disarmed while a handler runs is never in use. */
export function isOnStack(stack: ptr<SignalStack>, sp: u64): boolean {
  return (stack.flags & StackFlag.AUTODISARM) === 0 && lies(stack, sp);
}
export function stackFlags(stack: ptr<SignalStack>, sp: u64): u32 {
  if (stack.bytes === 0) return StackFlag.DISABLE;
  return isOnStack(stack, sp) ? StackFlag.ONSTACK : 0;
}

/** Makes `frame` enter the handler. False: no room on the stack. `mask`: restored on return. */
export function pushFrame(
  frame: ptr<Frame>,
  task: ptr<Task>,
  thread: ptr<Thread>,
  signal: ptr<QueuedSignal>,
  action: ptr<SignalAction>,
  mask: u64,
): boolean {
  const stack = addr(thread.signals.stack);
  const space = addr(task.space);
  // The handler returns through the C library's restorer; there is no vDSO.
  if ((action.flags & SignalFlag.RESTORER) === 0) return false;
  // IRETQ would fault on an address that is not canonical.
  if (action.handler >= USER_END) return false;
  let checked: boolean = isOnStack(stack, frame.rsp);
  let sp: u64 = frame.rsp - RED_ZONE_BYTES;
  if ((action.flags & SignalFlag.ONSTACK) !== 0 && stackFlags(stack, sp) === 0) {
    sp = stack.address + stack.bytes;
    checked = true;
  }
  const fpState: u64 = (sp - FX_BYTES) & ~(FX_ALIGN - 1);
  const at: u64 = ((fpState - sizeof<SignalFrame>()) & ~(FRAME_ALIGN - 1)) - 8;
  // A frame that does not fit the alternate stack must not overflow it.
  if (checked && !lies(stack, at)) return false;

  const area = addr(areas[cpuIndex()]);
  fpuSave(area);
  if (!copyToUser(space, fpState, cast<ptr<u8>>(area), FX_BYTES)) return false;
  const f: SignalFrame = zeroed();
  f.returnAddress = action.restorer;
  f.info.signal = i32(signal.signal);
  f.info.code = signal.code;
  f.info.first = signal.first;
  f.info.value = signal.value;
  saveContext(addr(f.context), frame, thread, fpState, mask);
  if (!copyToUser(space, at, cast<ptr<u8>>(addr(f)), sizeof<SignalFrame>())) return false;

  if ((stack.flags & StackFlag.AUTODISARM) !== 0) {
    zero(stack);
    stack.flags = StackFlag.DISABLE;
  }
  frame.rdi = u64(signal.signal);
  frame.rsi = at + offsetof<SignalFrame>("info");
  frame.rdx = at + offsetof<SignalFrame>("context");
  frame.rax = 0;
  frame.rip = action.handler;
  frame.rsp = at;
  frame.rflags &= ~(Rflags.DF | Rflags.RF | Rflags.TF);
  return true;
}

function saveContext(c: ptr<SignalContext>, frame: ptr<Frame>, thread: ptr<Thread>, fpState: u64, mask: u64): void {
  c.flags = ContextFlag.SIGCONTEXT_SS | ContextFlag.STRICT_RESTORE_SS;
  copy(addr(c.stack), addr(thread.signals.stack));
  c.r8 = frame.r8;
  c.r9 = frame.r9;
  c.r10 = frame.r10;
  c.r11 = frame.r11;
  c.r12 = frame.r12;
  c.r13 = frame.r13;
  c.r14 = frame.r14;
  c.r15 = frame.r15;
  c.rdi = frame.rdi;
  c.rsi = frame.rsi;
  c.rbp = frame.rbp;
  c.rbx = frame.rbx;
  c.rdx = frame.rdx;
  c.rax = frame.rax;
  c.rcx = frame.rcx;
  c.rsp = frame.rsp;
  c.rip = frame.rip;
  c.rflags = frame.rflags;
  c.cs = Selector.USER_CODE;
  c.ss = Selector.USER_DATA;
  c.error = thread.signals.error;
  c.trap = thread.signals.trap;
  c.oldMask = mask;
  c.cr2 = thread.signals.cr2;
  c.fpState = fpState;
  c.mask = mask;
}

/**
 * Takes the context that lies above `sp`, where a handler has returned to its restorer: registers into `frame`, vector
 * registers into this core, the rest into `context` for the caller. False: it is invalid.
 */
export function popFrame(frame: ptr<Frame>, task: ptr<Task>, sp: u64, context: ptr<SignalContext>): boolean {
  const space = addr(task.space);
  const at: u64 = sp - 8 + offsetof<SignalFrame>("context");
  if (!copyFromUser(space, cast<ptr<u8>>(context), at, sizeof<SignalContext>())) return false;
  // IRETQ would fault on an address that is not canonical.
  if (context.rip >= USER_END) return false;
  if (!restoreVectors(task, context.fpState)) return false;
  const c = context;
  frame.r8 = c.r8;
  frame.r9 = c.r9;
  frame.r10 = c.r10;
  frame.r11 = c.r11;
  frame.r12 = c.r12;
  frame.r13 = c.r13;
  frame.r14 = c.r14;
  frame.r15 = c.r15;
  frame.rdi = c.rdi;
  frame.rsi = c.rsi;
  frame.rbp = c.rbp;
  frame.rbx = c.rbx;
  frame.rdx = c.rdx;
  frame.rax = c.rax;
  frame.rcx = c.rcx;
  frame.rsp = c.rsp;
  frame.rip = c.rip;
  frame.rflags = (frame.rflags & ~USER_FLAGS) | (c.rflags & USER_FLAGS);
  frame.cs = Selector.USER_CODE;
  frame.ss = Selector.USER_DATA;
  return true;
}
function restoreVectors(task: ptr<Task>, fpState: u64): boolean {
  if (fpState === 0) {
    fpuReset();
    return true;
  }
  const area = addr(areas[cpuIndex()]);
  fpuSave(area);
  const valid: u32 = area.mxcsrMask === 0 ? MXCSR_BITS : area.mxcsrMask;
  if (!copyFromUser(addr(task.space), cast<ptr<u8>>(area), fpState, FX_BYTES)) return false;
  // FXRSTOR faults where a reserved bit is set.
  if ((area.mxcsr & ~valid) !== 0) return false;
  fpuLoad(area);
  return true;
}
