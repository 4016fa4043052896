/** A code sink that writes Intel-syntax assembly as text, for `--emit=asm` and for messages. */
import { formatInstruction } from "./format.ts";
import type { CodeSink, Operand } from "./operand.ts";

export class TextSink implements CodeSink {
  readonly #lines: string[] = [];
  #position = "";
  #prefix = "";

  emit(mnemonic: string, ...operands: Operand[]): void {
    if (mnemonic === "lock" || (mnemonic.startsWith("rep") && operands.length === 0)) {
      this.#prefix += `${mnemonic} `;
      return;
    }
    const text = `    ${this.#prefix}${formatInstruction(mnemonic, operands)}`;
    this.#prefix = "";
    this.#lines.push(this.#position === "" ? text : `${text.padEnd(48)} # ${this.#position}`);
    this.#position = "";
  }
  label(name: string): void {
    this.#lines.push(`${name}:`);
  }
  line(_file: number, line: number, column: number): void {
    this.#position = `${line}:${column}`;
  }
  note(text: string): void {
    this.#lines.push(`# ${text}`);
  }
  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}
