/**
 * Compares the native engine with another one: the same random program on both, one instruction at a time, then on the
 * native engine in a single run. Undefined flags are not compared; they are copied, so that they cannot spread.
 */
import type { Core, CoreState, CreateEngine } from "../../../emulator/cpu/engine.ts";
import { type Row, STATUS_FLAGS } from "../../../emulator/cpu/native/table.ts";
import { Guest, seeded, USER, USER_DATA_PAGE } from "../guest.ts";
import { type Generated, randomInstruction } from "./generator.ts";

const HANDLERS = 0x10_8000;
const GPRS = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];
const DATA_BYTES = 0x8000;

export interface Difference {
  readonly seed: number;
  readonly text: string;
}
export interface Campaign {
  readonly programs: number;
  readonly instructions: number;
  readonly faults: number;
  readonly differences: readonly Difference[];
}

export interface CampaignOptions {
  readonly reference: CreateEngine;
  readonly native: CreateEngine;
  readonly programs: number;
  readonly seed: number;
  readonly accept?: (row: Row) => boolean;
  /** Instructions of a program. */
  readonly length?: number;
  /** Stop after so many differences. */
  readonly most?: number;
}

/** A node whose exception handlers halt. */
function prepare(create: CreateEngine): Guest {
  const guest = new Guest({ create });
  for (let vector = 0; vector < 20; vector++) {
    guest.code(HANDLERS + vector * 16, "hlt");
    guest.gate(vector, HANDLERS + vector * 16);
  }
  return guest;
}

export function campaign(options: CampaignOptions): Campaign {
  const { reference, native, programs, seed, accept = () => true, most = 20, length = 8 } = options;
  const one = prepare(reference);
  const other = prepare(native);
  const differences: Difference[] = [];
  let instructions = 0;
  let faults = 0;
  for (let index = 0; index < programs && differences.length < most; index++) {
    const own = (seed * 1_000_003 + index) | 0;
    const result = program(one, other, own, accept, length);
    instructions += result.retired;
    faults += result.faulted ? 1 : 0;
    if (result.text !== undefined) differences.push({ seed: own, text: result.text });
  }
  one.close();
  other.close();
  return { programs, instructions, faults, differences };
}

function startState(guest: Guest, random: (below: number) => number): CoreState {
  guest.start(guest.core, USER, { user: true, rflags: 0x2n });
  const state = guest.core.save();
  const gpr: Record<string, bigint> = {};
  GPRS.forEach((name) => {
    const kind = random(4);
    const wild = (BigInt(random(2 ** 31)) << 33n) ^ BigInt(random(2 ** 31)) ^ (BigInt(random(4)) << 62n);
    gpr[name] = kind === 0 ? BigInt(random(40)) : kind === 1 ? wild : BigInt(USER_DATA_PAGE + 0x1000 + random(0x5000));
  });
  gpr["rsp"] = BigInt(USER_DATA_PAGE + 0x4000 + 8 * random(0x100));
  const fx = state.fx.slice();
  for (let at = 160; at < 416; at++) fx[at] = random(256);
  // Half of the XMM registers hold floating-point numbers of usual size.
  for (let register = 0; register < 16; register += 2)
    for (let word = 3; word < 16; word += 4) fx[160 + register * 16 + word] = 0x3f + random(2) * 0x80;
  // A full x87 stack of normal numbers: Unicorn does not model empty registers.
  fx[4] = 0xff;
  for (let register = 0; register < 8; register++) {
    const at = 32 + register * 16;
    for (let byte = 0; byte < 8; byte++) fx[at + byte] = random(256);
    fx[at + 7] |= 0x80;
    fx[at + 8] = 0xf8 + random(8);
    fx[at + 9] = 0x3f | (random(2) << 7);
  }
  const status = [0x1, 0x4, 0x10, 0x40, 0x80, 0x800].reduce((flags, flag) => flags | (random(2) ? flag : 0), 0x202);
  return {
    ...state,
    gpr: gpr as CoreState["gpr"],
    rflags: BigInt(status | (random(8) === 0 ? 0x400 : 0)),
    fx,
    time: 0,
  };
}

const hex = (value: bigint): string => value.toString(16);

function program(
  one: Guest,
  other: Guest,
  seed: number,
  accept: (row: Row) => boolean,
  length: number,
): { retired: number; faulted: boolean; text: string | undefined } {
  const random = seeded(Math.imul(seed, 0x9e37_79b1) ^ 0x5bd1_e995);
  for (let warm = 0; warm < 4; warm++) random(2);
  const list: Generated[] = Array.from({ length }, () => randomInstruction(random, accept));
  const code = Buffer.concat([...list.map(({ bytes }) => bytes), Uint8Array.of(0xf4)]); // hlt: #GP for a program
  const start = startState(one, random);
  const data = new Uint8Array(DATA_BYTES);
  for (let at = 0; at < data.length; at++) data[at] = random(256);
  const reset = (guest: Guest): Core => {
    guest.engine.ram.fill(0x90, USER, USER + 0x1000);
    guest.engine.ram.set(code, USER);
    guest.engine.ram.set(data, USER_DATA_PAGE);
    guest.engine.invalidateCode(USER, 0x1000);
    guest.engine.invalidateCode(USER_DATA_PAGE, DATA_BYTES);
    guest.core.restore(start);
    return guest.core;
  };
  const a = reset(one);
  const b = reset(other);
  const text = (what: string, insn: Generated | undefined): string =>
    `${what} after ${insn ? `${insn.insn.name} ${Buffer.from(insn.bytes).toString("hex")}` : "?"}`;
  let retired = 0;
  for (let step = 0; step < length * 4; step++) {
    const rip = Number(a.rip);
    let offset = USER;
    const insn = list.find(({ bytes }) => {
      const here = offset === rip;
      offset += bytes.length;
      return here;
    });
    const before = b.save();
    const ra = a.run(1);
    const rb = b.run(1);
    retired += rb.retired;
    const where = `: ${JSON.stringify(ra)} ${JSON.stringify(rb)} before ${hex(before.rflags)} ${GPRS.map((name) => `${name}=${hex(before.gpr[name as "rax"])}`).join(" ")}`;
    if (ra.retired !== rb.retired)
      return { retired, faulted: false, text: text(`retired ${ra.retired} ${rb.retired}`, insn) + where };
    if (a.rip !== b.rip && knownDifference(a, b, insn)) return { retired, faulted: true, text: undefined };
    if (a.rip !== b.rip)
      return { retired, faulted: false, text: text(`rip ${hex(a.rip)} ${hex(b.rip)}`, insn) + where };
    for (const name of GPRS)
      if (a.register(name) !== b.register(name))
        return {
          retired,
          faulted: false,
          text: text(`${name} ${hex(a.register(name))} ${hex(b.register(name))}`, insn) + where,
        };
    // A fault comes before registers change, but Unicorn has already marked those of MMX as used.
    if (insn?.insn.row?.unit === "mmx" && a.cpl === 0) return { retired, faulted: true, text: undefined };
    const fx = insn?.insn.row?.unit ? compareFx(a.readFx(), b.readFx()) : undefined;
    if (fx !== undefined) return { retired, faulted: false, text: text(fx, insn) + where };
    const undefinedFlags = insn?.insn.row?.undefinedFlags ?? 0;
    const flagsA = Number(a.register("rflags"));
    const flagsB = Number(b.register("rflags"));
    const vague = mayDiffer(insn) | undefinedFlags;
    if ((flagsA ^ flagsB) & ~vague)
      return {
        retired,
        faulted: false,
        text: text(`flags ${flagsA.toString(16)} ${flagsB.toString(16)}`, insn) + where,
      };
    if (flagsA !== flagsB) a.setRegister("rflags", BigInt(flagsB));
    if (ra.reason === "halt" || rb.reason === "halt" || a.cpl === 0) break;
  }
  const fxA = a.readFx();
  const fxB = b.readFx();
  const difference = compareFx(fxA, fxB) ?? compareMemory(one, other);
  if (difference !== undefined) return { retired, faulted: false, text: `${difference}; ${describe(list)}` };
  // In a single run: the same end.
  const end = JSON.stringify(b.save(), plain);
  const memory = other.engine.ram.slice(USER_DATA_PAGE, USER_DATA_PAGE + DATA_BYTES);
  const time = b.time;
  const again = reset(other);
  again.run(time);
  if (again.time === time && (again.cpl === 3) === (a.cpl === 3)) {
    const now = JSON.stringify(again.save(), plain);
    if (now !== end)
      return { retired, faulted: false, text: `in one run: ${firstDifference(end, now)}; ${describe(list)}` };
    if (Buffer.compare(memory, other.engine.ram.subarray(USER_DATA_PAGE, USER_DATA_PAGE + DATA_BYTES)) !== 0)
      return { retired, faulted: false, text: `in one run: memory; ${describe(list)}` };
  }
  return { retired, faulted: a.cpl === 0, text: undefined };
}

/** The native engine follows the manual and Unicorn does not: #SS, and alignment of SSE operands. */
function knownDifference(a: Core, b: Core, insn: Generated | undefined): boolean {
  const vector = (core: Core): number => {
    const at = Number(core.rip) - HANDLERS;
    return at >= 0 && at < 20 * 16 ? at >> 4 : -1;
  };
  if (vector(b) === 12 && vector(a) === 13) return true;
  return vector(b) === 13 && insn?.insn.hasMemory === true && insn.insn.row?.rm?.size === "o";
}

/** Bits that a repeated string instruction or BT may leave differently: see README of the native engine. */
function mayDiffer(insn: Generated | undefined): number {
  const how = insn?.insn.row?.how ?? "";
  const name = insn?.insn.name ?? "";
  if (how === "doubleshift") return 0x800;
  if (how === "bt" || /^BT[SRC]?$/.test(name)) return STATUS_FLAGS & ~0x41;
  return 0;
}

const plain = (_key: string, value: unknown): unknown =>
  typeof value === "bigint" ? hex(value) : value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
const firstDifference = (a: string, b: string): string => {
  let at = 0;
  while (a[at] === b[at]) at++;
  return `${a.slice(Math.max(0, at - 40), at + 40)} / ${b.slice(Math.max(0, at - 40), at + 40)}`;
};
const describe = (list: readonly Generated[]): string =>
  list.map(({ insn, bytes }) => `${insn.name} ${Buffer.from(bytes).toString("hex")}`).join(", ");

/** Control words, tags, x87 and XMM registers; not the exception flags, which only one of the engines keeps. */
function compareFx(a: Uint8Array, b: Uint8Array): string | undefined {
  for (let at = 0; at < 416; at++) {
    // MMX sets the exponents, which Unicorn does not.
    if (at >= 32 && at < 160 && (at & 15) >= 8 && isMmx(b, at)) continue;
    if (at === 2 || at === 3 || (at >= 5 && at < 24) || at === 24) continue;
    if (a[at] !== b[at]) {
      const first = at - (at % 16);
      return `fx ${at}: ${Buffer.from(a.subarray(first, first + 16)).toString("hex")} ${Buffer.from(b.subarray(first, first + 16)).toString("hex")}`;
    }
  }
  return undefined;
}
const isMmx = (fx: Uint8Array, at: number): boolean => {
  const first = at - (at % 16);
  return fx[first + 8] === 0xff && fx[first + 9] === 0xff;
};
function compareMemory(one: Guest, other: Guest): string | undefined {
  for (let at = USER_DATA_PAGE; at < USER_DATA_PAGE + DATA_BYTES; at++)
    if (one.engine.ram[at] !== other.engine.ram[at])
      return `memory ${at.toString(16)}: ${one.engine.ram[at].toString(16)} ${other.engine.ram[at].toString(16)}`;
  return undefined;
}

const branches = new Set(["jcc", "jmp", "call", "ret", "loop", "jmpind", "callind"]);
/**
 * Transcendental and remainder instructions are less exact in Unicorn, which also has no empty x87 registers; its ENTER
 * does not check the end of the frame.
 */
const unequal = new Set(
  "FNSTSW FSIN FCOS FSINCOS FPTAN FPATAN F2XM1 FYL2X FYL2XP1 FPREM FPREM1 FBSTP FBLD FXTRACT FINCSTP FDECSTP FFREE FLD FILD FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ ENTER".split(
    " ",
  ),
);
/** Rows of the instruction table by unit. */
export const families: Readonly<Record<string, { accept: (row: Row) => boolean; length: number }>> = {
  integer: {
    accept: (row) => row.unit === "" && row.how !== "fxsave" && !branches.has(row.how) && !unequal.has(row.name),
    length: 8,
  },
  sse: { accept: (row) => row.unit === "sse" && row.how !== "reciprocal", length: 8 },
  mmx: { accept: (row) => row.unit === "mmx", length: 8 },
  // One at a time, because the next might find a register empty.
  x87: { accept: (row) => row.unit === "x87" && row.how !== "x87state" && !unequal.has(row.name), length: 1 },
};
