/**
 * Inline assembly: Intel syntax in a tagged template, with operands between the pieces of text.
 *
 *   statements end at `;` or a newline, `#` starts a comment; `name:` and `1:` are labels, `1b` and `1f` the nearest
 *   operands: registers; [base + index*scale + displacement], after byte, word, dword, qword, tbyte or xmmword ptr and
 *     es: … gs:; expressions over numbers (0x, 0b, decimal, _), labels and symbols with + - * << >> & | ~ ( ),
 *     at most symbol minus symbol
 *   ljmp SELECTOR, OFFSET is a far jump; lock and rep stand in front of their instruction
 *
 * Names are registers, labels of the block, or symbols that the linker makes (they start with two underscores);
 * everything else comes in by `${…}`. The only directives are those about the frame (.cfi_…, unwind.ts): a block
 * holds code, not data.
 */
import type { AsmBlock } from "../ir/ir.ts";
import { Assembler, AssemblerError } from "./assembler.ts";
import { type AsmRegisters, Cursor, type Scope } from "./inline-operands.ts";
import { InlineError, type Statement, type Token, parseStatements } from "./inline-text.ts";
import { CONDITIONS } from "./instructions.ts";
import type { CodeSink, Operand } from "./operand.ts";

export type { AsmRegisters } from "./inline-operands.ts";

export interface AsmProblem {
  readonly message: string;
  /** Position: index into AsmBlock.pieces, and the offset of a character in that piece. */
  readonly piece: number;
  readonly offset: number;
}

/**
 * All problems of a block, in the order of its text. Without `names` the widths of run-time operands are unknown, and a
 * statement passes if some widths fit; with them it is checked as it will be encoded.
 */
export function checkAsm(block: AsmBlock, names: AsmRegisters | null = null): AsmProblem[] {
  const problems: AsmProblem[] = [];
  const note = (error: unknown): void => {
    if (!(error instanceof InlineError)) throw error;
    const { piece, offset } = error.at;
    if (!problems.some((problem) => problem.piece === piece && problem.offset === offset))
      problems.push({ message: error.message, piece, offset });
  };
  const { statements, labels } = parseStatements(block, "", note);
  for (const statement of statements) {
    if (statement.tokens.length === 0) continue;
    const choices = names === null ? placeholders(statement, block.bits) : [names];
    let first: unknown = null;
    for (const choice of choices) {
      try {
        const assembler = new Assembler("", block.bits);
        emitStatement(statement, { names: choice, labels }, assembler);
        first = null;
        break;
      } catch (error) {
        first ??= error;
      }
    }
    if (first !== null) note(first);
  }
  return problems.sort((a, b) => a.piece - b.piece || a.offset - b.offset);
}

/**
 * Passes the block's instructions to `sink`, which must assemble code of `block.bits`. Lines of the text are lines of
 * the source if the template starts at block.loc. Labels get `uniqueLabelPrefix`, which no other block of the chunk
 * has. Throws an AssemblerError if checkAsm would find a problem.
 */
export function assembleInline(
  block: AsmBlock,
  registerOf: (operandIndex: number) => string,
  retRegister: string | null,
  sink: CodeSink,
  uniqueLabelPrefix: string,
): void {
  const { statements, labels } = parseStatements(block, uniqueLabelPrefix, (error) => {
    throw error;
  });
  const scope: Scope = { names: { of: registerOf, ret: retRegister }, labels };
  for (const statement of statements) {
    for (const label of statement.labels) sink.label(label);
    if (statement.tokens.length === 0) continue;
    if (block.loc.file >= 0) {
      const column = statement.line === 0 ? block.loc.column : statement.column;
      sink.line(block.loc.file, block.loc.line + statement.line, column);
    }
    emitStatement(statement, scope, sink);
  }
}

/** Registers to try if the widths of run-time operands are unknown: each operand of the statement in each width. */
function placeholders(statement: Statement, bits: 16 | 32 | 64): AsmRegisters[] {
  const used = new Set<number>();
  for (const { operand } of statement.tokens) {
    if (operand?.kind === "in") used.add(operand.index);
    if (operand?.kind === "ret") used.add(-1);
  }
  const candidates = bits === 64 ? ["rbx", "ebx", "bx", "bl", "xmm1"] : ["ebx", "bx", "bl", "xmm1"];
  let choices: Map<number, string>[] = [new Map()];
  // No instruction takes more than four registers; with more operands the first choice is refused like any other.
  const tried = used.size <= 4 ? candidates : candidates.slice(0, 1);
  for (const index of used)
    choices = choices.flatMap((choice) => tried.map((name) => new Map(choice).set(index, name)));
  return choices.map((choice) => ({ of: (index) => choice.get(index) ?? "", ret: choice.get(-1) ?? null }));
}

// ---- statements to instructions ------------------------------------------------------------------------------------

const PREFIXES: ReadonlySet<string> = new Set(["lock", "rep", "repe", "repz", "repne", "repnz"]);
/** A label is a branch target for these instructions, and an address for all others. */
const BRANCHES: ReadonlySet<string> = new Set([
  "jmp",
  "call",
  "loop",
  "jecxz",
  "jrcxz",
  ...CONDITIONS.flat().map((name) => `j${name}`),
]);

function emitStatement(statement: Statement, scope: Scope, sink: CodeSink): void {
  const cursor = new Cursor(statement, scope);
  let mnemonic = cursor.mnemonic();
  while (PREFIXES.has(mnemonic.text) && !cursor.done()) {
    emit(sink, mnemonic, []);
    mnemonic = cursor.mnemonic();
  }
  const operands: Operand[] = [];
  if (!cursor.done()) {
    do operands.push(cursor.operand(BRANCHES.has(mnemonic.text)));
    while (cursor.accept(","));
    if (!cursor.done()) throw new InlineError(`unexpected '${cursor.peek().text}'`, cursor.peek());
  }
  if (mnemonic.text === "ljmp" && operands.length === 2) {
    const [selector, offset] = operands;
    if (selector.kind !== "immediate" || (offset.kind !== "immediate" && offset.kind !== "symbol")) {
      throw new InlineError("ljmp takes a constant selector and an offset: ljmp 0x08, 1f", mnemonic.token);
    }
    emit(sink, mnemonic, [{ kind: "far", selector: Number(selector.value), offset }]);
  } else {
    emit(sink, mnemonic, operands);
  }
}

function emit(sink: CodeSink, mnemonic: { text: string; token: Token }, operands: Operand[]): void {
  try {
    sink.emit(mnemonic.text, ...operands);
  } catch (error) {
    if (error instanceof InlineError || !(error instanceof AssemblerError)) throw error;
    throw new InlineError(error.message, mnemonic.token);
  }
}
