/** Operands of a decoded instruction in 64-bit mode. */
import { type CpuAccess, PRIVILEGE_SUPERVISOR, PRIVILEGE_USER } from "./access.ts";
import { type Decoded, regField } from "./instruction.ts";

/** Size of the operand in bytes. */
export const widthOf = ({ rex, operandSize }: Decoded): number => (rex & 8 ? 8 : operandSize ? 2 : 4);

/** Privilege of a program's own accesses. */
export const ownPrivilege = (cpu: { readonly cpl: number }) => (cpu.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR);

/** Writes the register of ModRM.reg; 32 bits are zero-extended. */
export function writeRegister(cpu: CpuAccess, { modrm, rex }: Decoded, bytes: number, value: bigint): void {
  const register = regField(modrm) | ((rex & 4) << 1);
  cpu.setGpr(register, bytes === 2 ? (cpu.gpr(register) & ~0xffffn) | (value & 0xffffn) : value);
}

/** Condition codes (SDM vol. 2, appendix B.1.4). */
export function holds(condition: number, flags: number): boolean {
  const [carry, parity, zero, sign, overflow] = [1, 4, 0x40, 0x80, 0x800].map((flag) => (flags & flag) !== 0);
  const less = sign !== overflow;
  const base = [overflow, carry, zero, carry || zero, sign, parity, less, less || zero][condition >> 1];
  return base !== ((condition & 1) !== 0);
}

/**
 * Alignment that #AC asks of an operand of so many bytes (SDM vol. 3, table 6-7): 6 is a far pointer, 10 an extended
 * real, 14 to 108 are x87 environments, 16 is an operand of MOVUPS.
 */
export function alignmentOf(bytes: number): number {
  switch (bytes) {
    case 2:
    case 14:
    case 94:
      return 2;
    case 4:
    case 6:
    case 28:
    case 108:
      return 4;
    case 8:
    case 10:
      return 8;
    case 16:
      return 16;
  }
  return 1;
}
