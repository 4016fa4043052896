/** Entry and exit: host code at the start of the code buffer that exchanges the host's registers and the guest's. */
import { Env } from "../environment.ts";
import { BUDGET, Condition, type Encoder, ENVIRONMENT, FLAGS, HOST } from "./encoder.ts";

/** System V ABI: callee-saved, and how to push and pop them. */
const PUSH_ALL = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x48, 0x83, 0xec, 0x08];
const POP_ALL = [0x48, 0x83, 0xc4, 0x08, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b];
const MOV_R15_RDI = [0x49, 0x89, 0xff];
const MOV_R13_RSI = [0x49, 0x89, 0xf5];
const JMP_R13 = [0x41, 0xff, 0xe5];
const MOV_EAX_R13D = [0x44, 0x89, 0xe8];
const RET = 0xc3;
const LDMXCSR = 2;
const STMXCSR = 3;
const FRSTOR = 4;
const FNSAVE = 6;

/**
 * Emits enter(environment, code) at the current position. Returns the position of the exit, which expects its number in
 * R13D.
 */
export function emitThunks(e: Encoder): number {
  e.bytes(...PUSH_ALL, ...MOV_R15_RDI, ...MOV_R13_RSI);
  e.environment(0x1ae, STMXCSR, Env.HOST_MXCSR, false);
  e.environment(0x1ae, LDMXCSR, Env.MXCSR, false);
  x87IfLive(e, FRSTOR);
  generalRegisters(e, 0x8b);
  xmmRegisters(e, 0x10);
  e.bytes(...JMP_R13);

  const exit = e.p;
  generalRegisters(e, 0x89);
  xmmRegisters(e, 0x11);
  x87IfLive(e, FNSAVE);
  e.environment(0x1ae, STMXCSR, Env.MXCSR, false);
  e.environment(0x1ae, LDMXCSR, Env.HOST_MXCSR, false);
  e.bytes(...MOV_EAX_R13D, ...POP_ALL, RET);
  return exit;
}

/** Emits cpuid(leaf, registers): subleaf 0, into four words. Returns its position. */
export function emitCpuid(e: Encoder): number {
  const at = e.p;
  // push rbx; mov eax, edi; xor ecx, ecx; cpuid; mov [rsi], eax … edx; pop rbx; ret
  e.bytes(
    0x53,
    0x89,
    0xf8,
    0x31,
    0xc9,
    0x0f,
    0xa2,
    0x89,
    0x06,
    0x89,
    0x5e,
    4,
    0x89,
    0x4e,
    8,
    0x89,
    0x56,
    12,
    0x5b,
    RET,
  );
  return at;
}

function generalRegisters(e: Encoder, opcode: number): void {
  HOST.forEach((host, guest) => {
    if (host >= 0) e.environment(opcode, host, Env.GPR + guest * 8);
  });
  e.environment(opcode, FLAGS, Env.FLAGS);
  e.environment(opcode, BUDGET, Env.BUDGET, false);
}

/** movups */
function xmmRegisters(e: Encoder, opcode: number): void {
  for (let index = 0; index < 16; index++) e.environment(0x100 | opcode, index, Env.XMM + index * 16, false);
}

function x87IfLive(e: Encoder, operation: number): void {
  e.environmentImmediate(7, Env.X87_LIVE, 0); // cmp
  const from = e.skipIf(Condition.E);
  // frstor, fnsave [r15 + X87]
  e.bytes(0x41, 0xdd, 0x80 | (operation << 3) | (ENVIRONMENT & 7));
  e.word32(Env.X87);
  e.patchShort(from);
}
