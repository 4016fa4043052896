/**
 * Random bytes as code, in ring 0 and ring 3, on two engines: the same budgets, the same state at every stop, the same
 * RAM and the same device accesses at the end; then once more in one run on the engine under test. Code may do what it
 * likes: it reaches its own pages, the page tables, the descriptor tables and, through them, anything a core can do.
 *
 * Where the engines differ, both are run again an instruction at a time, and the instruction that makes the difference
 * is looked up in `knownDifferences` (known.ts).
 */
import { type Core, type CoreState, type CreateEngine, type Engine, gprNames } from "../../../emulator/cpu/engine.ts";
import { decode, Instruction } from "../../../emulator/cpu/native/decode.ts";
import { Prng } from "../../../emulator/machine/prng.ts";
import { RecordingBus } from "../bus.ts";
import { descriptor } from "../plain-cpu.ts";
import { randomInstruction } from "./generator.ts";
import { type Found, knownDifference } from "./known.ts";

const RAM_BYTES = 256 << 10;
const PAGE = 4096;
const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x3000;
/** A handler for every vector, 16 bytes apart: HLT. */
export const HANDLERS = 0x4000;
const KERNEL_STACK = 0x9000;
const TABLES = 0x1_0000;
const CODE = 0x2_0000;
const DATA = 0x2_4000;
const DATA_PAGES = 4;
const READ_ONLY = 0x2_8000;
const HLT = 0xf4;
/** Instructions of a start, at most. */
const LONGEST = 120;

const Page = { PRESENT: 1, WRITABLE: 2, USER: 4 } as const;

export interface StartsResult {
  readonly starts: number;
  readonly instructions: number;
  readonly stops: number;
  /** Known differences met, by reason. */
  readonly known: ReadonlyMap<string, number>;
  readonly differences: readonly string[];
}

interface Ran {
  readonly reason: string;
  readonly retired: number;
}

class Subject {
  readonly bus = new RecordingBus();
  readonly engine: Engine;
  readonly core: Core;
  constructor(create: CreateEngine) {
    this.engine = create({ ramBytes: RAM_BYTES, cores: 1, bus: this.bus });
    this.core = this.engine.cores[0];
  }
  reset(image: Uint8Array, state: CoreState): void {
    this.bus.log.length = 0;
    this.bus.output = "";
    this.bus.taskPriority = 0;
    this.engine.ram.set(image);
    this.engine.invalidateCode(0, RAM_BYTES);
    this.core.restore(state);
  }
  run(budget: number): Ran {
    try {
      const { reason, retired } = this.core.run(budget);
      return { reason, retired };
    } catch (error) {
      // Modes that are refused by name.
      return { reason: `thrown: ${error instanceof Error ? error.message : String(error)}`, retired: 0 };
    }
  }
  summary(): string {
    const { core } = this;
    return `${core.time} ${core.rip.toString(16)} ${core.register("rflags").toString(16)} ${gprNames.map((name) => core.register(name).toString(16)).join(" ")}`;
  }
  whole(): string {
    return JSON.stringify({ ...this.core.save(), log: this.bus.log }, (_key, value: unknown) =>
      typeof value === "bigint"
        ? value.toString(16)
        : value instanceof Uint8Array
          ? Buffer.from(value).toString("hex")
          : value,
    );
  }
}

/** The least system: tables, handlers, pages. */
function systemImage(): Uint8Array {
  const ram = new Uint8Array(RAM_BYTES);
  const view = new DataView(ram.buffer);
  const quad = (at: number, value: bigint): void => view.setBigUint64(at, BigInt.asUintN(64, value), true);
  [
    0n,
    descriptor(0xa09b),
    descriptor(0xc093),
    descriptor(0xc0fb),
    descriptor(0xc0f3),
    descriptor(0xa0fb),
    descriptor(0x008b, TSS, 0x67),
  ].forEach((value, index) => {
    quad(GDT + 8 * index, value);
  });
  quad(TSS + 4, BigInt(KERNEL_STACK));
  view.setUint16(TSS + 102, 0x68, true); // no permission map
  for (let vector = 0; vector < 256; vector++) {
    const handler = HANDLERS + 16 * (vector & 31);
    view.setUint32(IDT + 16 * vector, (8 << 16) | handler, true);
    view.setUint32(IDT + 16 * vector + 4, 0x8e00 | (vector === 3 || vector === 0x80 ? 0x60 << 8 : 0), true);
    ram[handler] = HLT;
  }
  [1, 2, 3].forEach((level) => {
    view.setUint32(TABLES + (level - 1) * PAGE, (TABLES + level * PAGE) | 7, true);
  });
  return ram;
}

function mapPages(ram: Uint8Array, userCode: boolean): void {
  const view = new DataView(ram.buffer);
  for (let page = 0; page < RAM_BYTES / PAGE; page++) {
    const address = page * PAGE;
    const isCode = address >= CODE && address < CODE + 2 * PAGE;
    const isData = address >= DATA && address < DATA + DATA_PAGES * PAGE;
    const bits = isCode
      ? Page.PRESENT | Page.WRITABLE | (userCode ? Page.USER : 0)
      : isData
        ? Page.PRESENT | Page.WRITABLE | Page.USER
        : address === READ_ONLY
          ? Page.PRESENT | Page.USER
          : address < 0x2_0000
            ? Page.PRESENT | Page.WRITABLE
            : 0;
    view.setUint32(TABLES + 3 * PAGE + page * 8, address | bits, true);
  }
}

interface Start {
  readonly image: Uint8Array;
  readonly state: CoreState;
  readonly budgets: readonly number[];
  readonly ring: 0 | 3;
}

function makeStart(prng: Prng, system: Uint8Array, template: CoreState): Start {
  const below = (n: number): number => prng.below(n);
  const ring = below(2) === 0 ? 0 : 3;
  const image = system.slice();
  mapPages(image, ring === 3);
  for (let at = DATA; at < DATA + DATA_PAGES * PAGE; at++) image[at] = below(256);
  const offset = below(8) === 0 ? PAGE - 40 : below(64);
  const code: number[] = [];
  const kind = below(4);
  while (code.length < 200) {
    if (kind === 0 || (kind === 1 && below(3) === 0)) for (let i = 0; i < 4; i++) code.push(below(256));
    else code.push(...randomInstruction(below, () => true, false).bytes);
  }
  image.set(code, CODE + offset);
  const u64 = (): bigint => (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32));
  const gpr = Object.fromEntries(
    gprNames.map((name) => [
      name,
      [BigInt(below(40)), u64(), BigInt(DATA + 0x800 + below(0x2800)), BigInt(CODE + below(0x1000))][
        Math.min(below(6), 3)
      ] ?? 0n,
    ]),
  ) as CoreState["gpr"];
  for (const name of gprNames) if (below(2)) gpr[name] = BigInt(DATA + 0x800 + below(0x2800));
  gpr.rsp = BigInt(DATA + 0x2000 + 8 * below(0x100));
  if (below(3) === 0) gpr.rcx = BigInt(below(30));
  const fx = template.fx.slice();
  for (let at = 160; at < 416; at++) fx[at] = below(256);
  for (let register = 0; register < 16; register += 2)
    for (let word = 3; word < 16; word += 4) fx[160 + register * 16 + word] = 0x3f + below(2) * 0x80;
  fx[4] = 0xff;
  for (let register = 0; register < 8; register++) {
    const at = 32 + register * 16;
    for (let byte = 0; byte < 8; byte++) fx[at + byte] = below(256);
    fx[at + 7] |= 0x80;
    fx[at + 8] = 0xf8 + below(8);
    fx[at + 9] = 0x3f | (below(2) << 7);
  }
  const status = [1, 4, 0x10, 0x40, 0x80, 0x800].reduce((bits, flag) => bits | (below(2) ? flag : 0), 2);
  const seldom = (flag: number, oneIn: number): number => (below(oneIn) === 0 ? flag : 0);
  const rflags =
    status | seldom(0x400, 8) | seldom(0x4_0000, 8) | seldom(0x100, 40) | seldom(0x3000, 6) | seldom(0x200, 2);
  const segment = (selector: number, flags: number) => ({ selector, base: 0n, limit: 0xffff_ffff, flags });
  const data = ring === 3 ? segment(0x23, 0xcf_f300) : segment(0x10, 0xcf_9300);
  const state: CoreState = {
    ...template,
    gpr,
    rip: BigInt(CODE + offset),
    rflags: BigInt(rflags),
    segments: {
      ...template.segments,
      cs: ring === 3 ? segment(0x2b, 0xaf_fb00) : segment(8, 0xaf_9b00),
      ss: data,
      ds: data,
      es: data,
      fs: { ...data, base: BigInt(DATA + below(64)) },
      gs: { ...data, base: BigInt(DATA + below(64)) },
      ldtr: { selector: 0, base: 0n, limit: 0, flags: 0 },
      tr: { selector: 0x30, base: BigInt(TSS), limit: 0x67, flags: 0x8b00 },
    },
    gdtr: { base: BigInt(GDT), limit: 0x37 },
    idtr: { base: BigInt(IDT), limit: 0xfff },
    // PE MP ET NE PG, and WP and AM
    cr0: BigInt(0x8000_0033 + seldom(0x1_0000, 2) + seldom(0x4_0000, 3)),
    cr3: BigInt(TABLES),
    // PAE OSFXSR OSXMMEXCPT, and PGE UMIP FSGSBASE SMEP SMAP
    cr4: BigInt(
      0x620 | seldom(0x80, 2) | seldom(0x800, 4) | seldom(0x1_0000, 3) | seldom(0x10_0000, 4) | seldom(0x20_0000, 4),
    ),
    efer: 0xd01n,
    lstar: BigInt(HANDLERS),
    star: 0x0018_0008_0000_0000n,
    kernelGsBase: BigInt(DATA),
    fx,
    time: 0,
    halted: false,
    waitingForStartup: false,
  };
  const budgets: number[] = [];
  for (let left = LONGEST; left > 0; ) {
    const piece = Math.min(left, 1 + below(below(3) === 0 ? LONGEST : 9));
    budgets.push(piece);
    left -= piece;
  }
  return { image, state, budgets, ring };
}

const EARLY = "the exception of the next instruction is delivered in the run that ends before it";
/** The reference stands at a handler already. Both go on by one instruction. */
function delivered(one: Subject, a: Ran, other: Subject, b: Ran): boolean {
  const atHandler = (subject: Subject): boolean => {
    const at = Number(subject.core.rip) - HANDLERS;
    return at >= 0 && at < 32 * 16 && at % 16 === 0;
  };
  // Or it has begun the handler, or stands at the end: that is one instruction too many.
  if (a.retired > b.retired) {
    other.run(a.retired - b.retired);
    return true;
  }
  if (a.retired !== b.retired || b.reason !== "budget") return false;
  if (a.reason === "shutdown") {
    other.run(1);
    return true;
  }
  if (!atHandler(one) || atHandler(other)) return false;
  one.run(1);
  other.run(1);
  return true;
}

const ends = (reason: string): boolean => reason !== "budget";

export interface StartsOptions {
  readonly reference: CreateEngine;
  readonly tested: CreateEngine;
  readonly starts: number;
  readonly seed: number;
  /** Stop after so many kinds of differences. */
  readonly most?: number;
}

/** Start `first` of the seed, and so many from there on. */
export function runStarts({ reference, tested, starts, seed, most = 20 }: StartsOptions): StartsResult {
  const one = new Subject(reference);
  const other = new Subject(tested);
  const system = systemImage();
  const template = one.core.save();
  const known = new Map<string, number>();
  /** One of a kind. */
  const differences: string[] = [];
  const kinds = new Set<string>();
  let instructions = 0;
  let stops = 0;
  let done = 0;
  for (; done < starts && differences.length < most; done++) {
    const start = makeStart(new Prng(seed, done), system, template);
    const { image, state, budgets } = start;
    one.reset(image, state);
    other.reset(image, state);
    let differs: string | undefined;
    let caughtUp = false;
    for (const budget of budgets) {
      const a = one.run(budget);
      const b = other.run(budget);
      stops++;
      instructions += b.retired;
      const [sa, sb] = [`${a.reason} ${a.retired} ${one.summary()}`, `${b.reason} ${b.retired} ${other.summary()}`];
      if (sa !== sb && delivered(one, a, other, b)) {
        caughtUp = true;
        known.set(EARLY, (known.get(EARLY) ?? 0) + 1);
        break;
      }
      if (sa !== sb) {
        differs = firstDifference(sa, sb);
        break;
      }
      if (ends(a.reason)) break;
    }
    const end = other.whole();
    if (differs === undefined) {
      const reference = one.whole();
      if (reference !== end) differs = firstDifference(reference, end);
      else if (Buffer.compare(one.engine.ram, other.engine.ram) !== 0) differs = "RAM";
    }
    if (differs !== undefined) {
      const found = blame(one, other, start);
      const reason = knownDifference(found);
      if (reason !== undefined) known.set(reason, (known.get(reason) ?? 0) + 1);
      else if (!kinds.has(kindOf(found))) {
        kinds.add(kindOf(found));
        differences.push(`start ${done} of seed ${seed}, ring ${start.ring}: ${describe(found)}; ${differs}`);
      }
      continue;
    }
    if (caughtUp) continue;
    // In steps, where the reference is the same engine.
    if (one.engine.name === other.engine.name) {
      one.reset(image, state);
      const { halted, shutdown } = other.core.save();
      for (let step = 0; step < LONGEST * 2; step++) {
        if (one.core.time >= other.core.time && !halted && !shutdown) break;
        if (ends(one.run(1).reason)) break;
      }
      if (one.whole() !== end)
        differences.push(`start ${done} of seed ${seed} in steps: ${firstDifference(end, one.whole())}`);
    }
    // In one run: the same end.
    const time = other.core.time;
    const ram = other.engine.ram.slice();
    other.reset(image, state);
    const { reason } = other.run(LONGEST);
    const again = other.whole();
    if (again !== end)
      differences.push(`start ${done} of seed ${seed} in one run (${reason}, ${time}): ${firstDifference(end, again)}`);
    else if (Buffer.compare(ram, other.engine.ram) !== 0)
      differences.push(`start ${done} of seed ${seed} in one run: RAM`);
  }
  one.engine.close();
  other.engine.close();
  return { starts: done, instructions, stops, known, differences };
}

/** One start, an instruction at a time on both, as lines. */
export function replay(reference: CreateEngine, tested: CreateEngine, seed: number, index: number): string[] {
  const one = new Subject(reference);
  const other = new Subject(tested);
  const { image, state, budgets, ring } = makeStart(new Prng(seed, index), systemImage(), one.core.save());
  one.reset(image, state);
  other.reset(image, state);
  const lines = [`start ${index} of seed ${seed}, ring ${ring}, budgets ${budgets.join(" ")}`];
  for (let step = 0; step < LONGEST; step++) {
    const bytes = codeAt(other, other.core.rip);
    const insn = decode(bytes, 0, bytes.length, 64);
    const name = insn instanceof Instruction ? `${insn.name || "#UD"} ${insn.length}` : "";
    const a = one.run(1);
    const b = other.run(1);
    lines.push(`${name} ${Buffer.from(bytes).toString("hex")}`);
    lines.push(`  ${a.reason} ${a.retired} ${one.summary()}`);
    if (`${a.reason} ${a.retired} ${one.summary()}` !== `${b.reason} ${b.retired} ${other.summary()}`)
      lines.push(`  ${b.reason} ${b.retired} ${other.summary()}`);
    const [wa, wb] = [one.whole(), other.whole()];
    if (wa !== wb) lines.push(`  state: ${firstDifference(wa, wb)}`);
    for (let at = 0; at < RAM_BYTES; at++)
      if (one.engine.ram[at] !== other.engine.ram[at]) {
        lines.push(
          `  RAM 0x${at.toString(16)}: ${Buffer.from(one.engine.ram.subarray(at, at + 8)).toString("hex")} ${Buffer.from(other.engine.ram.subarray(at, at + 8)).toString("hex")}`,
        );
        at += 7;
      }
    if (ends(a.reason) && ends(b.reason)) break;
  }
  one.engine.close();
  other.engine.close();
  return lines;
}

/** Both an instruction at a time, until they differ. */
function blame(one: Subject, other: Subject, { image, state }: Start): Found {
  one.reset(image, state);
  other.reset(image, state);
  for (let step = 0; step < LONGEST; step++) {
    let before = other.core.save();
    let bytes = codeAt(other, before.rip);
    const a = one.run(1);
    let b = other.run(1);
    if (`${a.retired} ${one.summary()}` !== `${b.retired} ${other.summary()}`) {
      // The next instruction's exception has been delivered already: it is the one to blame.
      const next = other.core.save();
      const nextBytes = codeAt(other, next.rip);
      if (delivered(one, a, other, b)) {
        before = next;
        bytes = nextBytes;
        b = { ...b, retired: a.retired, reason: a.reason };
      }
    }
    const decoded = decode(bytes, 0, bytes.length, 64);
    const insn = decoded instanceof Instruction ? decoded : undefined;
    const found = {
      insn,
      bytes,
      before,
      reference: { ...a, state: one.core.save() },
      tested: { ...b, state: other.core.save() },
      memory: differingBytes(one.engine.ram, other.engine.ram),
    };
    if (one.whole() !== other.whole() || a.reason !== b.reason || a.retired !== b.retired || found.memory.length > 0)
      return found;
    if (ends(a.reason)) break;
  }
  const state0 = other.core.save();
  const nothing = { reason: "none", retired: 0, state: state0 };
  return {
    insn: undefined,
    bytes: new Uint8Array(0),
    before: state0,
    reference: nothing,
    tested: nothing,
    memory: [],
  };
}

/** The addresses of the first bytes that differ. */
function differingBytes(one: Uint8Array, other: Uint8Array): number[] {
  const list: number[] = [];
  if (Buffer.compare(one, other) !== 0)
    for (let at = 0; at < one.length && list.length < 16; at++) if (one[at] !== other[at]) list.push(at);
  return list;
}

const kindOf = ({ insn, bytes, reference, tested }: Found): string =>
  `${insn?.name ?? "none"} ${insn?.row === undefined ? Buffer.from(bytes.subarray(0, 3)).toString("hex") : ""} ${reference.reason} ${tested.reason}`;

function codeAt(subject: Subject, rip: bigint): Uint8Array {
  const bytes = new Uint8Array(15);
  for (let index = 0; index < bytes.length; index++) {
    const physical = subject.core.translate(rip + BigInt(index));
    if (physical === undefined || physical >= RAM_BYTES) return bytes.slice(0, index);
    bytes[index] = subject.engine.ram[physical];
  }
  return bytes;
}

const plain = (_key: string, value: unknown): unknown =>
  typeof value === "bigint"
    ? value.toString(16)
    : value instanceof Uint8Array
      ? Buffer.from(value).toString("hex")
      : value;

function describe({ insn, bytes, before, reference, tested, memory }: Found): string {
  const name = insn === undefined ? "not decoded" : `${insn.name || "#UD"} ${insn.row?.how ?? ""}`;
  const [a, b] = [reference, tested].map(({ state, ...rest }) => JSON.stringify({ ...rest, ...state }, plain));
  return `${name} ${Buffer.from(bytes.subarray(0, insn?.length ?? bytes.length)).toString("hex")}: ${firstDifference(a, b)}${memory.length === 0 ? "" : "; memory"} before rip ${before.rip.toString(16)} rflags ${before.rflags.toString(16)} ${gprNames.map((g) => `${g}=${before.gpr[g].toString(16)}`).join(" ")}`;
}

function firstDifference(a: string, b: string): string {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const from = Math.max(0, at - 60);
  return `…${a.slice(from, at + 60)}… / …${b.slice(from, at + 60)}…`;
}
