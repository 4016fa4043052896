/**
 * What keeps kernel and programs apart beside the page tables, on wherever the processor has it (QEMU's qemu64 has
 * not):
 * - SMEP: the kernel executes nothing of a program's pages.
 * - SMAP: it reads and writes nothing there. Programs' memory is reached through the direct map (mm/user.ts), so the
 *   kernel never sets RFLAGS.AC to get through, and a touch of a program's address anywhere is a panic at that place.
 * - UMIP: SGDT, SIDT, SLDT, STR and SMSW are #GP in programs, which ends them by SIGSEGV. Linux emulates SGDT, SIDT and
 *   SMSW with made-up values for Wine and DOSEMU; no job needs that, and whoever looks for kernel addresses should not
 *   be helped.
 * Source: Intel SDM vol. 3A, 2.5, 4.6.
 */
import { Cr4, Feature7Ebx, Feature7Ecx } from "../abi/x86.ts";
import { cpuidFeatures7, readCr4, writeCr4 } from "./cpu.ts";

/** Run on each core, once it uses its own page tables. */
export function protectionStart(): void {
  const features: u64 = cpuidFeatures7();
  let bits: u64 = 0;
  if ((features & Feature7Ebx.SMEP) !== 0) bits |= Cr4.SMEP;
  if ((features & Feature7Ebx.SMAP) !== 0) bits |= Cr4.SMAP;
  if (((features >> 32) & Feature7Ecx.UMIP) !== 0) bits |= Cr4.UMIP;
  writeCr4(readCr4() | bits);
}
