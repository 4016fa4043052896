/** Where Unicorn and the native engine are known to differ on random code: the instruction, and why. */
import type { CoreState } from "../../../emulator/cpu/engine.ts";
import type { Instruction } from "../../../emulator/cpu/native/decode.ts";

export interface End {
  readonly reason: string;
  readonly retired: number;
  readonly state: CoreState;
}
/** The first instruction at which the engines differ. */
export interface Found {
  readonly insn: Instruction | undefined;
  readonly bytes: Uint8Array;
  readonly before: CoreState;
  readonly reference: End;
  readonly tested: End;
  /** Addresses at which RAM differs. */
  readonly memory: readonly number[];
}

interface Known {
  readonly reason: string;
  fits(found: Found): boolean;
}

const HANDLERS = 0x4000;
/** Page tables (starts.ts). */
const TABLES = 0x1_0000;
const TABLES_END = 0x1_4000;
const plain = (_key: string, value: unknown): unknown =>
  typeof value === "bigint"
    ? value.toString(16)
    : value instanceof Uint8Array
      ? Buffer.from(value).toString("hex")
      : value;
/** Equal but for some fields. */
function equalBut({ reference, tested }: Found, ...but: (keyof CoreState)[]): boolean {
  const rest = ({ state, ...end }: End): string =>
    JSON.stringify({ ...end, ...state, ...Object.fromEntries(but.map((name) => [name, 0])) }, plain);
  return rest(reference) === rest(tested);
}
const isString = (insn: Instruction | undefined, ...names: string[]): boolean =>
  insn !== undefined && names.includes(insn.name);

const table: readonly Known[] = [
  {
    reason: "the page that a block runs into or branches to is looked up early",
    fits: (found) => equalBut(found, "tlb") && lookedUpEarly(found) && found.memory.every(isAccessedBit),
  },
  {
    reason: "flags that the architecture leaves undefined",
    fits: (found) =>
      equalBut(found, "rflags", "tlb") &&
      lookedUpEarly(found) &&
      found.insn?.row !== undefined &&
      found.memory.every((address) => isAccessedBit(address) || inPushedFlags(found, address)) &&
      (Number(found.reference.state.rflags ^ found.tested.state.rflags) & ~undefinedFlags(found.insn)) === 0,
  },
  {
    reason: "CALL to an address that is not canonical: the return address stands below RSP",
    fits: (found) =>
      isString(found.insn, "CALL") && isVector(found.tested, 13) && equalBut(found) && isBelowStack(found),
  },
];

/** The reference's TLB has all entries of the other one. */
function lookedUpEarly({ reference, tested }: Found): boolean {
  const key = ({ virtual, dirty }: CoreState["tlb"][number]): string => `${virtual} ${dirty}`;
  const known = new Set(reference.state.tlb.map(key));
  return tested.state.tlb.every((entry) => known.has(key(entry)));
}
/** The low byte of an entry of the page tables. */
const isAccessedBit = (address: number): boolean => address >= TABLES && address < TABLES_END && address % 8 === 0;
/** A single-step trap after the instruction has pushed its flags. */
function inPushedFlags({ before, tested }: Found, address: number): boolean {
  const pushed = Number(tested.state.gpr.rsp) + 16;
  const trapped = (before.rflags & 0x100n) !== 0n && isVector(tested, 1);
  return trapped && (address === pushed || address === pushed + 1);
}
const isBelowStack = ({ before, memory }: Found): boolean =>
  memory.every((address) => address < before.gpr.rsp && address >= before.gpr.rsp - 8n);

function undefinedFlags({ row }: Instruction): number {
  if (row?.how === "doubleshift") return 0x800;
  if (row?.how === "bt" || row?.name.startsWith("BT")) return 0x8d4 & ~0x40;
  return row?.undefinedFlags ?? 0;
}

/** The end is at a handler, or behind its HLT. */
const isVector = ({ reason, state }: End, vector: number): boolean =>
  reason === "shutdown" || Math.floor((Number(state.rip) - HANDLERS) / 16) === vector;

/** Why this difference is one; undefined: it is not known. */
export function knownDifference(found: Found): string | undefined {
  return table.find((row) => row.fits(found))?.reason;
}
