/**
 * Instruction traces are complete and correct and do not change the run: one event per retired instruction, at its own
 * time, in the order that the code itself determines.
 */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { loadDisassembler } from "../../emulator/trace/disassemble.ts";
import { fullLine } from "../../emulator/trace/format.ts";
import { instructionText } from "../../emulator/trace/instructiontext.ts";
import { traceInstructions } from "../../emulator/trace/instructions.ts";
import { everything, type Selection } from "../../emulator/trace/select.ts";
import { Symboliser } from "../../emulator/trace/symbolise.ts";
import { EventList, type TraceEvent, Tracer } from "../../emulator/trace/tracer.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { createEngine } from "../engine.ts";
import { assemble, hasAssembler } from "../machine/guest.ts";
import { runCluster } from "../system/cluster.ts";
import { packageRoot } from "../system/command.ts";

const disassemble = await loadDisassembler();
const symboliser = new Symboliser([fs.readFileSync(path.join(packageRoot, "images/out/kernel.elf"))]);
const INSN: ReadonlySet<number> = new Set([EventKind.INSN]);

/** A job of two nodes, with the given instructions traced. */
function watched(selection: Selection | undefined): {
  readonly run: ReturnType<typeof runCluster>;
  readonly insns: readonly TraceEvent[];
} {
  const list = new EventList();
  const sink = new Tracer([list]);
  const create =
    selection === undefined
      ? createEngine
      : traceInstructions(createEngine, { nids: [1, 2], sink, selection, disassemble });
  const run = runCluster({ nodes: 2, program: "hello", machine: { createEngine: create } });
  sink.end();
  return { run, insns: list.events };
}

describe("a job", () => {
  const plain = watched(undefined);
  // Around the first interrupt of node 1 that finds its core running: after the return of a system call that kept
  // interrupts off.
  const own = plain.run.events.filter((e) => e.nid === 1 && e.core === 0);
  const middle = own.find((e, i) => e.kind === EventKind.IRQ_DELIVER && own[i - 1]?.kind === EventKind.SYS_EXIT)!.time;
  const window = { from: middle - 30_000, to: middle + 30_000 };
  const one = watched({ kinds: INSN, nids: new Set([1]), ...window });

  it("is the same run with and without: trace, state, time", () => {
    expect(one.run.fullTrace()).toBe(plain.run.fullTrace());
    expect(one.run.stateHash).toBe(plain.run.stateHash);
    expect(one.run.time).toBe(plain.run.time);
  });
  it("emits what was selected, one a nanosecond of each core that runs", () => {
    expect(one.insns.length).toBeGreaterThan(5000);
    expect(one.insns.every((e) => e.nid === 1 && e.time >= window.from && e.time < window.to)).toBe(true);
    const times = new Set(one.insns.map((e) => `${e.core} ${e.time}`));
    expect(times.size).toBe(one.insns.length);
  });
  it("each instruction leads to the next, but where an interrupt was delivered", () => {
    const delivered = new Set(
      plain.run.events.filter((e) => e.kind === EventKind.IRQ_DELIVER && e.nid === 1).map((e) => `${e.core} ${e.time}`),
    );
    let handlers = 0;
    for (const [a, b] of pairs(one.insns)) {
      const [rip, bits, code] = a.words as [bigint, number, string];
      const { text, target } = disassemble(rip, Buffer.from(code, "hex"), bits);
      const next = rip + BigInt(code.length / 2);
      if (delivered.has(`${b.core} ${b.time}`)) {
        handlers++;
        expect(fullLine(b, (x) => symboliser.nameOf(x))).toMatch(/<trapStubs\+/);
      } else if (/^jmp [^0].*\[|^jmp r/.test(text)) {
        // A jump through a table.
        expect(target).toBeUndefined();
      } else if (/^j/.test(text)) expect([next, target]).toContain(b.words[0]);
      else if (/^call 0x/.test(text)) expect(b.words[0]).toBe(target);
      else if (!/^(call|ret|iretq|syscall|sysret|int|rep)/.test(text))
        expect(b.words[0], `${fullLine(a)} → ${fullLine(b)}`).toBe(next);
    }
    expect(handlers).toBeGreaterThan(0);
  });
  it("shows symbol, disassembly and source line", () => {
    const instruction = instructionText(disassemble, symboliser);
    const lines = one.insns.map((e) => fullLine(e, (x) => symboliser.nameOf(x), instruction));
    expect(
      lines.some((l) =>
        /insn {11}0xffffffff8[0-9a-f]{7}<\w+\+0x[0-9a-f]+> mov r\w+, .*; kernel\/[\w/]+\.ts:\d+$/.test(l),
      ),
    ).toBe(true);
    expect(lines.some((l) => /> call 0x[0-9a-f]+ <\w+> {2}; kernel\//.test(l))).toBe(true);
  });
});

function* pairs(events: readonly TraceEvent[]): Generator<readonly [TraceEvent, TraceEvent]> {
  const last = new Map<number, TraceEvent>();
  for (const event of events) {
    const before = last.get(event.core);
    if (before !== undefined && before.time + 1 === event.time) yield [before, event];
    last.set(event.core, event);
  }
}

// A guest whose path is known: faults, a software interrupt, a repeated instruction. The kernel's own trace covers real
// mode, on a second core.
describe.skipIf(!hasAssembler)("a guest in assembly", () => {
  const source = `
.intel_syntax noprefix
.code32
.globl start
start:
    mov esp, 0x9000
    lgdt gdt_pointer
    lidt idt_pointer
    ljmp 8, offset reloaded
reloaded:
    mov ecx, 3
    mov esi, 0x20000
    mov edi, 0x20100
    rep movsb
    int 0x20
    ud2
after:
    mov al, 1
    out 0xf4, al
    hlt
on_int:
    iretd
on_ud:
    mov dword ptr [esp], offset after
    iretd
.align 8
idt:
    .rept 6
    .quad 0
    .endr
    .word on_ud_low, 8, 0x8e00, on_high
    .rept 25
    .quad 0
    .endr
    .word on_int_low, 8, 0x8e00, on_high
gdt:
    .quad 0, 0x00cf9a000000ffff
gdt_pointer:
    .word 15
    .long gdt
idt_pointer:
    .word idt_pointer - idt - 1
    .long idt
.set on_high, 0x10
.set on_ud_low, on_ud - start
.set on_int_low, on_int - start
`;
  it("one event for each instruction that retires, none for one that faults", () => {
    const { image } = assemble(source);
    const list = new EventList();
    const sink = new Tracer([list]);
    const machine = new Machine({
      nodes: [{ nid: 1, cores: 1, ramBytes: 16 << 20, kernel: image, commandLine: "", nic: false }],
      createEngine: traceInstructions(createEngine, {
        nids: [1],
        sink,
        selection: { ...everything, kinds: INSN },
        disassemble,
      }),
    });
    try {
      expect(machine.run(), machine.fault?.text).toBe("exit");
      sink.end();
      const text = list.events.map(
        ({ words }) =>
          disassemble(BigInt(words[0]!), Buffer.from(String(words[2]), "hex"), Number(words[1])).text.split(" ")[0],
      );
      // rep: three iterations, and the test that ends it. ud2 does not retire.
      expect(text).toEqual([
        "mov",
        "lgdt",
        "lidt",
        "jmp",
        "mov",
        "mov",
        "mov",
        "rep",
        "rep",
        "rep",
        "rep",
        "int",
        "iretd",
        "mov",
        "iretd",
        "mov",
        "out",
      ]);
      expect(list.events.map((e) => e.time)).toEqual(text.map((_, i) => i));
      expect(machine.instructions).toBe(text.length);
    } finally {
      machine.close();
    }
  });
});
