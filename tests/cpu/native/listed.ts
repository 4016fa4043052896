/**
 * Differences that are known and stay, with the reason. None is a wrong result: the architecture leaves them open, or
 * an exception is delivered at the right place and something that nobody may rely on differs.
 */
import type { Case } from "./generate.ts";
import type { Outcome } from "./oracle.ts";

interface Listed {
  readonly reason: string;
  /** Each thing that differs must fit: a row hides nothing else (compare.ts words them). */
  readonly only: RegExp;
  fits(one: Case, native: Outcome, emulated: Outcome): boolean;
}

export const listed: readonly Listed[] = [
  {
    reason:
      "BSF and BSR of 0: the destination is undefined (SDM), and unchanged on some processors; here its upper half is cleared",
    only: /^r\w+ 0x/,
    fits: ({ text }) => /\bbs[fr] [rm]32/.test(text),
  },
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
    reason: "the precision flag beside an unmasked underflow, which is about a result that is not delivered",
    only: /^mxcsr /,
    fits: (_, native, emulated) =>
      native.vector === 19 &&
      emulated.vector === 19 &&
      ((native.fx[24] ^ emulated.fx[24]) & ~0x20) === 0 &&
      (native.fx[24] & 0x10) !== 0,
  },
  {
    reason: "FLDENV across two pages: which byte of the second is reported is not said",
    only: /^cr2 /,
    fits: ({ text }, native, emulated) => /\bfldenv/.test(text) && native.vector === 14 && native.rip === emulated.rip,
  },
];

/** `found`: what differs, as `difference` says it. */
export function isListed(one: Case, native: Outcome, emulated: Outcome, found: string): boolean {
  const parts = found.split("; ");
  return listed.some((row) => row.fits(one, native, emulated) && parts.every((part) => row.only.test(part)));
}
