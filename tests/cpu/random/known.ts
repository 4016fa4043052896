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
  readonly sameMemory: boolean;
}

interface Known {
  readonly reason: string;
  fits(found: Found): boolean;
}

const HANDLERS = 0x4000;
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
    reason: "MMX instructions set the exponents of the registers that they write; Unicorn leaves them",
    fits: (found) =>
      equalBut(found, "fx") &&
      found.tested.state.fx.every(
        (byte, at) =>
          byte === found.reference.state.fx[at] || (at >= 32 && at < 160 && (at & 15) >= 8 && byte === 0xff),
      ),
  },
  {
    reason: "INS: Unicorn looks up and stores before it checks the port",
    fits: ({ insn }) => isString(insn, "INS", "OUTS"),
  },
  {
    reason: "the page that a block runs into or branches to is looked up early",
    fits: (found) => {
      const { reference, tested } = found;
      const key = ({ virtual, dirty }: CoreState["tlb"][number]): string => `${virtual} ${dirty}`;
      const known = new Set(reference.state.tlb.map(key));
      return equalBut(found, "tlb") && tested.state.tlb.every((entry) => known.has(key(entry)));
    },
  },
  {
    reason: "EMMS sets the top of the stack to 0 (SDM vol. 3, table 12-1); Unicorn leaves it",
    fits: (found) => isString(found.insn, "EMMS") && equalBut(found, "fx"),
  },
  {
    reason: "ENTER: Unicorn does not look at the end of the frame",
    fits: ({ insn }) => isString(insn, "ENTER"),
  },
  {
    reason: "two mandatory prefixes: F2 and F3 count before 66; not in Unicorn",
    fits: ({ insn }) => insn?.row !== undefined && insn.row.unit !== "" && insn.hasOperandPrefix && insn.repeat !== 0,
  },
  {
    reason: "F6 /1 and F7 /1 are TEST (undocumented, on all processors); Unicorn raises #UD",
    fits: ({ insn, reference }) =>
      isString(insn, "TEST") && insn?.extension === 1 && (insn.opcode & ~1) === 0xf6 && isVector(reference, 6),
  },
  {
    reason: "a count of RET is not signed (SDM vol. 2); in Unicorn it is",
    fits: ({ insn }) => isString(insn, "RET") && insn?.row?.immediate !== undefined && insn.immediate < 0,
  },
  {
    reason: "comparisons by a predicate with reserved bits execute on processors; Unicorn raises #UD",
    fits: ({ insn, reference }) => insn?.opcode === 0x1c2 && (insn.immediate & ~7) !== 0 && isVector(reference, 6),
  },
  {
    reason: "hints with a register operand are NOPs; Unicorn raises #UD",
    fits: ({ insn, reference }) => insn?.row?.how === "nop" && !insn.hasMemory && isVector(reference, 6),
  },
  {
    reason: "C6 and C7 /1 to /7 are #UD (SDM vol. 2, appendix A); Unicorn takes them for MOV",
    fits: ({ insn, bytes }) => insn?.row === undefined && (opcodeOf(bytes) & ~1) === 0xc6,
  },
  {
    reason: "flags that the architecture leaves undefined",
    fits: (found) =>
      equalBut(found, "rflags") &&
      found.insn?.row !== undefined &&
      found.sameMemory &&
      (Number(found.reference.state.rflags ^ found.tested.state.rflags) & ~undefinedFlags(found.insn)) === 0,
  },
  {
    reason: "two segment prefixes: only 64 and 65 count in 64-bit mode; in Unicorn the last one does",
    fits: ({ insn, bytes }) =>
      insn !== undefined &&
      insn.segment >= 4 &&
      bytes.subarray(0, insn.opcodeAt).some((byte) => (byte & 0xe7) === 0x26),
  },
  {
    reason: "FCW bit 6 is always set; Unicorn keeps what was loaded",
    fits: (found) => /^(FRSTOR|FLDENV|FLDCW|FXRSTOR)$/.test(found.insn?.name ?? "") && equalBut(found, "fx"),
  },
  {
    reason: "CALL to an address that is not canonical: the return address stands below RSP",
    fits: (found) => isString(found.insn, "CALL") && isVector(found.tested, 13) && equalBut(found),
  },
  {
    reason: "RFLAGS.VM cannot be set in long mode (SDM vol. 3, 2.3); Unicorn's SYSRET and IRET take it",
    fits: ({ reference, insn }) => (reference.state.rflags & 0x2_0000n) !== 0n || isString(insn, "IRET"),
  },
  {
    reason: "single-step traps after an instruction that has faulted",
    fits: ({ before }) => (before.rflags & 0x100n) !== 0n,
  },
  {
    reason: "LFS, LGS and LSS take 32 bits of offset with REX.W on AMD",
    fits: ({ insn }) => insn?.row?.how === "loadfar" && (insn.rex & 8) !== 0,
  },
  {
    reason: "#AC and an address that is not canonical: processors raise #GP",
    fits: ({ before, tested, reference }) =>
      (before.rflags & 0x4_0000n) !== 0n && isVector(reference, 17) && (isVector(tested, 12) || isVector(tested, 13)),
  },
  {
    reason: "C6 and C7 with REX.R are MOV; Unicorn raises #UD",
    fits: ({ insn, reference }) => (insn?.opcode === 0xc6 || insn?.opcode === 0xc7) && isVector(reference, 6),
  },
  {
    reason: "#SS for an address by RBP or RSP that is not canonical, aligned or not",
    fits: ({ tested, reference }) => isVector(reference, 13) && isVector(tested, 12),
  },
  {
    reason: "F2 and F3 make these opcodes #UD; Unicorn ignores them",
    fits: ({ insn, bytes, tested }) => insn?.row === undefined && opcodeOf(bytes) > 0x100 && isVector(tested, 6),
  },
  {
    reason: "RUN(1) retires two instructions where the fetch of the second faults",
    fits: ({ reference }) => reference.retired > 1,
  },
  {
    reason: "a store to the block that runs: Unicorn, by one instruction at a time, does not get past it",
    fits: ({ before, reference, tested }) =>
      reference.retired === 1 && reference.state.rip === before.rip && tested.state.rip !== before.rip,
  },
  {
    reason:
      "segment loads, LAR, LSL, VERR and VERW: Unicorn lets ring 3 read the operand from a page of the supervisor",
    fits: ({ before, insn, tested }) =>
      before.segments.cs.flags >> 13 === 0xaf_fb00 >> 13 &&
      /^(loadfar|movtoseg|popseg|system|far)$/.test(insn?.row?.how ?? "") &&
      isVector(tested, 14),
  },
  {
    reason: "FF /7 is #UD; Unicorn reads its operand first",
    fits: ({ insn, bytes }) => insn?.row === undefined && opcodeOf(bytes) >= 0xfe && opcodeOf(bytes) <= 0xff,
  },
  {
    reason: "CVTPI2PS from memory leaves the x87 state alone on AMD's processors",
    fits: (found) => found.insn?.opcode === 0x12a && found.insn.hasMemory && equalBut(found, "fx"),
  },
  {
    reason: "a single step of SYSRET sets DR6.B0 to B3 in Unicorn",
    fits: (found) => isString(found.insn, "SYSRET") && equalBut(found, "debug"),
  },
  {
    reason: "8F /1 to /7 are #UD (SDM vol. 2, appendix A: XOP); Unicorn takes them for POP",
    fits: ({ insn, bytes }) => insn?.row === undefined && opcodeOf(bytes) === 0x8f,
  },
  {
    reason: "INT3 and INT behind a prefix: Unicorn's RIP is wrong after a triple fault or in an error's frame",
    fits: ({ insn, bytes }) => isString(insn, "INT3", "INT") && bytes[0] !== 0xcc && bytes[0] !== 0xcd,
  },
];

function undefinedFlags({ row }: Instruction): number {
  if (row?.how === "doubleshift") return 0x800;
  if (row?.how === "bt" || row?.name.startsWith("BT")) return 0x8d4 & ~0x40;
  return row?.undefinedFlags ?? 0;
}

/** The end is at a handler, or behind its HLT. */
const isVector = ({ reason, state }: End, vector: number): boolean =>
  reason === "shutdown" || Math.floor((Number(state.rip) - HANDLERS) / 16) === vector;

/** The first opcode byte, behind the prefixes. */
function opcodeOf(bytes: Uint8Array): number {
  const prefixes = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
  const at = bytes.findIndex((byte) => !prefixes.includes(byte) && (byte & 0xf0) !== 0x40);
  return bytes[at] === 0x0f ? 0x100 | bytes[at + 1] : bytes[at];
}

/** Why this difference is one; undefined: it is not known. */
export function knownDifference(found: Found): string | undefined {
  return table.find((row) => row.fits(found))?.reason;
}
