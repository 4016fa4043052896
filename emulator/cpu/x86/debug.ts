/**
 * Debug registers (Intel SDM vol. 3, 18.2 and 18.3): breakpoints on execution, data and ports, and the effect of
 * RFLAGS.RF on them. An engine reports the instruction that is about to be executed, its accesses and its end; this
 * file decides which breakpoints they meet. It costs nothing while no breakpoint is enabled: then `isActive` is false.
 *
 * RF is maintained only while `isActive` is true. Pushes of an event's frame meet no breakpoint.
 */
import { Exception } from "../../abi/x86.ts";
import { Fault } from "./access.ts";
import { DEBUG_EXTENSIONS } from "./control.ts";
import { WATCH_READ, WATCH_WRITE } from "./stops.ts";

export const Dr6 = { BREAKPOINTS: 0xf, BD: 0x2000n, BS: 0x4000n } as const;
const GENERAL_DETECT = 0x2000n;
/** Bits that always read as 1, and bits that always read as 0. */
const DR6_ONES = 0xffff_0ff0n;
const DR6_ZEROS = 0x1000n;
const DR7_ONES = 0x400n;
const DR7_ZEROS = 0xd800n;
/** R/W field of DR7. */
const Kind = { EXECUTE: 0, WRITE: 1, PORT: 2, ACCESS: 3 } as const;
/** Indexed by the LEN field. */
const lengths = [1n, 2n, 8n, 4n] as const;
const PAGE = 4096n;
/** Bit of `pending`, besides the breakpoints: the next instruction meets no execute breakpoint. */
const BEHIND_STACK_LOAD = 0x10;

interface Breakpoint {
  readonly bit: number;
  readonly kind: number;
  readonly first: bigint;
  readonly bytes: bigint;
}

/**
 * #DB waits after a load of SS. It also waits after the last iteration of a string instruction, for the test that ends
 * it, which counts as one more instruction here.
 */
export type Holds = "no" | "stack load" | "last iteration";

/** What the debug unit needs of a core. */
export interface DebuggedCore {
  readonly cr4: number;
  debugRegister(index: number): bigint;
  /** Sets only the register, and configures the unit. */
  setDebugRegister(index: number, value: bigint): void;
}

export class DebugUnit {
  private breakpoints: readonly Breakpoint[] = [];
  /** A breakpoint is enabled, or a trap is pending. */
  isActive = false;
  /** Execute breakpoints are enabled: each instruction must be checked. */
  executes = false;
  /** Data breakpoints are enabled. */
  watches = false;
  ports = false;
  /** RFLAGS.RF: the next instruction meets no execute breakpoint. */
  resume = false;
  /** B0 to B3 that the current instruction has met. */
  private hits = 0;
  /** DR7.GD has caught a MOV to or from a debug register: its #DB is a fault. */
  private detected = false;
  /** B0 to B3 that wait for the end of the next instruction (SDM vol. 3, 6.8.3). */
  private waiting = 0;

  /** After a change of DR0 to DR3 or DR7. */
  configure(core: DebuggedCore): void {
    const control = Number(core.debugRegister(7));
    const found: Breakpoint[] = [];
    for (let index = 0; index < 4; index++) {
      if (!((control >>> (2 * index)) & 3)) continue;
      const kind = (control >>> (16 + 4 * index)) & 3;
      // Execute breakpoints have one byte, whatever LEN says. The low bits of an address are ignored.
      const bytes = kind === Kind.EXECUTE ? 1n : lengths[(control >>> (18 + 4 * index)) & 3];
      found.push({ bit: 1 << index, kind, first: core.debugRegister(index) & -bytes, bytes });
    }
    this.breakpoints = found;
    this.executes = found.some(({ kind }) => kind === Kind.EXECUTE);
    this.watches = found.some(({ kind }) => kind === Kind.WRITE || kind === Kind.ACCESS);
    this.ports = found.some(({ kind }) => kind === Kind.PORT);
    this.resume = false;
    this.update();
  }
  private update(): void {
    this.isActive = this.breakpoints.length > 0 || this.waiting !== 0;
  }

  /**
   * One instruction at a time: an execute breakpoint is enabled, or a trap waits for the end of the next instruction.
   */
  get steps(): boolean {
    return this.executes || this.waiting !== 0;
  }
  /** Breakpoints that wait for the end of the next instruction, for CoreState. */
  get pending(): number {
    return this.waiting;
  }
  set pending(value: number) {
    this.waiting = value;
    this.update();
  }

  /** Is there an execute breakpoint at the instruction that is about to be executed? If so, #DB is raised instead. */
  breaksAt(linear: bigint, core: DebuggedCore): boolean {
    if (!this.executes || this.resume || this.waiting & BEHIND_STACK_LOAD) return false;
    const bits = this.breakpoints.reduce(
      (sum, { kind, first, bit }) => (kind === Kind.EXECUTE && first === linear ? sum | bit : sum),
      0,
    );
    if (bits === 0) return false;
    raiseStatus(core, BigInt(bits));
    return true;
  }

  /** The kinds of access (WATCH_ bits) to the page at `linear` that must be reported. */
  watchedKinds(linear: bigint): number {
    let kinds = 0;
    for (const { kind, first, bytes } of this.breakpoints)
      if (first < linear + PAGE && first + bytes > linear)
        kinds |= kind === Kind.WRITE ? WATCH_WRITE : kind === Kind.ACCESS ? WATCH_READ | WATCH_WRITE : 0;
    return kinds;
  }
  /**
   * Offsets in a page, [first, end), that data breakpoints cover. Breakpoints are aligned, so each lies in one page.
   */
  watchedOffsets(): (readonly [first: number, end: number])[] {
    return this.breakpoints
      .filter(({ kind }) => kind === Kind.WRITE || kind === Kind.ACCESS)
      .map(({ first, bytes }) => [Number(first % PAGE), Number((first % PAGE) + bytes)] as const);
  }

  /** The current instruction has met a data or port breakpoint. */
  get hasHits(): boolean {
    return this.hits !== 0;
  }

  /** The instruction reads or writes data. True: it meets a breakpoint, so it is the last instruction of the run. */
  accessed(linear: bigint, bytes: number, write: boolean): boolean {
    let met = false;
    for (const one of this.breakpoints) {
      if (one.kind !== Kind.ACCESS && !(one.kind === Kind.WRITE && write)) continue;
      if (linear >= one.first + one.bytes || linear + BigInt(bytes) <= one.first) continue;
      this.hits |= one.bit;
      met = true;
    }
    return met;
  }
  /** The instruction reads or writes `bytes` ports. Without CR4.DE there are no port breakpoints. */
  accessedPort(port: number, bytes: number, cr4: number): boolean {
    if (!this.ports || !(cr4 & DEBUG_EXTENSIONS)) return false;
    let met = false;
    for (const { kind, first, bytes: length, bit } of this.breakpoints) {
      if (kind !== Kind.PORT || BigInt(port) >= first + length || BigInt(port + bytes) <= first) continue;
      this.hits |= bit;
      met = true;
    }
    return met;
  }

  /**
   * The instruction, or an iteration of it, has retired. True: raise #DB, as a trap. `resume`: it was an IRET with RF
   * in its image, or a string instruction that goes on. `holds`: the reason why #DB is held back until the next
   * instruction has retired.
   */
  retired(core: DebuggedCore, resume: boolean, holds: Holds): boolean {
    const due = this.waiting & Dr6.BREAKPOINTS;
    this.resume = resume;
    this.pending = holds === "no" ? 0 : this.hits | (holds === "stack load" ? BEHIND_STACK_LOAD : 0);
    const bits = due | (holds === "no" ? this.hits : 0);
    this.hits = 0;
    if (bits !== 0) raiseStatus(core, BigInt(bits));
    return bits !== 0;
  }

  /**
   * An event is delivered. Breakpoints that its instruction has met count only for a #DB. True: the frame's RF is set
   * whatever the class of the event.
   */
  delivered(core: DebuggedCore, isDebug: boolean): boolean {
    const resumes = this.resume || (isDebug && this.detected);
    if (isDebug) {
      if (this.hits !== 0) raiseStatus(core, BigInt(this.hits));
      const control = core.debugRegister(7);
      if (control & GENERAL_DETECT) core.setDebugRegister(7, control & ~GENERAL_DETECT);
    }
    this.hits = 0;
    this.detected = false;
    this.resume = false;
    return resumes;
  }

  /** MOV to a debug register. Throws Fault. */
  write(core: DebuggedCore, index: number, value: bigint): void {
    const register = this.select(core, index);
    if (register >= 6 && value >> 32n) throw new Fault(Exception.GP, 0);
    const zeros = register === 6 ? DR6_ZEROS : register === 7 ? DR7_ZEROS : 0n;
    const ones = register === 6 ? DR6_ONES : register === 7 ? DR7_ONES : 0n;
    core.setDebugRegister(register, (value & ~zeros) | ones);
  }
  /** MOV from one. Throws Fault. */
  read(core: DebuggedCore, index: number): bigint {
    return core.debugRegister(this.select(core, index));
  }
  /** Without CR4.DE, DR4 and DR5 are aliases of DR6 and DR7. */
  private select(core: DebuggedCore, index: number): number {
    const isAlias = (index & ~1) === 4;
    if (isAlias && core.cr4 & DEBUG_EXTENSIONS) throw new Fault(Exception.UD, 0);
    if (core.debugRegister(7) & GENERAL_DETECT) {
      raiseStatus(core, Dr6.BD);
      this.detected = true;
      throw new Fault(Exception.DB, 0);
    }
    return isAlias ? index + 2 : index;
  }
}

/** Bits of DR6 stay until software clears them. */
const raiseStatus = (core: DebuggedCore, bits: bigint): void => core.setDebugRegister(6, core.debugRegister(6) | bits);
