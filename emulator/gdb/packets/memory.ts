/** Memory of the selected core's address space: m, M, x, X, qSearch:memory, qCRC. */
import {
  binaryToBytes,
  bytesToBinary,
  bytesToHex,
  hexToBytes,
  PACKET_BYTES,
  parseHex,
  parseSmallHex,
} from "../framing.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";

/** Bytes of one m or x reply; gdb asks for no more than fits. */
const MOST = PACKET_BYTES / 2 - 16;
const MOST_SEARCH = 0x1000_0000;

/** `ADDRESS,LENGTH`. */
function area(text: string): { readonly address: bigint; readonly length: number } | undefined {
  const [first, second, ...rest] = text.split(",");
  const address = parseHex(first);
  const length = parseSmallHex(second, 0xffff_ffff);
  return address === undefined || length === undefined || rest.length > 0 ? undefined : { address, length };
}

const read =
  (encode: (bytes: Uint8Array) => string) =>
  (session: Session, rest: string): Reply => {
    const where = area(rest);
    if (where === undefined) return Failure.INVALID;
    const bytes = session.target.read(session.general, where.address, Math.min(where.length, MOST));
    return bytes.length === 0 && where.length > 0 ? Failure.BAD_MEMORY : encode(bytes);
  };

const write =
  (decode: (text: string) => Uint8Array | undefined) =>
  (session: Session, rest: string): Reply => {
    const colon = rest.indexOf(":");
    const where = area(rest.slice(0, Math.max(colon, 0)));
    const bytes = decode(rest.slice(colon + 1));
    if (where === undefined || bytes === undefined || bytes.length !== where.length) return Failure.INVALID;
    // By an X of length 0 gdb asks whether we support X.
    if (bytes.length === 0) return "OK";
    return session.target.write(session.general, where.address, bytes) ? "OK" : Failure.BAD_MEMORY;
  };

/**
 * `ADDRESS;LENGTH;PATTERN`: returns `1,ADDRESS` of the first occurrence, or `0`. Memory is read in pieces that overlap
 * by the pattern's length.
 */
function search(session: Session, rest: string): Reply {
  const [first, second, ...tail] = rest.split(";");
  const start = parseHex(first);
  const length = parseSmallHex(second, MOST_SEARCH);
  const pattern = binaryToBytes(tail.join(";"));
  if (start === undefined || length === undefined || pattern.length === 0) return Failure.INVALID;
  const piece = 0x1_0000;
  for (let at = 0; at + pattern.length <= length; at += piece) {
    const wanted = Math.min(piece + pattern.length - 1, length - at);
    const bytes = session.target.read(session.general, BigInt.asUintN(64, start + BigInt(at)), wanted);
    const found = Buffer.from(bytes).indexOf(pattern);
    if (found >= 0) return `1,${BigInt.asUintN(64, start + BigInt(at + found)).toString(16)}`;
    if (bytes.length < wanted) return Failure.BAD_MEMORY;
  }
  return "0";
}

/**
 * The CRC of qCRC: zlib's polynomial, most significant bit first, initial value all ones. Source: gdb manual, E.4
 * "qCRC".
 */
const CRC_POLYNOMIAL = 0x04c1_1db7;
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte << 24;
  for (let bit = 0; bit < 8; bit++) c = c < 0 ? (c << 1) ^ CRC_POLYNOMIAL : c << 1;
  return c >>> 0;
});

/**
 * `ADDRESS,LENGTH`: for compare-sections, which asks for a kernel's sections at their load addresses, which are
 * physical.
 */
function crc(session: Session, rest: string): Reply {
  const where = area(rest);
  if (where === undefined || where.length > MOST_SEARCH) return Failure.INVALID;
  const { target, general } = session;
  const piece = 0x1_0000;
  let sum = 0xffff_ffff;
  for (let at = 0; at < where.length; at += piece) {
    const wanted = Math.min(piece, where.length - at);
    const address = where.address + BigInt(at);
    const bytes = target.readLoaded?.(general, address, wanted) ?? target.read(general, address, wanted);
    if (bytes.length < wanted) return Failure.BAD_MEMORY;
    for (const byte of bytes) sum = ((sum << 8) ^ crcTable[((sum >>> 24) ^ byte) & 0xff]!) >>> 0;
  }
  return `C${sum.toString(16)}`;
}

/** Ends of the low half and start of the high half: addresses between them are not canonical. */
const LOW_END = 1n << 47n;
const HIGH_START = (1n << 64n) - LOW_END;
/**
 * lldb looks for a range without permissions, where its expressions may keep their values. Source: lldb-gdb-remote.txt.
 */
function region(_session: Session, rest: string): Reply {
  const address = /^[0-9a-f]{1,16}$/i.test(rest) ? BigInt(`0x${rest}`) : undefined;
  if (address === undefined) return Failure.INVALID;
  const [start, end, permissions] =
    address < LOW_END
      ? [0n, LOW_END, "permissions:rwx;"]
      : address < HIGH_START
        ? [LOW_END, HIGH_START, ""]
        : // lldb does not take an end of 2^64.
          [HIGH_START, (1n << 64n) - 1n, "permissions:rwx;"];
  return `start:${start.toString(16)};size:${(end - start).toString(16)};${permissions}`;
}

export const memoryPackets: readonly PacketRow[] = [
  { prefix: "m", answer: read(bytesToHex) },
  // gdb 16 and later, by binary-upload+.
  { prefix: "x", answer: read((bytes) => `b${bytesToBinary(bytes)}`) },
  { prefix: "M", answer: write(hexToBytes) },
  { prefix: "X", answer: write(binaryToBytes) },
  { prefix: "qSearch:memory:", answer: search },
  { prefix: "qCRC:", answer: crc },
  { prefix: "qMemoryRegionInfo:", answer: region },
];
