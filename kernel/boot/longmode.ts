/** The switch to long mode: code shared by the first core (pvh.ts) and the application processors (trampoline.ts). */
import { KERNEL_BASE } from "../abi/memory.ts";
import { Cr0, Cr4, Efer, Msr, Selector } from "../abi/x86.ts";
import type { PageTable } from "../mm/pagetable.ts";

/**
 * Root of the boot page tables, filled in by pvhEntry.
 * @align 4096
 */
export const bootPml4: PageTable = zeroed();

/**
 * Enters long mode and continues at the physical address in EBP (64-bit code). Requires paging off and the flat boot
 * GDT. Preserves ESI.
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
