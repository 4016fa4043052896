/**
 * An engine for tests of the machine alone: each core runs a program of toy instructions, one per step. It fulfils the
 * contract of emulator/cpu/engine.ts (counts, shadows, windows, stops) without x86, so these tests need no Unicorn.
 */
import type {
  Bus,
  Core,
  CoreState,
  CreateEngine,
  Engine,
  EngineOptions,
  RunResult,
} from "../../emulator/cpu/engine.ts";

export type Step =
  | readonly ["nop"]
  | readonly ["hlt"]
  | readonly ["sti"]
  | readonly ["cli"]
  | readonly ["iret"]
  /** Endless loop or branch to a label's index. */
  | readonly ["jump", number]
  /** Decrements counter `register` and branches while it is not 0. */
  | readonly ["loop", number, number]
  | readonly ["set", number, number]
  | readonly ["write", number, number]
  | readonly ["writeRegister", number, number]
  | readonly ["read", number, number]
  | readonly ["out", number, number]
  /** RAM, 32 bits: ram[address] += value; ram[address] = register. */
  | readonly ["add", number, number]
  | readonly ["store", number, number]
  | readonly ["triple"];

export interface Program {
  readonly steps: readonly Step[];
  /** Index of the handler of each vector; NMI is vector 2. */
  readonly handlers?: Readonly<Record<number, number>>;
  /** Where SIPI starts an application processor. */
  readonly startup?: number;
}

class ToyCore implements Core {
  time = 0;
  halted = true;
  pc = 0;
  enabled = false;
  shadow = false;
  readonly registers = [0, 0, 0, 0];
  readonly stack: (readonly [number, boolean])[] = [];
  private stopAsked = false;
  private dead = false;

  constructor(
    readonly index: number,
    private readonly program: Program,
    private readonly bus: Bus,
    private readonly view: DataView,
  ) {}

  get interruptible(): boolean {
    return this.enabled && !this.shadow;
  }
  run(budget: number): RunResult {
    return this.go(budget, false);
  }
  runToWindow(budget: number): RunResult {
    if (this.interruptible) throw new Error("runToWindow of an interruptible core");
    return this.go(budget, true);
  }

  private go(budget: number, toWindow: boolean): RunResult {
    let retired = 0;
    while (retired < budget) {
      if (this.halted) throw new Error("run of a halted core");
      const step = this.program.steps[this.pc++];
      if (step === undefined) throw new Error(`c${this.index} ran off its program at ${this.pc - 1}`);
      const wasShadow = this.shadow;
      if (step[0] === "triple") {
        this.dead = this.halted = true;
        return { reason: "shutdown", retired };
      }
      this.execute(step);
      if (wasShadow) this.shadow = false;
      this.time++;
      retired++;
      if (this.halted) return { reason: "halt", retired };
      if (this.stopAsked) {
        this.stopAsked = false;
        return { reason: "stop", retired };
      }
      if (toWindow && this.interruptible) return { reason: "window", retired };
    }
    return { reason: "budget", retired };
  }

  private execute(step: Step): void {
    const { registers, bus, view } = this;
    // biome-ignore format: one case a row
    switch (step[0]) {
      case "hlt": this.halted = true; this.shadow = false; return;
      case "sti": if (!this.enabled) this.shadow = this.enabled = true; return;
      case "cli": this.enabled = false; return;
      case "iret": [this.pc, this.enabled] = this.stack.pop()!; return;
      case "jump": this.pc = step[1]; return;
      case "loop": if (--registers[step[1]] !== 0) this.pc = step[2]; return;
      case "set": registers[step[1]] = step[2]; return;
      case "write": bus.writeMemory(this, step[1], 4, step[2]); return;
      case "writeRegister": bus.writeMemory(this, step[1], 4, registers[step[2]]); return;
      case "read": registers[step[1]] = bus.readMemory(this, step[2], 4); return;
      case "out": bus.writePort(this, step[1], 1, step[2]); return;
      case "add": view.setUint32(step[1], view.getUint32(step[1], true) + step[2], true); return;
      case "store": view.setUint32(step[1], registers[step[2]], true); return;
    }
  }

  requestStop(): void {
    this.stopAsked = true;
  }
  private enter(vector: number): void {
    const handler = this.program.handlers?.[vector];
    if (handler === undefined) throw new Error(`c${this.index}: no handler for vector ${vector}`);
    this.stack.push([this.pc, this.enabled]);
    this.pc = handler;
    this.enabled = this.halted = false;
  }
  injectInterrupt(vector: number): void {
    if (!this.interruptible) throw new Error("interrupt injected while masked");
    this.enter(vector);
  }
  injectNmi(): void {
    this.enter(2);
  }
  init(): void {
    this.halted = true;
    this.enabled = this.shadow = this.dead = false;
    this.stack.length = 0;
  }
  startup(page: number): void {
    this.pc = this.program.startup ?? 0;
    this.registers[3] = page;
    this.halted = false;
  }
  startPvh(): void {
    this.halted = false;
  }
  save(): CoreState {
    const { pc, enabled, shadow, halted, time, dead } = this;
    return {
      pc,
      enabled,
      interruptShadow: shadow,
      halted,
      time,
      dead,
      registers: [...this.registers],
      stack: [...this.stack],
      fx: new Uint8Array(0),
    } as unknown as CoreState;
  }
  restore(): void {
    throw new Error("the toy engine has no restore");
  }
  get rip(): bigint {
    return BigInt(this.pc);
  }
  readonly cpl = 0;
  register(): bigint {
    return 0n;
  }
  setRegister(): void {}
  readFx(): Uint8Array {
    return new Uint8Array(512);
  }
  writeFx(): void {}
  passBreakpoint(): void {}
  translate(virtual: bigint): number {
    return Number(virtual);
  }
}

export function toyEngine(programs: readonly Program[]): CreateEngine {
  return ({ ramBytes, cores, bus }: EngineOptions): Engine => {
    const ram = new Uint8Array(ramBytes);
    const view = new DataView(ram.buffer);
    return {
      name: "toy",
      ram,
      view,
      cores: Array.from({ length: cores }, (_, i) => new ToyCore(i, programs[i % programs.length], bus, view)),
      invalidateCode: () => {},
      addBreakpoint: () => 0,
      removeBreakpoint: () => {},
      addWatchpoint: () => 0,
      removeWatchpoint: () => {},
      flushCaches: () => {},
      close: () => {},
    };
  };
}

/** A PVH image with one segment at 1 MB that contains no code. */
export function emptyKernel(code: Uint8Array = new Uint8Array(16), entry = 0x10_0000): Uint8Array {
  const bytes = new Uint8Array(0x200 + code.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const segment = (at: number, type: number, offset: number, address: number, length: number) => {
    view.setUint32(at, type, true);
    view.setUint32(at + 4, 7, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 16, BigInt(address), true);
    view.setBigUint64(at + 24, BigInt(address), true);
    view.setBigUint64(at + 32, BigInt(length), true);
    view.setBigUint64(at + 40, BigInt(length), true);
    view.setBigUint64(at + 48, 4n, true);
  };
  segment(64, 1, 0x200, 0x10_0000, code.length);
  segment(120, 4, 0x100, 0, 20);
  view.setUint32(0x100, 4, true);
  view.setUint32(0x104, 4, true);
  view.setUint32(0x108, 18, true);
  bytes.set([0x58, 0x65, 0x6e, 0], 0x10c);
  view.setUint32(0x110, entry, true);
  bytes.set(code, 0x200);
  return bytes;
}
