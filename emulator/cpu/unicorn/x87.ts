/**
 * x87 instructions, executed one at a time by the host's own FPU. Unicorn's QEMU has no stack overflow, hardly any
 * exception flags and no unmasked exceptions, and computes transcendental functions with 53 bits. So Unicorn only finds
 * these instructions (translator.ts). Memory operands go through a buffer. x86/fpustate.ts executes those that move the
 * whole state.
 *
 * IEEE 754 and the manual define the results, except those of the transcendental functions, which
 * x86/transcendental.ts computes.
 */
import koffi from "koffi";
import { Exception, Rflags } from "../../abi/x86.ts";
import { Fault, PRIVILEGE_SUPERVISOR, PRIVILEGE_USER } from "../x86/access.ts";
import { type Decoded, isMemory, memoryOperand, regField } from "../x86/instruction.ts";
import { isTranscendental, transcend } from "../x86/transcendental.ts";
import { type Address, binding, viewMemory } from "./binding.ts";
import { Hflag } from "./environment.ts";
import type { Processor } from "./processor.ts";

const WAIT = 0x9b;
const FNSTSW_AX = 0xe0;
const STATUS = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF;
const IMAGE_BYTES = 512;
const MEMORY_AT = IMAGE_BYTES;
const CODE_AT = 0x1000;
const SLOT_BYTES = 32;
const BYTES = CODE_AT + 8 * 256 * SLOT_BYTES;
const DEFAULT_MXCSR = 0x1f80;

/** Size of the memory operand by opcode D8 … DF and extension; negative: stored; 0: not executed here. */
// biome-ignore format: a table
const memoryBytes: readonly (readonly number[])[] = [
  [ 4,  4,  4,  4,  4,  4,  4,   4],
  [ 4,  0, -4, -4,  0,  2,  0,  -2],
  [ 4,  4,  4,  4,  4,  4,  4,   4],
  [ 4, -4, -4, -4,  0, 10,  0, -10],
  [ 8,  8,  8,  8,  8,  8,  8,   8],
  [ 8, -8, -8, -8,  0,  0,  0,  -2],
  [ 2,  2,  2,  2,  2,  2,  2,   2],
  [ 2, -2, -2, -2, 10,  8, -10, -8],
];
/** Register forms, as ranges of the ModRM byte, with the aliases that the manual does not name. */
// biome-ignore format: a table
const registerForms: readonly (readonly (readonly [number, number])[])[] = [
  [[0xc0, 0xff]],
  [[0xc0, 0xd0], [0xd8, 0xdf], [0xe0, 0xe1], [0xe4, 0xe5], [0xe8, 0xee], [0xf0, 0xff]],
  [[0xc0, 0xdf], [0xe9, 0xe9]],
  [[0xc0, 0xdf], [0xe2, 0xe3], [0xe8, 0xf7]],
  [[0xc0, 0xff]],
  [[0xc0, 0xef]],
  [[0xc0, 0xd7], [0xd9, 0xd9], [0xe0, 0xff]],
  [[0xc0, 0xe0], [0xe8, 0xf7]],
];

/** Is it one of these instructions, and does it not raise #NM? `flags`: of the block. */
export function isX87({ map, opcode, modrm, lock }: Decoded, flags: number): boolean {
  if (map !== 0 || lock || (flags & Hflag.CS64) === 0) return false;
  if (opcode === WAIT) return (flags & (Hflag.TS | Hflag.MP)) !== (Hflag.TS | Hflag.MP);
  if (opcode < 0xd8 || opcode > 0xdf || flags & (Hflag.TS | Hflag.EM)) return false;
  if (isMemory(modrm)) return memoryBytes[opcode - 0xd8][regField(modrm)] !== 0;
  return registerForms[opcode - 0xd8].some(([first, last]) => modrm >= first && modrm <= last);
}

/** Does the instruction wait for pending exceptions? */
function waits(opcode: number, modrm: number): boolean {
  if (opcode === 0xdb) return modrm !== 0xe2 && modrm !== 0xe3; // FNCLEX, FNINIT
  if (opcode === 0xdf) return modrm !== FNSTSW_AX;
  return !(isMemory(modrm) && regField(modrm) === 7 && (opcode === 0xd9 || opcode === 0xdd)); // FNSTCW, FNSTSW
}

interface Host {
  readonly base: Address;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Calls the slot at an address with the flags; returns RAX. */
  run(slot: Address, image: Address, memory: Address, flags: number): number | bigint;
}
let host: Host | undefined;

function openHost(): Host {
  const base = binding().allocateCode(BYTES);
  const view = new DataView(viewMemory(base, BYTES));
  const bytes = new Uint8Array(view.buffer);
  // jmp rdi, in the last bytes of the image's page.
  const entry = CODE_AT - 16;
  bytes.set([0xff, 0xe7], entry);
  const type = koffi.proto("uint64_t MargayX87(uint64_t slot, uint64_t image, uint64_t memory, uint32_t flags)");
  const run = koffi.decode(BigInt(base + entry), type) as Host["run"];
  return { base, bytes, view, run };
}

/**
 * The slot for one opcode and ModRM byte: load the state and flags, execute the instruction with its memory operand at
 * [rdx], store flags or AX, and store the state.
 */
function slotOf({ base, bytes }: Host, opcode: number, modrm: number): Address {
  const at = CODE_AT + ((opcode - 0xd8) * 256 + modrm) * SLOT_BYTES;
  if (bytes[at] === 0) {
    const isStatus = opcode === 0xdf && modrm === FNSTSW_AX;
    // biome-ignore format: one instruction a line
    bytes.set([
      0x48, 0x0f, 0xae, 0x0e,               // fxrstor64 [rsi]
      0x51, 0x9d,                           // push rcx; popfq
      opcode, modrm,
      ...(isStatus ? [] : [0x9c, 0x58]),    // pushfq; pop rax
      0x48, 0x0f, 0xae, 0x06,               // fxsave64 [rsi]
      0xdb, 0xe3,                           // fninit
      0xc3,                                 // ret
    ], at);
  }
  return base + at;
}

/** Executes the instruction; RIP does not move. Returns its length. Throws Fault; then nothing has changed. */
export function executeX87(cpu: Processor, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { opcode, modrm, opcodeEnd } = found;
  host ??= openHost();
  const { bytes, view, base } = host;
  cpu.env.saveX87(view);
  if (cpu.hasPendingX87 && (opcode === WAIT || waits(opcode, modrm))) throw new Fault(Exception.MF, 0);
  if (opcode === WAIT) return opcodeEnd;
  const size = isMemory(modrm) ? memoryBytes[opcode - 0xd8][regField(modrm)] : 0;
  const privilege = cpu.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR;
  const length = Math.abs(size);
  let end = opcodeEnd + 1;
  let address = 0n;
  if (size !== 0) {
    ({ address, end } = memoryOperand(found, byte, cpu));
    if (size < 0) cpu.checkWrite(address, length, privilege);
    const low = cpu.readLinear(address, Math.min(length, 8), privilege);
    view.setBigUint64(MEMORY_AT, low, true);
    if (length > 8)
      view.setUint16(MEMORY_AT + 8, Number(cpu.readLinear(BigInt.asUintN(64, address + 8n), 2, privilege)), true);
  }
  if (isTranscendental(opcode, modrm) && transcend(view, modrm)) {
    cpu.env.loadX87(view);
    return end;
  }
  view.setUint32(24, DEFAULT_MXCSR, true);
  const slot = slotOf(host, opcode, size !== 0 ? (modrm & 0x38) | 2 : modrm);
  const flags = Number(cpu.rflags & BigInt(STATUS)) | 2;
  const rax = host.run(slot, base, base + MEMORY_AT, flags);
  cpu.env.loadX87(view);
  if (size < 0) {
    cpu.writeLinear(address, Math.min(length, 8), view.getBigUint64(MEMORY_AT, true), privilege);
    if (length > 8)
      cpu.writeLinear(
        BigInt.asUintN(64, address + 8n),
        2,
        BigInt(bytes[MEMORY_AT + 8] | (bytes[MEMORY_AT + 9] << 8)),
        privilege,
      );
  } else if (opcode === 0xdf && modrm === FNSTSW_AX) {
    cpu.setGpr(0, (cpu.gpr(0) & ~0xffffn) | (BigInt(rax) & 0xffffn));
  } else if ((opcode === 0xdb || opcode === 0xdf) && modrm >= 0xe8) {
    cpu.rflags = (cpu.rflags & ~BigInt(STATUS)) | (BigInt(rax) & BigInt(STATUS));
  }
  return end;
}
