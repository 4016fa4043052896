/**
 * ENTER, near RET with a large count, and direct branches out of the canonical addresses, in 64-bit mode (Intel SDM
 * vol. 2, under each name).
 */
import { Exception, Rflags } from "../../abi/x86.ts";
import { type CpuAccess, Fault } from "./access.ts";
import type { AddressRegisters, Decoded } from "./instruction.ts";
import { holds, ownPrivilege } from "./operand.ts";

type BranchCore = CpuAccess & AddressRegisters;
type Bytes = (offset: number) => number | undefined;

const RCX = 1;
const RSP = 4;
const RBP = 5;
const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
/** Size of the value that a stack instruction moves. */
export const stackBytes = ({ operandSize, rex }: Decoded): number => (operandSize && !(rex & 8) ? 2 : 8);
const u16 = (byte: Bytes, at: number): number => (byte(at) ?? 0) | ((byte(at + 1) ?? 0) << 8);
const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);

export function stackAddress(address: bigint, bytes: number): bigint {
  if (!isCanonical(address) || !isCanonical(wrap(address + BigInt(bytes - 1)))) throw new Fault(Exception.SS, 0);
  return address;
}

export const isEnter = ({ map, opcode }: Decoded): boolean => map === 0 && opcode === 0xc8;

/** Nothing is written unless everything can be written, including the end of the new frame. */
export function enter(cpu: CpuAccess, found: Decoded, byte: Bytes): number {
  const at = found.opcodeEnd;
  const size = BigInt(u16(byte, at));
  const level = (byte(at + 2) ?? 0) & 31;
  const bytes = stackBytes(found);
  const privilege = ownPrivilege(cpu);
  const top = cpu.gpr(RSP);
  const old = cpu.gpr(RBP);
  const slot = (index: number): bigint => stackAddress(wrap(top - BigInt((index + 1) * bytes)), bytes);
  const outer = (index: number): bigint => stackAddress(wrap(old - BigInt(index * bytes)), bytes);
  const frame = wrap(top - BigInt(bytes));
  const last = wrap(top - BigInt((level + 1) * bytes) - size);
  for (let index = 0; index <= level; index++) cpu.checkWrite(slot(index), bytes, privilege);
  cpu.checkWrite(stackAddress(last, bytes), bytes, privilege);
  for (let index = 1; index < level; index++) cpu.readLinear(outer(index), bytes, privilege);
  const write = (index: number, value: bigint): void =>
    cpu.writeLinear(slot(index), bytes, BigInt.asUintN(bytes * 8, value), privilege);
  write(0, old);
  for (let index = 1; index < level; index++) write(index, cpu.readLinear(outer(index), bytes, privilege));
  if (level > 0) write(level, frame);
  cpu.setGpr(RBP, frame);
  cpu.setGpr(RSP, last);
  return at + 3;
}

/** RET with a count that has its highest bit set; it is not signed. */
export const isLongReturn = ({ map, opcode, opcodeEnd }: Decoded, byte: Bytes): boolean =>
  map === 0 && opcode === 0xc2 && ((byte(opcodeEnd + 1) ?? 0) & 0x80) !== 0;

export function longReturn(cpu: CpuAccess, found: Decoded, byte: Bytes): number {
  const bytes = stackBytes(found);
  const target = cpu.readLinear(stackAddress(cpu.gpr(RSP), bytes), bytes, ownPrivilege(cpu));
  if (!isCanonical(target)) throw new Fault(Exception.GP, 0);
  cpu.setGpr(RSP, wrap(cpu.gpr(RSP) + BigInt(bytes + u16(byte, found.opcodeEnd))));
  cpu.rip = target;
  return 0;
}

/** Near JMP, CALL, Jcc, LOOP and JRCXZ by a displacement. */
export const isDirectBranch = ({ map, opcode }: Decoded): boolean =>
  map === 1
    ? (opcode & 0xf0) === 0x80
    : map === 0 &&
      ((opcode & 0xf0) === 0x70 ||
        (opcode >= 0xe0 && opcode <= 0xe3) ||
        opcode === 0xe8 ||
        opcode === 0xe9 ||
        opcode === 0xeb);

/** The next instruction, and the target. */
function branch({ map, opcode, opcodeEnd }: Decoded, start: bigint, byte: Bytes): { next: bigint; target: bigint } {
  const bytes = map === 1 || opcode === 0xe8 || opcode === 0xe9 ? 4 : 1;
  let displacement = 0n;
  for (let i = 0; i < bytes; i++) displacement |= BigInt(byte(opcodeEnd + i) ?? 0) << BigInt(8 * i);
  const next = start + BigInt(opcodeEnd + bytes);
  return { next, target: wrap(next + BigInt.asIntN(8 * bytes, displacement)) };
}

/** With 16-bit operands the target has 16 bits. */
export const leavesCanonical = (found: Decoded, start: bigint, byte: Bytes): boolean =>
  stackBytes(found) === 8 && !isCanonical(branch(found, start, byte).target);

/** A direct branch to an address that is not canonical: #GP at the branch if it is taken. */
export function directBranch(cpu: BranchCore, found: Decoded, byte: Bytes): number {
  const { map, opcode, addressSize } = found;
  const flags = Number(cpu.rflags & 0xfffn);
  let taken = true;
  let count: bigint | undefined;
  if (map === 1 || opcode < 0x80) taken = holds(opcode & 15, flags);
  else if (opcode <= 0xe3) {
    const mask = (value: bigint): bigint => BigInt.asUintN(addressSize ? 32 : 64, value);
    count = mask(cpu.gpr(RCX) - (opcode === 0xe3 ? 0n : 1n));
    taken = opcode === 0xe3 ? count === 0n : count !== 0n;
    if (opcode < 0xe2) taken &&= ((flags & Rflags.ZF) !== 0) === (opcode === 0xe1);
  }
  if (taken) throw new Fault(Exception.GP, 0);
  if (count !== undefined && opcode !== 0xe3) cpu.setGpr(RCX, count);
  return Number(branch(found, cpu.rip, byte).next - cpu.rip);
}
