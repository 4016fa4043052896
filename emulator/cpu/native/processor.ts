/**
 * A core's linear memory as event delivery, SYSCALL, the interpreter and the debugger see it: through the architectural
 * TLB, in pieces within one page, RAM or device.
 */
import { Cr0, Exception } from "../../abi/x86.ts";
import {
  ACCESS_FETCH,
  ACCESS_READ,
  ACCESS_WRITE,
  type AccessKind,
  Fault,
  PRIVILEGE_IMPLICIT,
  PRIVILEGE_SUPERVISOR,
  PRIVILEGE_USER,
  type Privilege,
  SegmentIndex,
} from "../x86/access.ts";
import { SegmentFlag } from "../x86/descriptors.ts";
import { alignmentOf } from "../x86/operand.ts";
import { Registers } from "./registers.ts";

const PAGE = 4096;
const CR0_AM = 0x4_0000;

/** A piece of an access within one page. */
interface Piece {
  readonly physical: number;
  readonly bytes: number;
}

export abstract class Processor extends Registers {
  /** The core has read or written within one page. */
  protected abstract noteAccess(linear: bigint, bytes: number, write: boolean): void;

  get privilege(): Privilege {
    return this.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR;
  }

  /** The environment's tables and the links to code hold copies of architectural TLB entries that have been dropped. */
  dropHostTlb(): void {
    this.mmu.entryLeft = false;
    this.env.forgetTlb();
    this.dropCodeLinks();
  }
  protected abstract dropCodeLinks(): void;

  translateOrThrow(address: bigint, access: AccessKind, privilege: Privilege): number {
    try {
      return this.mmu.translateOrThrow(address, access, privilege);
    } finally {
      if (this.mmu.entryLeft) this.dropHostTlb();
    }
  }

  private pieces(address: bigint, bytes: number, access: AccessKind, privilege: Privilege): Piece[] {
    const first = Math.min(bytes, PAGE - Number(address & 0xfffn));
    const list = [{ physical: this.translateOrThrow(address, access, privilege), bytes: first }];
    for (let done = first; done < bytes; ) {
      const piece = Math.min(bytes - done, PAGE);
      const physical = this.translateOrThrow(BigInt.asUintN(64, address + BigInt(done)), access, privilege);
      list.push({ physical, bytes: piece });
      done += piece;
    }
    return list;
  }

  /** Copies linear memory to `to`. Checks all pages before it reads the first byte. Throws Fault. */
  readBytes(address: bigint, to: Uint8Array, privilege: Privilege): void {
    let done = 0;
    for (const { physical, bytes } of this.pieces(address, to.length, ACCESS_READ, privilege)) {
      const offset = this.node.memory.offsetOf(physical);
      if (offset >= 0) to.set(this.node.memory.bytes.subarray(offset, offset + bytes), done);
      else this.readDevice(physical, to.subarray(done, done + bytes));
      if (privilege !== PRIVILEGE_IMPLICIT) this.noteAccess(BigInt.asUintN(64, address + BigInt(done)), bytes, false);
      done += bytes;
    }
  }
  writeBytes(address: bigint, from: Uint8Array, privilege: Privilege): void {
    let done = 0;
    for (const { physical, bytes } of this.pieces(address, from.length, ACCESS_WRITE, privilege)) {
      const offset = this.node.memory.offsetOf(physical);
      if (offset >= 0) {
        this.node.memory.bytes.set(from.subarray(done, done + bytes), offset);
        this.node.code.written(offset, bytes);
      } else {
        this.writeDevice(physical, from.subarray(done, done + bytes));
      }
      this.noteAccess(BigInt.asUintN(64, address + BigInt(done)), bytes, true);
      done += bytes;
    }
  }
  /** Throws the Fault that a write of these bytes would raise. */
  checkWrite(address: bigint, bytes: number, privilege: Privilege): void {
    this.pieces(address, bytes, ACCESS_WRITE, privilege);
  }

  private readonly word = new Uint8Array(8);
  private readonly wordView = new DataView(this.word.buffer);

  readLinear(address: bigint, bytes: number, privilege: Privilege): bigint {
    this.wordView.setBigUint64(0, 0n, true);
    this.readBytes(address, this.word.subarray(0, bytes), privilege);
    return this.wordView.getBigUint64(0, true);
  }
  writeLinear(address: bigint, bytes: number, value: bigint, privilege: Privilege): void {
    const word = new Uint8Array(8);
    new DataView(word.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.writeBytes(address, word.subarray(0, bytes), privilege);
  }

  /** In pieces of 4 bytes, then of 2 or 1. */
  private readDevice(physical: number, to: Uint8Array): void {
    const view = new DataView(to.buffer, to.byteOffset, to.length);
    for (let done = 0; done < to.length; ) {
      const size = deviceSize(to.length - done);
      const value = this.node.bus.readMemory(this.core, physical + done, size);
      if (size === 4) view.setUint32(done, value, true);
      else if (size === 2) view.setUint16(done, value, true);
      else view.setUint8(done, value);
      done += size;
    }
  }
  private writeDevice(physical: number, from: Uint8Array): void {
    const view = new DataView(from.buffer, from.byteOffset, from.length);
    for (let done = 0; done < from.length; ) {
      const size = deviceSize(from.length - done);
      const value =
        size === 4 ? view.getUint32(done, true) : size === 2 ? view.getUint16(done, true) : view.getUint8(done);
      this.node.bus.writeMemory(this.core, physical + done, size, value);
      done += size;
    }
  }

  /** A byte as an instruction fetch sees it, undefined if nothing is mapped. The machine's debugger uses it as well. */
  fetchByte(address: bigint): number | undefined {
    try {
      const physical = this.translateOrThrow(BigInt.asUintN(64, address), ACCESS_FETCH, this.privilege);
      const offset = this.node.memory.offsetOf(physical);
      return offset < 0 ? 0xff : this.node.memory.bytes[offset];
    } catch (error) {
      if (error instanceof Fault) return undefined;
      throw error;
    }
  }

  // ---- segments outside 64-bit mode

  /** #AC is enabled (SDM vol. 3, 6.15). */
  get alignmentChecks(): boolean {
    return this.cpl === 3 && this.alignmentCheck && (this.cr0 & CR0_AM) !== 0;
  }

  /** Linear address of `bytes` bytes at an offset in a segment, after the segment's checks. Throws Fault. */
  linear(index: SegmentIndex, offset: bigint, bytes: number, write: boolean): bigint {
    const address = this.checkedLinear(index, offset, bytes, write);
    // Processors raise it before a page fault, but after the #GP for a non-canonical address.
    if (bytes !== 16) this.checkAlignment(address, bytes); // #GP if it must be aligned (step.ts)
    return address;
  }
  /** #AC of a program's access. */
  checkAlignment(address: bigint, bytes: number): void {
    if (this.alignmentChecks && address & BigInt(alignmentOf(bytes) - 1) && isCanonical(address))
      throw new Fault(Exception.AC, 0);
  }
  private checkedLinear(index: SegmentIndex, offset: bigint, bytes: number, write: boolean): bigint {
    const segment = this.segment(index);
    if (this.codeMode === 64) {
      const address = index >= SegmentIndex.FS ? BigInt.asUintN(64, segment.base + offset) : offset;
      if (index === SegmentIndex.SS && !isCanonical(address)) throw new Fault(Exception.SS, 0);
      return address;
    }
    const { flags, limit } = segment;
    const last = Number(offset) + bytes - 1;
    const isCode = (flags & SegmentFlag.CODE) !== 0;
    const expandsDown = !isCode && (flags & SegmentFlag.CONFORMING) !== 0;
    const within = expandsDown
      ? Number(offset) > limit && last <= (flags & SegmentFlag.BIG ? 0xffff_ffff : 0xffff)
      : last <= limit;
    const writable = (flags & (SegmentFlag.CODE | SegmentFlag.WRITABLE)) === SegmentFlag.WRITABLE;
    const readable = !isCode || (flags & SegmentFlag.WRITABLE) !== 0;
    const rights = !(this.cr0 & Cr0.PE) || (flags & SegmentFlag.PRESENT && (write ? writable : readable));
    if (!within || !rights) throw new Fault(index === SegmentIndex.SS ? Exception.SS : Exception.GP, 0);
    return (segment.base + offset) & 0xffff_ffffn;
  }
}

const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
const deviceSize = (left: number): 1 | 2 | 4 => (left >= 4 ? 4 : left >= 2 ? 2 : 1);
