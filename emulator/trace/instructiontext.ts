/** An instruction with its symbol and its source line: `call 0xffffffff80101340 <do_irq>  ; kernel/arch/trap.ts:88`. */
import { type DecodeOptions, linkedAddress } from "./decode.ts";
import type { Disassembler } from "./disassemble.ts";
import type { Symboliser } from "./symbolise.ts";

export function instructionText(
  disassemble: Disassembler,
  symboliser: Symboliser,
): NonNullable<DecodeOptions["instruction"]> {
  return (rip, bits, code) => {
    const { text, target } = disassemble(rip, Buffer.from(code, "hex"), bits);
    const name = target === undefined ? undefined : symboliser.nameOf(linkedAddress(target, bits));
    const source = symboliser.sourceOf(linkedAddress(rip, bits));
    return [
      bits === 64 ? text : `[${bits}] ${text}`,
      name === undefined ? "" : ` <${name}>`,
      source === undefined ? "" : `  ; ${source}`,
    ].join("");
  };
}
