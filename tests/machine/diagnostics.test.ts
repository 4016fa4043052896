/**
 * Mistakes of a guest are reported with node, core, symbol and source line. `strict` stops there; without it the guest
 * continues as on QEMU. The guests are assembled here with our own line tables, so the expected lines are those of the
 * source below.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { assemble, hasAssembler, realEngine } from "./guest.ts";

const engine = await realEngine();
const reason =
  typeof engine === "string" ? engine : hasAssembler ? undefined : "GNU as and ld are needed: install binutils";
if (reason !== undefined) console.log(`tests/machine/diagnostics skipped: ${reason}`);

/**
 * 32-bit protected mode with a GDT (the one at PVH entry cannot be reloaded), an IDT of 64 gates with the handler
 * `handler`, and the LAPIC enabled. `act` is at label `act`; it falls through to the debug exit with 0.
 */
const guest = (act: string, handler = "iret", idtGates = 64): string => `
.intel_syntax noprefix
.code32
.globl start
start:
    mov esp, 0x7c00
    lgdt [gdtr]
    jmp 0x08:1f
1:  mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov edi, offset idt
    mov ecx, ${idtGates}
2:  mov eax, offset handler
    mov word ptr [edi], ax
    mov word ptr [edi+2], 0x08
    mov word ptr [edi+4], 0x8e00
    shr eax, 16
    mov word ptr [edi+6], ax
    add edi, 8
    loop 2b
    lidt [idtr]
    mov dword ptr [0xfee000f0], 0x1ff
act:
${act}
    mov al, 0
    out 0xf4, al
    hlt
handler:
    ${handler}
.align 8
gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr: .word 23
    .long gdt
idtr: .word ${idtGates * 8 - 1}
    .long idt
.align 8
idt: .space 64*8
`;
const SELF_IPI = "mov dword ptr [0xfee00300], 0x00044030";

interface Outcome {
  readonly reason: string;
  readonly fault: string | undefined;
  readonly reports: readonly string[];
}
function run(source: string, strict: boolean): Outcome {
  if (typeof engine === "string") throw new Error(engine);
  const { image, labels } = assemble(source);
  const at = (address: bigint): string => {
    const [name, start] = [...labels].filter(([, a]) => BigInt(a) <= address).sort((a, b) => b[1] - a[1])[0]!;
    return `${name}+${address - BigInt(start)}`;
  };
  const list = new EventList();
  const tracer = new Tracer([list]);
  const machine = new Machine({
    nodes: [{ nid: 5, cores: 1, ramBytes: 16 << 20, kernel: image, commandLine: "", nic: false, locate: at }],
    strict,
    createEngine: engine,
    trace: tracer,
  });
  try {
    const why = machine.run({ limitNs: 1e6 });
    tracer.end();
    return {
      reason: why,
      fault: machine.fault?.text,
      reports: list.events.filter((e) => e.kind === EventKind.DEVICE_ERROR).map((e) => String(e.words[0])),
    };
  } finally {
    machine.close();
  }
}

// biome-ignore format: what, the guest's act, its handler, the diagnostic; the act starts at label act
const cases: readonly (readonly [what: string, act: string, handler: string, expected: string])[] = [
  ["read of an unknown register",   "mov eax, [0xfee00040]",                   "iret", "lapic: read of unknown register 0x040 (n5.c0, act+0)"],
  ["write to an unknown register",  "nop\nmov dword ptr [0xfee003b0], 1",      "iret", "lapic: write to unknown register 0x3b0 (n5.c0, act+1)"],
  ["write to a read-only register", "mov dword ptr [0xfee00030], 1",           "iret", "lapic: write to read-only VERSION 0x030 (n5.c0, act+0)"],
  ["I/O APIC, read-only",           "mov dword ptr [0xfec00000], 1\nmov dword ptr [0xfec00010], 1", "iret", "ioapic: write to read-only VERSION 0x01 (n5.c0, act+10)"],
  ["a port where nothing is",       "mov dx, 0x300\nin al, dx",                "iret", "bus: read of 1 bytes from port 0x300, where nothing is (n5.c0, act+4)"],
  ["an address where nothing is",   "mov eax, [0xe0000000]",                   "iret", "bus: read of 4 bytes at physical 0xe0000000, where nothing is (n5.c0, act+0)"],
  ["EOI with nothing in service",   "mov dword ptr [0xfee000b0], 0",           "iret", "lapic: EOI with nothing in service (n5.c0, act+0)"],
  ["a handler without EOI",         `sti\n${SELF_IPI}\nnop\nmov ecx, 3000\n1: loop 1b\nhlt`, "iretd", "lapic: missing EOI: IRQ0 still in service at hlt"],
];

describe.skipIf(reason !== undefined)("diagnostics", () => {
  it.each(cases)("%s", (_what, act, handler, expected) => {
    const strict = run(guest(act, handler), true);
    expect(strict.reason).toBe("fault");
    expect(strict.fault).toContain(expected);
    expect(strict.reports).toEqual([strict.fault]);
    const lenient = run(guest(act, handler), false);
    expect(lenient.fault).toBeUndefined();
    expect(lenient.reports).toEqual(strict.reports);
    // With an interrupt in service for ever, the core waits for ever; every other guest runs to its end.
    expect(lenient.reason).toBe(expected.includes("missing EOI") ? "idle" : "exit");
  });
  it("a handler with its EOI is none", () => {
    const act = `sti\n${SELF_IPI}\nnop\nmov ecx, 3000\n1: loop 1b`;
    expect(run(guest(act, "mov dword ptr [0xfee000b0], 0\niretd"), true)).toEqual({
      reason: "exit",
      fault: undefined,
      reports: [],
    });
  });
  it.each([
    ["20 µs with interrupts off are none", 19_900, undefined],
    ["more are named with where they began, ended and became too long", 20_100, "interrupts off for 20"],
  ])("%s", (_what, turns, expected) => {
    // Measured from the kernel's ready line on.
    const act = `mov esi, offset line\nmov ecx, 20\nmov dx, 0x3f8\nrep outsb\nsti\nnop\ncli
too_long: mov ecx, ${turns}\n1: loop 1b\nsti\nnop\nafter: mov al, 0\nout 0xf4, al\nhlt\nline: .ascii "margay: ready nid=5\\n"`;
    const { reason, fault } = run(guest(act), true);
    expect(reason).toBe(expected === undefined ? "exit" : "fault");
    if (expected === undefined) expect(fault).toBeUndefined();
    else expect(fault).toMatch(/^interrupts off for 20\d\d\d ns, more than 20000: from .*, too long at too_long\+5/);
    expect(run(guest(act), false)).toEqual({ reason: "exit", fault: undefined, reports: [] });
  });
  it("a double fault is named with both exceptions where they occurred; without strict its handler runs", () => {
    // The gate of #GP is not present: #NP while #GP is delivered. The gate of #DF is present.
    const act = "mov word ptr [idt+13*8+4], 0x0e00\nmov ax, 0x28\nmov ds, ax";
    const handler = "mov al, 0\nout 0xf4, al\nhlt";
    const strict = run(guest(act, handler), true);
    expect([strict.reason, strict.fault]).toEqual([
      "fault",
      "processor: double fault: #NP while #GP was delivered (n5.c0, act+13)",
    ]);
    expect(run(guest(act, handler), false)).toEqual({ reason: "exit", fault: undefined, reports: strict.reports });
  });
  it.each([true, false])("a triple fault ends the machine, strict or not (strict: %s)", (strict) => {
    // No gate for #GP, #NP and #DF.
    const act = "nop\nmov ax, 0x28\nmov ds, ax";
    const outcome = run(guest(act, "iret", 8), strict);
    expect(outcome).toEqual({
      reason: "fault",
      fault: "processor: triple fault (n5.c0, act+5)",
      reports: ["processor: triple fault (n5.c0, act+5)"],
    });
  });
});
