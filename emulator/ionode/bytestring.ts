/**
 * On Linux, names and paths are bytes without an encoding. Here they are byte strings: one character, 0…255, for each
 * byte. The host interface uses bytes.
 */
export function toBytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
export function fromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
/** Typed text as its UTF-8 bytes. */
export function fromText(text: string): string {
  return fromBytes(Buffer.from(text));
}
/** Compares bytes, which is the order of the characters. */
export function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
/** For display: as UTF-8, with a mark for invalid bytes. */
export function toText(text: string): string {
  return toBytes(text).toString("utf8");
}
