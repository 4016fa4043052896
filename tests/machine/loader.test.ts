/** The PVH loader refuses an image that it cannot boot in one line with the reason, and fills RAM as QEMU does. */
import { describe, expect, it } from "vitest";
import { checkLoad, ImageError, loadKernel, memoryMap, parseKernel, ramOffset } from "../../emulator/machine/loader.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { emptyKernel } from "./toy-engine.ts";

const good = () => emptyKernel(Uint8Array.from({ length: 32 }, (_, i) => i));
const patched = (...patches: [at: number, value: number][]) => {
  const bytes = good();
  for (const [at, value] of patches) bytes[at] = value;
  return bytes;
};
const options = { ramBytes: 32 << 20, commandLine: "a=1", nic: true };

describe("images that are refused", () => {
  const text = new TextEncoder().encode("#!/bin/sh\necho hello\n");
  it.each<[string, Uint8Array, RegExp]>([
    ["empty", new Uint8Array(0), /^is empty/],
    ["text", text, /^is a text file, not an ELF image/],
    ["some binary", new Uint8Array([0, 1, 2, 3, 4, 5]), /^is not an ELF file/],
    ["cut in its header", good().slice(0, 40), /^is truncated: 40 bytes/],
    ["cut in its program headers", good().slice(0, 100), /^is truncated: its program headers/],
    ["cut in a segment", good().slice(0, 0x210), /^is truncated: segment 0 ends at byte 544, the file at 528/],
    ["32-bit", patched([4, 1]), /^is a 32-bit ELF/],
    ["big-endian", patched([5, 2]), /^is a big-endian ELF/],
    ["for AArch64", patched([18, 183]), /^is an ELF for AArch64/],
    ["an object file", patched([16, 1]), /^is an ELF that is not linked/],
    ["without a PVH note", patched([0x108, 17]), /^has no PVH note/],
    ["with another vendor's note", patched([0x10c, 0x59]), /^has no PVH note/],
    ["with nothing to load", patched([64, 0]), /^has nothing to load/],
    ["entered outside itself", patched([0x113, 0x7f]), /^is damaged: the PVH entry 0x7f100000/],
  ])("%s", (_, bytes, message) => {
    expect(() => parseKernel(bytes)).toThrow(ImageError);
    expect(() => parseKernel(bytes)).toThrow(message);
    expect(() => parseKernel(bytes)).not.toThrow(/\n/);
  });
  it("any damage is refused or loads, never anything else", () => {
    const prng = new Prng(7);
    const memory = new Uint8Array(16 << 20);
    for (let i = 0; i < 400; i++) {
      const bytes = good();
      for (let n = prng.below(4); n >= 0; n--) bytes[prng.below(0x120)] = prng.next();
      try {
        const kernel = parseKernel(bytes);
        loadKernel(memory, kernel, { ...options, ramBytes: 16 << 20 });
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
      }
    }
  });
});

describe("memory that is refused", () => {
  const kernel = parseKernel(good());
  it.each<[string, object, RegExp]>([
    ["too small", { ramBytes: 8 << 20 }, /^memory of 8388608 bytes is too small: give at least 16M/],
    ["odd", { ramBytes: (32 << 20) + 1 }, /is not a whole number of 4 KB pages/],
    ["no room for the module", { module: new Uint8Array(31 << 20) }, /and its module of 32505856 bytes do not fit/],
    ["an endless command line", { commandLine: "x".repeat(70_000) }, /^command line of \d+ bytes is too long/],
  ])("%s", (_, change, message) => {
    expect(() => checkLoad(kernel, { ...options, ...change })).toThrow(message);
  });
  it("segments outside RAM", () => {
    const far = patched([64 + 24 + 3, 0x40], [0x113, 0x40]);
    expect(() => checkLoad(parseKernel(far), options)).toThrow(/^has a segment outside RAM: 0x40100000–0x40100020/);
  });
});

describe("what a guest finds", () => {
  const ram = new Uint8Array(32 << 20).fill(0xcc);
  const view = new DataView(ram.buffer);
  const module = new Uint8Array([9, 8, 7]);
  const info = loadKernel(ram, parseKernel(good()), { ...options, module });
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));

  it("the segment at its physical address", () => expect([...ram.subarray(0x100000, 0x100004)]).toEqual([0, 1, 2, 3]));
  it("the start info (Xen start_info.h)", () =>
    expect([u32(info), u32(info + 4), u32(info + 12), u64(info + 32)]).toEqual([0x336ec578, 1, 1, 0]));
  it("the command line with the NIC's slot appended", () => {
    const at = u64(info + 24);
    expect(new TextDecoder().decode(ram.subarray(at, ram.indexOf(0, at)))).toBe(
      "a=1 virtio_mmio.device=512@0xfeb00e00:12",
    );
  });
  it("the module at the top of RAM", () => {
    const entry = u64(info + 16);
    expect([u64(entry), u64(entry + 8), ...ram.subarray(u64(entry), u64(entry) + 3)]).toEqual([
      (32 << 20) - 4096,
      3,
      9,
      8,
      7,
    ]);
  });
  it("a memory map that ends where RAM does, and goes on at 4 GB", () => {
    expect(memoryMap(32 << 20).at(-1)).toEqual([0x100000, 31 << 20, 1]);
    expect(memoryMap(0x1_0000_0000).slice(-2)).toEqual([
      [0x100000, 0xc0000000 - 0x100000, 1],
      [0x1_0000_0000, 0x40000000, 1],
    ]);
  });
  it("bus masters reach exactly RAM", () => {
    const bytes = 0x1_0000_0000;
    expect([
      ramOffset(bytes, 0xbfff_ffff, 1),
      ramOffset(bytes, 0xbfff_ffff, 2),
      ramOffset(bytes, 0xfee0_0000, 4),
    ]).toEqual([0xbfff_ffff, -1, -1]);
    expect([
      ramOffset(bytes, 0x1_0000_0000, 4),
      ramOffset(bytes, 0x1_3fff_fffc, 4),
      ramOffset(bytes, 0x1_3fff_fffd, 4),
    ]).toEqual([0xc000_0000, 0xffff_fffc, -1]);
  });
});
