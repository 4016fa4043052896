/**
 * Framing of the remote serial protocol: bytes → packets, acknowledgements and interrupts, and back. Source: the gdb
 * manual, appendix E.1. Payloads are strings of one character per byte (Latin-1). A reader accepts every byte sequence:
 * bytes outside packets are skipped, a wrong checksum or a packet beyond the limit is reported as bad (the peer gets
 * `-`), and a `$` inside a packet starts a new one.
 */

/** Longest payload that we accept, unescaped bytes; announced as PacketSize. A g packet needs about 1,700. */
export const PACKET_BYTES = 0x8000;
/** Escapes at most double the size. */
const RAW_LIMIT = 2 * PACKET_BYTES;

export type Received =
  | { readonly kind: "packet"; readonly payload: string }
  /** Wrong checksum, or too long. */
  | { readonly kind: "bad" }
  | { readonly kind: "ack" }
  | { readonly kind: "nak" }
  /** Ctrl-C, byte 3 between packets. */
  | { readonly kind: "interrupt" };

const DOLLAR = 0x24;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const STAR = 0x2a;
const ESCAPE = 0x7d;
const ESCAPE_XOR = 0x20;
const INTERRUPT = 0x03;

const hexDigit = (byte: number): number =>
  byte >= 0x30 && byte <= 0x39
    ? byte - 0x30
    : byte >= 0x61 && byte <= 0x66
      ? byte - 0x57
      : byte >= 0x41 && byte <= 0x46
        ? byte - 0x37
        : Number.NaN;

const enum Reading {
  BETWEEN,
  PAYLOAD,
  CHECKSUM_HIGH,
  CHECKSUM_LOW,
}

export class PacketReader {
  private reading = Reading.BETWEEN;
  private readonly raw = new Uint8Array(RAW_LIMIT);
  /** Bytes of the packet so far; beyond RAW_LIMIT they are only counted. */
  private length = 0;
  private sum = 0;
  private high = 0;

  /** Discards a partial packet, for a new peer. */
  reset(): void {
    this.reading = Reading.BETWEEN;
  }

  *read(bytes: Uint8Array): Generator<Received> {
    for (const byte of bytes) {
      switch (this.reading) {
        case Reading.BETWEEN:
          if (byte === DOLLAR) this.begin();
          else if (byte === PLUS) yield { kind: "ack" };
          else if (byte === MINUS) yield { kind: "nak" };
          else if (byte === INTERRUPT) yield { kind: "interrupt" };
          break;
        case Reading.PAYLOAD:
          if (byte === HASH) this.reading = Reading.CHECKSUM_HIGH;
          else if (byte === DOLLAR) this.begin();
          else {
            if (this.length < RAW_LIMIT) this.raw[this.length] = byte;
            this.length++;
            this.sum = (this.sum + byte) & 0xff;
          }
          break;
        case Reading.CHECKSUM_HIGH:
          if (byte === DOLLAR) {
            yield { kind: "bad" };
            this.begin();
            break;
          }
          this.high = hexDigit(byte);
          this.reading = Reading.CHECKSUM_LOW;
          break;
        case Reading.CHECKSUM_LOW:
          if (byte === DOLLAR) {
            yield { kind: "bad" };
            this.begin();
            break;
          }
          this.reading = Reading.BETWEEN;
          yield this.finish(this.high * 16 + hexDigit(byte));
          break;
      }
    }
  }

  private begin(): void {
    this.reading = Reading.PAYLOAD;
    this.length = 0;
    this.sum = 0;
  }

  /** `checksum` is NaN if the two characters are not digits. */
  private finish(checksum: number): Received {
    if (checksum !== this.sum || this.length > RAW_LIMIT) return { kind: "bad" };
    const payload = Buffer.alloc(this.length);
    let bytes = 0;
    for (let i = 0; i < this.length; i++) {
      const byte = this.raw[i]!;
      // An escape at the end stands for itself.
      payload[bytes++] = byte === ESCAPE && i + 1 < this.length ? this.raw[++i]! ^ ESCAPE_XOR : byte;
    }
    return bytes > PACKET_BYTES ? { kind: "bad" } : { kind: "packet", payload: payload.toString("latin1", 0, bytes) };
  }
}

/**
 * `$payload#checksum`. Escapes characters that have a meaning in the framing (`*` is run-length encoding, which we do
 * not write).
 */
export function frame(payload: string): Uint8Array {
  const bytes = Buffer.alloc(2 * payload.length + 4);
  let length = 0;
  let sum = 0;
  const put = (byte: number): void => {
    bytes[length++] = byte;
    sum = (sum + byte) & 0xff;
  };
  bytes[length++] = DOLLAR;
  for (let i = 0; i < payload.length; i++) {
    const byte = payload.charCodeAt(i) & 0xff;
    if (byte === DOLLAR || byte === HASH || byte === STAR || byte === ESCAPE) {
      put(ESCAPE);
      put(byte ^ ESCAPE_XOR);
    } else put(byte);
  }
  bytes[length++] = HASH;
  return Buffer.concat([bytes.subarray(0, length), Buffer.from(sum.toString(16).padStart(2, "0"))]);
}

// ---- parts of payloads ----------------------------------------------------------------------------------------------

export const bytesToHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
export const textToHex = (text: string): string => Buffer.from(text, "utf8").toString("hex");
/** undefined: not an even number of hex digits. */
export function hexToBytes(text: string): Uint8Array | undefined {
  return /^(?:[0-9a-fA-F]{2})*$/.test(text) ? Buffer.from(text, "hex") : undefined;
}
export const binaryToBytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
export const bytesToBinary = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");

/** Parses a hex number of at most 64 bits; undefined: not one. */
export function parseHex(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : undefined;
}
/** A hex number of at most `most`. */
export function parseSmallHex(text: string | undefined, most: number): number | undefined {
  const value = parseHex(text);
  return value !== undefined && value <= BigInt(most) ? Number(value) : undefined;
}
