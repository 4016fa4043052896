/**
 * Executes a module over a simulated memory: the oracle for passes and back end.
 *
 * Memory: one run of bytes from MEMORY_BASE: the statics in the order of the module, then the stack (growing down).
 * Every other address, including 0, faults. Functions have addresses outside this range, 16 bytes apart, which only
 * calls can use. Undefined memory holds a fixed pattern (0xcc bytes), so that a program that reads it causes a
 * difference. Left out: inline assembly (a trap "asm"), volatile as anything but an access, other processors (atomics
 * are plain). Calls of functions that the module does not define go to `externals`.
 */
import { evaluate, type Value } from "./evaluate.ts";
import { terminatorOf } from "./cfg.ts";
import type { Block, Func, Instr, Module, Terminator } from "./ir.ts";
import { type Type, widthOf } from "./ops.ts";
import { printInstr } from "./printer.ts";

export const MEMORY_BASE = 0x10000n;
const FUNCTION_BASE = 0x7f00_0000_0000n;
const FUNCTION_STRIDE = 16n;
const POISON = 0xcc;
const MAX_DEPTH = 1500;

export type TrapKind = "divide" | "memory" | "unreachable" | "call" | "stack" | "steps" | "asm" | "symbol";
export type Outcome =
  | { readonly kind: "returned"; readonly value: Value | null; readonly steps: number }
  | { readonly kind: "trap"; readonly trap: TrapKind; readonly message: string; readonly steps: number };
export interface InterpreterOptions {
  /** Instructions executed before the trap "steps"; default 10 million. */
  readonly maxSteps?: number;
  /** Default 1 MiB. */
  readonly stackBytes?: number;
  readonly externals?: ReadonlyMap<string, (args: readonly Value[], interpreter: Interpreter) => Value | null>;
  /**
   * Called before each instruction except phis and params, debug values included. `activation`: one object per running
   * call.
   */
  readonly watch?: (func: Func, instr: Instr, value: (instr: Instr) => Value | undefined, activation: object) => void;
}

class Trap extends Error {
  readonly trap: TrapKind;
  located = false;
  constructor(trap: TrapKind, message: string) {
    super(message);
    this.trap = trap;
  }
}

type Frame = Value[];
/** Returns the instruction's value, or undefined if it has none. */
type Step = (frame: Frame) => Value | undefined;
interface CodeBlock {
  readonly block: Block;
  readonly slots: number[];
  readonly steps: Step[];
  readonly instrs: Instr[];
  /** Next block; null = return. */
  terminate: (frame: Frame) => CodeBlock | null;
  /** For each predecessor: pairs of slots, from and to. */
  readonly moves: Map<Block, [number, number][]>;
}
interface Code {
  readonly func: Func;
  readonly slots: number;
  readonly entry: CodeBlock;
  /** Of the allocas, with their offsets in the frame; bytes. */
  readonly frameBytes: number;
}

export class Interpreter {
  readonly #module: Module;
  readonly #externals: NonNullable<InterpreterOptions["externals"]>;
  readonly #watch: InterpreterOptions["watch"] | null;
  readonly #addresses = new Map<string, bigint>();
  readonly #functions: string[] = [];
  readonly #memory: DataView;
  readonly #bytes: Uint8Array;
  readonly #stackLimit: number;
  readonly #maxSteps: number;
  readonly #code = new Map<string, Code>();
  /** Lowest byte in use, as an offset into memory. */
  #stack: number;
  #depth = 0;
  #steps = 0;
  /** Value of the function that returned last. */
  #result: Value | undefined = undefined;
  #base = 0;

  constructor(module: Module, options: InterpreterOptions = {}) {
    this.#module = module;
    this.#externals = options.externals ?? new Map();
    this.#watch = options.watch ?? null;
    this.#maxSteps = options.maxSteps ?? 10_000_000;
    let end = 0;
    const place = new Map<string, number>();
    for (const data of module.data.values()) {
      end = Math.ceil(end / data.align) * data.align;
      place.set(data.name, end);
      this.#addresses.set(data.name, MEMORY_BASE + BigInt(end));
      end += Math.max(data.size, 1);
    }
    for (const name of [...module.functions.keys(), ...this.#externals.keys()]) {
      if (this.#addresses.has(name)) continue;
      this.#addresses.set(name, FUNCTION_BASE + BigInt(this.#functions.length) * FUNCTION_STRIDE);
      this.#functions.push(name);
    }
    this.#stackLimit = Math.ceil(end / 64) * 64;
    this.#stack = this.#stackLimit + (options.stackBytes ?? 1 << 20);
    this.#bytes = new Uint8Array(this.#stack);
    this.#memory = new DataView(this.#bytes.buffer);
    for (const data of module.data.values()) {
      const offset = place.get(data.name) as number;
      if (data.bytes) this.#bytes.set(data.bytes, offset);
      for (const r of data.relocations) {
        const value = this.addressOf(r.symbol) + r.addend;
        this.#memory.setBigUint64(offset + r.offset, BigInt.asUintN(64, value), true);
      }
    }
  }

  /** Runs one function to its end. The memory keeps its writes. */
  run(name: string, args: readonly Value[] = []): Outcome {
    this.#steps = 0;
    this.#depth = 0;
    const stack = this.#stack;
    try {
      const value = this.#call(name, args) ?? null;
      return { kind: "returned", value, steps: this.#steps };
    } catch (error) {
      if (error instanceof Trap) return { kind: "trap", trap: error.trap, message: error.message, steps: this.#steps };
      throw error;
    } finally {
      this.#stack = stack;
    }
  }
  /** Throws a trap "symbol" if nothing has the name. */
  addressOf(symbol: string): bigint {
    const address = this.#addresses.get(symbol);
    if (address === undefined) throw new Trap("symbol", `undefined symbol ${symbol}`);
    return address;
  }
  /** A view of simulated memory. */
  bytesAt(address: bigint, length: number): Uint8Array {
    const offset = this.#offset(address, length);
    return this.#bytes.subarray(offset, offset + length);
  }

  #call(name: string, args: readonly Value[]): Value | undefined {
    const external = this.#module.functions.has(name) ? undefined : this.#externals.get(name);
    if (external) return external(args, this) ?? undefined;
    const code = this.#codeOf(name);
    // Arguments beyond the parameters are ignored, as in the SysV ABI: a function pointer may call a function with
    // fewer parameters.
    if (args.length < code.func.params.length)
      throw new Trap("call", `${name} takes ${code.func.params.length} arguments, not ${args.length}`);
    const base = this.#base;
    const stack = this.#stack;
    this.#stack -= code.frameBytes;
    if (this.#stack < this.#stackLimit || ++this.#depth > MAX_DEPTH)
      throw new Trap("stack", `stack overflow in ${name}`);
    this.#bytes.fill(POISON, this.#stack, stack);
    this.#base = this.#stack;
    const frame: Frame = new Array<Value>(code.slots);
    for (let i = 0; i < code.func.params.length; i++) frame[i] = args[i];
    this.#execute(code, frame);
    this.#stack = stack;
    this.#base = base;
    this.#depth--;
    return this.#result;
  }

  #execute(code: Code, frame: Frame): void {
    let block: CodeBlock | null = code.entry;
    let from: Block = code.entry.block;
    let i = 0;
    const incoming: Value[] = [];
    try {
      while (block !== null) {
        const { slots, steps }: CodeBlock = block;
        const moves = block.moves.get(from);
        if (moves) {
          for (let m = 0; m < moves.length; m++) incoming[m] = frame[moves[m][0]];
          for (let m = 0; m < moves.length; m++) frame[moves[m][1]] = incoming[m];
        }
        this.#steps += steps.length + 1;
        if (this.#steps > this.#maxSteps) throw new Trap("steps", `more than ${this.#maxSteps} steps`);
        for (i = 0; i < steps.length; i++) {
          const value = steps[i](frame);
          if (value !== undefined) frame[slots[i]] = value;
        }
        from = block.block;
        block = block.terminate(frame);
      }
    } catch (error) {
      if (error instanceof Trap && !error.located && block) {
        error.located = true;
        const instr = block.instrs[i];
        error.message += ` in ${code.func.name}: b${block.block.id}${instr ? `: ${printInstr(instr)}` : ""}`;
      }
      throw error;
    }
  }

  // ---- memory
  #offset(address: bigint, length: number): number {
    const offset = address - MEMORY_BASE;
    if (offset < 0n || offset + BigInt(length) > BigInt(this.#bytes.length))
      throw new Trap("memory", `access of ${length} bytes at 0x${address.toString(16)}`);
    return Number(offset);
  }
  #load(type: Type, address: bigint): Value {
    const m = this.#memory;
    switch (type) {
      case "i8":
        return BigInt(m.getUint8(this.#offset(address, 1)));
      case "i16":
        return BigInt(m.getUint16(this.#offset(address, 2), true));
      case "i32":
        return BigInt(m.getUint32(this.#offset(address, 4), true));
      case "f64":
        return m.getFloat64(this.#offset(address, 8), true);
      default:
        return m.getBigUint64(this.#offset(address, 8), true);
    }
  }
  #store(type: Type, address: bigint, value: Value): void {
    const m = this.#memory;
    if (type === "i8") m.setUint8(this.#offset(address, 1), Number(value));
    else if (type === "i16") m.setUint16(this.#offset(address, 2), Number(value), true);
    else if (type === "i32") m.setUint32(this.#offset(address, 4), Number(value), true);
    else if (type === "f64") m.setFloat64(this.#offset(address, 8), value as number, true);
    else m.setBigUint64(this.#offset(address, 8), value as bigint, true);
  }

  // ---- translation to closures, once a function
  #codeOf(name: string): Code {
    const known = this.#code.get(name);
    if (known) return known;
    const func = this.#module.functions.get(name);
    if (!func) throw new Trap("symbol", `undefined function ${name}`);
    const slots = new Map<Instr, number>();
    let next = func.params.length;
    let frameBytes = 0;
    const allocas = new Map<Instr, number>();
    for (const block of func.blocks) {
      for (const instr of block.instrs) {
        slots.set(instr, instr.op === "param" ? instr.index : next++);
        if (instr.op !== "alloca") continue;
        frameBytes = Math.ceil(frameBytes / instr.align) * instr.align;
        allocas.set(instr, frameBytes);
        frameBytes += Math.max(instr.size, 1);
      }
    }
    const slot = (instr: Instr): number => slots.get(instr) as number;
    const blocks = new Map<Block, CodeBlock>();
    for (const block of func.blocks) {
      const moves = new Map<Block, [number, number][]>();
      const phis = block.instrs.filter((i) => i.op === "phi");
      if (phis.length > 0)
        block.preds.forEach((pred, i) =>
          moves.set(
            pred,
            phis.map((phi) => [slot(phi.args[i]), slot(phi)]),
          ),
        );
      blocks.set(block, { block, slots: [], steps: [], instrs: [], terminate: () => null, moves });
    }
    for (const [block, code] of blocks) {
      for (const instr of block.instrs.slice(0, -1)) {
        if (instr.op === "phi" || instr.op === "param" || (instr.op === "dbg" && !this.#watch)) continue;
        code.slots.push(slot(instr));
        code.instrs.push(instr);
        code.steps.push(this.#watched(func, slots, instr, this.#step(instr, slot, allocas)));
      }
      const last = terminatorOf(block);
      code.instrs.push(last);
      code.terminate = this.#watched(func, slots, last, this.#terminator(last, slot, blocks));
    }
    // Frames are 64-byte aligned, so every alloca with at most that alignment is placed correctly.
    const code: Code = {
      func,
      slots: next,
      entry: blocks.get(func.blocks[0]) as CodeBlock,
      frameBytes: Math.ceil(frameBytes / 64) * 64,
    };
    this.#code.set(name, code);
    return code;
  }

  #watched<T>(
    func: Func,
    slots: ReadonlyMap<Instr, number>,
    instr: Instr,
    step: (frame: Frame) => T,
  ): (frame: Frame) => T {
    const watch = this.#watch;
    if (!watch) return step;
    return (frame) => {
      const value = (of: Instr): Value | undefined => {
        // Debug values may watch leaves that are in no block.
        if (of.op === "const") return of.imm;
        if (of.op === "fconst") return of.float;
        if (of.op === "symbol") return BigInt.asUintN(64, this.addressOf(of.symbol) + of.imm);
        return frame[slots.get(of) ?? -1];
      };
      watch(func, instr, value, frame);
      return step(frame);
    };
  }

  #step(instr: Instr, slot: (i: Instr) => number, allocas: ReadonlyMap<Instr, number>): Step {
    const { type } = instr;
    const s = instr.args.map(slot);
    const [a, b, c] = s;
    const valueType = instr.args[1]?.type ?? type;
    const update = (combine: (old: bigint, operand: bigint) => bigint): Step => {
      const width = type === "void" ? 0 : widthOf[type];
      return (f) => {
        const old = this.#load(type, f[a] as bigint) as bigint;
        this.#store(type, f[a] as bigint, BigInt.asUintN(width, combine(old, f[b] as bigint)));
        return old;
      };
    };
    switch (instr.op) {
      case "const":
        return () => instr.imm;
      case "fconst":
        return () => instr.float;
      case "symbol": {
        let address: bigint | null = null;
        return () => (address ??= BigInt.asUintN(64, this.addressOf(instr.symbol) + instr.imm));
      }
      case "undef": {
        const pattern = type === "f64" ? Number.NaN : BigInt.asUintN(widthOf[type as "i64"], 0xccccccccccccccccn);
        return () => pattern;
      }
      case "alloca": {
        const offset = allocas.get(instr) as number;
        return () => MEMORY_BASE + BigInt(this.#base + offset);
      }
      case "load":
      case "aload":
        return (f) => this.#load(type, f[a] as bigint);
      case "store":
      case "astore":
        return (f) => void this.#store(valueType, f[a] as bigint, f[b]);
      case "copy":
        return (f) => {
          const { size } = instr;
          const from = this.#offset(f[b] as bigint, size);
          this.#bytes.copyWithin(this.#offset(f[a] as bigint, size), from, from + size);
          return undefined;
        };
      case "zero":
        return (f) => {
          const at = this.#offset(f[a] as bigint, instr.size);
          this.#bytes.fill(0, at, at + instr.size);
          return undefined;
        };
      case "axchg":
        return update((_old, v) => v);
      case "aadd":
        return update((old, v) => old + v);
      case "aand":
        return update((old, v) => old & v);
      case "aor":
        return update((old, v) => old | v);
      case "axor":
        return update((old, v) => old ^ v);
      case "cmpxchg":
        return (f) => {
          const old = this.#load(type, f[a] as bigint);
          if (old === f[b]) this.#store(type, f[a] as bigint, f[c]);
          return old;
        };
      case "fence":
      case "barrier":
      case "dbg":
        return () => undefined;
      case "call":
        return (f) =>
          this.#call(
            instr.symbol,
            s.map((i) => f[i]),
          );
      case "icall":
        return (f) =>
          this.#call(
            this.#functionAt(f[a] as bigint),
            s.slice(1).map((i) => f[i]),
          );
      case "asm":
        return () => {
          throw new Trap("asm", "inline assembly cannot be interpreted");
        };
      default: {
        const { op } = instr;
        const operandType = (op === "select" ? type : instr.args[0]?.type) ?? type;
        return (f) => {
          const value = evaluate(
            op,
            type,
            operandType,
            s.length === 1 ? [f[a]] : s.length === 2 ? [f[a], f[b]] : [f[a], f[b], f[c]],
          );
          if (value === undefined) throw new Trap("divide", `${op} of ${f[a]} by ${f[b]}`);
          return value;
        };
      }
    }
  }

  #terminator(
    instr: Terminator,
    slot: (i: Instr) => number,
    blocks: ReadonlyMap<Block, CodeBlock>,
  ): CodeBlock["terminate"] {
    const targets = instr.targets.map((b) => blocks.get(b) as CodeBlock);
    const a = instr.args.length > 0 ? slot(instr.args[0]) : 0;
    switch (instr.op) {
      case "jump":
        return () => targets[0];
      case "branch":
        return (f) => (f[a] !== 0n ? targets[0] : targets[1]);
      case "switch": {
        const table = new Map(instr.cases.map((c, i) => [c, targets[i]]));
        const otherwise = targets[targets.length - 1];
        return (f) => table.get(f[a] as bigint) ?? otherwise;
      }
      case "ret":
        return (f) => {
          this.#result = instr.args.length > 0 ? f[a] : undefined;
          return null;
        };
      default:
        return () => {
          throw new Trap("unreachable", "unreachable was reached");
        };
    }
  }
  #functionAt(address: bigint): string {
    const index = (address - FUNCTION_BASE) / FUNCTION_STRIDE;
    const name =
      (address - FUNCTION_BASE) % FUNCTION_STRIDE === 0n && index >= 0n ? this.#functions[Number(index)] : undefined;
    if (name === undefined) throw new Trap("call", `call of address 0x${address.toString(16)}`);
    return name;
  }
}
