/**
 * Local APIC in xAPIC mode. Source: Intel SDM vol. 3A chapter 11 (section numbers below), values from
 * kernel/abi/lapic.ts. Modelled: acceptance and priorities (11.8), ICR with fixed, lowest, NMI, INIT, STARTUP, all
 * shorthands, physical and logical destinations (11.6), LVT (11.5.1), timer one-shot and periodic with divider
 * (11.5.4), ESR (11.5.3), EOI with broadcast to the I/O APIC. Left out: x2APIC and TSC-deadline (QEMU's TCG machine has
 * neither), SMI, CMCI, delivery-status bits (always idle), focus processor, and the spurious vector: acknowledging is
 * atomic here, so it cannot occur. The node calls `accept*` at the exact time at which an interrupt arrives; the host
 * gives the time.
 */
import { Icr, LAPIC_VERSION, Lapic, LapicNames, Lvt, SVR_ENABLE, TIMER_HZ } from "../abi/lapic.ts";
import { type DeviceHost, hex } from "./device.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** Where the LAPIC sends its messages. */
export interface LapicBus extends DeviceHost {
  /** An ICR write: `mode` and `trigger` are the ICR's fields in place, `targets` the cores it addresses, ascending. */
  sendInterprocessor(source: number, targets: readonly number[], mode: number, vector: number): void;
  /** EOI of a level-triggered vector. */
  broadcastEoi(vector: number): void;
  /** A write may have made an interrupt deliverable or moved the timer: check again after this instruction. */
  reschedule(core: number): void;
  /** All LAPICs of the node by core index, to find destinations. */
  readonly lapics: readonly LocalApic[];
  /** For observers: `vector` is no longer in service. */
  endOfInterrupt(core: number, vector: number): void;
}

// biome-ignore format: one register a row
/** LVT entries: register, index in `lvt`, writable bits (SDM figure 11-8). */
const lvtTable = [
  { register: Lapic.LVT_TIMER,   index: 0, writable: 0x3_00ff },
  { register: Lapic.LVT_THERMAL, index: 1, writable: 0x1_07ff },
  { register: Lapic.LVT_PMC,     index: 2, writable: 0x1_07ff },
  { register: Lapic.LVT_LINT0,   index: 3, writable: 0x1_a7ff },
  { register: Lapic.LVT_LINT1,   index: 4, writable: 0x1_a7ff },
  { register: Lapic.LVT_ERROR,   index: 5, writable: 0x1_00ff },
] as const;
const lvtOf = new Map<number, (typeof lvtTable)[number]>(lvtTable.map((row) => [row.register, row]));
const LVT_TIMER = 0;
const LVT_ERROR = 5;

/** ESR bits (SDM figure 11-9). */
const EsrBit = { SEND_ILLEGAL_VECTOR: 0x20, RECEIVE_ILLEGAL_VECTOR: 0x40, ILLEGAL_REGISTER: 0x80 } as const;

/** Divide configuration bits 3, 1, 0 → divisor (SDM figure 11-10). */
const divisors = [2, 4, 8, 16, 32, 64, 128, 1] as const;

export class LocalApic {
  private readonly irr = new Uint32Array(8);
  private readonly isr = new Uint32Array(8);
  private readonly tmr = new Uint32Array(8);
  private readonly lvt = new Uint32Array(6);
  private present = true;
  private tpr = 0;
  private ldr = 0;
  private dfr = 0xffff_ffff;
  private svr = 0xff;
  private esr = 0;
  private esrPending = 0;
  private icrLow = 0;
  private icrHigh = 0;
  private timerInitial = 0;
  private timerDivide = 0;
  /** Virtual time at which the timer started to count, ns. */
  private timerStart = 0;
  /** When the timer fires next, ns; NEVER if stopped, expired or masked. */
  timerNext = NEVER;
  /** Highest vectors in IRR and ISR, -1 = none; cached because the node asks before every run of a core. */
  private irrHighest = -1;
  private isrHighest = -1;

  constructor(
    readonly core: number,
    private readonly bus: LapicBus,
  ) {
    this.reset();
  }

  /** Power-up and INIT (11.4.7): resets everything except the ID. */
  reset(): void {
    this.irr.fill(0);
    this.isr.fill(0);
    this.tmr.fill(0);
    this.lvt.fill(Lvt.MASKED);
    this.tpr = 0;
    this.ldr = 0;
    this.dfr = 0xffff_ffff;
    this.svr = 0xff;
    this.esr = 0;
    this.esrPending = 0;
    this.icrLow = 0;
    this.icrHigh = 0;
    this.timerInitial = 0;
    this.timerDivide = 0;
    this.timerStart = 0;
    this.timerNext = NEVER;
    this.irrHighest = -1;
    this.isrHighest = -1;
  }

  /** IA32_APIC_BASE bit 11 (11.4.3). */
  get isPresent(): boolean {
    return this.present;
  }
  /** Disabling the LAPIC clears its state. */
  setPresent(present: boolean): void {
    if (this.present === present) return;
    this.present = present;
    this.reset();
    this.bus.reschedule(this.core);
  }

  get enabled(): boolean {
    return (this.svr & SVR_ENABLE) !== 0;
  }

  /** CR8: bits 7–4 of the TPR. */
  get taskPriorityClass(): number {
    return this.tpr >>> 4;
  }
  set taskPriorityClass(value: number) {
    this.tpr = (value & 0xf) << 4;
    this.bus.reschedule(this.core);
  }

  /** Highest vector in service; -1 = none. */
  get inService(): number {
    return this.isrHighest;
  }

  /** 11.8.3.1. */
  get processorPriority(): number {
    const inService = this.isrHighest < 0 ? 0 : this.isrHighest & 0xf0;
    return (this.tpr & 0xf0) >= inService ? this.tpr : inService;
  }

  /** The vector to deliver now if the core accepts interrupts; -1 = none. */
  pendingVector(): number {
    const vector = this.irrHighest;
    if (vector < 0 || !this.enabled) return -1;
    return (vector & 0xf0) > (this.processorPriority & 0xf0) ? vector : -1;
  }

  /** The core takes `vector`: from IRR to ISR. */
  acknowledge(vector: number): void {
    clearBit(this.irr, vector);
    setBit(this.isr, vector);
    this.irrHighest = highestBit(this.irr);
    if (vector > this.isrHighest) this.isrHighest = vector;
  }

  /** A fixed interrupt arrives (11.8.4). */
  accept(vector: number, level: boolean): void {
    if (!this.enabled) return;
    if (vector < 16) {
      this.raiseError(EsrBit.RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    setBit(this.irr, vector);
    if (level) setBit(this.tmr, vector);
    else clearBit(this.tmr, vector);
    if (vector > this.irrHighest) this.irrHighest = vector;
  }

  /** Called when `timerNext` is reached. */
  timerExpired(): void {
    const entry = this.lvt[LVT_TIMER];
    this.accept(entry & 0xff, false);
    this.scheduleTimer(this.timerNext);
  }

  /** Whether a message with this destination addresses this LAPIC (11.6.2). */
  matches(destination: number, logical: boolean): boolean {
    if (!this.present) return false;
    if (!logical) return destination === 0xff || destination === this.core;
    if (this.dfr >>> 28 === 0xf) return ((this.ldr >>> 24) & destination) !== 0;
    const cluster = destination >>> 4;
    return (cluster === 0xf || cluster === this.ldr >>> 28) && ((this.ldr >>> 24) & destination & 0xf) !== 0;
  }

  read(offset: number, size: number): number {
    if (!this.aligned("read", offset, size)) return 0;
    const bank = offset & 0x70;
    // biome-ignore format: one case a row
    switch (offset & 0xf80) {
      case Lapic.ISR: return this.isr[bank >>> 4];
      case Lapic.TMR: return this.tmr[bank >>> 4];
      case Lapic.IRR: if (offset < Lapic.ESR) return this.irr[bank >>> 4];
    }
    const row = lvtOf.get(offset);
    if (row !== undefined) return this.lvt[row.index];
    // biome-ignore format: one case a row
    switch (offset) {
      case Lapic.ID: return (this.core << 24) >>> 0;
      case Lapic.VERSION: return LAPIC_VERSION;
      case Lapic.TPR: return this.tpr;
      case Lapic.APR: return 0;
      case Lapic.PPR: return this.processorPriority;
      case Lapic.LDR: return this.ldr;
      case Lapic.DFR: return this.dfr;
      case Lapic.SVR: return this.svr;
      case Lapic.ESR: return this.esr;
      case Lapic.ICR_LOW: return this.icrLow;
      case Lapic.ICR_HIGH: return this.icrHigh;
      case Lapic.TIMER_INITIAL: return this.timerInitial;
      case Lapic.TIMER_CURRENT: return this.timerCurrent(this.bus.now);
      case Lapic.TIMER_DIVIDE: return this.timerDivide;
      case Lapic.EOI: this.bus.report(`lapic: read of write-only EOI ${hex(offset, 3)}`); return 0;
    }
    this.unknown("read of", offset);
    return 0;
  }

  write(offset: number, size: number, value: number): void {
    if (!this.aligned("write", offset, size)) return;
    value >>>= 0;
    const row = lvtOf.get(offset);
    if (row !== undefined) {
      if (row.index === LVT_TIMER && (value & Lvt.TSC_DEADLINE) !== 0)
        this.bus.report(`lapic: write of reserved timer mode ${hex(value)} to LVT_TIMER`);
      this.lvt[row.index] = (value & row.writable) | (this.enabled ? 0 : Lvt.MASKED);
      if (row.index === LVT_TIMER) this.scheduleTimer(this.bus.now);
      return;
    }
    // biome-ignore format: one case a row
    switch (offset) {
      case Lapic.TPR: this.tpr = value & 0xff; this.bus.reschedule(this.core); return;
      case Lapic.EOI: this.endOfInterrupt(); return;
      case Lapic.LDR: this.ldr = (value & 0xff00_0000) >>> 0; return;
      case Lapic.DFR: this.dfr = (value | 0x0fff_ffff) >>> 0; return;
      case Lapic.SVR: this.writeSpurious(value); return;
      case Lapic.ESR: this.esr = this.esrPending; this.esrPending = 0; return;
      case Lapic.ICR_HIGH: this.icrHigh = (value & 0xff00_0000) >>> 0; return;
      case Lapic.ICR_LOW: this.icrLow = value & 0x000c_cfff; this.sendCommand(); return;
      case Lapic.TIMER_INITIAL:
        this.timerInitial = value;
        this.timerStart = this.bus.now;
        this.scheduleTimer(this.bus.now);
        return;
      case Lapic.TIMER_DIVIDE: this.writeDivide(value & 0xb); return;
      case Lapic.ID: case Lapic.VERSION: case Lapic.APR: case Lapic.PPR: case Lapic.RRD: case Lapic.TIMER_CURRENT:
        this.readOnly(LapicNames.get(offset)!, offset);
        return;
    }
    const bank = offset & 0xf80;
    if (offset < Lapic.ESR && (bank === Lapic.ISR || bank === Lapic.TMR || bank === Lapic.IRR))
      this.readOnly(LapicNames.get(bank)!, offset);
    else this.unknown("write to", offset);
  }

  state(): unknown {
    const { present, tpr, ldr, dfr, svr, esr, esrPending, icrLow, icrHigh, timerInitial, timerDivide, timerStart } =
      this;
    const timerNext = this.timerNext === NEVER ? null : this.timerNext;
    const maps = { irr: [...this.irr], isr: [...this.isr], tmr: [...this.tmr], lvt: [...this.lvt] };
    return {
      ...maps,
      present,
      tpr,
      ldr,
      dfr,
      svr,
      esr,
      esrPending,
      icrLow,
      icrHigh,
      timerInitial,
      timerDivide,
      timerStart,
      timerNext,
    };
  }

  /** 11.8.5. The highest vector in service leaves it. */
  private endOfInterrupt(): void {
    const vector = this.isrHighest;
    if (vector < 0) {
      this.bus.report("lapic: EOI with nothing in service");
      return;
    }
    clearBit(this.isr, vector);
    this.isrHighest = highestBit(this.isr);
    this.bus.endOfInterrupt(this.core, vector);
    if (testBit(this.tmr, vector)) this.bus.broadcastEoi(vector);
    if (this.irrHighest >= 0) this.bus.reschedule(this.core);
  }

  /** 11.4.7.2: a disabled LAPIC masks all LVT entries. */
  private writeSpurious(value: number): void {
    this.svr = value & 0x3ff;
    if (!this.enabled) for (let i = 0; i < this.lvt.length; i++) this.lvt[i] |= Lvt.MASKED;
    this.scheduleTimer(this.bus.now);
  }

  /** 11.6.1. */
  private sendCommand(): void {
    const mode = this.icrLow & Icr.DELIVERY_MASK;
    const vector = this.icrLow & 0xff;
    const shorthand = this.icrLow & Icr.SHORTHAND_MASK;
    // INIT level de-assert only resynchronised the arbitration ids of the P6 family.
    if (mode === Icr.INIT && (this.icrLow & Icr.LEVEL) !== 0 && (this.icrLow & Icr.ASSERT) === 0) return;
    if ((mode === Icr.FIXED || mode === Icr.LOWEST) && vector < 16) {
      this.raiseError(EsrBit.SEND_ILLEGAL_VECTOR);
      this.bus.report(`lapic: ICR sends illegal vector ${vector}`);
      return;
    }
    if (mode !== Icr.FIXED && mode !== Icr.LOWEST && mode !== Icr.NMI && mode !== Icr.INIT && mode !== Icr.STARTUP) {
      this.bus.report(`lapic: ICR with unsupported delivery mode ${hex(mode)}`);
      return;
    }
    if (mode !== Icr.FIXED && (shorthand === Icr.SELF || (shorthand === Icr.ALL && mode !== Icr.NMI))) {
      this.bus.report(`lapic: ICR with delivery mode ${hex(mode)} to a shorthand that includes the sender`);
      return;
    }
    let targets = this.destinations(shorthand);
    if (mode === Icr.LOWEST && targets.length > 1) {
      targets = [
        targets.reduce((best, i) =>
          this.bus.lapics[i].processorPriority < this.bus.lapics[best].processorPriority ? i : best,
        ),
      ];
    }
    if (targets.length === 0) {
      if (shorthand === 0) this.bus.report(`lapic: ICR to destination ${hex(this.icrHigh >>> 24)} that no core has`);
      return;
    }
    this.bus.sendInterprocessor(this.core, targets, mode, vector);
  }

  private destinations(shorthand: number): number[] {
    const targets: number[] = [];
    if (shorthand === Icr.SELF) return [this.core];
    const logical = (this.icrLow & Icr.LOGICAL) !== 0;
    for (const lapic of this.bus.lapics) {
      if (
        shorthand === Icr.ALL_BUT_SELF
          ? lapic !== this
          : shorthand === Icr.ALL || lapic.matches(this.icrHigh >>> 24, logical)
      )
        targets.push(lapic.core);
    }
    return targets;
  }

  private get timerDivisor(): number {
    return divisors[((this.timerDivide >>> 1) & 4) | (this.timerDivide & 3)] * (1_000_000_000 / TIMER_HZ);
  }

  /** The count is computed from the start time, so a running timer costs nothing. */
  private timerCurrent(now: number): number {
    if (this.timerInitial === 0) return 0;
    const ticks = Math.floor((now - this.timerStart) / this.timerDivisor);
    if ((this.lvt[LVT_TIMER] & Lvt.PERIODIC) !== 0) return this.timerInitial - (ticks % this.timerInitial);
    return Math.max(0, this.timerInitial - ticks);
  }

  /** Next expiry strictly after `now`. */
  private scheduleTimer(now: number): void {
    const entry = this.lvt[LVT_TIMER];
    const period = this.timerInitial * this.timerDivisor;
    if (period === 0 || (entry & Lvt.MASKED) !== 0) this.timerNext = NEVER;
    else if ((entry & Lvt.PERIODIC) !== 0)
      this.timerNext = this.timerStart + (Math.floor((now - this.timerStart) / period) + 1) * period;
    else this.timerNext = this.timerStart + period > now ? this.timerStart + period : NEVER;
    this.bus.reschedule(this.core);
  }

  /** A new divisor takes effect from the current count on. */
  private writeDivide(value: number): void {
    const now = this.bus.now;
    const current = this.timerCurrent(now);
    this.timerDivide = value;
    this.timerStart = now - (this.timerInitial - current) * this.timerDivisor;
    this.scheduleTimer(now);
  }

  private raiseError(bit: number): void {
    this.esrPending |= bit;
    const entry = this.lvt[LVT_ERROR];
    if ((entry & Lvt.MASKED) === 0 && (entry & 0xff) >= 16) {
      this.accept(entry & 0xff, false);
      this.bus.reschedule(this.core);
    }
  }

  private aligned(what: string, offset: number, size: number): boolean {
    if (size === 4 && (offset & 0xf) === 0) return true;
    this.bus.report(
      `lapic: ${what} of ${size} bytes at ${hex(offset, 3)}: registers are 4 bytes on 16-byte boundaries`,
    );
    return false;
  }

  private readOnly(name: string, offset: number): void {
    this.bus.report(`lapic: write to read-only ${name} ${hex(offset, 3)}`);
  }

  private unknown(what: string, offset: number): void {
    this.raiseError(EsrBit.ILLEGAL_REGISTER);
    this.bus.report(`lapic: ${what} unknown register ${hex(offset, 3)}`);
  }
}

function setBit(map: Uint32Array, vector: number): void {
  map[vector >>> 5] |= 1 << (vector & 31);
}
function clearBit(map: Uint32Array, vector: number): void {
  map[vector >>> 5] &= ~(1 << (vector & 31));
}
function testBit(map: Uint32Array, vector: number): boolean {
  return (map[vector >>> 5] & (1 << (vector & 31))) !== 0;
}
function highestBit(map: Uint32Array): number {
  for (let i = 7; i >= 0; i--) if (map[i] !== 0) return i * 32 + 31 - Math.clz32(map[i]);
  return -1;
}
