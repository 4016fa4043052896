/**
 * Loads a kernel as QEMU's microvm does: an ELF64 image with a PVH note, its segments at their physical addresses,
 * start info, memory map, command line and module. Source: Xen public/arch-x86/hvm/start_info.h; ELF-64 object file
 * format 1.5; addresses and the memory map as recorded from QEMU 7.2 (its firmware reserves 0x9fc00–0xfffff). Every
 * refusal gives its reason in one line.
 */
import { DEVICE_HOLE, MIN_RAM_BYTES, VIRTIO_MMIO_BASE } from "../abi/memory.ts";
import {
  PVH_MAGIC,
  PvhMemory,
  PvhMemoryType,
  PvhModule,
  PvhStartInfo,
  XEN_ELFNOTE_PHYS32_ENTRY,
} from "../abi/platform.ts";
import { VIRTIO_MMIO_BYTES, VIRTIO_MMIO_GSI, VIRTIO_MMIO_SLOTS } from "../abi/virtio.ts";

/** The image or the memory does not allow a boot. The message is complete except for the file's name. */
export class ImageError extends Error {}

export interface Segment {
  readonly physical: number;
  readonly virtual: bigint;
  readonly fileOffset: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
}
export interface KernelImage {
  readonly bytes: Uint8Array;
  /** Physical address of the 32-bit entry. */
  readonly entry: number;
  readonly segments: readonly Segment[];
}

const FOUR_GB = 0x1_0000_0000;
/** End of the low RAM that the firmware leaves free, and start of RAM above it. */
const LOW_RAM_END = 0x9_fc00;
const HIGH_RAM = 0x10_0000;
/** The tables lie where QEMU's firmware has its own, in memory that the map reports as reserved. */
const START_INFO = 0xe_0000;
const MODULE_LIST = 0xe_0100;
const MEMORY_MAP = 0xe_0200;
const COMMAND_LINE = 0xe_1000;
const COMMAND_LINE_END = 0xf_0000;

// biome-ignore format: ELF64 offsets, one structure a row
const Elf = {
  HEADER_BYTES: 64, CLASS: 4, DATA: 5, TYPE: 16, MACHINE: 18, PHOFF: 32, PHENTSIZE: 54, PHNUM: 56,
  PH_BYTES: 56, P_TYPE: 0, P_OFFSET: 8, P_VADDR: 16, P_PADDR: 24, P_FILESZ: 32, P_MEMSZ: 40,
  PT_LOAD: 1, PT_NOTE: 4, CLASS64: 2, LITTLE: 1, EM_X86_64: 62, ET_EXEC: 2, ET_DYN: 3,
} as const;

const machines: ReadonlyMap<number, string> = new Map([
  [3, "i386"],
  [8, "MIPS"],
  [20, "PowerPC"],
  [21, "PowerPC64"],
  [40, "ARM"],
  [183, "AArch64"],
  [243, "RISC-V"],
]);

/** Checks the image and finds its segments and its entry. */
export function parseKernel(bytes: Uint8Array): KernelImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 0) throw new ImageError("is empty: build the image again");
  if (bytes.length < 4 || view.getUint32(0, false) !== 0x7f45_4c46) {
    const what = looksLikeText(bytes) ? "is a text file, not an ELF image" : "is not an ELF file";
    throw new ImageError(`${what}: give a kernel built by margay build`);
  }
  if (bytes.length < Elf.HEADER_BYTES)
    throw new ImageError(
      `is truncated: ${bytes.length} bytes, the ELF header alone has ${Elf.HEADER_BYTES}: build or copy it again`,
    );
  if (bytes[Elf.CLASS] !== Elf.CLASS64) throw new ImageError("is a 32-bit ELF: give an x86-64 kernel");
  if (bytes[Elf.DATA] !== Elf.LITTLE) throw new ImageError("is a big-endian ELF: give an x86-64 kernel");
  const machine = view.getUint16(Elf.MACHINE, true);
  if (machine !== Elf.EM_X86_64)
    throw new ImageError(`is an ELF for ${machines.get(machine) ?? `machine ${machine}`}: give an x86-64 kernel`);
  const type = view.getUint16(Elf.TYPE, true);
  if (type !== Elf.ET_EXEC && type !== Elf.ET_DYN)
    throw new ImageError("is an ELF that is not linked: give an executable image");

  const tableOffset = Number(view.getBigUint64(Elf.PHOFF, true));
  const entryBytes = view.getUint16(Elf.PHENTSIZE, true);
  const count = view.getUint16(Elf.PHNUM, true);
  if (count > 0 && entryBytes < Elf.PH_BYTES)
    throw new ImageError(`is damaged: program header entries of ${entryBytes} bytes: build or copy it again`);
  if (tableOffset + count * entryBytes > bytes.length)
    throw new ImageError("is truncated: its program headers lie behind its end: build or copy it again");
  const segments: Segment[] = [];
  let entry: number | undefined;
  for (let i = 0; i < count; i++) {
    const at = tableOffset + i * entryBytes;
    const kind = view.getUint32(at + Elf.P_TYPE, true);
    if (kind !== Elf.PT_LOAD && kind !== Elf.PT_NOTE) continue;
    const fileOffset = Number(view.getBigUint64(at + Elf.P_OFFSET, true));
    const fileBytes = Number(view.getBigUint64(at + Elf.P_FILESZ, true));
    if (fileOffset + fileBytes > bytes.length)
      throw new ImageError(
        `is truncated: segment ${i} ends at byte ${fileOffset + fileBytes}, the file at ${bytes.length}: build or copy it again`,
      );
    if (kind === Elf.PT_NOTE) entry ??= findPvhEntry(view, fileOffset, fileBytes);
    else {
      const memoryBytes = Number(view.getBigUint64(at + Elf.P_MEMSZ, true));
      if (memoryBytes < fileBytes)
        throw new ImageError(
          `is damaged: segment ${i} has ${fileBytes} bytes in the file and ${memoryBytes} in memory: build or copy it again`,
        );
      if (memoryBytes === 0) continue;
      segments.push({
        physical: Number(view.getBigUint64(at + Elf.P_PADDR, true)),
        virtual: view.getBigUint64(at + Elf.P_VADDR, true),
        fileOffset,
        fileBytes,
        memoryBytes,
      });
    }
  }
  if (segments.length === 0)
    throw new ImageError("has nothing to load, no PT_LOAD segment: give a kernel built by margay build");
  if (entry === undefined)
    throw new ImageError(
      "has no PVH note (XEN_ELFNOTE_PHYS32_ENTRY), so it cannot be booted: give one built by margay build",
    );
  if (!segments.some((s) => entry >= s.physical && entry < s.physical + s.fileBytes)) {
    throw new ImageError(
      `is damaged: the PVH entry 0x${entry.toString(16)} lies outside its segments: build or copy it again`,
    );
  }
  return { bytes, entry, segments };
}

export interface LoadOptions {
  readonly ramBytes: number;
  readonly commandLine: string;
  readonly module?: Uint8Array;
  readonly nic: boolean;
}

/** Every check that is possible before RAM exists. */
export function checkLoad(kernel: KernelImage, options: LoadOptions): void {
  const { ramBytes, module } = options;
  if (ramBytes < MIN_RAM_BYTES)
    throw new ImageError(`memory of ${ramBytes} bytes is too small: give at least ${MIN_RAM_BYTES / 1048576}M`);
  if (ramBytes % 4096 !== 0)
    throw new ImageError(`memory of ${ramBytes} bytes is not a whole number of 4 KB pages: give one as 64M`);
  const top = Math.min(ramBytes, DEVICE_HOLE);
  let kernelEnd = 0;
  for (const { physical, memoryBytes } of kernel.segments) {
    const end = physical + memoryBytes;
    if (end > top || (physical < HIGH_RAM && end > LOW_RAM_END)) {
      throw new ImageError(
        `has a segment outside RAM: 0x${physical.toString(16)}–0x${end.toString(16)}, RAM is 0–0x${LOW_RAM_END.toString(16)} and 0x${HIGH_RAM.toString(16)}–0x${top.toString(16)}: give the node more memory`,
      );
    }
    kernelEnd = Math.max(kernelEnd, end);
  }
  if (module !== undefined && moduleAddress(top, module) < kernelEnd) {
    throw new ImageError(
      `and its module of ${module.length} bytes do not fit into ${ramBytes} bytes of memory: give more memory`,
    );
  }
  const line = fullCommandLine(options);
  if (COMMAND_LINE + line.length + 1 > COMMAND_LINE_END)
    throw new ImageError(
      `command line of ${line.length} bytes is too long: shorten it to ${COMMAND_LINE_END - COMMAND_LINE - 1}`,
    );
}

/** Fills RAM. Returns the physical address of the start info. */
export function loadKernel(ram: Uint8Array, kernel: KernelImage, options: LoadOptions): number {
  checkLoad(kernel, options);
  const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
  for (const { physical, fileOffset, fileBytes, memoryBytes } of kernel.segments) {
    ram.set(kernel.bytes.subarray(fileOffset, fileOffset + fileBytes), physical);
    ram.fill(0, physical + fileBytes, physical + memoryBytes);
  }
  ram.fill(0, START_INFO, COMMAND_LINE);
  const info = new PvhStartInfo(view, START_INFO);
  info.magic = PVH_MAGIC;
  info.version = 1;
  info.commandLineAddress = BigInt(COMMAND_LINE);
  const line = fullCommandLine(options);
  ram.set(line, COMMAND_LINE);
  ram[COMMAND_LINE + line.length] = 0;

  const map = memoryMap(options.ramBytes);
  info.memoryMapAddress = BigInt(MEMORY_MAP);
  info.memoryMapEntries = map.length;
  for (const [i, [address, bytes, type]] of map.entries()) {
    const entry = new PvhMemory(view, MEMORY_MAP + i * PvhMemory.SIZE);
    entry.address = BigInt(address);
    entry.lengthBytes = BigInt(bytes);
    entry.type = type;
  }
  if (options.module !== undefined) {
    const address = moduleAddress(Math.min(options.ramBytes, DEVICE_HOLE), options.module);
    ram.set(options.module, address);
    const entry = new PvhModule(view, MODULE_LIST);
    entry.address = BigInt(address);
    entry.lengthBytes = BigInt(options.module.length);
    info.moduleCount = 1;
    info.modulesAddress = BigInt(MODULE_LIST);
  }
  return START_INFO;
}

/** Rows of address, bytes, type, as QEMU's firmware reports them. */
export function memoryMap(ramBytes: number): readonly (readonly [number, number, number])[] {
  const top = Math.min(ramBytes, DEVICE_HOLE);
  const map: (readonly [number, number, number])[] = [
    [0, LOW_RAM_END, PvhMemoryType.RAM],
    [LOW_RAM_END, 0x400, PvhMemoryType.RESERVED],
    [0xd_0000, 0x2_0000, PvhMemoryType.NVS],
    [0xf_0000, 0x1_0000, PvhMemoryType.RESERVED],
    [HIGH_RAM, top - HIGH_RAM, PvhMemoryType.RAM],
  ];
  if (ramBytes > top) map.push([FOUR_GB, ramBytes - top, PvhMemoryType.RAM]);
  return map;
}

/**
 * Offset in the engine's RAM of `bytes` bytes at physical `address`; -1: outside RAM. RAM above DEVICE_HOLE continues
 * at 4 GB.
 */
export function ramOffset(ramBytes: number, address: number, bytes: number): number {
  const top = ramBytes < DEVICE_HOLE ? ramBytes : DEVICE_HOLE;
  if (address + bytes <= top) return address;
  if (address >= FOUR_GB && address - FOUR_GB + bytes <= ramBytes - top) return address - FOUR_GB + top;
  return -1;
}

/** QEMU appends the location of each virtio device: size@address:interrupt. */
function fullCommandLine(options: LoadOptions): Uint8Array {
  const slot = VIRTIO_MMIO_SLOTS - 1;
  const address = VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_BYTES;
  const device = options.nic
    ? `virtio_mmio.device=${VIRTIO_MMIO_BYTES}@0x${address.toString(16)}:${VIRTIO_MMIO_GSI + slot}`
    : "";
  return new TextEncoder().encode([options.commandLine, device].filter((part) => part !== "").join(" "));
}

/** Highest page-aligned address below `top` that holds the module. */
function moduleAddress(top: number, module: Uint8Array): number {
  return Math.floor((top - module.length) / 4096) * 4096;
}

/** ELF notes: name size, descriptor size, type, name, descriptor, both padded to 4. */
function findPvhEntry(view: DataView, offset: number, bytes: number): number | undefined {
  const end = offset + bytes;
  for (let at = offset; at + 12 <= end; ) {
    const nameBytes = view.getUint32(at, true);
    const descriptorBytes = view.getUint32(at + 4, true);
    const descriptor = at + 12 + ((nameBytes + 3) & ~3);
    if (nameBytes > bytes || descriptorBytes > bytes || descriptor + descriptorBytes > end) return undefined;
    const isXen = nameBytes === 4 && view.getUint32(at + 12, false) === 0x5865_6e00;
    if (isXen && view.getUint32(at + 8, true) === XEN_ELFNOTE_PHYS32_ENTRY && descriptorBytes >= 4)
      return view.getUint32(descriptor, true);
    at = descriptor + ((descriptorBytes + 3) & ~3);
  }
  return undefined;
}

function looksLikeText(bytes: Uint8Array): boolean {
  const sample = bytes.subarray(0, 512);
  return sample.every((byte) => byte >= 32 || byte === 9 || byte === 10 || byte === 13);
}
