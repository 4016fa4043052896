/**
 * Call-frame information of one chunk of 64-bit code: where the caller's registers are at each instruction.
 *
 * The assembler passes every instruction. Ordinary changes of the stack are followed: push, pop, pushfq, popfq, sub,
 * add and lea of rsp, `mov rbp, rsp`, leave, and forward jumps, which carry the state to their label. The CFA
 * (canonical frame address, DWARF 5 section 6.4.1) is relative to rsp, and to rbp between `mov rbp, rsp` and leave or
 * pop. The first push of a register saves it: callee-saved registers, and in a signal frame all registers. When rsp
 * gets a value that cannot be followed, the frame becomes the outermost.
 *
 * Everything else needs GNU as's directives, also in inline assembly: .cfi_signal_frame, .cfi_def_cfa REGISTER, OFFSET,
 * .cfi_def_cfa_offset OFFSET, .cfi_offset REGISTER, OFFSET (from the CFA), .cfi_register REGISTER, HOLDER,
 * .cfi_undefined REGISTER, .cfi_same_value REGISTER, .cfi_remember_state, .cfi_restore_state. A frame whose rip is
 * undefined is the outermost.
 *
 * Assumption: code pushes a register that the ABI preserves before it changes it. tests/toolchain/link/frames.test.ts
 * follows finished images instruction by instruction and compares.
 */
import { DWARF_REGISTER, DWARF_RETURN_ADDRESS, DWARF_RFLAGS } from "../lib/dwarf.ts";
import type { FrameRow } from "../link/debug.ts";
import type { ChunkFrame } from "../link/object.ts";
import { AssemblerError } from "./encoder.ts";
import type { Operand } from "./operand.ts";
import { registers } from "./registers.ts";

/** DWARF numbers. */
const RSP = 7;
const RBP = 6;
/** rbx rbp r12 … r15. */
const CALLEE_SAVED: ReadonlySet<number> = new Set([3, 6, 12, 13, 14, 15]);

interface State {
  /** CFA = cfaRegister + cfaOffset. */
  readonly cfaRegister: number;
  readonly cfaOffset: number;
  /** CFA − rsp; null if unknown. */
  readonly depth: number | null;
  readonly saved: ReadonlyMap<number, number>;
  readonly held: ReadonlyMap<number, number>;
  /** While inline assembly may use rbp: the depth after rbp was pushed, and the former rbp + cfaOffset. */
  readonly lent: { readonly depth: number; readonly cfaOffset: number } | null;
}
const NONE: ReadonlyMap<number, number> = new Map();
/** State after a call. */
const CALLED: State = {
  cfaRegister: RSP,
  cfaOffset: 8,
  depth: 8,
  saved: new Map([[DWARF_RETURN_ADDRESS, -8]]),
  held: NONE,
  lent: null,
};
const OUTERMOST: State = { cfaRegister: RSP, cfaOffset: 8, depth: null, saved: NONE, held: NONE, lent: null };

/** Code after these instructions runs only if something jumps there. */
const LEAVES: ReadonlySet<string> = new Set(["jmp", "ljmp", "ret", "iretq", "sysretq", "ud2"]);
const EXIT_BYTES = { iretq: 2, sysretq: 3 } as const;
const READS_FIRST: ReadonlySet<string> = new Set(["cmp", "test", "push"]);

const numberOf = (name: string): number => {
  if (name === "rip") return DWARF_RETURN_ADDRESS;
  if (name === "rflags") return DWARF_RFLAGS;
  const register = registers.get(name);
  if (register?.width !== 64)
    throw new AssemblerError(`'${name}' is no register of a frame; write rax … r15, rip or rflags`);
  return DWARF_REGISTER[register.number];
};
const isRegister = (operand: Operand | undefined, name: string): boolean =>
  operand?.kind === "register" && operand.name === name;
/** In the units of the stack pointer; null if only the linker knows the value. */
const constantOf = (operand: Operand | undefined): number | null =>
  operand?.kind === "immediate" ? Number(operand.value) : null;

export class Unwinding {
  signal = false;
  /** End offsets of each iretq and sysretq. */
  readonly #exits: { readonly end: number; readonly kind: keyof typeof EXIT_BYTES }[] = [];
  #state: State;
  readonly #rows: { offset: number; state: State }[];
  /** State at jumps to labels that are not defined yet. */
  readonly #arriving = new Map<string, State>();
  readonly #remembered: State[] = [];
  #reachable = true;

  /** Debuggers never unwind 16-bit and 32-bit code. */
  constructor(bits: 16 | 32 | 64) {
    this.#state = bits === 64 ? CALLED : OUTERMOST;
    this.#rows = [{ offset: 0, state: this.#state }];
  }

  /** One row per change; offsets are mapped by `moved`, and those from `end` on are dropped. */
  rows(moved: (offset: number) => number, end: number): FrameRow[] {
    const rows: FrameRow[] = [];
    for (const { offset, state } of this.#rows) {
      const at = moved(offset);
      if (at >= end && rows.length > 0) break;
      rows.push({
        offset: at,
        cfaRegister: state.cfaRegister,
        cfaOffset: state.cfaOffset,
        saved: state.saved,
        held: state.held,
      });
    }
    return rows;
  }

  exits(moved: (offset: number) => number): NonNullable<ChunkFrame["exits"]> {
    return this.#exits.map(({ end, kind }) => ({ start: moved(end - EXIT_BYTES[kind]), end: moved(end), kind }));
  }

  /** `offset`: of the label, bytes into the chunk. */
  label(name: string, offset: number): void {
    const arriving = this.#arriving.get(name);
    if (arriving !== undefined) this.#become(this.#reachable ? merge(this.#state, arriving) : arriving, offset);
    this.#reachable = true;
  }

  /** Follows an instruction; `offset` is its end. */
  follow(mnemonic: string, operands: readonly Operand[], offset: number): void {
    const [a, b] = operands;
    if (a?.kind === "label") {
      const { depth } = this.#state;
      const arriving = mnemonic === "call" ? (depth === null ? OUTERMOST : at(this.#state, depth + 8)) : this.#state;
      if (!this.#arriving.has(a.name)) this.#arriving.set(a.name, arriving);
    }
    if (mnemonic === "iretq" || mnemonic === "sysretq") this.#exits.push({ end: offset, kind: mnemonic });
    // A call of a label is a push and a jump; whether it returns is unknown.
    if (LEAVES.has(mnemonic) || (a?.kind === "label" && mnemonic === "call")) {
      this.#reachable = false;
      return;
    }
    switch (mnemonic) {
      case "push":
        return this.#become(this.#pushed(a), offset);
      case "pop":
        return this.#become(this.#popped(a), offset);
      case "pushfq":
      case "popfq":
        return this.#move(mnemonic === "pushfq" ? 8 : -8, offset);
      case "leave":
        this.#become(lea(this.#state, "rbp", 0), offset);
        return this.#become(this.#popped({ kind: "register", name: "rbp" }), offset);
    }
    if (a?.kind !== "register" || READS_FIRST.has(mnemonic)) return;
    const { name } = a;
    if (name === "rsp" || name === "esp") {
      const n = constantOf(b);
      if ((mnemonic === "sub" || mnemonic === "add") && n !== null) this.#move(mnemonic === "sub" ? n : -n, offset);
      else if (mnemonic === "mov" && isRegister(b, "rbp")) this.#become(lea(this.#state, "rbp", 0), offset);
      else if (mnemonic === "lea" && b?.kind === "memory" && b.base !== null && b.index === null && b.symbol === null)
        this.#become(lea(this.#state, b.base, Number(b.displacement)), offset);
      else this.#become(lea(this.#state, null, 0), offset);
    } else if (name === "rbp" || name === "ebp") {
      const { saved, depth, cfaRegister } = this.#state;
      if (mnemonic === "mov" && isRegister(b, "rsp") && saved.has(RBP) && depth !== null)
        this.#become({ ...this.#state, cfaRegister: RBP, cfaOffset: depth }, offset);
      else if (cfaRegister === RBP) this.#become(OUTERMOST, offset);
    }
  }

  /** Applies a directive at `offset`. */
  direct(directive: string, operands: readonly Operand[], offset: number): void {
    const [a, b] = operands;
    const wrong = (form: string): never => {
      throw new AssemblerError(`write ${directive}${form}`);
    };
    const register = (operand: Operand | undefined, form: string): number =>
      operand?.kind === "register" ? numberOf(operand.name) : wrong(form);
    const number = (operand: Operand | undefined, form: string): number => constantOf(operand) ?? wrong(form);
    const state = this.#state;
    switch (directive) {
      case ".cfi_signal_frame":
        this.signal = true;
        return;
      case ".cfi_remember_state":
        this.#remembered.push(state);
        return;
      case ".cfi_restore_state":
        return this.#become(this.#remembered.pop() ?? wrong(" behind .cfi_remember_state"), offset);
      case ".cfi_def_cfa": {
        const form = " REGISTER, OFFSET";
        const cfaRegister = register(a, form);
        const cfaOffset = number(b, form);
        return this.#become(
          { ...state, cfaRegister, cfaOffset, depth: cfaRegister === RSP ? cfaOffset : null },
          offset,
        );
      }
      case ".cfi_def_cfa_offset": {
        const cfaOffset = number(a, " OFFSET");
        return this.#become({ ...state, cfaOffset, depth: state.cfaRegister === RSP ? cfaOffset : null }, offset);
      }
      case ".cfi_offset": {
        const form = " REGISTER, OFFSET";
        return this.#become({ ...state, ...ruled(state, register(a, form), number(b, form), null) }, offset);
      }
      case ".cfi_register": {
        const form = " REGISTER, HOLDER";
        return this.#become({ ...state, ...ruled(state, register(a, form), null, register(b, form)) }, offset);
      }
      case ".cfi_same_value":
      case ".cfi_undefined": {
        const r = register(a, " REGISTER");
        if ((r === DWARF_RETURN_ADDRESS) !== (directive === ".cfi_undefined"))
          throw new AssemblerError(
            `${directive}: ${r === DWARF_RETURN_ADDRESS ? "rip always changes" : "only rip can be undefined"}`,
          );
        return this.#become({ ...state, ...ruled(state, r, null, null) }, offset);
      }
      default:
        throw new AssemblerError(
          `directives such as '${directive}' do not exist here; put data into a static variable`,
        );
    }
  }

  #become(state: State, offset: number): void {
    const rows = this.#rows;
    this.#state = state;
    if (rows[rows.length - 1].offset === offset) rows.pop();
    const before = rows[rows.length - 1];
    if (before === undefined || !sameRules(before.state, state)) rows.push({ offset, state });
  }

  #move(bytes: number, offset: number): void {
    const { depth } = this.#state;
    if (depth !== null) this.#become(at(this.#state, depth + bytes), offset);
  }

  #pushed(operand: Operand | undefined): State {
    const { depth, saved, cfaRegister, cfaOffset } = this.#state;
    if (depth === null) return this.#state;
    const pushed = at(this.#state, depth + 8);
    if (operand?.kind !== "register" || registers.get(operand.name)?.width !== 64) return pushed;
    const r = numberOf(operand.name);
    if (r === RBP && cfaRegister === RBP)
      return { ...pushed, cfaRegister: RSP, cfaOffset: depth + 8, lent: { depth: depth + 8, cfaOffset } };
    if (saved.has(r) || r === RSP || !(this.signal || CALLEE_SAVED.has(r))) return pushed;
    return { ...pushed, saved: new Map(saved).set(r, -(depth + 8)) };
  }

  #popped(operand: Operand | undefined): State {
    const { depth, saved, lent, cfaRegister } = this.#state;
    if (isRegister(operand, "rsp")) return lea(this.#state, null, 0);
    if (depth === null) return cfaRegister === RBP && isRegister(operand, "rbp") ? OUTERMOST : this.#state;
    const popped = at(this.#state, depth - 8);
    if (operand?.kind !== "register") return popped;
    const r = numberOf(operand.name);
    if (r === RBP && lent?.depth === depth)
      return { ...popped, cfaRegister: RBP, cfaOffset: lent.cfaOffset, lent: null };
    const rest = saved.get(r) === -depth ? new Map([...saved].filter(([other]) => other !== r)) : saved;
    if (r === RBP && cfaRegister === RBP) return { ...popped, saved: rest, cfaRegister: RSP, cfaOffset: depth - 8 };
    return rest === saved ? popped : { ...popped, saved: rest };
  }
}

/** The stack pointer is `depth` bytes below the CFA. */
const at = (state: State, depth: number): State =>
  state.cfaRegister === RSP ? { ...state, cfaOffset: depth, depth } : { ...state, depth };

/** rsp = base + displacement; base null: a value that cannot be followed. */
function lea(state: State, base: string | null, displacement: number): State {
  if (base === "rsp" && state.depth !== null) return at(state, state.depth - displacement);
  if (base === "rbp" && state.cfaRegister === RBP) return { ...state, depth: state.cfaOffset - displacement };
  return state.cfaRegister === RSP ? OUTERMOST : { ...state, depth: null };
}

/** Sets the rule of register `r`: saved at an offset, held by a register, or neither. */
function ruled(state: State, r: number, saved: number | null, held: number | null): Pick<State, "saved" | "held"> {
  const without = (map: ReadonlyMap<number, number>): Map<number, number> =>
    new Map([...map].filter(([other]) => other !== r));
  const next = { saved: without(state.saved), held: without(state.held) };
  if (saved !== null) next.saved.set(r, saved);
  if (held !== null) next.held.set(r, held);
  return next;
}

const sameMap = (a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean =>
  a === b || (a.size === b.size && [...a].every(([key, value]) => b.get(key) === value));
const sameRules = (a: State, b: State): boolean =>
  a.cfaRegister === b.cfaRegister &&
  a.cfaOffset === b.cfaOffset &&
  sameMap(a.saved, b.saved) &&
  sameMap(a.held, b.held);

/** What both paths to a label agree on. */
function merge(a: State, b: State): State {
  if (sameRules(a, b)) return a.depth === b.depth ? a : { ...a, depth: null };
  if (a.cfaRegister !== b.cfaRegister || a.cfaOffset !== b.cfaOffset) return OUTERMOST;
  const common = (x: ReadonlyMap<number, number>, y: ReadonlyMap<number, number>) =>
    new Map([...x].filter(([r, v]) => y.get(r) === v));
  return {
    ...a,
    saved: common(a.saved, b.saved),
    held: common(a.held, b.held),
    depth: a.depth === b.depth ? a.depth : null,
  };
}
