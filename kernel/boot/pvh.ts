/**
 * The entry: Xen's PVH protocol (xen/include/public/arch-x86/hvm/start_info.h; QEMU -kernel and our loader speak it).
 * State: 32-bit protected mode, paging off, interrupts off, EBX = physical address of the start info, GDTR unusable.
 * The code switches to long mode in the upper half, on tables that map the first gigabyte three times: identically, in
 * the direct map, and at KERNEL_BASE. The application processors use them, too (trampoline.ts), until each core
 * switches to the kernel's own tables. This file is the root of the image: it imports main.ts and, through it,
 * everything else.
 */
import { KERNEL_BASE, KERNEL_STACK_BYTES } from "../abi/memory.ts";
import { Pte } from "../abi/x86.ts";
import { bootGdt, type DescriptorPointer } from "../arch/gdt.ts";
import type { PageTable } from "../mm/pagetable.ts";
import { bootPml4, enterLongMode } from "./longmode.ts";
import { bootMain, bootStack } from "./main.ts";

/**
 * Entry 0 serves the identity and the direct map, entry 510 KERNEL_BASE.
 * @align 4096
 */
const bootPdpt: PageTable = zeroed();
/** @align 4096 */
const bootDirectory: PageTable = zeroed();
const bootGdtPointer: DescriptorPointer = zeroed();

export function pvhEntry(): void {
  attr({ naked: true, bits: 32, symbol: "pvh_entry", keep: true, align: 16 });
  asm`
    cli
    cld
    mov esi, ebx

    # bootPml4: identity 0, direct map 256, kernel 511
    mov edi, ${bootPml4} - ${KERNEL_BASE}
    mov eax, ${bootPdpt} - ${KERNEL_BASE}
    or eax, ${Pte.P | Pte.W}
    mov dword ptr [edi], eax
    mov dword ptr [edi + 2048], eax
    mov dword ptr [edi + 4088], eax

    mov edi, ${bootPdpt} - ${KERNEL_BASE}
    mov eax, ${bootDirectory} - ${KERNEL_BASE}
    or eax, ${Pte.P | Pte.W}
    mov dword ptr [edi], eax
    mov dword ptr [edi + 4080], eax

    # 512 pages of 2 MB
    mov edi, ${bootDirectory} - ${KERNEL_BASE}
    mov eax, ${Pte.P | Pte.W | Pte.PS}
    mov ecx, 512
  1:
    mov dword ptr [edi], eax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 1b

    mov edi, ${bootGdtPointer} - ${KERNEL_BASE}
    mov word ptr [edi], 71
    mov eax, ${bootGdt} - ${KERNEL_BASE}
    mov dword ptr [edi + 2], eax
    lgdt [edi]
    mov eax, ${enterLongMode} - ${KERNEL_BASE}
    mov ebp, ${bootEntry64} - ${KERNEL_BASE}
    jmp eax
  `;
}

/** Still at the physical address: jumps to the upper half, with a stack. */
function bootEntry64(): void {
  attr({ naked: true });
  asm`
    .cfi_undefined rip
    mov rsp, ${bootStack} + ${KERNEL_STACK_BYTES}
    mov edi, esi
    xor ebp, ebp
    mov rax, ${bootUpper}
    jmp rax
  `;
}
/** The outermost function that debuggers find by its address: the end of the first core's stack. */
function bootUpper(): void {
  attr({ naked: true });
  asm`
    .cfi_undefined rip
    call ${bootMain}
    ud2
  `;
}
