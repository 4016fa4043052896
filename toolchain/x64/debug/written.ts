/** What the writer made of each allocated instruction. Offsets count the bytes before jumps are lengthened. */
import { DWARF_REGISTER } from "../../lib/dwarf.ts";
import { RBP, XMM0, type MachineBlock } from "../machine.ts";
import type { CodeSink, Operand } from "../operand.ts";
import type { Placed } from "../regalloc-place.ts";

/** DWARF numbers of registers (System V ABI AMD64, figure 3.36); vector registers count from 17. */
export const dwarfOf = (register: number): number =>
  register < XMM0 ? DWARF_REGISTER[register] : register - XMM0 + 17;
export const DWARF_RBP = dwarfOf(RBP);

export interface Written {
  readonly placed: Placed;
  /** Offsets in the code: of its first byte, after the first machine instruction, after the last. */
  readonly start: number;
  readonly first: number;
  readonly end: number;
}
export interface WrittenBlock {
  readonly block: MachineBlock;
  readonly code: readonly Written[];
}

/** A sink that records where instructions end. */
export class MeasuringSink implements CodeSink {
  /** Ends of the instructions since `mark`. */
  ends: number[] = [];
  readonly #sink: CodeSink & { readonly length: number };
  constructor(sink: CodeSink & { readonly length: number }) {
    this.#sink = sink;
  }
  get length(): number {
    return this.#sink.length;
  }
  emit(mnemonic: string, ...operands: Operand[]): void {
    const start = this.#sink.length;
    this.#sink.emit(mnemonic, ...operands);
    if (this.#sink.length > start) this.ends.push(this.#sink.length);
  }
  label(name: string): void {
    this.#sink.label(name);
  }
  line(...at: Parameters<CodeSink["line"]>): void {
    this.#sink.line(...at);
  }
}
