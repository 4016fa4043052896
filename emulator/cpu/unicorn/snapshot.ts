/**
 * Architectural state of a core out of a Unicorn instance and back: what engine.ts calls CoreState, and nothing else.
 */
import { type CoreState, type Gpr, gprNames, type SegmentName } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import { Env } from "./environment.ts";
import type { Processor } from "./processor.ts";

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

export function saveCore(cpu: Processor): CoreState {
  const env = cpu.env;
  return {
    gpr: Object.fromEntries(gprNames.map((name, index) => [name, cpu.gpr(index)])) as Record<Gpr, bigint>,
    rip: cpu.rip,
    rflags: cpu.rflags,
    segments: Object.fromEntries(
      segmentNames.map((name) => [name, cpu.segment(segmentNumbers[name])]),
    ) as CoreState["segments"],
    gdtr: cpu.gdtr,
    idtr: cpu.idtr,
    cr0: env.u64(Env.CR0),
    cr2: env.u64(Env.CR2),
    cr3: env.u64(Env.CR3),
    cr4: env.u64(Env.CR4),
    efer: env.u64(Env.EFER),
    star: cpu.star,
    lstar: cpu.lstar,
    cstar: cpu.cstar,
    fmask: cpu.fmask,
    kernelGsBase: env.u64(Env.KERNEL_GS_BASE),
    tscAux: env.u64(Env.TSC_AUX),
    tscOffset: cpu.tscOffset,
    pat: cpu.pat,
    sysenter: {
      cs: BigInt(env.u32(Env.SYSENTER_CS)),
      esp: env.u64(Env.SYSENTER_ESP),
      eip: env.u64(Env.SYSENTER_EIP),
    },
    debug: Array.from({ length: 8 }, (_, index) => env.u64(Env.DEBUG + 8 * index)),
    fx: env.saveFx(),
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

export function restoreCore(cpu: Processor, state: CoreState): void {
  const env = cpu.env;
  gprNames.forEach((name, index) => cpu.setGpr(index, state.gpr[name]));
  cpu.rip = state.rip;
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
  cpu.tscOffset = state.tscOffset;
  cpu.pat = state.pat;
  env.setU32(Env.SYSENTER_CS, Number(state.sysenter.cs));
  env.setU64(Env.SYSENTER_ESP, state.sysenter.esp);
  env.setU64(Env.SYSENTER_EIP, state.sysenter.eip);
  state.debug.forEach((value, index) => {
    env.setU64(Env.DEBUG + 8 * index, value);
  });
  cpu.rflags = state.rflags;
  env.updateHflags(env.cplOfStack());
  cpu.interruptShadow = state.interruptShadow;
  env.restoreFx(state.fx);
  cpu.isHalted = state.halted;
  cpu.waitingForStartup = state.waitingForStartup;
  cpu.isShutdown = state.shutdown;
  cpu.nmiBlocked = state.nmiBlocked;
  cpu.nmiPending = state.nmiPending;
  cpu.time = state.time;
  cpu.mmu.tlb.restore(state.tlb);
}
