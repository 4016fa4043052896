/** Architectural state of a core out of a Unicorn instance and back: what engine.ts calls CoreState, and nothing else. */
import { type CoreState, type Gpr, gprNames, type SegmentName } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import type { UnicornCore } from "./core.ts";
import { Env } from "./environment.ts";

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

export function saveCore(core: UnicornCore): CoreState {
  const env = core.env;
  return {
    gpr: Object.fromEntries(gprNames.map((name, index) => [name, core.gpr(index)])) as Record<Gpr, bigint>,
    rip: core.rip,
    rflags: core.rflags,
    segments: Object.fromEntries(
      segmentNames.map((name) => [name, core.segment(segmentNumbers[name])]),
    ) as CoreState["segments"],
    gdtr: core.gdtr,
    idtr: core.idtr,
    cr0: env.u64(Env.CR0),
    cr2: env.u64(Env.CR2),
    cr3: env.u64(Env.CR3),
    cr4: env.u64(Env.CR4),
    efer: env.u64(Env.EFER),
    star: core.star,
    lstar: core.lstar,
    cstar: core.cstar,
    fmask: core.fmask,
    kernelGsBase: env.u64(Env.KERNEL_GS_BASE),
    tscAux: env.u64(Env.TSC_AUX),
    tscOffset: core.tscOffset,
    pat: core.pat,
    fx: env.saveFx(),
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

export function restoreCore(core: UnicornCore, state: CoreState): void {
  const env = core.env;
  gprNames.forEach((name, index) => core.setGpr(index, state.gpr[name]));
  core.rip = state.rip;
  for (const name of segmentNames) env.writeSegment(segmentNumbers[name], state.segments[name]);
  env.setTable(Env.GDTR, state.gdtr.base, state.gdtr.limit);
  env.setTable(Env.IDTR, state.idtr.base, state.idtr.limit);
  env.setU64(Env.CR0, state.cr0);
  env.setU64(Env.CR2, state.cr2);
  env.setU64(Env.CR3, state.cr3);
  env.setU64(Env.CR4, state.cr4);
  env.setU64(Env.EFER, state.efer);
  env.setU64(Env.STAR, state.star);
  env.setU64(Env.LSTAR, state.lstar);
  env.setU64(Env.CSTAR, state.cstar);
  env.setU64(Env.FMASK, state.fmask);
  env.setU64(Env.KERNEL_GS_BASE, state.kernelGsBase);
  env.setU64(Env.TSC_AUX, state.tscAux);
  env.setU32(Env.OLD_EXCEPTION, -1);
  core.tscOffset = state.tscOffset;
  core.pat = state.pat;
  core.rflags = state.rflags;
  env.updateHflags(env.cplOfStack());
  core.interruptShadow = state.interruptShadow;
  env.restoreFx(state.fx);
  core.isHalted = state.halted;
  core.waitingForStartup = state.waitingForStartup;
  core.isShutdown = state.shutdown;
  core.nmiBlocked = state.nmiBlocked;
  core.nmiPending = state.nmiPending;
  core.time = state.time;
  core.mmu.tlb.restore(state.tlb);
}
