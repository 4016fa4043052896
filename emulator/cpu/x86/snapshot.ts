/** Saves and restores the architectural state of a core (CoreState in engine.ts). */
import { Cr0 } from "../../abi/x86.ts";
import { type CoreState, type Gpr, gprNames, type SegmentName } from "../engine.ts";
import { SegmentIndex } from "./access.ts";
import { descriptorDpl } from "./descriptors.ts";
import type { DebugUnit } from "./debug.ts";
import type { RegisterFile } from "./registers.ts";

/** The state of a core besides its registers. */
export interface SavedCore extends RegisterFile {
  /** Everything that controls decoding and translation has been set, except the privilege level. */
  enterMode(cpl: number): void;
  readFx(): Uint8Array;
  writeFx(image: Uint8Array): void;
  readonly debug: DebugUnit;
  /** WRMSR to the TSC changes it. */
  tscOffset: bigint;
  isHalted: boolean;
  waitingForStartup: boolean;
  isShutdown: boolean;
  nmiBlocked: boolean;
  nmiPending: boolean;
  time: number;
}

const segmentNumbers: Readonly<Record<SegmentName, SegmentIndex>> = {
  es: SegmentIndex.ES,
  cs: SegmentIndex.CS,
  ss: SegmentIndex.SS,
  ds: SegmentIndex.DS,
  fs: SegmentIndex.FS,
  gs: SegmentIndex.GS,
  ldtr: SegmentIndex.LDTR,
  tr: SegmentIndex.TR,
};
const segmentNames = Object.keys(segmentNumbers) as SegmentName[];

export function saveCore(cpu: SavedCore): CoreState {
  return {
    gpr: Object.fromEntries(gprNames.map((name, index) => [name, cpu.gpr(index)])) as Record<Gpr, bigint>,
    rip: cpu.rip,
    rflags: cpu.rflags,
    segments: Object.fromEntries(
      segmentNames.map((name) => [name, cpu.segment(segmentNumbers[name])]),
    ) as CoreState["segments"],
    gdtr: cpu.gdtr,
    idtr: cpu.idtr,
    cr0: cpu.plain("cr0"),
    cr2: cpu.plain("cr2"),
    cr3: cpu.plain("cr3"),
    cr4: cpu.plain("cr4"),
    efer: cpu.plain("efer"),
    star: cpu.plain("star"),
    lstar: cpu.plain("lstar"),
    cstar: cpu.plain("cstar"),
    fmask: cpu.plain("fmask"),
    kernelGsBase: cpu.plain("kernel_gs_base"),
    tscAux: cpu.plain("tsc_aux"),
    tscOffset: cpu.tscOffset,
    pat: cpu.plain("pat"),
    sysenter: { cs: cpu.plain("sysenter_cs"), esp: cpu.plain("sysenter_esp"), eip: cpu.plain("sysenter_eip") },
    debug: Array.from({ length: 8 }, (_, index) => cpu.debugRegister(index)),
    resume: cpu.debug.resume,
    debugPending: cpu.debug.pending,
    fx: cpu.readFx(),
    interruptShadow: cpu.interruptShadow,
    halted: cpu.isHalted,
    waitingForStartup: cpu.waitingForStartup,
    shutdown: cpu.isShutdown,
    nmiBlocked: cpu.nmiBlocked,
    nmiPending: cpu.nmiPending,
    time: cpu.time,
    tlb: cpu.mmu.tlb.save(),
  };
}

export function restoreCore(cpu: SavedCore, state: CoreState): void {
  gprNames.forEach((name, index) => cpu.setGpr(index, state.gpr[name]));
  cpu.rip = state.rip;
  for (const name of segmentNames) cpu.setHiddenPart(segmentNumbers[name], state.segments[name]);
  cpu.setPlain("gdtr_base", state.gdtr.base);
  cpu.setPlain("gdtr_limit", BigInt(state.gdtr.limit));
  cpu.setPlain("idtr_base", state.idtr.base);
  cpu.setPlain("idtr_limit", BigInt(state.idtr.limit));
  cpu.setPlain("cr0", state.cr0);
  cpu.setPlain("cr2", state.cr2);
  cpu.setPlain("cr3", state.cr3);
  cpu.setPlain("cr4", state.cr4);
  cpu.setPlain("efer", state.efer);
  cpu.setPlain("star", state.star);
  cpu.setPlain("lstar", state.lstar);
  cpu.setPlain("cstar", state.cstar);
  cpu.setPlain("fmask", state.fmask);
  cpu.setPlain("kernel_gs_base", state.kernelGsBase);
  cpu.setPlain("tsc_aux", state.tscAux);
  cpu.tscOffset = state.tscOffset;
  cpu.setPlain("pat", state.pat);
  cpu.setPlain("sysenter_cs", state.sysenter.cs);
  cpu.setPlain("sysenter_esp", state.sysenter.esp);
  cpu.setPlain("sysenter_eip", state.sysenter.eip);
  state.debug.forEach((value, index) => cpu.setDebugRegister(index, value));
  cpu.debug.resume = state.resume;
  cpu.debug.pending = state.debugPending;
  cpu.rflags = state.rflags;
  // The privilege level equals that of the stack segment.
  cpu.enterMode(cpu.cr0 & Cr0.PE ? descriptorDpl(state.segments.ss.flags) : 0);
  cpu.interruptShadow = state.interruptShadow;
  cpu.writeFx(state.fx);
  cpu.isHalted = state.halted;
  cpu.waitingForStartup = state.waitingForStartup;
  cpu.isShutdown = state.shutdown;
  cpu.nmiBlocked = state.nmiBlocked;
  cpu.nmiPending = state.nmiPending;
  cpu.time = state.time;
  cpu.mmu.tlb.restore(state.tlb);
}
