/** The same cases on an engine: a program in ring 3 under a minimal system that catches its exceptions. */
import type { Core, CoreState, CreateEngine, Engine } from "../../../emulator/cpu/engine.ts";
import { RecordingBus } from "../bus.ts";
import { descriptor } from "../plain-cpu.ts";
import { type Case, CODE, DATA, DATA_BYTES, READ_ONLY } from "./generate.ts";
import type { Outcome } from "./oracle.ts";

/** The system's pages are at physical 0, and at this linear address, which no case accesses. */
const SYSTEM = 0x6000_0000_0000;
const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x3000;
const HANDLERS = 0x4000;
const STACK = 0x8000;
const TABLES = 0x1_0000;
/** Physical places of the program's pages. */
const CODE_FRAMES = 0x4_0000;
const DATA_FRAMES = 0x5_0000;
const READ_ONLY_FRAME = 0x6_0000;
const PAGE = 4096;
const HLT = 0xf4;
const INT3 = 0xcc;
const LIMIT = 100_000;
const CHANGED_BYTES = 256;
const withErrorCode: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);

export class Emulated {
  private readonly engine: Engine;
  private readonly core: Core;
  private readonly template: CoreState;
  private readonly data: BigUint64Array;
  private readonly before: BigUint64Array;
  private nextTable = TABLES + PAGE;

  constructor(createEngine: CreateEngine, contents: Uint8Array) {
    this.engine = createEngine({ ramBytes: 1 << 20, cores: 1, bus: new RecordingBus() });
    this.core = this.engine.cores[0];
    const { ram, view } = this.engine;
    [
      // The selectors of programs are Linux's: 23 for 32-bit code, 2b for data, 33 for 64-bit code.
      0n,
      descriptor(0xa09b),
      descriptor(0xa09b),
      descriptor(0xc093),
      descriptor(0xc0fb),
      descriptor(0xc0f3),
      descriptor(0xa0fb),
      0n,
      descriptor(0x008b, 0, 0x67),
    ].forEach((value, index) => {
      view.setBigUint64(GDT + 8 * index, BigInt.asUintN(64, value), true);
    });
    view.setBigUint64(TSS + 4, BigInt(SYSTEM + STACK), true);
    view.setUint16(TSS + 102, 0x68, true); // no permission map
    for (let vector = 0; vector < 32; vector++) {
      const handler = HANDLERS + 16 * vector;
      const dpl = vector === 3 || vector === 4 ? 0x60 : 0;
      view.setUint32(IDT + 16 * vector, (8 << 16) | handler, true);
      view.setUint32(IDT + 16 * vector + 4, 0x8e00 | (dpl << 8), true);
      view.setUint32(IDT + 16 * vector + 8, SYSTEM / 2 ** 32, true);
      ram[handler] = HLT;
    }
    for (let page = 0; page < 16; page++) this.map(SYSTEM + page * PAGE, page * PAGE, 3);
    for (let page = 0; page < 2; page++) {
      this.map(CODE + page * PAGE, CODE_FRAMES + page * PAGE, 7);
      this.map(DATA + page * PAGE, DATA_FRAMES + page * PAGE, 7, true);
    }
    this.map(READ_ONLY, READ_ONLY_FRAME, 5, true);
    ram.set(contents, DATA_FRAMES);
    ram.set(contents.subarray(0, PAGE), READ_ONLY_FRAME);
    this.data = new BigUint64Array(ram.buffer, ram.byteOffset + DATA_FRAMES, DATA_BYTES / 8);
    this.before = this.data.slice();
    const state = this.core.save();
    const segment = { selector: 0x2b, base: 0n, limit: 0xffff_ffff, flags: 0xcf_f300 };
    this.template = {
      ...state,
      segments: {
        ...state.segments,
        cs: { selector: 0x33, base: 0n, limit: 0xffff_ffff, flags: 0xaf_fb00 },
        ss: segment,
        ds: segment,
        es: segment,
        fs: segment,
        gs: segment,
        ldtr: { selector: 0, base: 0n, limit: 0, flags: 0 },
        tr: { selector: 0x40, base: BigInt(SYSTEM + TSS), limit: 0x67, flags: 0x8b00 },
      },
      gdtr: { base: BigInt(SYSTEM + GDT), limit: 0x4f },
      idtr: { base: BigInt(SYSTEM + IDT), limit: 0x1ff },
      // PE MP ET NE WP AM PG, as on Linux.
      cr0: 0x8005_0033n,
      cr3: BigInt(TABLES),
      // PAE OSFXSR OSXMMEXCPT
      cr4: 0x620n,
      efer: 0xd01n,
      halted: false,
      waitingForStartup: false,
    };
  }

  private map(virtual: number, physical: number, bits: number, noExecute = false): void {
    const { view } = this.engine;
    let table = TABLES;
    for (let level = 3; level > 0; level--) {
      const at = table + (Math.floor(virtual / 2 ** (12 + 9 * level)) % 512) * 8;
      if (!(view.getUint32(at, true) & 1)) {
        view.setUint32(at, this.nextTable | 7, true);
        this.nextTable += PAGE;
      }
      table = view.getUint32(at, true) & ~0xfff;
    }
    const at = table + (Math.floor(virtual / PAGE) % 512) * 8;
    view.setUint32(at, physical | bits, true);
    view.setUint32(at + 4, noExecute ? 0x8000_0000 : 0, true);
  }

  run(one: Case): Outcome {
    const { engine, core } = this;
    const { ram, view } = engine;
    ram.fill(INT3, CODE_FRAMES, CODE_FRAMES + 2 * PAGE);
    ram.set(one.code, CODE_FRAMES + one.offset);
    engine.invalidateCode(CODE_FRAMES, 2 * PAGE);
    const [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] = one.gpr;
    core.restore({
      ...this.template,
      gpr: { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 },
      rip: BigInt(CODE + one.offset),
      rflags: BigInt(one.rflags | 0x202),
      fx: one.fx,
    });
    const { reason } = core.run(LIMIT);
    const after = core.save();
    const vector = reason === "halt" ? Math.floor((Number(after.rip) - SYSTEM - HANDLERS) / 16) : -1;
    const error = withErrorCode.has(vector);
    const frame = STACK - (error ? 48 : 40);
    const at = error ? frame + 8 : frame;
    let first = 0;
    let end = this.data.length;
    while (first < end && this.data[first] === this.before[first]) first++;
    while (end > first && this.data[end - 1] === this.before[end - 1]) end--;
    const changed = ram.slice(DATA_FRAMES + 8 * first, DATA_FRAMES + Math.min(8 * end, 8 * first + CHANGED_BYTES));
    this.data.set(this.before.subarray(first, end), first);
    const gpr = BigUint64Array.from(Object.values(after.gpr));
    gpr[4] = view.getBigUint64(at + 24, true);
    return {
      vector,
      error: error ? view.getUint32(frame, true) : 0,
      rip: view.getBigUint64(at, true),
      cr2: after.cr2,
      rflags: view.getUint32(at + 16, true),
      gpr,
      fx: after.fx,
      first: 8 * first,
      count: 8 * (end - first),
      changed,
    };
  }

  close(): void {
    this.engine.close();
  }
}
