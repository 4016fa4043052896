/**
 * The assembler of one chunk of code: takes instructions, labels and source positions, and returns bytes, relocations
 * and line rows.
 *
 * Jumps to labels keep their two-byte form until `finish`, which lengthens those that do not reach, repeatedly until
 * all do. Lengthening only moves targets further away, so this terminates with the smallest set of long jumps. Labels
 * belong to the chunk. If a symbol expression contains the name of a label, the label is meant; if it cannot be
 * resolved here, it becomes chunk symbol + offset.
 */
import type { Chunk, LineRow, Relocation, SymbolExpression } from "../link/object.ts";
import { AssemblerError, type Bits, CodeBuffer, type Fixup, encode, selectForm } from "./encoder.ts";
import { type Form, Slot, formsFor } from "./forms.ts";
import { lockable } from "./instructions.ts";
import type { CodeSink, Operand } from "./operand.ts";
import { Unwinding } from "./unwind.ts";

export { AssemblerError } from "./encoder.ts";

export interface AssembledCode {
  readonly bytes: Uint8Array;
  readonly relocations: readonly Relocation[];
  readonly lines: readonly LineRow[];
  /** Offset of each label, bytes. */
  readonly labels: ReadonlyMap<string, number>;
  /** Labels that are targets of calls. */
  readonly called: ReadonlySet<string>;
  /** Maps a `length` during assembly to the offset in `bytes`. */
  readonly moved: (offset: number) => number;
  readonly frame: NonNullable<Chunk["frame"]>;
}

/** A jump to a label, two bytes long in the buffer, at `offset`. */
interface Jump {
  readonly offset: number;
  readonly label: string;
  /** Opcode of the short form. */
  readonly short: number;
  readonly long: Form;
  readonly longBytes: number;
  isLong: boolean;
}

const STRINGS = /^(movs|stos|lods|scas|cmps)[bwdq]$/;

export class Assembler implements CodeSink {
  readonly symbol: string;
  readonly bits: Bits;
  private readonly buffer = new CodeBuffer();
  private readonly labelOffsets = new Map<string, number>();
  private readonly called = new Set<string>();
  private readonly jumps: Jump[] = [];
  private readonly rows: LineRow[] = [];
  private readonly unwinding: Unwinding;
  private prefix = "";

  /** `symbol` is the chunk's link name; `bits` is the mode that the code runs in. */
  constructor(symbol: string, bits: Bits) {
    this.symbol = symbol;
    this.bits = bits;
    this.unwinding = new Unwinding(bits);
  }

  /** Bytes so far, with every jump counted as short. */
  get length(): number {
    return this.buffer.length;
  }

  emit(mnemonic: string, ...operands: Operand[]): void {
    if (mnemonic.startsWith(".")) {
      this.unwinding.direct(mnemonic, operands, this.buffer.length);
      return;
    }
    this.encode(mnemonic, operands);
    if (this.bits === 64) this.unwinding.follow(mnemonic, operands, this.buffer.length);
  }

  private encode(mnemonic: string, operands: Operand[]): void {
    if (this.prefix !== "") this.checkPrefix(mnemonic, operands);
    const form = selectForm(mnemonic, operands, this.bits);
    const first = operands[0];
    if (mnemonic === "call" && first?.kind === "label") this.called.add(first.name);
    if (
      first !== undefined &&
      first.kind === "label" &&
      form.patterns[0].slot === Slot.RELATIVE &&
      form.patterns[0].bytes === 1
    ) {
      const long = form.addressSize === 0 ? longForm(mnemonic, this.bits) : null;
      if (long !== null) {
        const prefixBytes = long.operandSize === 32 && this.bits === 16 ? 1 : 0;
        const longBytes = prefixBytes + long.opcode.length + long.patterns[0].bytes;
        this.jumps.push({
          offset: this.buffer.length,
          label: first.name,
          short: form.opcode[0],
          long,
          longBytes,
          isLong: false,
        });
        this.buffer.reserve();
        this.buffer.byte(form.opcode[0]);
        this.buffer.byte(0);
        return;
      }
    }
    encode(this.buffer, form, operands, this.bits);
    if (operands.length === 0 && (mnemonic === "lock" || mnemonic.startsWith("rep"))) this.prefix = mnemonic;
  }

  label(name: string): void {
    if (this.labelOffsets.has(name)) throw new AssemblerError(`label '${name}' is defined twice`);
    this.labelOffsets.set(name, this.buffer.length);
    this.unwinding.label(name, this.buffer.length);
  }

  line(file: number, line: number, column: number, mark?: LineRow["mark"], isEntered = false): void {
    const offset = this.buffer.length;
    const last = this.rows.at(-1);
    const isOpen = last?.offset === offset && last.mark !== "no code";
    if (mark === "no code") {
      // Before the row that the next instruction takes over.
      for (let i = this.rows.length - 1; i >= 0 && this.rows[i].offset === offset; i--)
        if (this.rows[i].file === file && this.rows[i].line === line) return;
      this.rows.splice(isOpen ? this.rows.length - 1 : this.rows.length, 0, { offset, file, line, column, mark });
      return;
    }
    const replaced = isOpen ? this.rows.pop() : undefined;
    const without = this.rows.at(-1);
    // The statement has code after all.
    if (without?.mark === "no code" && without.offset === offset && without.file === file && without.line === line)
      this.rows.pop();
    // The position keeps its mark if the instruction placed there has a line of its own.
    const inherited = mark ?? replaced?.mark;
    const entered = isEntered || replaced?.entered === true;
    const before = this.rows[this.rows.length - 1];
    if (
      inherited === undefined &&
      !entered &&
      before?.file === file &&
      before.line === line &&
      before.column === column
    )
      return;
    this.rows.push({
      offset,
      file,
      line,
      column,
      ...(inherited === undefined ? {} : { mark: inherited }),
      ...(entered ? { entered } : {}),
    });
  }

  finish(): AssembledCode {
    if (this.prefix !== "") throw new AssemblerError(`${this.prefix}: no instruction follows`);
    const { buffer, jumps } = this;
    this.relax();
    // Everything after a long jump moves up by its growth.
    let growth = 0;
    for (const jump of jumps) if (jump.isLong) growth += jump.longBytes - 2;
    const bytes = new Uint8Array(buffer.length + growth);
    const moved = this.mover();
    let from = 0;
    let to = 0;
    for (const jump of jumps) {
      bytes.set(buffer.bytes.subarray(from, jump.offset), to);
      to += jump.offset - from;
      from = jump.offset + 2;
      to += jump.isLong ? jump.longBytes : 2;
    }
    bytes.set(buffer.bytes.subarray(from, buffer.length), to);

    const labels = new Map<string, number>();
    for (const [name, offset] of this.labelOffsets) labels.set(name, moved(offset));
    for (const jump of jumps) this.writeJump(bytes, jump, moved(jump.offset), this.offsetOf(labels, jump.label));
    const relocations: Relocation[] = [];
    for (const fixup of buffer.fixups) this.settle(bytes, fixup, moved(fixup.offset), labels, relocations);
    const lines = growth === 0 ? this.rows : this.rows.map((row) => ({ ...row, offset: moved(row.offset) }));
    while (lines.length > 0 && lines[lines.length - 1].offset >= bytes.length) lines.pop();
    const { signal } = this.unwinding;
    const rows = this.unwinding.rows(moved, bytes.length);
    const frame = signal ? { rows, signal, exits: this.unwinding.exits(moved) } : { rows, signal };
    return { bytes, relocations, lines, labels, called: this.called, frame, moved };
  }

  private checkPrefix(mnemonic: string, operands: readonly Operand[]): void {
    const { prefix } = this;
    this.prefix = "";
    if (prefix === "lock") {
      const memory = operands[0]?.kind === "memory" || (mnemonic === "xchg" && operands[1]?.kind === "memory");
      if (!lockable.has(mnemonic) || !memory)
        throw new AssemblerError(`lock: '${mnemonic}' cannot be locked, or has no memory destination`);
    } else if (!STRINGS.test(mnemonic) || operands.length !== 0) {
      throw new AssemblerError(`${prefix}: '${mnemonic}' is no string instruction`);
    }
  }

  private offsetOf(offsets: ReadonlyMap<string, number>, label: string): number {
    const offset = offsets.get(label);
    if (offset === undefined) throw new AssemblerError(`label '${label}' is not defined`);
    return offset;
  }

  /** Decides which jumps are long. */
  private relax(): void {
    const { jumps } = this;
    const targets = jumps.map((jump) => this.offsetOf(this.labelOffsets, jump.label));
    for (let changed = true; changed; ) {
      changed = false;
      const moved = this.mover();
      for (let i = 0; i < jumps.length; i++) {
        const jump = jumps[i];
        if (jump.isLong) continue;
        const distance = moved(targets[i]) - (moved(jump.offset) + 2);
        if (distance < -128 || distance > 127) {
          jump.isLong = true;
          changed = true;
        }
      }
    }
  }

  /**
   * Maps offsets in the buffer to offsets in the finished code. A label directly after a jump is also after its long
   * form.
   */
  private mover(): (offset: number) => number {
    const starts: number[] = [];
    const growths: number[] = [];
    let growth = 0;
    for (const jump of this.jumps) {
      if (!jump.isLong) continue;
      growth += jump.longBytes - 2;
      starts.push(jump.offset);
      growths.push(growth);
    }
    if (growth === 0) return (offset) => offset;
    return (offset) => {
      let low = 0;
      let high = starts.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (starts[middle] < offset) low = middle + 1;
        else high = middle;
      }
      return low === 0 ? offset : offset + growths[low - 1];
    };
  }

  private writeJump(bytes: Uint8Array, jump: Jump, at: number, target: number): void {
    if (!jump.isLong) {
      bytes[at] = jump.short;
      bytes[at + 1] = target - (at + 2);
      return;
    }
    let position = at;
    if (jump.long.operandSize === 32 && this.bits === 16) bytes[position++] = 0x66;
    for (const byte of jump.long.opcode) bytes[position++] = byte;
    const fieldBytes = jump.long.patterns[0].bytes;
    const distance = target - (at + jump.longBytes);
    if (fieldBytes === 2 && (distance < -32768 || distance > 32767))
      throw new AssemblerError(`jump to '${jump.label}' does not reach`);
    for (let i = 0; i < fieldBytes; i++) bytes[position + i] = distance >> (8 * i);
  }

  /** Writes what is known now and leaves the rest to the linker. */
  private settle(
    bytes: Uint8Array,
    fixup: Fixup,
    offset: number,
    labels: ReadonlyMap<string, number>,
    relocations: Relocation[],
  ): void {
    const { expression, kind } = fixup;
    const plus = labels.get(expression.plus);
    const minus = expression.minus === null ? undefined : labels.get(expression.minus);
    const relative = kind === "rel8" || kind === "rel16" || kind === "rel32";
    const fieldBytes = FIELD_BYTES[kind];
    if (relative && plus !== undefined && expression.minus === null) {
      const distance = BigInt(plus - (offset + fieldBytes + fixup.trailing)) + expression.addend;
      if (BigInt.asIntN(fieldBytes * 8, distance) !== distance)
        throw new AssemblerError(`'${expression.plus}' is out of reach: ${distance} bytes away`);
      writeField(bytes, offset, distance, fieldBytes);
      return;
    }
    if (plus !== undefined && minus !== undefined) {
      const value = BigInt(plus - minus) + expression.addend;
      if (BigInt.asIntN(fieldBytes * 8, value) !== value && BigInt.asUintN(fieldBytes * 8, value) !== value) {
        throw new AssemblerError(
          `${expression.plus} - ${expression.minus} is ${value}, which does not fit ${fieldBytes * 8} bits`,
        );
      }
      writeField(bytes, offset, value, fieldBytes);
      return;
    }
    if (kind === "rel16") throw new AssemblerError(`label '${expression.plus}' is not defined`);
    const resolved: SymbolExpression =
      plus === undefined && minus === undefined
        ? expression
        : {
            plus: plus === undefined ? expression.plus : this.symbol,
            minus: minus === undefined ? expression.minus : this.symbol,
            addend: expression.addend + BigInt(plus ?? 0) - BigInt(minus ?? 0),
          };
    if (kind === "rel8") throw new AssemblerError(`label '${expression.plus}' is not defined`);
    relocations.push({ offset, kind, expression: resolved, trailing: fixup.trailing });
  }
}

const FIELD_BYTES: Readonly<Record<Fixup["kind"], number>> = {
  abs64: 8,
  abs32: 4,
  abs32s: 4,
  abs16: 2,
  abs8: 1,
  rel32: 4,
  rel16: 2,
  rel8: 1,
};

function writeField(bytes: Uint8Array, offset: number, value: bigint, fieldBytes: number): void {
  for (let i = 0; i < fieldBytes; i++) bytes[offset + i] = Number((value >> BigInt(8 * i)) & 255n);
}

/** The form of a jump that always reaches, or null if there is none (loop, jrcxz). */
function longForm(mnemonic: string, bits: Bits): Form | null {
  return (
    formsFor(mnemonic, bits, 1)?.find(({ patterns: [target] }) => target.slot === Slot.RELATIVE && target.bytes > 1) ??
    null
  );
}
