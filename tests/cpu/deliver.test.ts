/**
 * Event delivery and SYSCALL on a plain processor: Intel SDM vol. 3, chapter 6 (6.8.3 RF, 6.12 and 6.14 stacks, 6.13
 * error codes, table 6-5 double faults) and vol. 2 (INT n, SYSCALL).
 */
import { beforeEach, describe, expect, it } from "vitest";
import { Fault } from "../../emulator/cpu/x86/access.ts";
import { combineFaults, deliverEvent } from "../../emulator/cpu/x86/deliver.ts";
import { performSyscall } from "../../emulator/cpu/x86/syscall.ts";
import { descriptor, PlainCpu } from "./plain-cpu.ts";

const GDT = 0x8000;
const IDT = 0x9000;
const TSS = 0xa000;
const KERNEL_CODE = 0x08;
const USER_CODE = 0x2b;
const USER_DATA = 0x23;
const HANDLER = 0xffff_8000_0010_0000n;
const RSP0 = 0x7_0000n;
const IST1 = 0x6_0008n; // not aligned: delivery aligns it

interface GateOptions {
  ist?: number;
  dpl?: number;
  type?: number;
  selector?: number;
  present?: boolean;
  offset?: bigint;
}

let cpu: PlainCpu;

function gate(
  vector: number,
  { ist = 0, dpl = 0, type = 14, selector = KERNEL_CODE, present = true, offset = HANDLER }: GateOptions = {},
): void {
  const bits = BigInt(type | (dpl << 5) | (present ? 0x80 : 0));
  cpu.setQuad(
    IDT + vector * 16,
    (offset & 0xffffn) |
      (BigInt(selector) << 16n) |
      (BigInt(ist) << 32n) |
      (bits << 40n) |
      (((offset >> 16n) & 0xffffn) << 48n),
  );
  cpu.setQuad(IDT + vector * 16 + 8, offset >> 32n);
}

/** The words on the stack, from its top down to `from`. */
const frame = (from: bigint): bigint[] => {
  const words: bigint[] = [];
  for (let at = cpu.gpr(4); at < from; at += 8n) words.push(cpu.quad(Number(at)));
  return words;
};

beforeEach(() => {
  cpu = new PlainCpu();
  cpu.mapLow();
  [
    0n,
    descriptor(0xa09b),
    descriptor(0xc093),
    descriptor(0xc0fb),
    descriptor(0xc0f3),
    descriptor(0xa0fb),
    descriptor(0xa01b),
    descriptor(0xa09f),
  ].forEach((value, index) => {
    cpu.setQuad(GDT + 8 * index, value); // 0x30: not present code; 0x38: conforming code
  });
  cpu.segments[7] = { selector: 0x40, base: BigInt(TSS), limit: 0x67, flags: 0x8b00 };
  cpu.setQuad(TSS + 4, RSP0);
  cpu.setQuad(TSS + 0x24, IST1);
  asUser();
});

function asUser(): void {
  cpu.setSegment(1, { selector: USER_CODE, base: 0n, limit: 0xffff_ffff, flags: 0xaf_fb00 });
  cpu.setSegment(2, { selector: USER_DATA, base: 0n, limit: 0xffff_ffff, flags: 0xcf_f300 });
  cpu.setGpr(4, 0x5_0004n);
}
function asKernel(): void {
  cpu.setSegment(1, { selector: KERNEL_CODE, base: 0n, limit: 0xffff_ffff, flags: 0xaf_9b00 });
  cpu.setSegment(2, { selector: 0, base: 0n, limit: 0, flags: 0 });
  cpu.setGpr(4, 0x5_000cn);
}
const interrupt = (vector: number): boolean => deliverEvent(cpu, { vector, kind: "external" });
const exception = (vector: number, errorCode = 0): boolean =>
  deliverEvent(cpu, { vector, kind: "exception", errorCode });

describe("long mode", () => {
  it("interrupt from ring 3: RSP0, null SS, IF and TF cleared, frame of five", () => {
    gate(0x40);
    cpu.rflags = 0x4302n; // NT, IF, TF
    cpu.interruptShadow = true;
    expect(interrupt(0x40)).toBe(true);
    expect(frame(RSP0)).toEqual([0x40_0000n, BigInt(USER_CODE), 0x4302n, 0x5_0004n, BigInt(USER_DATA)]);
    expect(cpu.rip).toBe(HANDLER);
    expect(cpu.cpl).toBe(0);
    expect(cpu.segment(1).selector).toBe(KERNEL_CODE);
    expect(cpu.segment(2)).toEqual({ selector: 0, base: 0n, limit: 0, flags: 0 });
    expect(cpu.rflags).toBe(0x2n);
    expect(cpu.interruptShadow).toBe(false);
  });

  it("from ring 0: same stack, aligned to 16, SS kept; a trap gate keeps IF", () => {
    asKernel();
    gate(0x40, { type: 15 });
    interrupt(0x40);
    expect(frame(0x5_0000n)).toEqual([0x40_0000n, BigInt(KERNEL_CODE), 0x202n, 0x5_000cn, 0n]);
    expect(cpu.rflags).toBe(0x202n);
  });

  it("IST: from any ring, aligned", () => {
    asKernel();
    gate(2, { ist: 1 });
    interrupt(2);
    expect(frame(0x6_0000n)).toEqual([0x40_0000n, BigInt(KERNEL_CODE), 0x202n, 0x5_000cn, 0n]);
  });

  it("exceptions with a code push it, faults push RF, traps and interrupts do not", () => {
    for (const [vector, code, flags] of [
      [13, 0x18, 0x1_0202n],
      [6, undefined, 0x1_0202n],
      [1, undefined, 0x202n],
      [14, 6, 0x1_0202n],
    ] as const) {
      asUser();
      cpu.rflags = 0x202n;
      cpu.rip = 0x40_0000n;
      gate(vector);
      exception(vector, code);
      const words = frame(RSP0);
      if (code !== undefined) expect(words.shift()).toBe(BigInt(code));
      expect(words.slice(0, 3)).toEqual([0x40_0000n, BigInt(USER_CODE), flags]);
    }
  });

  it("#PF sets CR2", () => {
    gate(14);
    deliverEvent(cpu, { vector: 14, kind: "exception", errorCode: 4, address: 0x1234_5678n });
    expect(cpu.cr2).toBe(0x1234_5678n);
  });

  // Each faulty gate for vector 0x40, and the exception that takes its place.
  // biome-ignore format: a table
  const faulty: { name: string; set: () => void; kind?: "software"; vector: number; code: number }[] = [
    { name: "INT n with DPL 0 from ring 3",   set: () => gate(0x40), kind: "software", vector: 13, code: 0x202 },
    { name: "gate not present",               set: () => gate(0x40, { present: false }), vector: 11, code: 0x203 },
    { name: "INT n, gate not present",        set: () => gate(0x40, { present: false, dpl: 3 }), kind: "software", vector: 11, code: 0x202 },
    { name: "not a gate of long mode",        set: () => gate(0x40, { type: 5 }), vector: 13, code: 0x203 },
    { name: "past the IDT's limit",           set: () => { cpu.idtr = { base: BigInt(IDT), limit: 0x40f - 0x10 }; }, vector: 13, code: 0x203 },
    { name: "null selector",                  set: () => gate(0x40, { selector: 0 }), vector: 13, code: 1 },
    { name: "INT n, null selector",           set: () => gate(0x40, { selector: 3, dpl: 3 }), kind: "software", vector: 13, code: 0 },
    { name: "selector past the GDT",          set: () => gate(0x40, { selector: 0x100 }), vector: 13, code: 0x101 },
    { name: "selector in an absent LDT",      set: () => { cpu.segments[6] = { selector: 0, base: 0n, limit: 0xffff, flags: 0x200 }; gate(0x40, { selector: 0x0c }); }, vector: 13, code: 0x0d },
    { name: "data segment",                   set: () => gate(0x40, { selector: 0x10 }), vector: 13, code: 0x11 },
    { name: "32-bit code segment",            set: () => gate(0x40, { selector: 0x18 }), vector: 13, code: 0x19 },
    { name: "code segment not present",       set: () => gate(0x40, { selector: 0x30 }), vector: 11, code: 0x31 },
    { name: "offset not canonical",           set: () => gate(0x40, { offset: 0x8000_0000_0000n }), vector: 13, code: 1 },
    { name: "RSP0 not canonical",             set: () => { gate(0x40); cpu.setQuad(TSS + 4, 1n << 47n); }, vector: 12, code: 1 },
  ];
  it.each(faulty)("$name", ({ set, kind, vector, code }) => {
    for (const handler of [8, 10, 11, 12, 13]) gate(handler, { offset: BigInt(handler) << 12n, ist: 1 });
    set();
    cpu.rip = 0x40_0002n;
    const event = kind
      ? { vector: 0x40, kind, instructionRip: 0x40_0000n }
      : { vector: 0x40, kind: "external" as const };
    expect(deliverEvent(cpu, event)).toBe(true);
    expect(Number(cpu.rip >> 12n)).toBe(vector);
    const words = frame(0x6_0000n);
    expect(words[0]).toBe(BigInt(code));
    expect(words[1]).toBe(kind ? 0x40_0000n : 0x40_0002n);
  });

  it("a TSS too short for RSP0 is #TS with its selector", () => {
    cpu.segments[7] = { ...cpu.segments[7], limit: 10 };
    cpu.map(0x40_0000n, 0x5007n);
    cpu.setGpr(4, 0x40_1000n);
    gate(0x40);
    gate(10, { selector: 0x38 }); // conforming: needs no stack of the TSS
    interrupt(0x40);
    expect([cpu.view.getUint32(0x5fd0, true), cpu.gpr(4)]).toEqual([0x41, 0x40_0fd0n]);
  });

  it("INT n with DPL 3 returns behind the instruction", () => {
    gate(0x80, { dpl: 3 });
    cpu.rip = 0x40_0002n;
    deliverEvent(cpu, { vector: 0x80, kind: "software", instructionRip: 0x40_0000n });
    expect(frame(RSP0)[0]).toBe(0x40_0002n);
  });

  it("a conforming handler runs at the interrupted level, on its stack", () => {
    gate(0x40, { selector: 0x38 });
    cpu.map(0x40_0000n, 0x5007n);
    cpu.setGpr(4, 0x40_1000n);
    interrupt(0x40);
    expect(cpu.cpl).toBe(3);
    expect(cpu.segment(1).selector).toBe(0x3b);
    expect(cpu.gpr(4)).toBe(0x40_0fd8n);
  });

  it("table 6-5", () => {
    const contributory = [0, 10, 11, 12, 13];
    for (let first = 0; first < 20; first++) {
      for (let second = 0; second < 20; second++) {
        const serious = contributory.includes(second) || second === 14;
        let expected = "serial";
        if (contributory.includes(first) && contributory.includes(second)) expected = "double";
        if (first === 14 && serious) expected = "double";
        if (first === 8 && serious) expected = "shutdown";
        expect(`${first} ${second} ${combineFaults(first, second)}`).toBe(`${first} ${second} ${expected}`);
      }
    }
  });

  it("#PF while pushing a #PF frame: #DF on its IST, CR2 of the second", () => {
    gate(14);
    gate(8, { ist: 1, offset: 0x8000n });
    cpu.setQuad(TSS + 4, 0x50_0000n); // RSP0 is not mapped
    expect(deliverEvent(cpu, { vector: 14, kind: "exception", errorCode: 6, address: 0x99n })).toBe(true);
    expect(cpu.rip).toBe(0x8000n);
    expect(frame(0x6_0000n).slice(0, 2)).toEqual([0n, 0x40_0000n]);
    expect(cpu.cr2).toBe(0x4f_fff8n);
  });

  it("#PF while delivering an interrupt is just a #PF, with the interrupted RIP", () => {
    gate(0x40);
    gate(14, { ist: 1, offset: 0xe000n });
    cpu.setQuad(TSS + 4, 0x50_0000n);
    interrupt(0x40);
    expect(cpu.rip).toBe(0xe000n);
    expect(frame(0x6_0000n).slice(0, 2)).toEqual([2n, 0x40_0000n]);
  });

  it("a third fault is shutdown, with the registers of before", () => {
    cpu.setQuad(TSS + 4, 0x50_0000n);
    gate(14);
    gate(8);
    expect(deliverEvent(cpu, { vector: 14, kind: "exception", errorCode: 6, address: 0x99n })).toBe(false);
    expect(cpu.rip).toBe(0x40_0000n);
    expect(cpu.gpr(4)).toBe(0x5_0004n);
    expect(cpu.cpl).toBe(3);
  });

  it("an empty IDT is shutdown", () => {
    cpu.idtr = { base: 0n, limit: 0 };
    expect(exception(6)).toBe(false);
  });
});

describe("32-bit protected mode", () => {
  beforeEach(() => {
    cpu.cr0 = 0x11;
    cpu.efer = 0;
    cpu.setQuad(GDT + 8, descriptor(0xc09b));
    cpu.segments[7] = { selector: 0x40, base: BigInt(TSS), limit: 0x67, flags: 0x8b00 };
    cpu.view.setUint32(TSS + 4, 0x7_0000, true);
    cpu.view.setUint16(TSS + 8, 0x10, true);
    cpu.setSegment(1, { selector: 0x1b, base: 0n, limit: 0xffff_ffff, flags: 0xcf_fb00 });
    cpu.setSegment(2, { selector: 0x23, base: 0n, limit: 0xffff_ffff, flags: 0xcf_f300 });
  });
  const gate32 = (vector: number, type = 14, dpl = 0, selector = 8): void => {
    cpu.setQuad(
      IDT + vector * 8,
      0x1000n | (BigInt(selector) << 16n) | (BigInt(type | (dpl << 5) | 0x80) << 40n) | (0x12n << 48n),
    );
  };
  const frame32 = (from: number, bytes = 4): number[] => {
    const words: number[] = [];
    for (let at = Number(cpu.gpr(4)); at < from; at += bytes)
      words.push(bytes === 4 ? cpu.view.getUint32(at, true) : cpu.view.getUint16(at, true));
    return words;
  };

  it("inner ring: SS:ESP of the TSS, frame of five, error code", () => {
    gate32(13);
    exception(13, 0x18);
    expect(frame32(0x7_0000)).toEqual([0x18, 0x40_0000, 0x1b, 0x1_0202, 0x5_0004, 0x23]);
    expect([cpu.rip, cpu.cpl, cpu.segment(2).selector, cpu.rflags]).toEqual([0x12_1000n, 0, 0x10, 2n]);
  });

  it("same ring: frame of three; 16-bit gates push words", () => {
    cpu.setSegment(1, { selector: 8, base: 0n, limit: 0xffff_ffff, flags: 0xcf_9b00 });
    gate32(0x40, 15);
    interrupt(0x40);
    expect(frame32(0x5_0004)).toEqual([0x40_0000, 8, 0x202]);
    expect(cpu.rflags).toBe(0x202n);
    cpu.setGpr(4, 0x5_0000n);
    cpu.rip = 0x1234n;
    gate32(0x41, 6);
    interrupt(0x41);
    expect(frame32(0x5_0000, 2)).toEqual([0x1234, 8, 0x202]);
    expect(cpu.rip).toBe(0x1000n);
  });

  it("a bad stack segment in the TSS is #TS", () => {
    gate32(0x40);
    gate32(10, 14, 0, 0x38); // conforming: needs no stack of the TSS
    cpu.setQuad(GDT + 0x38, descriptor(0xc09f));
    cpu.view.setUint16(TSS + 8, 0x23, true);
    interrupt(0x40);
    expect(cpu.cpl).toBe(3);
    expect(frame32(0x5_0004)[0]).toBe(0x21);
  });

  it("the same stack beyond the segment's limit is #SS", () => {
    cpu.setSegment(1, { selector: 8, base: 0n, limit: 0xffff_ffff, flags: 0xcf_9b00 });
    cpu.setSegment(2, { selector: 0x10, base: 0n, limit: 0x4_ffff, flags: 0x40_9300 });
    gate32(0x40);
    expect(interrupt(0x40)).toBe(false); // and neither #SS nor #DF finds a stack
  });
});

describe("real mode", () => {
  it("goes through the vector table", () => {
    cpu.cr0 = 0x10;
    cpu.efer = 0;
    cpu.idtr = { base: 0n, limit: 0x3ff };
    cpu.view.setUint16(0x40 * 4, 0x1234, true);
    cpu.view.setUint16(0x40 * 4 + 2, 0xf00, true);
    cpu.setSegment(1, { selector: 0x800, base: 0x8000n, limit: 0xffff, flags: 0x9b00 });
    cpu.setSegment(2, { selector: 0x100, base: 0x1000n, limit: 0xffff, flags: 0x9300 });
    cpu.setGpr(4, 0x0004n);
    cpu.rip = 0x77n;
    cpu.rflags = 0x302n;
    interrupt(0x40);
    expect([cpu.rip, cpu.segment(1).selector, cpu.segment(1).base, cpu.gpr(4), cpu.rflags]).toEqual([
      0x1234n,
      0xf00,
      0xf000n,
      0xfffen,
      2n,
    ]);
    expect([
      cpu.view.getUint16(0x1002, true),
      cpu.view.getUint16(0x1000, true),
      cpu.view.getUint16(0x10ffe, true),
    ]).toEqual([0x302, 0x800, 0x77]);
  });
});

describe("SYSCALL", () => {
  const registers = {
    star: 0x0018_0008_1234_5678n,
    lstar: 0xffff_8000_0000_1000n,
    cstar: 0xffff_8000_0000_2000n,
    fmask: 0x4_0700n,
  };

  it("64-bit: RCX, R11, FMASK, segments", () => {
    cpu.rflags = 0x4_0747n;
    cpu.rip = 0x40_0002n;
    performSyscall(cpu, registers);
    expect([cpu.gpr(1), cpu.gpr(11), cpu.rip, cpu.rflags]).toEqual([0x40_0002n, 0x4_0747n, registers.lstar, 0x47n]);
    expect([
      cpu.cpl,
      cpu.segment(1).selector,
      cpu.segment(1).flags,
      cpu.segment(2).selector,
      cpu.segment(2).flags,
    ]).toEqual([0, 8, 0xa0_9b00, 0x10, 0xc0_9300]);
  });

  it("from 32-bit code in long mode goes to CSTAR", () => {
    cpu.setSegment(1, { selector: 0x1b, base: 0n, limit: 0xffff_ffff, flags: 0xcf_fb00 });
    performSyscall(cpu, registers);
    expect(cpu.rip).toBe(registers.cstar);
  });

  it("is undefined without EFER.SCE, and changes nothing", () => {
    cpu.efer = 0xd00;
    expect(() => performSyscall(cpu, registers)).toThrow(new Fault(6, 0));
    expect([cpu.gpr(1), cpu.cpl, cpu.rip]).toEqual([0n, 3, 0x40_0000n]);
  });
});
