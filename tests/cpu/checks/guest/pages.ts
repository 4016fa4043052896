/**
 * The test region: eight pages of 4 KB at TEST_BASE with separate tables, one at each level, whose entries the checks
 * set. Page n is TEST_BASE + n × 4096. By default pages 0…7 map the eight frames for all rings, writable and
 * executable.
 */
import { Pte } from "../../../../kernel/abi/x86.ts";
import { pml4 } from "./boot.ts";
import { TEST_BASE } from "./space.ts";

/** @align 4096 */
export const frames: arr<u8, 32768> = zeroed();
/** @align 4096 */
export const testPdpt: arr<u64, 512> = zeroed();
/** @align 4096 */
export const testDirectory: arr<u64, 512> = zeroed();
/** @align 4096 */
export const testTable: arr<u64, 512> = zeroed();

export const OPEN: u64 = 0x7;
export const NO_EXECUTE: u64 = 0x8000_0000_0000_0000;
const TEST_SLOT: u64 = 1;

export function frame(n: u64): u64 {
  return cast<u64>(addr(frames)) + n * 4096;
}
export function pageAt(n: u64): u64 {
  return TEST_BASE + n * 4096;
}
/**
 * Sets the flags of the entry of `level` (4: PML4 … 1: page) on the path to page 0; the other entries get their
 * defaults.
 */
export function setLevel(level: u64, flags: u64): void {
  resetPages();
  if (level === 4) pml4[TEST_SLOT] = cast<u64>(addr(testPdpt)) | flags;
  if (level === 3) testPdpt[0] = cast<u64>(addr(testDirectory)) | flags;
  if (level === 2) testDirectory[0] = cast<u64>(addr(testTable)) | flags;
  if (level === 1) testTable[0] = frame(0) | flags;
  flush();
}
export function setPage(n: u64, flags: u64): void {
  testTable[n] = frame(n) | flags;
  flush();
}
export function resetPages(): void {
  pml4[TEST_SLOT] = cast<u64>(addr(testPdpt)) | OPEN;
  testPdpt[0] = cast<u64>(addr(testDirectory)) | OPEN;
  testDirectory[0] = cast<u64>(addr(testTable)) | OPEN;
  for (let n: u64 = 0; n < 8; n++) testTable[n] = frame(n) | OPEN;
  flush();
}
export function flush(): void {
  asm({ clobber: ["memory", "rax"] })`mov rax, cr3; mov cr3, rax`;
}
export function accessed(entry: u64): u64 {
  return (entry & (Pte.A | Pte.D)) >> 5;
}
