/**
 * The interrupt wrapper: the entry of every interrupt and exception.
 *
 * A gate leads to a stub of five bytes, a call; its return address identifies the vector. The common path saves the
 * registers as a Frame and calls `trapEntry`. APIC interrupts take the path `irq` in the stubs. It runs the handler
 * registered for the vector and then signals the end of interrupt, exactly once; no other code does. Exceptions and the
 * spurious vector get no EOI. Handlers take (vector, device), run with interrupts off, and may wait for other cores
 * only through crosscall.ts. Code that needs the interrupted context calls `interruptedFrame()`, which is also right
 * for nested interrupts.
 */
import { EventKind, type TraceRecord, type TraceRing } from "../abi/events.ts";
import { Lapic } from "../abi/lapic.ts";
import { DIRECT_MAP_BASE, LAPIC_BASE } from "../abi/memory.ts";
import { IRQ_COUNT, IRQ_VECTOR_BASE } from "../abi/vectors.ts";
import { Exception, Msr, Rflags } from "../abi/x86.ts";
import { readCr2 } from "./cpu.ts";
import { type Frame, fromUser } from "./frame.ts";
import { type Cpu, cpuIndex, thisCpu } from "./percpu.ts";
import { record } from "./trace.ts";

/** Bytes of a stub: `call rel32`. */
const STUB_BYTES: u64 = 5;

class Handler {
  run: ((vector: u32, device: u64) => void) | null = null;
  device: u64 = 0;
}
const handlers: arr<Handler, 256> = zeroed();

class Hooks {
  /** Handles every exception and NMI. */
  exception: ((frame: ptr<Frame>) => void) | null = null;
  /** Called once per vector since boot, for an APIC interrupt without a handler. */
  unexpected: ((vector: u32) => void) | null = null;
  /** Called before each return to user mode. */
  userReturn: ((frame: ptr<Frame>) => void) | null = null;
}
const hooks: Hooks = new Hooks();

/** Interrupts without a handler; read by the status message and by a panic. */
export class Strays {
  /** By core. */
  spurious!: arr<u64, 64>;
  nmi!: arr<u64, 64>;
  /** By vector. */
  unexpected!: arr<u64, 256>;
}
export const strays: Strays = zeroed();

export function registerInterrupt(vector: u32, run: (vector: u32, device: u64) => void, device: u64): void {
  handlers[vector].run = run;
  handlers[vector].device = device;
}
/**
 * From now on `run` handles the interrupts of all IOAPIC pins, instead of the registered handlers. For tests of faulty
 * handlers.
 */
export function divertDeviceInterrupts(run: (vector: u32, device: u64) => void): void {
  for (let pin: u32 = 0; pin < IRQ_COUNT; pin++) registerInterrupt(IRQ_VECTOR_BASE + pin, run, u64(pin));
}
export function setTrapHooks(
  exception: (frame: ptr<Frame>) => void,
  unexpected: (vector: u32) => void,
  userReturn: (frame: ptr<Frame>) => void,
): void {
  hooks.exception = exception;
  hooks.unexpected = unexpected;
  hooks.userReturn = userReturn;
}

/** The context that the innermost interrupt or exception of this core interrupted; null outside of both. */
export function interruptedFrame(): ptr<Frame> | null {
  return thisCpu().frame;
}

/** Exceptions and NMI: called by the common path with interrupts off. */
function trapEntry(frame: ptr<Frame>): void {
  attr({ keep: true, inline: "never" });
  const vector: u32 = vectorOf(frame.vector);
  frame.vector = u64(vector);
  const cpu = thisCpu();
  const outer = cpu.frame;
  cpu.frame = frame;
  if (vector === Exception.NMI) {
    nonMaskable(frame);
    cpu.frame = outer;
    return;
  }
  record(EventKind.TRAP, u64(vector), frame.error, frame.rip, vector === Exception.PF ? readCr2() : 0);
  const exception = hooks.exception;
  if (exception !== null) exception(frame);
  if (fromUser(frame)) {
    const userReturn = hooks.userReturn;
    if (userReturn !== null) userReturn(frame);
  }
  cpu.frame = outer;
}

/**
 * An NMI may arrive anywhere, in the middle of a record or of a return to user mode. So it writes no record and does
 * not end the interrupted thread. Further NMIs are blocked until its iretq.
 */
function nonMaskable(frame: ptr<Frame>): void {
  attr({ inline: "never" });
  strays.nmi[cpuIndex()]++;
  const exception = hooks.exception;
  if (exception !== null) exception(frame);
}

/** No handler is registered: counts the interrupt and reports the first of each vector. */
function unexpectedIrq(vector: u32): void {
  const unexpected = hooks.unexpected;
  if (atomicAdd(addr(strays.unexpected[vector]), 1) === 0 && unexpected !== null) unexpected(vector);
}
/** The spurious vector is not an interrupt: nothing is in service for it, so it gets no EOI and no record. */
function spuriousIrq(): void {
  strays.spurious[cpuIndex()]++;
}
function irqUserReturn(frame: ptr<Frame>): void {
  const userReturn = hooks.userReturn;
  if (userReturn !== null) userReturn(frame);
}

// The path of APIC interrupts is assembly up to its end, since it is counted (tests/kernel/paths), and writes its
// flight records itself.
/** Offsets of a flight record's fields from its ring, for record 0. */
const TIME: u64 = offsetof<TraceRing>("records") + offsetof<TraceRecord>("time");
const KIND: u64 = offsetof<TraceRing>("records") + offsetof<TraceRecord>("kind");
const WORD: u64 = offsetof<TraceRing>("records") + offsetof<TraceRecord>("words");
/** Offset of RFLAGS.AC in a Frame. */
const ALIGNMENT_CHECK_BYTE: u64 = offsetof<Frame>("rflags") + 2;
const ALIGNMENT_CHECK_BIT: u64 = u64(Rflags.AC) >> 16;
const EOI: u64 = DIRECT_MAP_BASE + LAPIC_BASE + Lapic.EOI;

/**
 * With SMAP, RFLAGS.AC allows the kernel to access user pages, and a gate leaves it as the program set it. So every
 * entry from a program with AC set clears it (for SYSCALL, FMASK does). The effect is that of CLAC, also on processors
 * without SMAP.
 */
function clearAlignmentCheck(): void {
  attr({ naked: true });
  asm`
    pushfq
    and dword ptr [rsp], ${~Rflags.AC}
    popfq
    ret
  `;
}

/** Address of the stub of `vector`. */
export function stubOf(vector: u32): u64 {
  return cast<u64>(trapStubs) + u64(vector) * STUB_BYTES;
}

function vectorOf(returnAddress: u64): u32 {
  return u32((returnAddress - cast<u64>(trapStubs)) / STUB_BYTES) - 1;
}

/**
 * The stubs, one per vector, in order. `coded`: the processor has pushed an error code. `plain`: it has not, so the
 * common path makes room for one. NMI and double fault may occur before an entry from user mode has executed its
 * swapgs, so their path checks GS itself. For debuggers the end of the frame is what the processor pushed: SS, RSP,
 * RFLAGS, CS, RIP below it.
 */
export function trapStubs(): void {
  attr({ naked: true, align: 16 });
  asm`
    .cfi_signal_frame
    .cfi_def_cfa rsp, 40
    .cfi_offset rip, -40; .cfi_offset rflags, -24; .cfi_offset rsp, -16
    # 0…7: #DE #DB NMI #BP #OF #BR #UD #NM
    call plain;  call plain;  call nmi;    call plain;  call plain;  call plain;  call plain;  call plain
    # 8…15: #DF, -, #TS #NP #SS #GP #PF, -
    .cfi_def_cfa_offset 48; call double
    .cfi_def_cfa_offset 40; call plain
    .cfi_def_cfa_offset 48; call coded;  call coded;  call coded;  call coded;  call coded
    .cfi_def_cfa_offset 40; call plain
    # 16…23: #MF #AC #MC #XM #VE #CP
    call plain
    .cfi_def_cfa_offset 48; call coded
    .cfi_def_cfa_offset 40; call plain;  call plain;  call plain
    .cfi_def_cfa_offset 48; call coded
    .cfi_def_cfa_offset 40; call plain;  call plain
    # 24…31: #HV #VC #SX
    call plain;  call plain;  call plain;  call plain;  call plain
    .cfi_def_cfa_offset 48; call coded;  call coded
    .cfi_def_cfa_offset 40; call plain
    # 32…255: whatever an APIC may deliver, expected or not; the last is Vector.SPURIOUS
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq
    call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call irq;  call spurious

  nmi:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
  double:
    jmp ${trapParanoid}

  irq:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
    cld
    push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp
    push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
    test byte ptr [rsp + ${offsetof<Frame>("cs")}], 3
    jz 1f
    swapgs
    test byte ptr [rsp + ${ALIGNMENT_CHECK_BYTE}], ${ALIGNMENT_CHECK_BIT}
    jnz irqAc
  1:
    # vector = (return address - first return address) / STUB_BYTES; 52429 / 2^18 is 1 / 5 for what is below 81920
    lea rax, [rip + ${trapStubs} + ${STUB_BYTES}]
    mov r12d, [rsp + ${offsetof<Frame>("vector")}]
    sub r12d, eax
    imul r12d, r12d, 52429
    shr r12d, 18
    mov [rsp + ${offsetof<Frame>("vector")}], r12
    mov rbx, gs:[${offsetof<Cpu>("frame")}]
    mov gs:[${offsetof<Cpu>("frame")}], rsp

    # IRQ_ENTER
    mov r11, gs:[${offsetof<Cpu>("ring")}]
    movzx ecx, byte ptr [r11]
    imul ecx, ecx, ${sizeof<TraceRecord>()}
    mov [r11 + rcx + ${WORD}], r12
    mov word ptr [r11 + rcx + ${KIND}], ${EventKind.IRQ_ENTER}
    rdtsc
    mov [r11 + rcx + ${TIME}], eax
    mov [r11 + rcx + ${TIME + 4}], edx
    add qword ptr [r11], 1

    mov edi, r12d
    lea eax, [r12 + r12]
    mov rsi, [rax * 8 + ${handlers} + ${offsetof<Handler>("device")}]
    mov rax, [rax * 8 + ${handlers} + ${offsetof<Handler>("run")}]
    test rax, rax
    jz unexpected
    call rax
  handled:
    mov rax, ${EOI}
    mov dword ptr [rax], 0

    # IRQ_EXIT
    mov r11, gs:[${offsetof<Cpu>("ring")}]
    movzx ecx, byte ptr [r11]
    imul ecx, ecx, ${sizeof<TraceRecord>()}
    mov [r11 + rcx + ${WORD}], r12
    mov word ptr [r11 + rcx + ${KIND}], ${EventKind.IRQ_EXIT}
    rdtsc
    mov [r11 + rcx + ${TIME}], eax
    mov [r11 + rcx + ${TIME + 4}], edx
    add qword ptr [r11], 1
  done:
    mov gs:[${offsetof<Cpu>("frame")}], rbx
    test byte ptr [rsp + ${offsetof<Frame>("cs")}], 3
    jz 4f
    cmp qword ptr gs:[${offsetof<Cpu>("leave")}], 0
    jne ended
  3:
    swapgs
  4:
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    add rsp, 16
    iretq

  irqAc:
    call ${clearAlignmentCheck}
    jmp 1b
  spurious:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
    cld
    push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp
    push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
    test byte ptr [rsp + ${offsetof<Frame>("cs")}], 3
    jz 2f
    swapgs
    call ${clearAlignmentCheck}
  2:
    mov rbx, gs:[${offsetof<Cpu>("frame")}]
    call ${spuriousIrq}
    jmp done
  unexpected:
    call ${unexpectedIrq}
    jmp handled
  ended:
    mov rdi, rsp
    call ${irqUserReturn}
    jmp 3b

  plain:
    push qword ptr [rsp]
    mov qword ptr [rsp + 8], 0
  coded:
    cld
    push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp
    push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
    test byte ptr [rsp + ${offsetof<Frame>("cs")}], 3
    jz 1f
    swapgs
    call ${clearAlignmentCheck}
  1:
    mov rdi, rsp
    call ${trapEntry}
    test byte ptr [rsp + ${offsetof<Frame>("cs")}], 3
    jz 2f
    swapgs
  2:
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    add rsp, 16
    iretq
  `;
}

/** NMI and double fault: GS is the kernel's if its base is in the upper half. */
function trapParanoid(): void {
  attr({ naked: true });
  asm`
    .cfi_signal_frame
    .cfi_def_cfa rsp, 56
    .cfi_offset rip, -40; .cfi_offset rflags, -24; .cfi_offset rsp, -16
    cld
    push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp
    push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
    call ${clearAlignmentCheck}
    xor ebx, ebx
    mov ecx, ${Msr.GS_BASE}
    rdmsr
    test edx, edx
    js 1f
    swapgs
    mov ebx, 1
  1:
    mov rdi, rsp
    call ${trapEntry}
    test ebx, ebx
    jz 2f
    swapgs
  2:
    pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
    pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax
    add rsp, 16
    iretq
  `;
}
