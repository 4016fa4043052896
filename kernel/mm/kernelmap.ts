/**
 * The kernel's half of every address space: the image at KERNEL_BASE (code: read and execute; constants: read; data:
 * read and write), and the direct map of all RAM and the device window, with 2 MB pages. Built once; every address
 * space shares these tables.
 */
import { DEVICE_HOLE, DIRECT_MAP_BASE, KERNEL_BASE, LARGE_PAGE_BYTES, PAGE_BYTES } from "../abi/memory.ts";
import { PTE_NX, Pte } from "../abi/x86.ts";
import { readCr4, writeCr3, writeCr4 } from "../arch/cpu.ts";
import { Cr4 } from "../abi/x86.ts";
import { allocateFrame, memoryTop, OWNER_KERNEL, physical } from "./frames.ts";
import { type PageTable, setLargePage, setPage } from "./pagetable.ts";

class KernelMap {
  root: u64 = 0;
}
const kernelMap: KernelMap = new KernelMap();
const FOUR_GB: u64 = 0x1_0000_0000;

// Symbols defined by the linker.
function textStart(): u64 {
  return asm<u64>`lea ${ret}, [rip + __text_start]`;
}
function textEnd(): u64 {
  return asm<u64>`lea ${ret}, [rip + __text_end]`;
}
function rodataStart(): u64 {
  return asm<u64>`lea ${ret}, [rip + __rodata_start]`;
}
function rodataEnd(): u64 {
  return asm<u64>`lea ${ret}, [rip + __rodata_end]`;
}
function imageStart(): u64 {
  return asm<u64>`lea ${ret}, [rip + __image_start]`;
}
function imageEnd(): u64 {
  return asm<u64>`lea ${ret}, [rip + __image_end]`;
}
/** Physical address of the first byte after the image, including its zero data. */
export function imageEndPhysical(): u64 {
  return imageEnd() - KERNEL_BASE;
}

export function kernelRoot(): u64 {
  return kernelMap.root;
}

/** Builds the tables and switches to them. False: no memory. */
export function kernelMapStart(): boolean {
  const root: u64 = allocateFrame(OWNER_KERNEL);
  kernelMap.root = root;
  let mapped: boolean = root !== 0;
  for (let address: u64 = imageStart() & ~(PAGE_BYTES - 1); address < imageEnd() && mapped; address += PAGE_BYTES) {
    mapped = setPage(root, address, (address - KERNEL_BASE) | imageBits(address), OWNER_KERNEL);
  }
  for (let address: u64 = 0; address < memoryTop() && mapped; address += LARGE_PAGE_BYTES) {
    if (address >= DEVICE_HOLE && address < FOUR_GB) continue;
    mapped = setLargePage(root, address + DIRECT_MAP_BASE, address | Pte.P | Pte.W | Pte.G | PTE_NX, OWNER_KERNEL);
  }
  for (let address: u64 = DEVICE_HOLE; address < FOUR_GB && mapped; address += LARGE_PAGE_BYTES) {
    mapped = setLargePage(
      root,
      address + DIRECT_MAP_BASE,
      address | Pte.P | Pte.W | Pte.G | Pte.PCD | Pte.PWT | PTE_NX,
      OWNER_KERNEL,
    );
  }
  if (mapped) kernelMapEnter();
  return mapped;
}

/** Run on each core: switches to the kernel's own tables, with global pages. */
export function kernelMapEnter(): void {
  writeCr3(kernelMap.root);
  writeCr4(readCr4() | Cr4.PGE);
}

function imageBits(address: u64): u64 {
  if (address >= (textStart() & ~(PAGE_BYTES - 1)) && address < textEnd()) return Pte.P | Pte.G;
  if (address >= (rodataStart() & ~(PAGE_BYTES - 1)) && address < rodataEnd()) return Pte.P | Pte.G | PTE_NX;
  return Pte.P | Pte.W | Pte.G | PTE_NX;
}

/** Creates a root that shares the kernel's half; 0: no memory. */
export function makeUserRoot(owner: u16): u64 {
  const root: u64 = allocateFrame(owner);
  if (root === 0) return 0;
  const from = physical<PageTable>(kernelMap.root);
  const to = physical<PageTable>(root);
  for (let i: u64 = 256; i < 512; i++) to.entries[i] = from.entries[i];
  return root;
}
