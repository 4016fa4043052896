/** Architectural state of a core, as engine.ts calls CoreState, and back. */
import { Cr0 } from "../../abi/x86.ts";
import { type CoreState, type Gpr, gprNames, type SegmentName } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import { descriptorDpl } from "../x86/descriptors.ts";

import { FX_BYTES, readFxImage, writeFxImage } from "./fximage.ts";
import type { Processor } from "./processor.ts";

type SavedCore = Processor & { time: number };

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

export function saveCore(core: SavedCore): CoreState {
  const fx = new Uint8Array(FX_BYTES);
  readFxImage(core, fx);
  return {
    gpr: Object.fromEntries(gprNames.map((name, index) => [name, core.gpr(index)])) as Record<Gpr, bigint>,
    rip: core.rip,
    rflags: core.rflags,
    segments: Object.fromEntries(
      segmentNames.map((name) => [name, core.segment(segmentNumbers[name])]),
    ) as CoreState["segments"],
    gdtr: core.gdtr,
    idtr: core.idtr,
    cr0: BigInt(core.cr0),
    cr2: core.cr2,
    cr3: BigInt(core.cr3),
    cr4: BigInt(core.cr4),
    efer: BigInt(core.efer),
    star: core.star,
    lstar: core.lstar,
    cstar: core.cstar,
    fmask: core.fmask,
    kernelGsBase: core.kernelGsBase,
    tscAux: core.tscAux,
    tscOffset: core.tscOffset,
    pat: core.pat,
    sysenter: { cs: core.sysenter[0], esp: core.sysenter[1], eip: core.sysenter[2] },
    debug: [...core.debugRegisters],
    fx,
    interruptShadow: core.interruptShadow,
    halted: core.isHalted,
    waitingForStartup: core.waitingForStartup,
    shutdown: core.isShutdown,
    nmiBlocked: core.nmiBlocked,
    nmiPending: core.nmiPending,
    time: core.time,
    tlb: core.mmu.tlb.save(),
  };
}

export function restoreCore(core: SavedCore, state: CoreState): void {
  gprNames.forEach((name, index) => core.setGpr(index, state.gpr[name]));
  core.rip = state.rip;
  core.cr0 = Number(state.cr0);
  core.cr2 = state.cr2;
  core.cr3 = Number(state.cr3);
  core.cr4 = Number(state.cr4);
  core.efer = Number(state.efer);
  core.star = state.star;
  core.lstar = state.lstar;
  core.cstar = state.cstar;
  core.fmask = state.fmask;
  core.kernelGsBase = state.kernelGsBase;
  core.tscAux = state.tscAux;
  core.tscOffset = state.tscOffset;
  core.pat = state.pat;
  core.sysenter = [state.sysenter.cs, state.sysenter.esp, state.sysenter.eip];
  core.debugRegisters = [...state.debug];
  for (const name of segmentNames) core.setHiddenPart(segmentNumbers[name], state.segments[name]);
  // The privilege level is that of the stack segment.
  core.cpl = core.cr0 & Cr0.PE ? descriptorDpl(state.segments.ss.flags) : 0;
  core.gdtr = state.gdtr;
  core.idtr = state.idtr;
  core.rflags = state.rflags;
  core.interruptShadow = state.interruptShadow;
  writeFxImage(core, state.fx);
  core.isHalted = state.halted;
  core.waitingForStartup = state.waitingForStartup;
  core.isShutdown = state.shutdown;
  core.nmiBlocked = state.nmiBlocked;
  core.nmiPending = state.nmiPending;
  core.time = state.time;
  core.mmu.tlb.restore(state.tlb);
}
