/**
 * The little of instruction decoding that the engine needs: Unicorn tells where an instruction is, not how long it was or
 * on whose behalf it touches memory.
 */
import { Exception } from "../../abi/x86.ts";
import { ACCESS_READ, type AccessKind } from "../x86/access.ts";
import type { UnicornCore } from "./core.ts";

const LONGEST_INSTRUCTION = 15;
const INT3 = 0xcc;
const INTO = 0xce;
const prefixes: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** Length of the software interrupt that ends at `rip`, without prefixes: INT3 and INTO are one byte, INT n two. */
export function instructionLengthBefore(core: UnicornCore, rip: bigint, vector: number): number {
  const last = core.fetchByte(rip - 1n);
  if (vector === Exception.BP && last === INT3) return 1;
  return vector === Exception.OF && last === INTO ? 1 : 2;
}

/** Bytes up to and with a two-byte opcode 0F `second` at `rip`, prefixes included. */
export function opcodeLength(core: UnicornCore, rip: bigint, second: number): number {
  for (let length = 2; length <= LONGEST_INSTRUCTION; length++) {
    if (core.fetchByte(rip + BigInt(length - 2)) === 0x0f && core.fetchByte(rip + BigInt(length - 1)) === second) return length;
  }
  return 2;
}

/**
 * Does the instruction at RIP, run at CPL 3, touch GDT, LDT, IDT or TSS on the processor's own behalf? A segment load, LAR,
 * LSL, VERR, VERW, a far transfer, or IN and OUT with their permission map. MOV to a segment register counts only with a
 * register source: with a memory source the access may be the program's own.
 */
export function implicitTableAccess(core: UnicornCore, access: AccessKind): boolean {
  let at = core.rip;
  const next = (): number => core.fetchByte(at++) ?? 0;
  let byte = next();
  while (prefixes.has(byte) || (byte & 0xf0) === 0x40) byte = next();
  if (byte === 0x0f) {
    const second = next();
    const loads = second === 0xa1 || second === 0xa9 || second === 0xb2 || second === 0xb4 || second === 0xb5;
    return loads || (access === ACCESS_READ && (second === 0x00 || second === 0x02 || second === 0x03));
  }
  if (byte === 0x8e) return next() >= 0xc0;
  if (byte === 0xff) return ((next() >> 3) & 6) === 2 || (((core.fetchByte(at - 1n) ?? 0) >> 3) & 7) === 5;
  const farTransfer = byte === 0xca || byte === 0xcb || byte === 0xcf || byte === 0x9a || byte === 0xea;
  const segmentPop = byte === 0x07 || byte === 0x17 || byte === 0x1f || byte === 0xc4 || byte === 0xc5;
  const portAccess = (byte >= 0xe4 && byte <= 0xe7) || (byte >= 0xec && byte <= 0xef) || (byte >= 0x6c && byte <= 0x6f);
  return farTransfer || segmentPop || portAccess;
}
