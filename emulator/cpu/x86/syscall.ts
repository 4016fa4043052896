/**
 * The SYSCALL transition (AMD APM vol. 3, SYSCALL; Intel SDM vol. 2). Each engine implements SYSRET and SWAPGS itself.
 * From a 32-bit code segment in long mode the target is CSTAR, as on AMD's processors and in QEMU; Intel's raise #UD.
 */
import { Cr0, Efer, Exception, Rflags } from "../../abi/x86.ts";
import { type CpuAccess, Fault, SegmentIndex, type SyscallRegisters } from "./access.ts";
import { SegmentFlag } from "./descriptors.ts";

const FLAT_LIMIT = 0xffff_ffff;
/** Present, DPL 0, read/execute or read/write, accessed, 4 KB granularity. */
const CODE =
  SegmentFlag.PRESENT |
  SegmentFlag.NON_SYSTEM |
  SegmentFlag.CODE |
  SegmentFlag.WRITABLE |
  SegmentFlag.ACCESSED |
  SegmentFlag.GRANULARITY;
const DATA =
  SegmentFlag.PRESENT |
  SegmentFlag.NON_SYSTEM |
  SegmentFlag.WRITABLE |
  SegmentFlag.ACCESSED |
  SegmentFlag.GRANULARITY |
  SegmentFlag.BIG;

/**
 * `cpu.rip` is the address of the instruction after SYSCALL. Throws Fault(#UD) if SYSCALL is disabled; then nothing has
 * changed.
 */
export function performSyscall(cpu: CpuAccess, registers: SyscallRegisters): void {
  if (!(cpu.efer & Efer.SCE) || !(cpu.cr0 & Cr0.PE)) throw new Fault(Exception.UD, 0);
  const selector = Number((registers.star >> 32n) & 0xfffcn);
  const returnRip = cpu.rip;
  if (cpu.efer & Efer.LMA) {
    const flags = cpu.rflags;
    const from64 = (cpu.segment(SegmentIndex.CS).flags & SegmentFlag.LONG) !== 0;
    cpu.setGpr(1, returnRip);
    cpu.setGpr(11, flags);
    cpu.setSegment(SegmentIndex.CS, { selector, base: 0n, limit: FLAT_LIMIT, flags: CODE | SegmentFlag.LONG });
    cpu.setSegment(SegmentIndex.SS, { selector: (selector + 8) & 0xffff, base: 0n, limit: FLAT_LIMIT, flags: DATA });
    cpu.rflags = (flags & ~(registers.fmask & 0xffff_ffffn) & ~BigInt(Rflags.RF)) | BigInt(Rflags.ONE);
    cpu.rip = from64 ? registers.lstar : registers.cstar;
  } else {
    cpu.setGpr(1, returnRip & 0xffff_ffffn);
    cpu.setSegment(SegmentIndex.CS, { selector, base: 0n, limit: FLAT_LIMIT, flags: CODE | SegmentFlag.BIG });
    cpu.setSegment(SegmentIndex.SS, { selector: (selector + 8) & 0xffff, base: 0n, limit: FLAT_LIMIT, flags: DATA });
    cpu.rflags = cpu.rflags & ~BigInt(Rflags.IF | Rflags.RF | Rflags.VM);
    cpu.rip = registers.star & 0xffff_ffffn;
  }
}
