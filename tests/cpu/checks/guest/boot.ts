/**
 * Start of every check image: PVH entry (Xen's start_info.h), long mode on tables that map the first gigabyte
 * identically, then the family's checks. The image is linked at its load address, 1 MB, so that 16-, 32- and 64-bit
 * code can use the same symbols.
 */
import { LAPIC_BASE } from "../../../../kernel/abi/memory.ts";
import { PVH_MAGIC, type PvhStartInfo } from "../../../../kernel/abi/platform.ts";
import { Cr0, Cr4, Efer, Msr, Pte } from "../../../../kernel/abi/x86.ts";
import { exit, line, text } from "./console.ts";
import { type DescriptorPointer, GDT_LIMIT, gdt, loadTables, Sel } from "./descriptors.ts";
import { USER_ALIAS } from "./space.ts";
import { loadIdt } from "./trap.ts";

/** @align 4096 */
export const pml4: arr<u64, 512> = zeroed();
/** @align 4096 */
const pdpt: arr<u64, 512> = zeroed();
/** @align 4096 */
const identityDirectory: arr<u64, 512> = zeroed();
/** @align 4096 */
const aliasDirectory: arr<u64, 512> = zeroed();
/** @align 4096 */
const deviceDirectory: arr<u64, 512> = zeroed();
/** @align 4096 */
const bootStack: arr<u8, 16384> = zeroed();
export const gdtPointer: DescriptorPointer = zeroed();
/** Selects the family's run: the command line's first character, a letter; 0: none. */
export let variant: u8 = 0;

/** Defined by each family. */
declare function familyChecks(): void;

export function pvhEntry(): void {
  attr({ naked: true, bits: 32, symbol: "pvh_entry", keep: true, align: 16 });
  asm`
    cli
    cld
    mov esi, ebx
    mov edi, ${pml4}
    mov eax, ${pdpt}
    or eax, ${Pte.P | Pte.W | Pte.U}
    mov dword ptr [edi], eax
    mov edi, ${pdpt}
    mov eax, ${identityDirectory}
    or eax, ${Pte.P | Pte.W | Pte.U}
    mov dword ptr [edi], eax
    mov edi, ${identityDirectory}
    mov eax, ${Pte.P | Pte.W | Pte.PS}
    mov ecx, 512
  1:
    mov dword ptr [edi], eax
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 1b

    mov edi, ${gdtPointer}
    mov word ptr [edi], ${GDT_LIMIT}
    mov eax, ${gdt}
    mov dword ptr [edi + 2], eax
    lgdt [edi]
    mov ebp, ${bootEntry64}
    mov eax, ${enterLongMode}
    jmp eax
  `;
}

/** Enters long mode and continues at EBP. Preserves ESI. Used by both cores; the GDT is loaded. */
export function enterLongMode(): void {
  attr({ naked: true, bits: 32, align: 16 });
  asm`
    mov eax, cr4
    or eax, ${Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT}
    mov cr4, eax
    mov eax, ${pml4}
    mov cr3, eax
    mov ecx, ${Msr.EFER}
    rdmsr
    or eax, ${Efer.LME | Efer.NXE | Efer.SCE}
    wrmsr
    mov eax, cr0
    and eax, ${0xffff_ffff - Cr0.CD - Cr0.NW}
    or eax, ${Cr0.PG | Cr0.WP | Cr0.NE | Cr0.MP | Cr0.PE}
    mov cr0, eax
    ljmp ${Sel.CODE0}, ${jumpOn}
  `;
}
function jumpOn(): void {
  attr({ naked: true });
  asm`
    mov eax, ${Sel.DATA0}
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov ebp, ebp
    jmp rbp
  `;
}
function bootEntry64(): void {
  attr({ naked: true });
  asm`
    mov rsp, ${bootStack} + 16384
    mov edi, esi
    xor ebp, ebp
    call ${bootMain}
    ud2
  `;
}

function bootMain(info: ptr<PvhStartInfo>): void {
  attr({ keep: true, inline: "never" });
  for (let i: u64 = 0; i < 4; i++) aliasDirectory[i] = (i << 21) | Pte.P | Pte.W | Pte.U | Pte.PS;
  pdpt[USER_ALIAS >> 30] = cast<u64>(addr(aliasDirectory)) | Pte.P | Pte.W | Pte.U;
  deviceDirectory[(LAPIC_BASE >> 21) & 511] = (LAPIC_BASE & 0xffe0_0000) | Pte.P | Pte.W | Pte.PS | Pte.PCD;
  pdpt[LAPIC_BASE >> 30] = cast<u64>(addr(deviceDirectory)) | Pte.P | Pte.W;
  loadTables();
  loadIdt();
  if (info.magic === PVH_MAGIC && info.commandLineAddress !== 0) {
    // QEMU appends its own words; ours comes first.
    const first: u8 = cast<ptr<u8>>(info.commandLineAddress)[0];
    if (first >= 97 && first <= 122) variant = first;
  }
  familyChecks();
  text(cstr("end"));
  line();
  exit(0);
}
