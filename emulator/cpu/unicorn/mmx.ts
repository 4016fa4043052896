/**
 * MMX instructions, executed one at a time by the host's own (Intel SDM vol. 3, chapter 12). Unicorn leaves the
 * exponents of the registers alone, marks all registers as used before the operand has been read, and does not wait for
 * x87 exceptions.
 *
 * Memory operands and general registers go through a buffer and RAX.
 */
import koffi from "koffi";
import { Cr4, Exception } from "../../abi/x86.ts";
import { Fault } from "../x86/access.ts";
import { type Decoded, isMemory, memoryOperand, regField } from "../x86/instruction.ts";
import { ownPrivilege, writeRegister } from "../x86/operand.ts";
import { type Address, binding, viewMemory } from "./binding.ts";
import { Hflag } from "./environment.ts";
import type { Processor } from "./processor.ts";

const IMAGE_BYTES = 512;
const MEMORY_AT = IMAGE_BYTES;
const HOST_MXCSR_AT = MEMORY_AT + 16;
const CODE_AT = 0x1000;
const SLOT_BYTES = 64;
const SLOTS = 1024;
const ENTRY_AT = CODE_AT - 16;
const BYTES = CODE_AT + SLOTS * SLOT_BYTES;
const FX_MXCSR = 24;
const FX_REGISTERS = 32;
const FX_XMM = 160;
const MASKS = 0x1f80;
const FLAGS = 0x3f;

/** Opcodes after 0F without a prefix, as ranges. */
// biome-ignore format: a table
const plain: readonly (readonly [first: number, last: number])[] = [
  [0x2a, 0x2a], [0x2c, 0x2d], [0x60, 0x6b], [0x6e, 0x77], [0x7e, 0x7f], [0xc4, 0xc5], [0xd1, 0xd5], [0xd7, 0xe5], [0xe7, 0xef],
  [0xf1, 0xfe],
];

/** Is it one of these instructions, and does it raise neither #NM nor #UD? `flags`: of the block. */
export function isMmx({ map, opcode, modrm, repeat, operandSize, lock }: Decoded, flags: number): boolean {
  if (map !== 1 || lock || (flags & Hflag.CS64) === 0 || flags & (Hflag.TS | Hflag.EM)) return false;
  const memory = isMemory(modrm);
  const sse = (flags & Hflag.OSFXSR) !== 0;
  if (repeat !== 0) return opcode === 0xd6 && !memory && sse;
  const converts = opcode === 0x2a || opcode === 0x2c || opcode === 0x2d;
  if (operandSize) return converts && sse;
  if (!plain.some(([first, last]) => opcode >= first && opcode <= last)) return false;
  switch (opcode) {
    case 0x71:
    case 0x72:
      return !memory && [2, 4, 6].includes(regField(modrm));
    case 0x73:
      return !memory && [2, 6].includes(regField(modrm));
    case 0xc5:
    case 0xd7:
    case 0xf7:
      return !memory;
    case 0xe7:
      return memory;
  }
  return !converts || sse;
}

/** Bytes of the immediate. */
export const mmxImmediate = ({ opcode }: Decoded): number =>
  (opcode >= 0x70 && opcode <= 0x73) || opcode === 0xc4 || opcode === 0xc5 ? 1 : 0;

const stores = (opcode: number): boolean => opcode === 0x7e || opcode === 0x7f || opcode === 0xe7;

function operandBytes({ opcode, operandSize, rex }: Decoded): number {
  if (opcode >= 0x60 && opcode <= 0x62) return 4; // PUNPCKL
  if (opcode === 0x6e || opcode === 0x7e) return rex & 8 ? 8 : 4;
  if (opcode === 0xc4) return 2;
  return operandSize && opcode !== 0x2a ? 16 : 8;
}

interface Host {
  readonly base: Address;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** By code in hex. */
  readonly slots: Map<string, Address>;
  /** Executes the slot's instruction with the image, and returns RAX. */
  run(slot: Address, image: Address, memory: Address): number | bigint;
}
let host: Host | undefined;

function openHost(): Host {
  const base = binding().allocateCode(BYTES);
  const view = new DataView(viewMemory(base, BYTES));
  const bytes = new Uint8Array(view.buffer);
  bytes.set([0xff, 0xe7], ENTRY_AT); // jmp rdi
  const type = koffi.proto("uint64_t MargayMmx(uint64_t slot, uint64_t image, uint64_t memory)");
  const run = koffi.decode(BigInt(base + ENTRY_AT), type) as Host["run"];
  return { base, bytes, view, slots: new Map(), run };
}

/** The routine for one instruction, whose memory operand is [rdx]. */
function slotOf({ base, bytes, slots }: Host, instruction: readonly number[]): Address {
  const key = Buffer.from(instruction).toString("hex");
  const known = slots.get(key);
  if (known !== undefined) return known;
  if (slots.size === SLOTS) slots.clear();
  const at = CODE_AT + slots.size * SLOT_BYTES;
  // biome-ignore format: one instruction a line
  bytes.set([
    0x48, 0x0f, 0xae, 0x0e, // fxrstor64 [rsi]
    0x48, 0x8b, 0x02,       // mov rax, [rdx]
    ...instruction,
    0x48, 0x0f, 0xae, 0x06, // fxsave64 [rsi]
    0x0f, 0xae, 0x52, 0x10, // ldmxcsr [rdx + 16]
    0xdb, 0xe3,             // fninit
    0xc3,                   // ret
  ], at);
  slots.set(key, base + at);
  return base + at;
}

/** Executes the instruction; RIP does not move. Returns its length. Throws Fault; then nothing has changed. */
export function executeMmx(cpu: Processor, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { opcode, modrm, opcodeEnd, rex } = found;
  // From memory, CVTPI2PS and CVTPI2PD use no MMX register and leave the x87 unit alone, as on AMD's processors.
  const isApart = opcode === 0x2a && isMemory(modrm);
  if (cpu.hasPendingX87 && !isApart) throw new Fault(Exception.MF, 0);
  host ??= openHost();
  const { view, bytes, base } = host;
  if (opcode === 0xf7) return maskedMove(cpu, found);
  const hasModrm = opcode !== 0x77;
  const memory = hasModrm && isMemory(modrm);
  const size = operandBytes(found);
  const operand = memory
    ? memoryOperand(found, byte, cpu, mmxImmediate(found))
    : { address: 0n, end: opcodeEnd + (hasModrm ? 1 : 0) };
  const end = operand.end + mmxImmediate(found);
  const privilege = ownPrivilege(cpu);
  bytes.fill(0, MEMORY_AT, MEMORY_AT + 16);
  if (memory) {
    if (size === 16 && operand.address & 15n) throw new Fault(Exception.GP, 0);
    if (stores(opcode)) cpu.checkWrite(operand.address, size, privilege);
    else cpu.readBytes(operand.address, bytes.subarray(MEMORY_AT, MEMORY_AT + size), privilege);
  } else if (opcode === 0x6e || opcode === 0xc4) {
    view.setBigUint64(MEMORY_AT, cpu.gpr((modrm & 7) | ((rex & 1) << 3)), true);
  }
  const before = cpu.readFx();
  bytes.set(before);
  const { mxcsr } = cpu;
  view.setUint32(FX_MXCSR, (mxcsr & ~FLAGS) | MASKS, true);
  view.setUint32(HOST_MXCSR_AT, MASKS, true);
  const immediate = mmxImmediate(found) ? [byte(end - 1) ?? 0] : [];
  const result = BigInt(host.run(slotOf(host, hostCode(found, immediate)), base, base + MEMORY_AT));
  const raised = view.getUint32(FX_MXCSR, true) & FLAGS;
  view.setUint32(FX_MXCSR, mxcsr | raised, true);
  if (raised & ~(mxcsr >> 7)) {
    cpu.raiseMxcsr(raised);
    throw new Fault(cpu.cr4 & Cr4.OSXMMEXCPT ? Exception.XM : Exception.UD, 0);
  }
  if (isApart) {
    bytes.set(before.subarray(0, FX_MXCSR));
    bytes.set(before.subarray(FX_REGISTERS, FX_XMM), FX_REGISTERS);
  }
  cpu.writeFx(bytes.subarray(0, IMAGE_BYTES));
  if (memory && stores(opcode)) {
    cpu.writeBytes(operand.address, bytes.subarray(MEMORY_AT, MEMORY_AT + size), privilege);
  } else if (opcode === 0xc5 || opcode === 0xd7) {
    writeRegister(cpu, found, 4, result & 0xffff_ffffn);
  } else if (opcode === 0x7e && !memory) {
    cpu.setGpr((modrm & 7) | ((rex & 1) << 3), size === 8 ? BigInt.asUintN(64, result) : result & 0xffff_ffffn);
  }
  return end;
}

/** The instruction with [rdx] for its memory operand and RAX for its general register. */
function hostCode(found: Decoded, immediate: readonly number[]): number[] {
  const { opcode, modrm, rex, operandSize, repeat } = found;
  const prefixes = repeat !== 0 ? [repeat] : operandSize ? [0x66] : [];
  if (opcode === 0x77) return [0x0f, opcode];
  let extension = 0;
  let form = isMemory(modrm) ? (modrm & 0x38) | 2 : modrm;
  if (opcode === 0x6e || opcode === 0x7e || opcode === 0xc4) {
    extension = rex & 8;
    if (!isMemory(modrm)) form &= ~7;
  } else if (opcode === 0xc5 || opcode === 0xd7) {
    form &= ~0x38;
  } else if (opcode === 0x2a || (opcode === 0xd6 && repeat === 0xf3)) {
    extension = rex & 4; // the destination is an XMM register
  } else if (opcode === 0x2c || opcode === 0x2d || opcode === 0xd6) {
    extension = isMemory(modrm) ? 0 : rex & 1;
  }
  return [...prefixes, ...(extension ? [0x40 | extension] : []), 0x0f, opcode, form, ...immediate];
}

/** MASKMOVQ. */
function maskedMove(cpu: Processor, { modrm, addressSize, segment, opcodeEnd }: Decoded): number {
  const image = cpu.readFx();
  const top = (image[3] >> 3) & 7;
  const register = (index: number): Uint8Array => image.subarray(32 + 16 * ((index - top) & 7));
  const [source, mask] = [register(regField(modrm)), register(modrm & 7)];
  const rdi = addressSize ? BigInt.asUintN(32, cpu.gpr(7)) : cpu.gpr(7);
  const address = BigInt.asUintN(64, rdi + (segment >= 4 ? cpu.segmentBase(segment) : 0n));
  const at = (index: number): bigint => BigInt.asUintN(64, address + BigInt(index));
  const chosen = [0, 1, 2, 3, 4, 5, 6, 7].filter((index) => mask[index] & 0x80);
  // All bytes are checked, whatever the mask is.
  const second = at(7) & ~0xfffn;
  for (const page of [address, second > address ? second : address]) cpu.checkWrite(page, 1, ownPrivilege(cpu));
  for (const index of chosen) cpu.writeLinear(at(index), 1, BigInt(source[index]), ownPrivilege(cpu));
  // As every MMX instruction: the top of the stack is 0, and all registers are in use.
  const moved = image.slice(32, 160);
  for (let index = 0; index < 8; index++)
    image.set(moved.subarray(16 * ((index - top) & 7), 16 * ((index - top) & 7) + 16), 32 + 16 * index);
  image[3] &= ~0x38;
  image[4] = 0xff;
  cpu.writeFx(image);
  return opcodeEnd + 1;
}
