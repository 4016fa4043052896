/**
 * A bare node for engine tests: code from our own assembler, a GDT, an IDT and a TSS at fixed addresses, page tables,
 * and cores placed directly into 64-bit mode (by restore, so that only the boot tests depend on a boot path).
 */
import type { Bus, Core, CoreState, CreateEngine, Engine } from "../../emulator/cpu/engine.ts";
import { beforeAll, describe } from "vitest";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { createUnicornEngine } from "../../emulator/cpu/unicorn/engine.ts";
import { Assembler } from "../../toolchain/x64/assembler.ts";
import { assembleInline } from "../../toolchain/x64/inline.ts";
import { skipReason } from "../engine.ts";
import { RecordingBus } from "./bus.ts";
import { descriptor } from "./plain-cpu.ts";

export interface EngineUnderTest {
  readonly name: string;
  readonly create: CreateEngine;
  /** Why it cannot run here, printed once per file. */
  readonly missing: string | undefined;
}

function underTest(name: string, create: CreateEngine): EngineUnderTest {
  const missing = skipReason(`tests/cpu, engine ${name}`, create);
  return { name, create, missing };
}
const engines = [underTest("Unicorn", createUnicornEngine), underTest("native", createNativeEngine)];
let current = engines[0];
/** Why the tests that need Unicorn cannot run here. */
export const missing = engines[0].missing;

/** Runs the same tests on every engine: a Guest uses the engine under test. */
export function describeEngines(title: string, body: (engine: EngineUnderTest) => void): void {
  for (const engine of engines) {
    describe.skipIf(engine.missing)(`${title} (${engine.name})`, () => {
      current = engine;
      beforeAll(() => {
        current = engine;
      });
      if (engine.missing === undefined) body(engine);
    });
  }
}

export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
const TABLES = 0x1_0000;
export const CODE = 0x10_0000;
export const USER = 0x40_0000;
export const USER_DATA_PAGE = 0x40_8000;
export const KERNEL_STACK = 0x8_f000;
const KERNEL_CS = 0x08;

export function assemble(
  source: string,
  bits: 16 | 32 | 64 = 64,
): { bytes: Uint8Array; labels: ReadonlyMap<string, number> } {
  const assembler = new Assembler("guest", bits);
  const block = {
    pieces: [source],
    operands: [],
    bits,
    inputs: [],
    out: null,
    clobbers: [],
    clobbersMemory: true,
    loc: { file: -1, line: 1, column: 1 },
  };
  const none = (): string => {
    throw new Error("no operands here");
  };
  assembleInline(block, none, null, assembler, "");
  const { bytes, relocations, labels } = assembler.finish();
  if (relocations.length) throw new Error(`guest code must not need a linker: ${JSON.stringify(relocations[0])}`);
  return { bytes, labels };
}

export interface GuestOptions {
  readonly cores?: number;
  readonly bus?: Bus;
  readonly ramBytes?: number;
  readonly tscBase?: bigint;
  /** Default: the engine under test. */
  readonly create?: CreateEngine;
}

export interface StartOptions {
  readonly user?: boolean;
  readonly rsp?: number | bigint;
  readonly cr4?: number;
  readonly rflags?: bigint;
}

export class Guest {
  readonly engine: Engine;
  readonly view: DataView;
  private nextTable = TABLES + 0x1000;

  constructor({
    cores = 1,
    bus = new RecordingBus(),
    ramBytes = 8 << 20,
    tscBase,
    create = current.create,
  }: GuestOptions = {}) {
    this.engine = create({ ramBytes, cores, bus, tscBase });
    this.view = this.engine.view;
    // 08 kernel code, 10 kernel data, 18 user base, 20 user data, 28 user code, 30 TSS
    [
      0n,
      descriptor(0xa09b),
      descriptor(0xc093),
      descriptor(0xc0fb),
      descriptor(0xc0f3),
      descriptor(0xa0fb),
      descriptor(0x008b, TSS, 0x67),
    ].forEach((value, index) => {
      this.setQuad(GDT + 8 * index, value);
    });
    this.setQuad(TSS + 4, BigInt(KERNEL_STACK));
    this.setQuad(TSS + 0x24, 0x9_8000n);
    for (const base of [0, 0x20_0000]) this.map(BigInt(base), BigInt(base) | 0x83n, 1);
    for (let page = 0; page < 8; page++) this.map(BigInt(USER + page * 4096), BigInt(USER + page * 4096) | 5n);
    for (let page = 0; page < 8; page++)
      this.map(BigInt(USER_DATA_PAGE + page * 4096), BigInt(USER_DATA_PAGE + page * 4096) | 7n);
  }

  get core(): Core {
    return this.engine.cores[0];
  }
  quad(address: number): bigint {
    return this.view.getBigUint64(address, true);
  }
  setQuad(address: number, value: bigint): void {
    this.view.setBigUint64(address, BigInt.asUintN(64, value), true);
  }

  /** Writes code into RAM; returns its labels as addresses. */
  code(address: number, source: string, bits: 16 | 32 | 64 = 64): (label: string) => number {
    const { bytes, labels } = assemble(source, bits);
    this.engine.ram.set(bytes, address);
    this.engine.invalidateCode(address, bytes.length);
    return (label) => {
      const offset = labels.get(label);
      if (offset === undefined) throw new Error(`no label ${label}`);
      return address + offset;
    };
  }

  /** Maps a page (level 0: 4 KB, 1: 2 MB, 2: 1 GB) and returns the address of its entry. */
  map(virtual: bigint, entry: bigint, level = 0): number {
    let table = TABLES;
    for (let depth = 3; depth > level; depth--) {
      const at = table + Number((virtual >> BigInt(12 + 9 * depth)) & 511n) * 8;
      if (!(this.quad(at) & 1n)) {
        this.setQuad(at, BigInt(this.nextTable) | 7n);
        this.nextTable += 0x1000;
      }
      table = Number(this.quad(at) & 0xf_ffff_f000n);
    }
    const at = table + Number((virtual >> BigInt(12 + 9 * level)) & 511n) * 8;
    this.setQuad(at, entry);
    return at;
  }

  gate(vector: number, handler: number | bigint, { ist = 0, dpl = 0, trap = false } = {}): void {
    const offset = BigInt(handler);
    const bits = BigInt((trap ? 15 : 14) | (dpl << 5) | 0x80);
    this.setQuad(
      IDT + vector * 16,
      (offset & 0xffffn) |
        (BigInt(KERNEL_CS) << 16n) |
        (BigInt(ist) << 32n) |
        (bits << 40n) |
        (((offset >> 16n) & 0xffffn) << 48n),
    );
    this.setQuad(IDT + vector * 16 + 8, offset >> 32n);
  }

  /** 64-bit mode at `rip`, as the kernel or as a user program, everything else as after INIT. */
  start(core: Core, rip: number | bigint, options: StartOptions = {}): void {
    const { user = false, cr4 = 0x620, rflags = 0x2n } = options;
    const rsp = options.rsp ?? (user ? USER_DATA_PAGE + 0x2000 : KERNEL_STACK - core.index * 0x1000);
    const state = core.save();
    const code = user ? { selector: 0x2b, flags: 0xaf_fb00 } : { selector: KERNEL_CS, flags: 0xaf_9b00 };
    const data = user
      ? { selector: 0x23, base: 0n, limit: 0xffff_ffff, flags: 0xcf_f300 }
      : { selector: 0x10, base: 0n, limit: 0xffff_ffff, flags: 0xcf_9300 };
    const next: CoreState = {
      ...state,
      gpr: { ...state.gpr, rsp: BigInt(rsp) },
      rip: BigInt(rip),
      rflags,
      segments: {
        ...state.segments,
        cs: { ...code, base: 0n, limit: 0xffff_ffff },
        ss: data,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        tr: { selector: 0x30, base: BigInt(TSS), limit: 0x67, flags: 0x8b00 },
      },
      gdtr: { base: BigInt(GDT), limit: 0x3f },
      idtr: { base: BigInt(IDT), limit: 0xfff },
      cr0: 0x8001_0033n,
      cr3: BigInt(TABLES),
      cr4: BigInt(cr4),
      efer: 0xd01n,
      halted: false,
      waitingForStartup: false,
    };
    core.restore(next);
  }

  /** Runs in pieces until a reason other than the budget. */
  finish(core: Core = this.core, piece: number | (() => number) = 100_000, limit = 10_000_000) {
    const from = core.time;
    for (;;) {
      const result = core.run(typeof piece === "number" ? piece : piece());
      if (result.reason !== "budget" || core.time - from > limit) return result;
    }
  }

  close(): void {
    this.engine.close();
  }
}

/** Everything in which two equal runs must agree: all cores and all of RAM. */
export function fingerprint(engine: Engine): string {
  const states = engine.cores.map((core) => core.save());
  let hash = 0x811c_9dc5;
  const words = new Uint32Array(engine.ram.buffer, engine.ram.byteOffset, engine.ram.length / 4);
  for (let index = 0; index < words.length; index++)
    if (words[index]) hash = Math.imul(hash ^ words[index] ^ index, 0x0100_0193);
  return `${hash >>> 0} ${JSON.stringify(states, (_key, value: unknown) => (typeof value === "bigint" ? value.toString(16) : value instanceof Uint8Array ? Array.from(value).join() : value))}`;
}

/** Numbers from a seed (xorshift32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
