/**
 * Results of the eight arithmetic instructions by the definitions in Intel SDM vol. 1, 3.4.3.1, computed with unlimited
 * integers: the first lines that guest/flags.ts prints. CF: carry or borrow out of the top bit; AF: out of bit 3; OF:
 * the signed result does not fit; PF: an even number of ones in the low byte. Logic clears CF and OF and leaves AF
 * undefined; CMP keeps its operand.
 */
const bytes = [0x00n, 0x01n, 0x0fn, 0x10n, 0x7fn, 0x80n, 0x81n, 0xfen, 0xffn];
const words32 = [0xffff_ffff_0000_0001n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn];
const words64 = [0n, 1n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];

const operations = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const;
type Operation = (typeof operations)[number];

function line(name: Operation, width: number, a: bigint, b: bigint, carry: bigint): string {
  const cut = (value: bigint): bigint => BigInt.asUintN(width, value);
  const signed = (value: bigint): bigint => BigInt.asIntN(width, value);
  const [x, y] = [cut(a), cut(b)];
  const carryIn = name === "adc" || name === "sbb" ? carry : 0n;
  let exact: bigint;
  let exactSigned: bigint;
  let half = false;
  switch (name) {
    case "add":
    case "adc":
      exact = x + y + carryIn;
      exactSigned = signed(x) + signed(y) + carryIn;
      half = (x & 15n) + (y & 15n) + carryIn > 15n;
      break;
    case "sub":
    case "sbb":
    case "cmp":
      exact = x - y - carryIn;
      exactSigned = signed(x) - signed(y) - carryIn;
      half = (x & 15n) - (y & 15n) - carryIn < 0n;
      break;
    default:
      exact = name === "and" ? x & y : name === "or" ? x | y : x ^ y;
      exactSigned = signed(exact);
  }
  const result = cut(exact);
  const logic = name === "and" || name === "or" || name === "xor";
  let ones = 0;
  for (let bit = 0n; bit < 8n; bit++) ones += Number((result >> bit) & 1n);
  const flags = [
    exactSigned === signed(result) ? "-" : "O",
    signed(result) < 0n ? "S" : "-",
    result === 0n ? "Z" : "-",
    logic ? "?" : half ? "A" : "-",
    ones % 2 === 0 ? "P" : "-",
    exact === result ? "-" : "C",
  ];
  // A 32-bit result clears the upper half of the register, an 8-bit one preserves the rest; CMP writes nothing.
  const register = name === "cmp" ? a : width === 8 ? (a & ~0xffn) | result : result;
  return `${name} ${a.toString(16)}, ${b.toString(16)}: ${register.toString(16)} ${flags.join("")}`;
}

export function arithmeticLines(): string[] {
  const lines: string[] = [];
  for (const name of operations) {
    for (const carry of name === "adc" || name === "sbb" ? [0n, 1n] : [0n]) {
      for (const a of bytes)
        for (const b of bytes.filter((_, index) => index % 2 === 0)) lines.push(line(name, 8, a, b, carry));
      for (const a of words32) for (const b of words32) lines.push(line(name, 32, a, b, carry));
      for (const a of words64) for (const b of words64) lines.push(line(name, 64, a, b, carry));
    }
  }
  return lines;
}
