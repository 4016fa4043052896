/**
 * The entry of the SYSCALL instruction: swapgs, the core's kernel stack, the caller's registers as a CallFrame, the
 * handler from the table, and return by SYSRET. All registers except RAX, RCX and R11 are preserved, as on Linux: a
 * handler finds the program's callee-saved registers unchanged and preserves them by the ABI (clone reads them there).
 *
 * This is the kernel's shortest path, so it is entirely assembly: it writes its two flight records itself (as
 * arch/trace.ts does; recorderStart has filled in the CPU's number) and calls the handler straight from the table.
 * tests/kernel/paths counts it. Source: AMD64 APM vol. 2, 6.1. A program's RIP is below USER_END, one page below the
 * end of the canonical half, so SYSRET cannot fault.
 */
import { Errno } from "../abi/errno.ts";
import { EventKind, type TraceRecord, type TraceRing } from "../abi/events.ts";
import { DebugReason } from "../abi/jobdebug.ts";
import { LINUX_CALL_COUNT, MARGAY_CALL_BASE, MARGAY_CALL_COUNT } from "../abi/syscalls.ts";
import { Efer, Msr, Rflags, Selector } from "../abi/x86.ts";
import { readMsr, writeMsr } from "../arch/cpu.ts";
import type { Frame } from "../arch/frame.ts";
import { type Cpu, cpuIndex, isEnding } from "../arch/percpu.ts";
import { recorderStart } from "../arch/trace.ts";
import { callBegins, callGoesOn, isAnew, isCaught, setCallEntries } from "../core/caughtcalls.ts";
import { leaveThread } from "../core/idle.ts";
import { NO_CALL, returnFromCall, SYSCALL_BYTES, stopAtCall, stopOf } from "../core/stop.ts";
import type { CallFrame } from "./arguments.ts";
import { linuxCalls, margayCalls, noSuchCall } from "./table.ts";

/** Run on each core. */
export function syscallStart(): void {
  recorderStart(cpuIndex());
  writeMsr(Msr.EFER, readMsr(Msr.EFER) | Efer.SCE);
  writeMsr(Msr.STAR, (u64(Selector.KERNEL_CODE) << 32) | (u64(Selector.USER_BASE) << 48));
  writeMsr(Msr.LSTAR, cast<u64>(syscallEntry));
  setCallEntries(cast<u64>(syscallEntry), cast<u64>(caughtEntry));
  writeMsr(Msr.FMASK, Rflags.IF | Rflags.DF | Rflags.TF | Rflags.AC | Rflags.NT);
}

/** Offsets of a record's fields from its ring, for record 0. */
const TIME: u64 = offsetof<TraceRing>("records") + offsetof<TraceRecord>("time");
const KIND: u64 = offsetof<TraceRing>("records") + offsetof<TraceRecord>("kind");
const WORDS: u64 = offsetof<TraceRing>("records") + offsetof<TraceRecord>("words");

function syscallEntry(): void {
  attr({ naked: true, align: 16 });
  asm`
    .cfi_signal_frame
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx; .cfi_register rflags, r11
    swapgs
    mov gs:[${offsetof<Cpu>("userStack")}], rsp
    mov rsp, gs:[${offsetof<Cpu>("kernelStackTop")}]
    push qword ptr gs:[${offsetof<Cpu>("userStack")}]
    .cfi_def_cfa rsp, 8
    .cfi_offset rsp, -8; .cfi_register rip, rcx; .cfi_register rflags, r11
    push r11
    .cfi_offset rflags, -16
    push rcx
    .cfi_offset rip, -24
    push rax
    push rdi; push rsi; push rdx; push r10; push r8; push r9

    # SYS_ENTER. The ring has 256 records: the counter's low byte is the index.
    mov r11, gs:[${offsetof<Cpu>("ring")}]
    movzx ecx, byte ptr [r11]
    imul ecx, ecx, ${sizeof<TraceRecord>()}
    mov [r11 + rcx + ${WORDS}], rax
    mov [r11 + rcx + ${WORDS + 8}], rdi
    mov [r11 + rcx + ${WORDS + 16}], rsi
    mov [r11 + rcx + ${WORDS + 24}], rdx
    mov word ptr [r11 + rcx + ${KIND}], ${EventKind.SYS_ENTER}
    cmp rax, ${LINUX_CALL_COUNT}
    jae own
    mov r8, [rax * 8 + ${linuxCalls}]
  found:
    rdtsc
    mov [r11 + rcx + ${TIME}], eax
    mov [r11 + rcx + ${TIME + 4}], edx
    add qword ptr [r11], 1

    mov rdi, rsp
    call r8

    # SYS_EXIT
    mov r11, gs:[${offsetof<Cpu>("ring")}]
    movzx ecx, byte ptr [r11]
    imul ecx, ecx, ${sizeof<TraceRecord>()}
    mov rdx, [rsp + ${offsetof<CallFrame>("number")}]
    mov [r11 + rcx + ${WORDS}], rdx
    mov [r11 + rcx + ${WORDS + 8}], rax
    mov word ptr [r11 + rcx + ${KIND}], ${EventKind.SYS_EXIT}
    rdtsc
    mov [r11 + rcx + ${TIME}], eax
    mov [r11 + rcx + ${TIME + 4}], edx
    mov rax, [r11 + rcx + ${WORDS + 8}]
    add qword ptr [r11], 1

    cmp qword ptr gs:[${offsetof<Cpu>("leave")}], 0
    jne ended
    pop r9; pop r8; pop r10; pop rdx; pop rsi; pop rdi
    mov rcx, [rsp + 8]
    mov r11, [rsp + 16]
    mov rsp, [rsp + 24]
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx; .cfi_register rflags, r11
    swapgs
    sysretq

  own:
    lea r8, [rax - ${MARGAY_CALL_BASE}]
    cmp r8, ${MARGAY_CALL_COUNT}
    jae none
    mov r8, [r8 * 8 + ${margayCalls}]
    jmp found
  none:
    lea r8, [rip + ${noSuchCall}]
    jmp found
  ended:
    # Must not go on as it is: all of the program's registers, as a Frame.
    mov rdi, rsp
    push ${Selector.USER_DATA}
    push qword ptr [rdi + ${offsetof<CallFrame>("rsp")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("rflags")}]
    push ${Selector.USER_CODE}
    push qword ptr [rdi + ${offsetof<CallFrame>("rip")}]
    push 0; push 0
    push rax; push rbx
    push qword ptr [rdi + ${offsetof<CallFrame>("rip")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("c")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("b")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("a")}]
    push rbp
    push qword ptr [rdi + ${offsetof<CallFrame>("e")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("f")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("d")}]
    push qword ptr [rdi + ${offsetof<CallFrame>("rflags")}]
    push r12; push r13; push r14; push r15
    .cfi_def_cfa rsp, ${sizeof<Frame>()}
    .cfi_offset rip, -40; .cfi_offset rflags, -24; .cfi_offset rsp, -16
    .cfi_offset rax, -64; .cfi_offset rbx, -72; .cfi_offset rcx, -80; .cfi_offset rdx, -88
    .cfi_offset rsi, -96; .cfi_offset rdi, -104; .cfi_offset rbp, -112; .cfi_offset r8, -120
    .cfi_offset r9, -128; .cfi_offset r10, -136; .cfi_offset r11, -144; .cfi_offset r12, -152
    .cfi_offset r13, -160; .cfi_offset r14, -168; .cfi_offset r15, -176
    mov rsi, [rdi + ${offsetof<CallFrame>("number")}]
    mov rdi, rsp
    call ${returnFromCall}
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    add rsp, 16
    swapgs
    iretq
  `;
}

/**
 * The entry of a core whose thread has calls that a debugger catches: the program's registers as a Frame, which the
 * debugger may change, and then on to the entry of all calls with them.
 */
function caughtEntry(): void {
  attr({ naked: true, align: 16 });
  asm`
    .cfi_signal_frame
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx; .cfi_register rflags, r11
    swapgs
    mov gs:[${offsetof<Cpu>("userStack")}], rsp
    mov rsp, gs:[${offsetof<Cpu>("kernelStackTop")}]
    push ${Selector.USER_DATA}
    push qword ptr gs:[${offsetof<Cpu>("userStack")}]
    .cfi_def_cfa rsp, 16
    .cfi_offset rsp, -16; .cfi_register rip, rcx; .cfi_register rflags, r11
    push r11
    push ${Selector.USER_CODE}
    push rcx
    push 0; push 0
    push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp
    push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
    .cfi_def_cfa rsp, ${sizeof<Frame>()}
    .cfi_offset rip, -40; .cfi_offset rflags, -24; .cfi_offset rsp, -16
    .cfi_offset rax, -64; .cfi_offset rbx, -72; .cfi_offset rcx, -80; .cfi_offset rdx, -88
    .cfi_offset rsi, -96; .cfi_offset rdi, -104; .cfi_offset rbp, -112; .cfi_offset r8, -120
    .cfi_offset r9, -128; .cfi_offset r10, -136; .cfi_offset r11, -144; .cfi_offset r12, -152
    .cfi_offset r13, -160; .cfi_offset r14, -168; .cfi_offset r15, -176
    mov rdi, rsp
    call ${caughtCall}
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    mov rcx, [rsp + 16]
    mov r11, [rsp + 32]
    mov rsp, [rsp + 40]
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx; .cfi_register rflags, r11
    swapgs
    jmp ${syscallEntry}
  `;
}
/** Stops the thread in front of the call if it is caught. RAX is -ENOSYS meanwhile, as on Linux. */
function caughtCall(frame: ptr<Frame>): void {
  attr({ keep: true, inline: "never" });
  const number: u64 = frame.rax;
  if (isAnew(frame.rip - SYSCALL_BYTES)) {
    callGoesOn();
    return;
  }
  if (!isCaught(number)) return;
  frame.rax = u64(-i64(Errno.ENOSYS));
  stopAtCall(frame, number, DebugReason.CALL_ENTRY);
  if (isEnding()) leaveThread();
  frame.rax = stopOf(cpuIndex()).call;
  if (frame.rax !== NO_CALL) callBegins(frame.rax);
}
