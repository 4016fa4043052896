/**
 * One iteration of a string instruction in 64-bit mode (Intel SDM vol. 2: MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS,
 * REP): INS and OUTS of programs, and repeated ones in an interrupt shadow, which ends with the first iteration.
 */
import { Rflags } from "../../abi/x86.ts";
import type { CpuAccess } from "./access.ts";
import type { AddressRegisters, Decoded } from "./instruction.ts";
import { ownPrivilege, widthOf } from "./operand.ts";
import { checkPort } from "./ports.ts";

export interface PortCore extends CpuAccess, AddressRegisters {
  rip: bigint;
  /** After `checkPort`. */
  inPort(port: number, bytes: number): number;
  outPort(port: number, bytes: number, value: number): void;
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;
const STATUS = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF;

/** INS, OUTS. */
export const isPortString = ({ map, opcode }: Decoded): boolean => map === 0 && opcode >= 0x6c && opcode <= 0x6f;
export const isString = (found: Decoded): boolean =>
  isPortString(found) ||
  (found.map === 0 && found.opcode >= 0xa4 && found.opcode <= 0xaf && (found.opcode & ~1) !== 0xa8);

/**
 * One iteration, or the test that ends a repeated instruction: both retire. Returns the length; 0: it goes on. In an
 * interrupt shadow and under TF the test for 0 belongs to the iteration, as in QEMU.
 */
export function iterate(cpu: PortCore, found: Decoded): number {
  const { repeat, addressSize, opcodeEnd } = found;
  const mask = (value: bigint): bigint => BigInt.asUintN(addressSize ? 32 : 64, value);
  const testsAtOnce = cpu.interruptShadow || (cpu.rflags & BigInt(Rflags.TF)) !== 0n;
  const count = repeat === 0 ? 1n : mask(cpu.gpr(RCX));
  if (count === 0n) return opcodeEnd;
  const compares = execute(cpu, found, mask);
  if (repeat === 0) return opcodeEnd;
  cpu.setGpr(RCX, mask(count - 1n));
  const isZero = (cpu.rflags & BigInt(Rflags.ZF)) !== 0n;
  if (compares && isZero !== (repeat === 0xf3)) return opcodeEnd;
  return testsAtOnce && count === 1n ? opcodeEnd : 0;
}

/** True: CMPS or SCAS, which set the flags. */
function execute(cpu: PortCore, found: Decoded, mask: (value: bigint) => bigint): boolean {
  const { opcode, segment } = found;
  const isPort = isPortString(found);
  const bytes = opcode & 1 ? (isPort ? Math.min(widthOf(found), 4) : widthOf(found)) : 1;
  const bits = 8 * bytes;
  const privilege = ownPrivilege(cpu);
  const port = Number(cpu.gpr(RDX) & 0xffffn);
  const base = segment >= 4 ? cpu.segmentBase(segment) : 0n;
  const source = BigInt.asUintN(64, base + mask(cpu.gpr(RSI)));
  const destination = mask(cpu.gpr(RDI));
  const step = BigInt(cpu.rflags & BigInt(Rflags.DF) ? -bytes : bytes);
  const move = (register: number): void => cpu.setGpr(register, mask(cpu.gpr(register) + step));
  const accumulator = BigInt.asUintN(bits, cpu.gpr(RAX));
  if (isPort) checkPort(cpu, port, bytes);
  switch (opcode & ~1) {
    case 0x6c:
      cpu.checkWrite(destination, bytes, privilege);
      cpu.writeLinear(destination, bytes, BigInt(cpu.inPort(port, bytes)), privilege);
      move(RDI);
      return false;
    case 0x6e:
      cpu.outPort(port, bytes, Number(cpu.readLinear(source, bytes, privilege)));
      move(RSI);
      return false;
    case 0xa4:
      cpu.writeLinear(destination, bytes, cpu.readLinear(source, bytes, privilege), privilege);
      move(RSI);
      move(RDI);
      return false;
    case 0xa6: {
      const subtrahend = cpu.readLinear(destination, bytes, privilege);
      setFlags(cpu, cpu.readLinear(source, bytes, privilege), subtrahend, bits);
      move(RSI);
      move(RDI);
      return true;
    }
    case 0xaa:
      cpu.writeLinear(destination, bytes, accumulator, privilege);
      move(RDI);
      return false;
    case 0xac: {
      const value = cpu.readLinear(source, bytes, privilege);
      cpu.setGpr(RAX, bytes >= 4 ? value : cpu.gpr(RAX) - accumulator + value);
      move(RSI);
      return false;
    }
    default:
      setFlags(cpu, accumulator, cpu.readLinear(destination, bytes, privilege), bits);
      move(RDI);
      return true;
  }
}

/** The flags of a - b. */
function setFlags(cpu: CpuAccess, a: bigint, b: bigint, bits: number): void {
  const result = BigInt.asUintN(bits, a - b);
  const top = BigInt(bits - 1);
  let ones = 0;
  for (let bit = 0n; bit < 8n; bit++) ones += Number((result >> bit) & 1n);
  const flags =
    (a < b ? Rflags.CF : 0) |
    (ones % 2 === 0 ? Rflags.PF : 0) |
    ((a ^ b ^ result) & 0x10n ? Rflags.AF : 0) |
    (result === 0n ? Rflags.ZF : 0) |
    (result >> top ? Rflags.SF : 0) |
    (((a ^ b) & (a ^ result)) >> top ? Rflags.OF : 0);
  cpu.rflags = (cpu.rflags & ~BigInt(STATUS)) | BigInt(flags);
}
