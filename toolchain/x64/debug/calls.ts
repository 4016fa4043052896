/**
 * What a caller still knows of the arguments while its call runs: constants, addresses, and values that are also in a
 * callee-saved register or a slot. With this a debugger can show a function's arguments after the function has lost
 * them (DWARF 5 section 2.5.1.7). The code follows the copies within one block: numbers stand for values, equal numbers
 * for equal values.
 */
import type { DebugPlace } from "../../link/debug.ts";
import { CALLEE_SAVED, INTEGER_ARGUMENTS } from "../abi.ts";
import { CFA_FROM_RBP, type Frame } from "../frame.ts";
import { DEF, forEachBit, forEachRegister, type MachineInstr, type MachineOperand } from "../machine.ts";
import { FIRST_SLOT, type Placed } from "../regalloc-place.ts";
import { DWARF_RBP, dwarfOf, type WrittenBlock } from "./written.ts";

export interface Call {
  readonly instr: MachineInstr;
  /** Offset of the return address, before jumps are lengthened. */
  readonly end: number;
  readonly told: readonly { readonly register: number; readonly place: DebugPlace }[];
}

export function callsOf(written: readonly WrittenBlock[], slotCount: number, frame: Frame): Call[] {
  const calls: Call[] = [];
  for (const { code } of written) {
    if (!code.some(({ placed }) => placed.instr.op === "call")) continue;
    const numbers = new Numbers(slotCount, frame);
    for (const { placed, end } of code) {
      const { instr } = placed;
      if (instr.op === "call") {
        const told = INTEGER_ARGUMENTS.flatMap((r) => {
          const place = instr.uses & (1 << r) ? numbers.placeOf(r) : null;
          return place === null ? [] : [{ register: dwarfOf(r), place }];
        });
        calls.push({ instr, end, told });
      }
      numbers.step(placed);
    }
  }
  return calls;
}

class Numbers {
  readonly #frame: Frame;
  /** By location. */
  readonly #values: Int32Array;
  readonly #constants = new Map<number, DebugPlace>();
  #fresh = 1;
  constructor(slotCount: number, frame: Frame) {
    this.#frame = frame;
    this.#values = new Int32Array(FIRST_SLOT + slotCount);
    for (let location = 0; location < this.#values.length; location++) this.#values[location] = this.#fresh++;
  }

  /** A place that holds the register's value and that the call does not modify. */
  placeOf(register: number): DebugPlace | null {
    const number = this.#values[register];
    const constant = this.#constants.get(number);
    if (constant) return constant;
    for (const r of CALLEE_SAVED) if (this.#values[r] === number) return { kind: "register", register: dwarfOf(r) };
    const slot = this.#values.indexOf(number, FIRST_SLOT);
    return slot < 0 ? null : { kind: "frame", offset: this.#frame.slots[slot - FIRST_SLOT] - CFA_FROM_RBP };
  }

  step({ instr, locations }: Placed): void {
    if (instr.op === "copy" || instr.op === "parcopy" || instr.op === "shuffle") {
      const writes: [location: number, number: number][] = [];
      let k = 0;
      for (let i = 0; i < instr.operands.length; i += 2) {
        const to = locations[k++];
        const source = instr.operands[i + 1];
        const from = source.kind === "reg" ? locations[k++] : -1;
        writes.push([to, from >= 0 ? this.#values[from] : this.#known(this.#constantOf(source))]);
      }
      for (const [to, number] of writes) if (to >= 0) this.#values[to] = number;
      return;
    }
    const [target, source] = instr.operands;
    const made =
      target?.kind === "reg" &&
      target.role === DEF &&
      source !== undefined &&
      (instr.op === "mov" || instr.op === "lea")
        ? this.#constantOf(source)
        : null;
    forEachBit(instr.defs | instr.earlyDefs | (instr.op === "expand" ? instr.uses : 0), (r) => {
      this.#values[r] = this.#fresh++;
    });
    let k = 0;
    forEachRegister(instr, (operand) => {
      const location = locations[k++];
      if (location >= 0 && (operand.role & DEF || instr.op === "expand"))
        this.#values[location] = this.#known(operand === target ? made : null);
    });
  }

  #known(constant: DebugPlace | null): number {
    const number = this.#fresh++;
    if (constant !== null) this.#constants.set(number, constant);
    return number;
  }
  #constantOf(source: MachineOperand): DebugPlace | null {
    switch (source.kind) {
      case "imm":
        return { kind: "constant", value: source.value };
      case "sym":
        return { kind: "symbol", symbol: source.name, addend: source.addend };
      case "frame":
        return this.#object(source.object, source.disp);
      case "mem":
        // Only for lea: an address.
        if (source.width !== 0 || source.index !== null || source.base !== null) return null;
        if (source.symbol !== null) return { kind: "symbol", symbol: source.symbol, addend: source.addend };
        return source.space === "object" ? this.#object(source.object, source.disp) : null;
      default:
        return null;
    }
  }
  #object(object: number, disp: number): DebugPlace {
    return { kind: "computed", register: DWARF_RBP, addend: BigInt(this.#frame.objects[object] + disp) };
  }
}
