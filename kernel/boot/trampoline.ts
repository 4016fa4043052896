/**
 * Application processors: INIT, then STARTUP at the page AP_TRAMPOLINE, where each processor begins in real mode. The
 * 16-bit code switches to protected mode and jumps into the kernel's image; long mode and the upper half follow as on
 * the first core. Processors start one after the other, so one start record is enough and the order is always the same.
 */
import { Icr } from "../abi/lapic.ts";
import { AP_TRAMPOLINE, KERNEL_BASE, KERNEL_STACK_BYTES } from "../abi/memory.ts";
import { Cr0, Selector } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { delayNanoseconds } from "../arch/clock.ts";
import { readTsc } from "../arch/cpu.ts";
import { bootGdt, type DescriptorPointer, IST_STACK_BYTES } from "../arch/gdt.ts";
import { lapicSend } from "../arch/lapic.ts";
import { cpuAt } from "../arch/percpu.ts";
import { allocateFrames, OWNER_KERNEL, physical } from "../mm/frames.ts";
import { enterLongMode } from "./longmode.ts";

/** Offsets in the trampoline page: code, and the GDT pointer that it loads. */
const CODE_BYTES: u64 = 64;
const GDT_POINTER: u32 = 0x100;
/**
 * Source: Intel SDM vol. 3A, 8.4.4.1: 10 ms after INIT and 200 µs after STARTUP; modern processors and both of our
 * machines need only microseconds.
 */
const INIT_DELAY_NS: u64 = 10000;
const STARTUP_WAIT_NS: u64 = 1000000;
const STARTUP_TRIES: u32 = 100;

class ApStart {
  stackTop: u64 = 0;
  cpu: u64 = 0;
  run: ((cpu: u64, stackTop: u64) => never) | null = null;
}
/** The processor being started. */
const apStart: ApStart = new ApStart();

/** Allocates the stacks of one processor; 0: no memory. */
export function processorStack(): u64 {
  return allocateFrames((KERNEL_STACK_BYTES + 2 * IST_STACK_BYTES) >> 12, OWNER_KERNEL);
}

/** Starts core `cpu` in `run` and waits until it reports. False: no answer. */
export function startProcessor(cpu: u32, stack: u64, run: (cpu: u64, stackTop: u64) => never): boolean {
  memcpy(physical<u8>(AP_TRAMPOLINE), cast<ptr<u8>>(cast<u64>(realModeEntry)), CODE_BYTES);
  const pointer: DescriptorPointer = zeroed();
  pointer.limit = u16(sizeof<arr<u64, 9>>() - 1);
  pointer.base = cast<u64>(addr(bootGdt)) - KERNEL_BASE;
  memcpy(physical<u8>(AP_TRAMPOLINE + u64(GDT_POINTER)), cast<ptr<u8>>(addr(pointer)), sizeof<DescriptorPointer>());
  apStart.stackTop = cast<u64>(physical<u8>(stack)) + 2 * IST_STACK_BYTES + KERNEL_STACK_BYTES;
  apStart.cpu = u64(cpu);
  apStart.run = run;
  fence();
  lapicSend(cpu, Icr.INIT);
  delayNanoseconds(INIT_DELAY_NS);
  for (let tries: u32 = 0; tries < STARTUP_TRIES; tries++) {
    lapicSend(cpu, Icr.STARTUP | u32(AP_TRAMPOLINE >> 12));
    const start: u64 = readTsc();
    while (readTsc() - start < STARTUP_WAIT_NS) {
      if (atomicLoad(addr(cpuAt(cpu).online)) !== 0) return true;
      asm`pause`;
    }
  }
  return false;
}

/**
 * Copied to AP_TRAMPOLINE: CS = AP_TRAMPOLINE >> 4, IP = 0. A 16-bit lgdt loads 24 bits of the base, and the image lies
 * below 16 MB.
 */
function realModeEntry(): void {
  attr({ naked: true, bits: 16, align: 64 });
  asm`
    cli
    cld
    mov ax, cs
    mov ds, ax
    lgdt [${GDT_POINTER}]
    mov eax, cr0
    or eax, ${Cr0.PE}
    mov cr0, eax
    ljmp ${Selector.BOOT_CODE32}, ${protectedEntry} - ${KERNEL_BASE}
  `;
}

function protectedEntry(): void {
  attr({ naked: true, bits: 32, align: 16 });
  asm`
    mov eax, ${Selector.KERNEL_DATA}
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov ebp, ${apEntry64} - ${KERNEL_BASE}
    mov eax, ${enterLongMode} - ${KERNEL_BASE}
    jmp eax
  `;
}

function apEntry64(): void {
  attr({ naked: true });
  asm`
    .cfi_undefined rip
    mov rax, ${apStart}
    mov rsp, [rax + ${offsetof<ApStart>("stackTop")}]
    mov rdi, [rax + ${offsetof<ApStart>("cpu")}]
    mov rsi, rsp
    mov rdx, [rax + ${offsetof<ApStart>("run")}]
    xor ebp, ebp
    mov rax, ${apUpper}
    jmp rax
  `;
}
/** In the upper half: the end of the processor's stack, as with bootUpper (pvh.ts). */
function apUpper(): void {
  attr({ naked: true });
  asm`
    .cfi_undefined rip
    call rdx
    ud2
  `;
}
