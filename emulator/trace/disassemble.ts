/**
 * Machine code as text, by iced-x86 (Intel syntax). The package is large, so it is loaded only if instructions are
 * shown: `await loadDisassembler()`.
 */
export interface DecodedInstruction {
  /** Length in bytes; 0: not an instruction. */
  readonly bytes: number;
  readonly text: string;
  /** Target of a jump or call, or address relative to RIP. */
  readonly target?: bigint;
}
/** `bits`: 16, 32 or 64. More bytes may follow the instruction. */
export type Disassembler = (rip: bigint, code: Uint8Array, bits: number) => DecodedInstruction;

/** Size of the cache of decoded instructions: loops repeat. */
const KEPT = 1 << 16;

export async function loadDisassembler(): Promise<Disassembler> {
  const { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } = await import("iced-x86");
  const formatter = new Formatter(FormatterSyntax.Intel);
  formatter.hexPrefix = "0x";
  formatter.hexSuffix = "";
  formatter.uppercaseHex = false;
  formatter.spaceAfterOperandSeparator = true;
  formatter.branchLeadingZeros = false;
  formatter.ripRelativeAddresses = false;
  const instruction = new Instruction();
  const known = new Map<string, DecodedInstruction>();
  return (rip, code, bits) => {
    const key = `${rip}.${bits}.${Buffer.from(code).toString("latin1")}`;
    let decoded = known.get(key);
    if (decoded !== undefined) return decoded;
    const decoder = new Decoder(bits, code, DecoderOptions.None);
    decoder.ip = rip;
    decoder.decodeOut(instruction);
    decoder.free();
    const target = instruction.isIpRelMemoryOperand
      ? instruction.ipRelMemoryAddress
      : instruction.isCallNear || instruction.isJccShortOrNear || instruction.isJmpShortOrNear
        ? instruction.nearBranchTarget
        : undefined;
    decoded = instruction.isInvalid
      ? { bytes: 0, text: "(bad)" }
      : { bytes: instruction.length, text: formatter.format(instruction), ...(target === undefined ? {} : { target }) };
    if (known.size >= KEPT) known.clear();
    known.set(key, decoded);
    return decoded;
  };
}
