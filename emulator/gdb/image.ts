/**
 * An ELF file as it will be in memory: gdb reads from it before it is mapped. Source: ELF-64 object file format 1.5,
 * section 7. Never throws.
 */
import type { TargetFile } from "./target.ts";

interface Segment {
  readonly address: bigint;
  /** Load address (p_paddr). */
  readonly physical: bigint;
  /** In the file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}
export interface LoadedImage extends TargetFile {
  readonly segments: readonly Segment[];
}

const PT_LOAD = 1;
const PHDR_BYTES = 56;

export function loadedImage(path: string, bytes: Uint8Array): LoadedImage {
  const segments: Segment[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isElf = bytes.length >= 64 && view.getUint32(0, false) === 0x7f45_4c46;
  const table = isElf ? Number(view.getBigUint64(32, true)) : 0;
  const count = isElf ? view.getUint16(56, true) : 0;
  for (let i = 0; i < count && table + (i + 1) * PHDR_BYTES <= bytes.length; i++) {
    const at = table + i * PHDR_BYTES;
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const offset = Number(view.getBigUint64(at + 8, true));
    segments.push({
      address: view.getBigUint64(at + 16, true),
      physical: view.getBigUint64(at + 24, true),
      offset,
      bytes: bytes.subarray(offset, offset + Number(view.getBigUint64(at + 32, true))),
    });
  }
  const base = segments.reduce<bigint | undefined>(
    (least, s) => (least === undefined || s.address < least ? s.address : least),
    undefined,
  );
  return { path, bytes, base: base ?? 0n, segments };
}

/** The images' bytes at an address, up to the end of the segment; empty: none. */
export function loadedBytes(images: readonly LoadedImage[], address: bigint, length: number): Uint8Array {
  for (const { segments } of images) {
    for (const segment of segments) {
      const offset = address - segment.address;
      if (offset >= 0n && offset < BigInt(segment.bytes.length))
        return segment.bytes.subarray(Number(offset), Number(offset) + length);
    }
  }
  return new Uint8Array();
}
