/** The few system instructions that are frequent enough to be translated. */
import { Rflags } from "../../../abi/x86.ts";
import { Env, Restricted } from "../environment.ts";
import { BUDGET, Condition, GUEST_RAX, T1, T2 } from "./encoder.ts";
import { type Emitter, SAVED } from "./emitter.ts";

const RCX = 1;
const RDX = 2;

/** Leaves the instruction to the interpreter where this bit of Env.RESTRICTED is set. */
function unlessRestricted(e: Emitter, bit: number): void {
  e.saveFlags();
  e.environment(0xf7, 0, Env.RESTRICTED, false); // test
  e.word32(bit);
  e.interpretIf(Condition.NE);
  e.flags = SAVED;
}

/** The TSC at the start of this instruction: what the budget still covers lies between it and the run's end. */
function rdtsc(e: Emitter): void {
  unlessRestricted(e, Restricted.TSC);
  e.environment(0x8b, T1, Env.TSC_END);
  e.registers(0x8b, T2, BUDGET, false);
  e.registers(0x2b, T1, T2); // sub
  e.based(0x8d, T1, T1, -e.remaining);
  e.registers(0x8b, GUEST_RAX, T1, false);
  e.rotate(T1, T1, 32);
  e.registers(0x8b, RDX, T1, false);
  if (e.insn.name === "RDTSCP") e.environment(0x8b, RCX, Env.TSC_AUX, false);
}

function cli(e: Emitter): void {
  unlessRestricted(e, Restricted.CLI);
  e.environmentImmediate(4, Env.SYSTEM_FLAGS, ~Rflags.IF); // and
}

export const systemEmitters: Readonly<Record<string, (e: Emitter) => void>> = { rdtsc, cli };
