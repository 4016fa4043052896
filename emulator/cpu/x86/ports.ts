/** Checks the right to use a port (Intel SDM vol. 1, 19.5): CPL ≤ IOPL, or the permission map of the TSS. */
import { Cr0, Exception, Rflags } from "../../abi/x86.ts";
import { type CpuAccess, Fault, PRIVILEGE_IMPLICIT, SegmentIndex } from "./access.ts";

const IOPL_SHIFT = 12n;
/** TSS: offset of the 16-bit permission map base, the same in the 32-bit and the 64-bit format. */
const MAP_OFFSET = 102;

/** Throws Fault(#GP) if one of the `size` ports from `port` on is closed. */
export function checkPort(cpu: CpuAccess, port: number, size: number): void {
  if (cpu.cpl === 0 || !(cpu.cr0 & Cr0.PE)) return;
  if (cpu.cpl <= Number((cpu.rflags & BigInt(Rflags.IOPL)) >> IOPL_SHIFT)) return;
  const tss = cpu.segment(SegmentIndex.TR);
  if (MAP_OFFSET + 1 > tss.limit) throw new Fault(Exception.GP, 0);
  const map = Number(cpu.readLinear(tss.base + BigInt(MAP_OFFSET), 2, PRIVILEGE_IMPLICIT));
  // Always reads two bytes, so that ports in two bytes of the map need no special case.
  const at = map + (port >>> 3);
  if (at + 1 > tss.limit) throw new Fault(Exception.GP, 0);
  const bits = Number(cpu.readLinear(tss.base + BigInt(at), 2, PRIVILEGE_IMPLICIT)) >>> (port & 7);
  if (bits & ((1 << size) - 1)) throw new Fault(Exception.GP, 0);
}
