/**
 * The interrupt descriptor table, one for all cores. Every gate is an interrupt gate: handlers start with interrupts
 * off. Source: Intel SDM vol. 3A, 6.14.1.
 */
import { Exception, Selector } from "../abi/x86.ts";
import { type DescriptorPointer, Ist } from "./gdt.ts";
import { stubOf } from "./trap.ts";

class Gate {
  offsetLow: u16 = 0;
  selector: u16 = 0;
  ist: u8 = 0;
  type: u8 = 0;
  offsetMiddle: u16 = 0;
  offsetHigh: u32 = 0;
  reserved: u32 = 0;
}
const INTERRUPT_GATE: u8 = 0x8e;
const DPL_USER: u8 = 0x60;

const gates: arr<Gate, 256> = zeroed();

/**
 * Called once, on the first core. Every vector has a gate, so an interrupt of a misconfigured device is reported and
 * does no harm.
 */
export function buildIdt(): void {
  for (let vector: u32 = 0; vector < 256; vector++) {
    const stub: u64 = stubOf(vector);
    const gate = addr(gates[vector]);
    gate.offsetLow = u16(stub);
    gate.offsetMiddle = u16(stub >> 16);
    gate.offsetHigh = u32(stub >> 32);
    gate.selector = Selector.KERNEL_CODE;
    gate.type = INTERRUPT_GATE;
    if (vector === Exception.NMI) gate.ist = Ist.NMI;
    if (vector === Exception.DF) gate.ist = Ist.DOUBLE_FAULT;
    if (vector === Exception.BP || vector === Exception.OF) gate.type = INTERRUPT_GATE | DPL_USER;
  }
}

/** Run on each core. */
export function loadIdt(): void {
  const pointer: DescriptorPointer = zeroed();
  pointer.limit = u16(sizeof<arr<Gate, 256>>() - 1);
  pointer.base = cast<u64>(addr(gates));
  const at: u64 = cast<u64>(addr(pointer));
  asm({ clobber: ["memory"] })`lidt [${at}]`;
}
