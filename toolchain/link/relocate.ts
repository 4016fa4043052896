/** Fills in the fields that depend on addresses, with overflow checks. object.ts defines the kinds. */
import { LinkError, type OutputSection, type PlacedImage } from "./layout.ts";
import type { Relocation } from "./object.ts";

const FIELD_BYTES: Readonly<Record<Relocation["kind"], number>> = {
  abs64: 8,
  abs32: 4,
  abs32s: 4,
  abs16: 2,
  abs8: 1,
  rel32: 4,
  rel8: 1,
};
const hex = (value: bigint): string => (value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`);

function fits(value: bigint, relocation: Relocation): boolean {
  const width = FIELD_BYTES[relocation.kind] * 8;
  const signed = BigInt.asIntN(width, value) === value;
  const unsigned = BigInt.asUintN(width, value) === value;
  switch (relocation.kind) {
    case "abs64":
      return true;
    case "abs32s":
    case "rel32":
    case "rel8":
      return signed;
    default:
      // A difference is signed; a zero-extended address is not.
      return unsigned || (relocation.expression.minus !== null && signed);
  }
}

/** The run-time bytes of a section. Throws a LinkError with every field that overflows. */
export function relocateSection(section: OutputSection, image: PlacedImage, problems: string[]): Uint8Array {
  const bytes = new Uint8Array(Number(section.size));
  const addressOf = (symbol: string): bigint => {
    const value = image.addresses.get(symbol);
    if (value === undefined) throw new LinkError([`symbol '${symbol}' is not defined`]);
    return value;
  };
  for (const { chunk, address } of section.chunks) {
    if (chunk.bytes === null) continue;
    const start = Number(address - section.address);
    bytes.set(chunk.bytes, start);
    for (const relocation of chunk.relocations) {
      const { expression, kind, offset, trailing } = relocation;
      const fieldBytes = FIELD_BYTES[kind];
      if (offset < 0 || offset + fieldBytes > chunk.size) {
        problems.push(
          `${chunk.symbol} (${section.name}): relocation at ${offset} lies outside its ${chunk.size} bytes`,
        );
        continue;
      }
      let value =
        addressOf(expression.plus) - (expression.minus === null ? 0n : addressOf(expression.minus)) + expression.addend;
      if (kind === "rel32" || kind === "rel8") value -= address + BigInt(offset + fieldBytes + trailing);
      // Addresses are 64 bits: 0xffff_ffff_8000_0000 equals its negative form.
      const wrapped = kind === "abs32s" ? BigInt.asIntN(64, value) : value;
      if (!fits(wrapped, relocation)) {
        const place = `${chunk.symbol}+${hex(BigInt(offset))} (${section.name})`;
        const target = expression.minus === null ? expression.plus : `${expression.plus} - ${expression.minus}`;
        problems.push(`${place}: ${kind} of '${target}' is ${hex(wrapped)}, which does not fit`);
        continue;
      }
      for (let i = 0; i < fieldBytes; i++) bytes[start + offset + i] = Number((wrapped >> BigInt(8 * i)) & 255n);
    }
  }
  return bytes;
}
