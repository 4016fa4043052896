/**
 * x87, MMX and SSE. XMM registers are the host's own. The x87 registers are in the host from the first such instruction
 * of a run until the run leaves translated code. In the host all exceptions are masked; exceptions that the guest has
 * unmasked are not modelled (README.md).
 */
import { Env } from "../environment.ts";
import type { Row } from "../table.ts";
import { operandSize } from "../decode.ts";
import { Condition, ENVIRONMENT, FLAGS, GUEST_RAX, T1 } from "./encoder.ts";
import { type Emitter, SAVED } from "./emitter.ts";
import { emitGeneral } from "./general.ts";

/** Loads the guest's x87 registers unless the host has them already. */
function loadX87(e: Emitter): void {
  if (e.x87Loaded) return;
  e.saveFlags();
  e.environmentImmediate(7, Env.X87_LIVE, 0); // cmp
  const from = e.skipIf(Condition.NE);
  e.bytes(0x41, 0xdd, 0xa0 | (ENVIRONMENT & 7)); // frstor
  e.word32(Env.X87);
  e.environmentImmediate(1, Env.X87_LIVE, 1); // or
  e.patchShort(from);
  e.flags = SAVED;
  e.x87Loaded = true;
}

function mmx(e: Emitter): void {
  loadX87(e);
  if (e.insn.row?.name === "EMMS") e.bytes(0x0f, 0x77);
  else emitGeneral(e);
}

function x87(e: Emitter): void {
  const { insn } = e;
  const row = insn.row as Row;
  loadX87(e);
  if (insn.hasMemory) {
    const { size, writes } = row.rm as { size: string; writes: boolean };
    e.memory(operandSize(size, insn.operandBytes), writes);
    e.bytes(0x41, insn.opcode);
    e.operand(insn.extension, T1, true);
    return;
  }
  if (row.writesFlags) {
    compare(e);
    return;
  }
  e.beforeFlags(row.readsFlags, 0);
  e.bytes(insn.opcode, insn.modrm);
}

/** FCOMI and its variants: ZF, PF and CF. The other flags are cleared, on every host. */
function compare(e: Emitter): void {
  e.bytes(e.insn.opcode, e.insn.modrm, 0x9f); // lahf
  e.byte(0x25); // and eax, ZF | PF | CF of AH
  e.word32(0x4500);
  e.bytes(0x80, 0xcc, 2); // or ah, 2
  e.flags = SAVED;
}

function fnstsw(e: Emitter): void {
  loadX87(e);
  e.saveFlags();
  e.exchange(FLAGS, GUEST_RAX);
  e.bytes(0xdf, 0xe0);
  e.exchange(FLAGS, GUEST_RAX);
}

/** The host never unmasks an exception, so there is nothing to wait for. */
const fwait = (): void => {};

export const fpuEmitters: Readonly<Record<string, (e: Emitter) => void>> = { mmx, x87, fnstsw, fwait };
