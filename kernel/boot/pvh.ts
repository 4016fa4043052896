/**
 * The entry: Xen's PVH protocol (xen/include/public/arch-x86/hvm/start_info.h; QEMU -kernel and our loader speak it).
 * State: 32-bit protected mode, paging off, interrupts off, EBX = physical address of the start info, GDTR unusable.
 * From here to long mode in the upper half, on tables that map the first gigabyte three times: where it is, in the direct map, and at
 * KERNEL_BASE. The application processors use them, too (trampoline.ts); each core leaves them for the kernel's own.
 */
import { KERNEL_BASE, KERNEL_STACK_BYTES } from "../abi/memory.ts";
import { Cr0, Cr4, Efer, Msr, Pte, Selector } from "../abi/x86.ts";
import { bootGdt, type DescriptorPointer } from "../arch/gdt.ts";
import type { PageTable } from "../mm/pagetable.ts";
import { bootMain } from "./main.ts";

/** @align 4096 */
export const bootPml4: PageTable = zeroed();
/**
 * Entry 0 serves the identity and the direct map, entry 510 KERNEL_BASE.
 * @align 4096
 */
const bootPdpt: PageTable = zeroed();
/** @align 4096 */
const bootDirectory: PageTable = zeroed();
/**
 * The first core's kernel stack.
 * @align 4096
 */
export const bootStack: arr<u8, 16384> = zeroed();
export const bootGdtPointer: DescriptorPointer = zeroed();

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

/**
 * Long mode, then on at the physical address in EBP (64-bit code). Paging is off, the flat boot GDT is loaded. Keeps ESI.
 * Shared by the first core and the application processors.
 */
export function enterLongMode(): void {
  attr({ naked: true, bits: 32, align: 16 });
  asm`
    mov eax, cr4
    or eax, ${Cr4.PAE}
    mov cr4, eax
    mov eax, ${bootPml4} - ${KERNEL_BASE}
    mov cr3, eax
    mov ecx, ${Msr.EFER}
    rdmsr
    or eax, ${Efer.LME | Efer.NXE}
    wrmsr
    mov eax, cr0
    and eax, ${0xffff_ffff - Cr0.CD - Cr0.NW}
    or eax, ${Cr0.PG | Cr0.WP | Cr0.NE | Cr0.PE}
    mov cr0, eax
    ljmp ${Selector.KERNEL_CODE}, ${jumpOn} - ${KERNEL_BASE}
  `;
}
function jumpOn(): void {
  attr({ naked: true });
  asm`
    .cfi_undefined rip
    mov eax, ${Selector.KERNEL_DATA}
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov ebp, ebp
    jmp rbp
  `;
}

/** Still at the physical address: to the upper half, with a stack. */
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
/** The first function that debuggers find by its address: the end of the first core's stack. */
function bootUpper(): void {
  attr({ naked: true });
  asm`
    .cfi_undefined rip
    call ${bootMain}
    ud2
  `;
}
