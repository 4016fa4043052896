/** Describes how two outcomes differ. */
import { gprNames } from "../../../emulator/cpu/engine.ts";
import { type Case, CODE, type Step } from "./generate.ts";
import type { Outcome } from "./oracle.ts";

const PAGE_FAULT = 14;
const CONDITIONS = 0x4700;
/**
 * C1 and the precision flag of an approximation, which a processor sets for exact results, too; and the summary, where
 * that flag is unmasked.
 */
const APPROXIMATION = 0x220;
const SUMMARY = 0x8080;
const PRECISION_MASK = 0x20;
const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** undefined: equal, as far as the architecture defines the result. */
export function difference(one: Case, native: Outcome, emulated: Outcome): string | undefined {
  const found: string[] = [];
  const differs = (what: string, a: number | bigint, b: number | bigint): void => {
    if (a !== b) found.push(`${what} ${hex(b)}, natively ${hex(a)}`);
  };
  differs("exception", native.vector, emulated.vector);
  if (native.vector === emulated.vector) {
    // Whether the host has mapped an address far from the case's pages does not depend on the processor.
    const presence = native.vector === PAGE_FAULT && (native.cr2 < BigInt(CODE) || native.cr2 > 0x6000_0000n) ? 1 : 0;
    differs("error code", native.error & ~presence, emulated.error & ~presence);
    if (native.vector === PAGE_FAULT) differs("cr2", native.cr2, emulated.cr2);
  }
  differs("rip", native.rip, emulated.rip);
  for (let i = 0; i < 16; i++) differs(gprNames[i], native.gpr[i], emulated.gpr[i]);
  const step = lastStep(one, native);
  const flags = step.flags | 0x400;
  differs("rflags", native.rflags & flags, emulated.rflags & flags);
  if (
    native.first !== emulated.first ||
    native.count !== emulated.count ||
    hexBytes(native.changed) !== hexBytes(emulated.changed)
  ) {
    found.push(
      `memory +${hex(emulated.first)} ${hexBytes(emulated.changed)}, natively +${hex(native.first)} ${hexBytes(native.changed)}`,
    );
  }
  if (!one.notes.includes("G")) compareFx(step, native.fx, emulated.fx, found);
  else if (isDefined(one)) compareFx(step, native.fx, withinOneUlp(native.fx, emulated.fx), found, approximation(one));
  return found.length === 0 ? undefined : found.join("; ");
}

/** The last completed instruction. */
function lastStep({ steps, offset }: Case, { rip }: Outcome): Step {
  const at = Number(BigInt.asIntN(52, rip)) - CODE - offset;
  const done = steps.filter(({ end }) => end <= at).at(-1);
  return at >= 0 && at <= 0x2000 && done !== undefined ? done : (steps.at(-1) as Step);
}

const approximation = ({ fx }: Case): number => APPROXIMATION | (fx[0] & PRECISION_MASK ? 0 : SUMMARY);

/** F2XM1 takes operands up to 1, FYL2XP1 up to 1 - sqrt(1/2). */
function isDefined({ text, fx }: Case): boolean {
  const exponent = (fx[40] | (fx[41] << 8)) & 0x7fff;
  return !(text === "f2xm1" || text === "fyl2xp1") || exponent < 0x3ffd || exponent === 0x7fff;
}
/** The emulated image, with the native registers where they differ by one unit in the last place. */
function withinOneUlp(native: Uint8Array, emulated: Uint8Array): Uint8Array {
  const image = emulated.slice();
  for (let at = 32; at < 160; at += 16) {
    const place = (bytes: Uint8Array): bigint => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      return (BigInt(view.getUint16(at + 8, true)) << 63n) + (view.getBigUint64(at, true) & 0x7fff_ffff_ffff_ffffn);
    };
    const apart = place(native) - place(emulated);
    if (apart === 1n || apart === -1n) image.set(native.subarray(at, at + 10), at);
  }
  return image;
}

function compareFx(step: Step, native: Uint8Array, emulated: Uint8Array, found: string[], undefinedStatus = 0): void {
  const word = (image: Uint8Array, at: number): number => image[at] | (image[at + 1] << 8);
  const differs = (what: string, at: number, bytes: number): void => {
    const [a, b] = [native.subarray(at, at + bytes), emulated.subarray(at, at + bytes)];
    if (Buffer.compare(a, b) !== 0)
      found.push(`${what} ${hexBytes(b.slice().reverse())}, natively ${hexBytes(a.slice().reverse())}`);
  };
  differs("fcw", 0, 2);
  const mask = 0xffff & ~(step.conditions & CONDITIONS) & ~undefinedStatus;
  const [a, b] = [word(native, 2) & mask, word(emulated, 2) & mask];
  if (a !== b) found.push(`fsw ${hex(b)}, natively ${hex(a)}`);
  differs("ftw", 4, 1);
  differs("mxcsr", 24, 4);
  for (let i = 0; i < 8; i++) differs(`st${i}`, 32 + 16 * i, 10);
  for (let i = 0; i < 16; i++) differs(`xmm${i}`, 160 + 16 * i, 16);
}
