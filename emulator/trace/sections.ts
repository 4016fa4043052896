/**
 * Section headers of an ELF64 image. Source: ELF-64 object file format 1.5, section 3. Never throws: sections outside
 * the file are left out.
 */
export interface ElfSection {
  readonly name: string;
  readonly type: number;
  readonly link: number;
  /** Of its first byte in memory; 0: it is not loaded. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 64;
const ENTRY_BYTES = 64;
const SHT_NOBITS = 8;

/** By index; what lies outside the file is empty. */
export function elfSections(bytes: Uint8Array): readonly ElfSection[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || view.getUint32(0, false) !== 0x7f45_4c46) return [];
  const table = Number(view.getBigUint64(40, true));
  const entryBytes = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  const names = view.getUint16(62, true);
  if (entryBytes < ENTRY_BYTES || table + count * entryBytes > bytes.length) return [];
  const content = (index: number): Uint8Array => {
    const at = table + index * entryBytes;
    const offset = Number(view.getBigUint64(at + 24, true));
    const length = Number(view.getBigUint64(at + 32, true));
    const absent = view.getUint32(at + 4, true) === SHT_NOBITS || offset + length > bytes.length;
    return absent ? bytes.subarray(0, 0) : bytes.subarray(offset, offset + length);
  };
  const nameTable = names < count ? content(names) : bytes.subarray(0, 0);
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * entryBytes;
    return {
      name: cString(nameTable, view.getUint32(at, true)),
      type: view.getUint32(at + 4, true),
      link: view.getUint32(at + 40, true),
      address: view.getBigUint64(at + 16, true),
      bytes: content(index),
    };
  });
}

/** The string at `start`, up to its zero or the end of `bytes`. */
export function cString(bytes: Uint8Array, start: number): string {
  const end = bytes.indexOf(0, start);
  return start > bytes.length ? "" : new TextDecoder().decode(bytes.subarray(start, end < 0 ? bytes.length : end));
}
