/**
 * Follows a function's instructions, as decoded by iced-x86, with symbols in place of numbers, and compares the result
 * with the call-frame information that readelf prints: at every instruction the CFA must be where the caller's stack
 * pointer was, each saved register must be where the row says, and each register without a rule must still hold what it
 * held at entry. It shares no code with toolchain/x64/unwind.ts.
 *
 * Assumption: stores through pointers that are not rsp, rbp or copies of them do not touch the frame.
 */
import {
  Decoder,
  DecoderOptions,
  FlowControl,
  type Instruction,
  InstructionInfoFactory,
  Mnemonic,
  OpAccess,
  OpKind,
  Register,
  RegisterExt,
} from "iced-x86";

// ---- rows, as readelf prints them

/** "u": unchanged or, for ra, none. "c-16": saved at CFA − 16. "r2 (rcx)": in that register. */
export interface PrintedRow {
  readonly address: bigint;
  /** "rsp+8" */
  readonly cfa: string;
  /** By readelf's names: rax … r15, ra, rflags. */
  readonly rules: ReadonlyMap<string, string>;
}
export interface PrintedEntry {
  readonly start: bigint;
  readonly end: bigint;
  readonly signal: boolean;
  readonly rows: readonly PrintedRow[];
}

/** From `readelf --debug-dump=frames-interp`. */
export function printedEntries(text: string): PrintedEntry[] {
  const entries: PrintedEntry[] = [];
  const commons = new Map<string, { readonly signal: boolean; readonly rows: readonly PrintedRow[] }>();
  for (const block of text.split(/\n\s*\n/)) {
    const lines = block.trim().split("\n");
    const at = lines.findIndex((line) => / (FDE|CIE) /.test(line));
    if (at < 0) continue;
    const columns = (lines[at + 1] ?? "").trim().split(/\s+/).slice(2);
    const rows = lines.slice(at + 2).map((line): PrintedRow => {
      const [address, cfa, ...rules] = line.match(/r\d+ \(\w+\)|\S+/g) ?? [];
      return { address: BigInt(`0x${address}`), cfa, rules: new Map(columns.map((name, i) => [name, rules[i]])) };
    });
    const cie = /^(\w+) \w+ \w+ CIE "(\w*)"/.exec(lines[at]);
    if (cie !== null) commons.set(cie[1], { signal: cie[2].includes("S"), rows });
    const fde = /FDE cie=(\w+) pc=(\w+)\.\.(\w+)/.exec(lines[at]);
    if (fde === null) continue;
    const common = commons.get(fde[1]);
    if (common === undefined) throw new Error(`no CIE ${fde[1]}`);
    // If nothing changes, readelf prints no rows.
    entries.push({
      start: BigInt(`0x${fde[2]}`),
      end: BigInt(`0x${fde[3]}`),
      signal: common.signal,
      rows: rows.length > 0 ? rows : common.rows,
    });
  }
  return entries;
}
/**
 * One entry per function. Functions that return from interrupts have several: ordinary ones, whose caller is a signal
 * frame at the iretq or sysretq (ra is then an expression), and one around each of these. A row of the first kind is
 * combined with the signal frame's rules and then describes the interrupted context. `marks`: by function, the
 * addresses in the expressions.
 */
export function composed(
  entries: readonly PrintedEntry[],
  functions: Iterable<bigint>,
  marks: ReadonlyMap<bigint, readonly bigint[]>,
): { entries: Map<bigint, PrintedEntry>; problems: string[] } {
  const problems: string[] = [];
  const starts = [...functions].sort((a, b) => (a < b ? -1 : 1));
  const found = new Map<bigint, PrintedEntry>();
  for (const [i, start] of starts.entries()) {
    const own = entries.filter((e) => e.start >= start && (i + 1 === starts.length || e.start < starts[i + 1]!));
    if (own.length === 0) continue;
    own.sort((a, b) => (a.start < b.start ? -1 : 1));
    const where = `0x${start.toString(16)}`;
    for (const [k, piece] of own.entries())
      if (piece.start !== (k === 0 ? start : own[k - 1]!.end))
        problems.push(`${where}: a hole before 0x${piece.start.toString(16)}`);
    // One byte into its entry, because callers are looked up by the byte before.
    const exits = own.filter((e) => e.signal).map((e) => e.start + 1n);
    for (const piece of own)
      for (const mark of marks.get(piece.start) ?? [])
        if (!exits.includes(mark)) problems.push(`${where}: 0x${mark.toString(16)} is no exit`);
    const rows = own.flatMap((piece) =>
      piece.rows.map((row, k) => ({
        ...throughExit(row),
        address: k === 0 ? piece.start : row.address,
      })),
    );
    found.set(start, {
      start,
      end: own.at(-1)!.end,
      signal: own.some((e) => e.signal),
      rows,
    });
  }
  return { entries: found, problems };
}
/**
 * By the manual: iretq takes RIP, CS, RFLAGS, RSP, SS from the stack; sysretq RIP from rcx and RFLAGS from r11, and
 * leaves rsp.
 */
function throughExit(row: PrintedRow): PrintedRow {
  if (row.rules.get("ra") !== "vexp") return row;
  const [, base, distance] = /^(\w+)([+-]\d+)$/.exec(row.cfa)!;
  const ownRsp = row.rules.get("rsp") ?? "u";
  // The signal frame's rsp is this CFA, where the processor's frame begins; or it is a program's, by a rule.
  const shift = ownRsp === "u" ? 40 : -8;
  const moved = new Map(
    [...row.rules].map(([name, rule]) => {
      const saved = /^c([+-]\d+)$/.exec(rule);
      return [name, saved === null ? rule : `c${Number(saved[1]) - shift}`] as const;
    }),
  );
  if (ownRsp === "u")
    for (const [name, at] of [
      ["ra", -40],
      ["rflags", -24],
      ["rsp", -16],
    ] as const)
      moved.set(name, `c${at}`);
  else {
    for (const [name, from, holder] of [
      ["ra", "rcx", "r2 (rcx)"],
      ["rflags", "r11", "r11 (r11)"],
    ] as const)
      moved.set(name, (moved.get(from) ?? "u") === "u" ? holder : moved.get(from)!);
    if (ownRsp === "v-8") moved.set("rsp", "u");
  }
  const offset = Number(distance) + shift;
  return { address: row.address, cfa: `${base}${offset < 0 ? "" : "+"}${offset}`, rules: moved };
}

/**
 * Checks the rows of all entries where code returns to what it interrupted, or to a program: at iretq the frame that
 * the processor pops must be the described one, at sysretq the registers.
 */
export function wrongExits(name: string, entry: PrintedEntry, bytes: Uint8Array): string[] {
  const wrong: string[] = [];
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  decoder.ip = entry.start;
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    const { cfa, rules } = rowAt(entry, instruction.ip);
    const said = `${cfa} ra=${rules.get("ra")} rsp=${rules.get("rsp") ?? "u"} rflags=${rules.get("rflags")}`;
    const isIretq = instruction.mnemonic === Mnemonic.Iretq;
    const expected = isIretq ? "rsp+40 ra=c-40 rsp=c-16 rflags=c-24" : "rsp+0 ra=r2 (rcx) rsp=u rflags=r11 (r11)";
    if ((isIretq || instruction.mnemonic === Mnemonic.Sysretq) && (said !== expected || !entry.signal))
      wrong.push(
        `${name}+0x${(instruction.ip - entry.start).toString(16)}: ${said}${entry.signal ? "" : ", no signal frame"}`,
      );
    instruction.free();
  }
  decoder.free();
  return wrong;
}
export function rowAt(entry: PrintedEntry, address: bigint): PrintedRow {
  let found = entry.rows[0];
  for (const row of entry.rows) if (row.address <= address) found = row;
  return found;
}

// ---- the machine, symbolically

const GENERAL = [
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
const PRESERVED = ["rbx", "rbp", "r12", "r13", "r14", "r15"];

/**
 * `base` + offset. The base is the value of a register at entry ("rsp"), or a value that an instruction produced ("at
 * 401000").
 */
interface Value {
  readonly base: string;
  readonly offset: number;
}
interface State {
  readonly registers: Map<string, Value>;
  readonly memory: Map<string, Value>;
}
const place = (v: Value, offset = 0): string => `${v.base}${v.offset + offset}`;
const same = (a: Value | undefined, b: Value | undefined): boolean =>
  a !== undefined && b !== undefined && a.base === b.base && a.offset === b.offset;
const initial = (name: string): Value => ({ base: name, offset: 0 });

/**
 * Names of the caller's registers: their values at entry, except for rsp and ra, which depend on how the function is
 * entered.
 */
export interface Entry {
  readonly address: bigint;
  /** Bytes at rsp by their offsets: "ra", "rsp", "rflags"; in registers by their names. */
  readonly stack: ReadonlyMap<number, string>;
  readonly registers: ReadonlyMap<string, string>;
  /** Bytes on the stack that do not belong to the caller; its rsp is above them unless `stack` contains it. */
  readonly depth: number;
}
export const CALL: Omit<Entry, "address"> = { stack: new Map([[0, "ra"]]), registers: new Map(), depth: 8 };
export const SYSCALL: Omit<Entry, "address"> = {
  stack: new Map(),
  registers: new Map([
    ["rcx", "ra"],
    ["r11", "rflags"],
  ]),
  depth: 0,
};
/** The processor has pushed SS, RSP, RFLAGS, CS, RIP, and for some vectors an error code. */
export const interrupt = (withError: boolean): Omit<Entry, "address"> => {
  const at = withError ? 8 : 0;
  return {
    stack: new Map([
      [at, "ra"],
      [at + 16, "rflags"],
      [at + 24, "rsp"],
    ]),
    registers: new Map(),
    depth: at + 40,
  };
};

export class Follower {
  readonly problems: string[] = [];
  /** Instructions compared, and those whose row says that there is no caller. */
  compared = 0;
  outermost = 0;
  readonly #entry: PrintedEntry;
  readonly #name: string;
  readonly #code = new Map<bigint, Instruction>();
  readonly #visited = new Map<bigint, State>();
  readonly #info = new InstructionInfoFactory();
  /** State at the last indirect jump: its targets are unknown. */
  #table: State | null = null;
  #callerRsp: Value = initial("rsp");
  #isSyscall = false;

  constructor(name: string, entry: PrintedEntry, bytes: Uint8Array) {
    this.#name = name;
    this.#entry = entry;
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    decoder.ip = entry.start;
    while (decoder.canDecode) {
      const instruction = decoder.decode();
      this.#code.set(instruction.ip, instruction);
    }
    decoder.free();
  }
  free(): void {
    for (const instruction of this.#code.values()) instruction.free();
    this.#info.free();
  }

  follow(way: Entry): void {
    const registers = new Map(GENERAL.map((name) => [name, initial(name)]));
    const memory = new Map<string, Value>();
    const rsp: Value = { base: "stack", offset: -way.depth };
    registers.set("rsp", rsp);
    this.#callerRsp = [...way.stack.values()].includes("rsp") ? initial("rsp") : { base: "stack", offset: 0 };
    for (const [offset, name] of way.stack) memory.set(place(rsp, offset), initial(name));
    this.#isSyscall = way.registers.size > 0;
    for (const [register, name] of way.registers) registers.set(register, initial(name));
    const work: [bigint, State][] = [[way.address, { registers, memory }]];
    this.#run(work);
    // Code that only a jump table reaches.
    if (this.#table !== null)
      for (const address of this.#code.keys()) if (!this.#visited.has(address)) this.#run([[address, this.#table]]);
  }

  /** Addresses of instructions that no path reached. */
  unreached(): bigint[] {
    return [...this.#code.keys()].filter((address) => !this.#visited.has(address));
  }

  #run(work: [bigint, State][]): void {
    for (let next = work.pop(); next !== undefined; next = work.pop()) {
      const [address, state] = next;
      const instruction = this.#code.get(address);
      if (instruction === undefined) {
        this.#problem(address, "no instruction begins here");
        continue;
      }
      const before = this.#visited.get(address);
      if (before !== undefined) {
        for (const name of ["rsp", "rbp"]) {
          const [a, b] = [before.registers.get(name), state.registers.get(name)];
          if (name === "rsp" && rowAt(this.#entry, address).rules.get("ra") !== "u" && !same(a, b))
            this.#problem(address, `reached with two stack depths, ${JSON.stringify(a)} and ${JSON.stringify(b)}`);
        }
        continue;
      }
      this.#visited.set(address, state);
      this.#compare(address, state);
      for (const [to, after] of this.#step(instruction, state)) work.push([to, after]);
    }
  }

  #problem(address: bigint, text: string): void {
    this.problems.push(`${this.#name}+0x${(address - this.#entry.start).toString(16)}: ${text}`);
  }

  #compare(address: bigint, { registers, memory }: State): void {
    const row = rowAt(this.#entry, address);
    this.compared++;
    if ((row.rules.get("ra") ?? "u") === "u") {
      this.outermost++;
      return;
    }
    const [, base, distance] = /^(\w+)([+-]\d+)$/.exec(row.cfa) ?? [];
    const from = registers.get(base);
    if (from === undefined) return this.#problem(address, `CFA is ${row.cfa}, and nobody knows ${base}`);
    const cfa = { base: from.base, offset: from.offset + Number(distance) };
    const find = (name: string): Value | undefined => {
      const rule = row.rules.get(name) ?? "u";
      const saved = /^c([+-]\d+)$/.exec(rule);
      if (saved !== null) return memory.get(place(cfa, Number(saved[1])));
      const held = /^r\d+ \((\w+)\)$/.exec(rule);
      if (held !== null) return registers.get(held[1]);
      return name === "rsp" ? cfa : registers.get(name);
    };
    const names = this.#entry.signal ? [...GENERAL, "ra"] : [...PRESERVED, "rsp", "ra"];
    for (const name of names) {
      const value = find(name);
      const expected = name === "rsp" ? this.#callerRsp : initial(name);
      // A call's result, on the way back to the program.
      if (name === "rax" && this.#isSyscall) continue;
      // A syscall changes these.
      if (
        this.#entry.signal &&
        (name === "rcx" || name === "r11" || name === "rax") &&
        !row.rules.get(name)?.startsWith("c")
      )
        continue;
      const accepted =
        same(value, expected) ||
        (name === "rcx" && same(value, initial("ra"))) ||
        (name === "r11" && same(value, initial("rflags")));
      if (!accepted)
        this.#problem(
          address,
          `caller's ${name} by its rule '${row.rules.get(name) ?? "u"}' (CFA ${row.cfa}) is ${JSON.stringify(value)}`,
        );
    }
  }

  #inside(address: bigint): boolean {
    return address >= this.#entry.start && address < this.#entry.end;
  }

  /** The state after the instruction, for each possible successor. */
  #step(i: Instruction, before: State): [bigint, State][] {
    const registers = new Map(before.registers);
    const memory = new Map(before.memory);
    const after: State = { registers, memory };
    const rsp = registers.get("rsp");
    const nameOf = (r: Register): string => Register[RegisterExt.fullRegister(r)].toLowerCase();
    const is64 = (r: Register): boolean => r >= Register.RAX && r <= Register.R15;
    const set = (name: string, value: Value | undefined): void => {
      registers.delete(name);
      if (value !== undefined) registers.set(name, value);
    };
    /** Address of the memory operand: a location on a stack, a word at GS, or unknown. */
    const address = (): string | undefined => {
      if (i.segmentPrefix === Register.GS)
        return i.memoryBase === Register.None && i.memoryIndex === Register.None
          ? `gs${i.memoryDisplacement}`
          : undefined;
      if (i.memoryBase === Register.None || i.memoryIndex !== Register.None) return undefined;
      const base = registers.get(nameOf(i.memoryBase));
      return base === undefined ? undefined : place(base, Number(BigInt.asIntN(64, i.memoryDisplacement)));
    };
    const read = (operand: number): Value | undefined => {
      const kind = i.opKind(operand);
      if (kind === OpKind.Register)
        return is64(i.opRegister(operand)) ? registers.get(nameOf(i.opRegister(operand))) : undefined;
      if (kind !== OpKind.Memory) return undefined;
      const at = address();
      return at === undefined ? undefined : memory.get(at);
    };
    const moveStack = (bytes: number): void => {
      if (rsp !== undefined) registers.set("rsp", { base: rsp.base, offset: rsp.offset + bytes });
    };
    const push = (value: Value | undefined): void => {
      moveStack(-8);
      const top = registers.get("rsp");
      if (top === undefined) return;
      memory.delete(place(top));
      if (value !== undefined) memory.set(place(top), value);
    };
    const constant = (operand: number): number | undefined =>
      i.opKind(operand) >= OpKind.Immediate8 && i.opKind(operand) <= OpKind.Immediate32to64
        ? Number(BigInt.asIntN(64, i.immediate(operand)))
        : undefined;
    const fresh = (): Value => ({ base: `at ${i.ip.toString(16)} `, offset: 0 });
    const toRsp = i.opCount > 0 && i.op0Kind === OpKind.Register && i.op0Register === Register.RSP;

    switch (i.mnemonic) {
      case Mnemonic.Push:
        push(read(0));
        return [[i.nextIP, after]];
      case Mnemonic.Pushfq:
        push(undefined);
        return [[i.nextIP, after]];
      case Mnemonic.Popfq:
        moveStack(8);
        return [[i.nextIP, after]];
      case Mnemonic.Pop: {
        const value = rsp === undefined ? undefined : memory.get(place(rsp));
        moveStack(8);
        if (i.op0Kind === OpKind.Register) set(nameOf(i.op0Register), value);
        else {
          const at = address();
          if (at !== undefined) memory.delete(at);
        }
        return [[i.nextIP, after]];
      }
      case Mnemonic.Leave: {
        const rbp = registers.get("rbp");
        set("rsp", rbp === undefined ? fresh() : { base: rbp.base, offset: rbp.offset + 8 });
        set("rbp", rbp === undefined ? undefined : memory.get(place(rbp)));
        return [[i.nextIP, after]];
      }
      case Mnemonic.Mov:
        if (i.op0Kind === OpKind.Register && is64(i.op0Register) && constant(1) === undefined) {
          set(nameOf(i.op0Register), read(1) ?? (toRsp ? fresh() : undefined));
          return [[i.nextIP, after]];
        }
        if (i.op0Kind === OpKind.Memory && i.op1Kind === OpKind.Register && is64(i.op1Register)) {
          const at = address();
          const value = read(1);
          if (at !== undefined) memory.delete(at);
          if (at !== undefined && value !== undefined) memory.set(at, value);
          return [[i.nextIP, after]];
        }
        break;
      case Mnemonic.Add:
      case Mnemonic.Sub: {
        const n = constant(1);
        const value = read(0);
        if (i.op0Kind !== OpKind.Register || n === undefined || value === undefined) break;
        set(nameOf(i.op0Register), { base: value.base, offset: value.offset + (i.mnemonic === Mnemonic.Add ? n : -n) });
        return [[i.nextIP, after]];
      }
      case Mnemonic.Lea: {
        const base =
          i.memoryBase === Register.None || i.memoryIndex !== Register.None
            ? undefined
            : registers.get(nameOf(i.memoryBase));
        if (base === undefined || !is64(i.op0Register)) break;
        set(nameOf(i.op0Register), {
          base: base.base,
          offset: base.offset + Number(BigInt.asIntN(64, i.memoryDisplacement)),
        });
        return [[i.nextIP, after]];
      }
    }
    switch (i.flowControl) {
      case FlowControl.Return:
        this.#checkReturn(i, before);
        return [];
      case FlowControl.Exception:
        return [];
      case FlowControl.IndirectBranch:
        this.#table = after;
        return [];
      case FlowControl.UnconditionalBranch:
        return this.#inside(i.nearBranchTarget) ? [[i.nearBranchTarget, after]] : [];
      case FlowControl.IndirectCall:
      case FlowControl.Call:
        if (
          i.op0Kind === OpKind.NearBranch64 &&
          this.#inside(i.nearBranchTarget) &&
          i.nearBranchTarget !== this.#entry.start
        ) {
          push(undefined);
          return [[i.nearBranchTarget, after]];
        }
        for (const name of ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"]) registers.delete(name);
        return this.#code.has(i.nextIP) ? [[i.nextIP, after]] : [];
    }
    if (i.mnemonic === Mnemonic.Iretq || i.mnemonic === Mnemonic.Sysretq) {
      this.#checkReturn(i, before);
      return [];
    }
    // Other instructions: the registers that they write are unknown afterwards.
    const info = this.#info.info(i);
    for (const used of info.usedRegisters() as { register: Register; access: OpAccess; free(): void }[]) {
      const name = nameOf(used.register);
      if (used.access !== OpAccess.Read && used.access !== OpAccess.CondRead && GENERAL.includes(name)) {
        registers.delete(name);
        if (name === "rsp") registers.set(name, fresh());
      }
      used.free();
    }
    if (i.opCount > 0 && i.op0Kind === OpKind.Memory && info.op0Access !== OpAccess.Read) {
      const at = address();
      if (at !== undefined) memory.delete(at);
    }
    info.free();
    const next: [bigint, State][] = [[i.nextIP, after]];
    if (i.flowControl === FlowControl.ConditionalBranch && this.#inside(i.nearBranchTarget))
      next.push([i.nearBranchTarget, { registers: new Map(registers), memory: new Map(memory) }]);
    return next;
  }

  #checkReturn(i: Instruction, { registers, memory }: State): void {
    const row = rowAt(this.#entry, i.ip);
    if ((row.rules.get("ra") ?? "u") === "u")
      return this.#problem(i.ip, "returns, but its row says that there is no caller");
    if (i.mnemonic === Mnemonic.Sysretq) {
      if (!same(registers.get("rcx"), initial("ra"))) this.#problem(i.ip, "sysretq with another rcx");
      return;
    }
    const rsp = registers.get("rsp");
    if (rsp === undefined || !same(memory.get(place(rsp)), initial("ra")))
      this.#problem(i.ip, "returns to somewhere else than its caller");
  }
}
