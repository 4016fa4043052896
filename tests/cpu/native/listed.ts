/**
 * Known differences that stay, with the reason. None is a wrong result: the architecture leaves it open, or an
 * exception is delivered at the correct place and differs only in a detail on which no program may rely.
 */
import type { Case } from "./generate.ts";
import type { Outcome } from "./oracle.ts";

interface Listed {
  readonly reason: string;
  /** Each difference must match: a row hides nothing else (compare.ts words them). */
  readonly only: RegExp;
  fits(one: Case, native: Outcome, emulated: Outcome): boolean;
}

export const listed: readonly Listed[] = [
  {
    reason: "CALL to an address that is not canonical: #GP at the call, but the return address stands below RSP",
    only: /^memory /,
    fits: ({ text }, native, emulated) => /\bcall /.test(text) && native.vector === 13 && emulated.vector === 13,
  },
  {
    reason: "CMPS with two addresses that fault: which operand is read first is not said",
    only: /^(exception|error code|cr2) /,
    fits: ({ text }, native, emulated) => /\bcmps/.test(text) && native.rip === emulated.rip && native.vector !== 3,
  },
  {
    reason: "MXCSR bit 17 (misaligned SSE mode) is AMD's, and CPUID here does not announce it",
    // The processor goes on with the instructions after it.
    only: /^/,
    fits: ({ text }, native, emulated) => /\bldmxcsr/.test(text) && emulated.vector === 13 && (native.fx[26] & 2) !== 0,
  },
  {
    reason: "x87 state across two pages: which byte of the second is reported is not said",
    only: /^cr2 /,
    fits: ({ text }, native, emulated) =>
      /\b(fldenv|fnstenv|fnsave|frstor|fxsave|fxrstor)/.test(text) &&
      native.vector === 14 &&
      native.rip === emulated.rip,
  },
  {
    reason: "MXCSR_MASK of FXSAVE: bit 17 (misaligned SSE mode) is AMD's, and CPUID here does not announce it",
    only: /^memory /,
    fits: ({ text }, native, emulated) => {
      const differing = native.changed.map((byte, at) => byte ^ emulated.changed[at]).filter((bits) => bits !== 0);
      return /\bfxsave/.test(text) && differing.length === 1 && differing[0] === 2;
    },
  },
  {
    reason: "MASKMOVQ that faults: AMD's processors have made the x87 registers those of MMX already",
    only: /^(fsw|ftw|st\d) /,
    fits: ({ text }, native, emulated) =>
      /\bmaskmovq/.test(text) &&
      native.vector !== 3 &&
      native.vector === emulated.vector &&
      native.rip === emulated.rip,
  },
];

/** `found`: the differences, in the words of `difference`. */
export function isListed(one: Case, native: Outcome, emulated: Outcome, found: string): boolean {
  const parts = found.split("; ");
  return listed.some((row) => row.fits(one, native, emulated) && parts.every((part) => row.only.test(part)));
}
