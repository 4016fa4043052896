/**
 * CoreState is the complete state of a core: save returns what was restored, field by field, and all states below have
 * different state hashes.
 */
import { expect, it } from "vitest";
import type { CoreState } from "../../emulator/cpu/engine.ts";
import { CODE, describeEngines, Guest } from "./guest.ts";

type Change = readonly [field: string, change: Partial<CoreState>];

/** One valid change per field. */
function changes(state: CoreState): Change[] {
  const { gpr, segments, gdtr, idtr, sysenter } = state;
  const fx = (at: number): Change => {
    const image = state.fx.slice();
    image[at] ^= 1;
    return [`fx ${at}`, { fx: image }];
  };
  const entry = {
    virtual: 0x7000n,
    physical: 0x8000,
    bytes: 4096,
    permissions: 1,
    user: false,
    global: true,
    dirty: false,
  };
  return [
    ...Object.entries(gpr).map(([name, value]): Change => [`gpr.${name}`, { gpr: { ...gpr, [name]: value ^ 1n } }]),
    ...Object.entries(segments).flatMap(([name, segment]): Change[] =>
      [
        { ...segment, selector: segment.selector ^ 0x40 },
        { ...segment, base: segment.base ^ 0x1000n },
        { ...segment, limit: (segment.limit ^ 0x1000) >>> 0 },
        { ...segment, flags: segment.flags ^ 0x10_0000 },
      ].map((changed, index) => [`segments.${name} ${index}`, { segments: { ...segments, [name]: changed } }]),
    ),
    ["rip", { rip: state.rip ^ 1n }],
    ["rflags", { rflags: state.rflags ^ 1n }],
    ["gdtr.base", { gdtr: { ...gdtr, base: gdtr.base ^ 8n } }],
    ["gdtr.limit", { gdtr: { ...gdtr, limit: gdtr.limit ^ 8 } }],
    ["idtr.base", { idtr: { ...idtr, base: idtr.base ^ 8n } }],
    ["idtr.limit", { idtr: { ...idtr, limit: idtr.limit ^ 8 } }],
    ["cr0", { cr0: state.cr0 ^ 0x20n }],
    ["cr2", { cr2: state.cr2 ^ 1n }],
    ["cr3", { cr3: state.cr3 ^ 0x1000n }],
    ["cr4", { cr4: state.cr4 ^ 0x400n }],
    ["efer", { efer: state.efer ^ 1n }],
    ["star", { star: state.star ^ 1n }],
    ["lstar", { lstar: state.lstar ^ 1n }],
    ["cstar", { cstar: state.cstar ^ 1n }],
    ["fmask", { fmask: state.fmask ^ 1n }],
    ["kernelGsBase", { kernelGsBase: state.kernelGsBase ^ 1n }],
    ["tscAux", { tscAux: state.tscAux ^ 1n }],
    ["tscOffset", { tscOffset: state.tscOffset + 1n }],
    ["pat", { pat: state.pat ^ 1n }],
    ["sysenter.cs", { sysenter: { ...sysenter, cs: sysenter.cs ^ 8n } }],
    ["sysenter.esp", { sysenter: { ...sysenter, esp: sysenter.esp ^ 8n } }],
    ["sysenter.eip", { sysenter: { ...sysenter, eip: sysenter.eip ^ 8n } }],
    ...[0, 1, 2, 3, 6, 7].map(
      (index): Change => [
        `debug ${index}`,
        { debug: state.debug.map((value, own) => (own === index ? value ^ 2n : value)) },
      ],
    ),
    ...[0, 2, 4, 24, 32, 41, 48, 160, 175, 400].map(fx),
    ["resume", { resume: !state.resume }],
    ["debugPending", { debugPending: state.debugPending ^ 1 }],
    ["interruptShadow", { interruptShadow: !state.interruptShadow }],
    ["halted", { halted: !state.halted }],
    ["waitingForStartup", { waitingForStartup: !state.waitingForStartup }],
    ["shutdown", { shutdown: !state.shutdown }],
    ["nmiBlocked", { nmiBlocked: !state.nmiBlocked }],
    ["nmiPending", { nmiPending: !state.nmiPending }],
    ["time", { time: state.time + 1 }],
    ["tlb", { tlb: [...state.tlb, entry] }],
  ];
}

const text = (state: CoreState): string =>
  JSON.stringify(state, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));

describeEngines("core state", () => {
  it("each field is restored and saved, and changes the state's text", () => {
    const guest = new Guest();
    guest.start(guest.core, CODE);
    const state = guest.core.save();
    const list = changes(state);
    // Every field has a change.
    const named = new Set(list.map(([field]) => field.split(/[. ]/)[0]));
    expect(Object.keys(state).filter((field) => !named.has(field))).toEqual([]);
    const seen = new Map([[text(state), "none"]]);
    const wrong: string[] = [];
    for (const [field, change] of list) {
      const wanted = { ...state, ...change };
      guest.core.restore(wanted);
      const found = guest.core.save();
      if (text(found) !== text(wanted)) wrong.push(`${field} is not restored`);
      const other = seen.get(text(found));
      if (other !== undefined) wrong.push(`${field} looks as ${other}`);
      seen.set(text(found), field);
    }
    expect(wrong).toEqual([]);
    guest.close();
  });

  it("SYSENTER's MSRs and the debug registers, as the guest has written them; INIT resets the latter", () => {
    const guest = new Guest();
    guest.code(
      CODE,
      `mov ecx, 0x174; mov eax, 0x10; mov edx, 0; wrmsr; mov ecx, 0x175; mov eax, 0x2000; wrmsr
       mov ecx, 0x176; mov eax, 0x3000; wrmsr; mov eax, 0x1234; mov dr0, rax; mov dr3, rax; mov eax, 0x402; mov dr7, rax
       mov eax, 0xffff0ff1; mov dr6, rax; hlt`,
    );
    guest.start(guest.core, CODE);
    expect(guest.core.run(100).reason).toBe("halt");
    const { sysenter, debug } = guest.core.save();
    expect(sysenter).toEqual({ cs: 0x10n, esp: 0x2000n, eip: 0x3000n });
    expect(debug).toEqual([0x1234n, 0n, 0n, 0x1234n, 0n, 0n, 0xffff_0ff1n, 0x402n]);
    guest.core.init();
    const after = guest.core.save();
    expect(after.sysenter).toEqual(sysenter);
    expect(after.debug).toEqual([0n, 0n, 0n, 0n, 0n, 0n, 0xffff_0ff0n, 0x400n]);
    guest.close();
  });
});
