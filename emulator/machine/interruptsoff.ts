/**
 * How long each core keeps maskable interrupts off without a break, in virtual time from the kernel's ready line on:
 * with IF clear, or in the shadow of STI or MOV SS. A halted core keeps nothing off: it takes what it can take at once.
 * A panic ends the measurement.
 *
 * The engine is asked nothing but `interruptible`, between runs. While interrupts are off a core runs to its window, so
 * the end of a stretch is exact. Its begin lies in the run before, which is short (`OPEN_RUN`, in the kernel
 * `KERNEL_RUN`), and counts from that run's begin: what is reported is never too little, and at most so much too long.
 *
 * The longest stretch is kept for whoever asks (tests/kernel/rig.ts judges it); one of 10 ms that is still not over is
 * reported. Not judged, and told apart by where the core is seen meanwhile (`EXEMPT`): dumps for a person, which may
 * take as long as they like; and the network, which handles several frames at a time under its lock; the check sum of
 * one of 8 KB alone takes 28 µs.
 */
import type { RunResult } from "../cpu/engine.ts";
import type { NodeObserver } from "./observer.ts";
import type { CoreSlot } from "./slot.ts";

/** The kernel's promise, ns. */
export const INTERRUPTS_OFF_NS = 20_000;
/** Most instructions of a run that begins with interrupts open. */
const OPEN_RUN = 1000;
const KERNEL_RUN = 4;
/** Where a core is looked at in a stretch that is long already: every so many ns, from half of what is allowed on. */
const LOOK_NS = 1000;
const STUCK_NS = 10_000_000;
const EXEMPT = /\bcrc32c|kernel\/(net\/|drivers\/virtio-net\.ts|core\/dump\.ts)/;

export interface Stretch {
  readonly ns: number;
  readonly core: number;
  /** Where it began, and where it ended: addresses. */
  readonly from: bigint;
  readonly to: bigint;
  /** Where it was when it became longer than INTERRUPTS_OFF_NS. */
  readonly overdueAt?: string;
}
/** What the scheduler asks before it runs a core. */
export interface RunLimits {
  /** Most instructions of the run. */
  limit(slot: CoreSlot): number;
}

class Watch {
  /** When the present run began, and where. */
  runTime = 0;
  runRip = 0n;
  /** When interrupts went off; -1: they are open. */
  since = -1;
  from = 0n;
  exempt = false;
  isStuck = false;
  /** Where it was when the stretch became too long. */
  overdue: string | undefined;
}

export class InterruptsOff implements NodeObserver, RunLimits {
  longest: Stretch = { ns: 0, core: -1, from: 0n, to: 0n };
  /** Of what is not judged, ns. */
  longestExempt = 0;
  private readonly watches: Watch[] = [];
  private active = false;

  constructor(
    private readonly report: (text: string) => void,
    private readonly describe: (rip: bigint) => string,
  ) {}

  ready(): void {
    this.active = true;
  }
  consoleLine(line: string): void {
    if (line.startsWith("margay: panic")) this.active = false;
  }

  limit({ index, core }: CoreSlot): number {
    if (!this.active) return Number.POSITIVE_INFINITY;
    if (core.interruptible) return core.cpl === 0 ? KERNEL_RUN : OPEN_RUN;
    const watch = this.watchOf(index);
    if (watch.since < 0) return LOOK_NS;
    const ns = core.time - watch.since;
    // At the moment that it becomes too long, too.
    return ns <= INTERRUPTS_OFF_NS ? Math.min(LOOK_NS, INTERRUPTS_OFF_NS + 1 - ns) : LOOK_NS;
  }

  beforeRun({ index, core }: CoreSlot): void {
    const watch = this.watchOf(index);
    watch.runTime = core.time;
    watch.runRip = core.rip;
    if (!this.active) return;
    // An interrupt or an NMI has just been delivered.
    if (!core.interruptible && watch.since < 0) this.begin(watch);
  }

  ran({ index, core }: CoreSlot, { reason }: RunResult): void {
    if (!this.active) return;
    const watch = this.watchOf(index);
    const open = core.interruptible || reason === "halt" || reason === "shutdown";
    if (!open && watch.since < 0) this.begin(watch);
    if (watch.since < 0) return;
    const ns = core.time - watch.since;
    if (!open && ns > INTERRUPTS_OFF_NS / 2) this.look(watch, ns, core.rip);
    if (!open) return;
    if (watch.exempt) this.longestExempt = Math.max(this.longestExempt, ns);
    else if (ns > this.longest.ns)
      this.longest = { ns, core: index, from: watch.from, to: core.rip, overdueAt: watch.overdue };
    watch.since = -1;
  }

  private look(watch: Watch, ns: number, rip: bigint): void {
    const place = this.describe(rip);
    if (EXEMPT.test(place)) watch.exempt = true;
    if (ns > INTERRUPTS_OFF_NS) watch.overdue ??= place;
    // It may never end.
    if (ns < STUCK_NS || watch.isStuck) return;
    watch.isStuck = true;
    this.report(`interrupts off for ${ns} ns and still off, since ${this.describe(watch.from)}`);
  }

  private begin(watch: Watch): void {
    watch.since = watch.runTime;
    watch.from = watch.runRip;
    watch.exempt = false;
    watch.isStuck = false;
    watch.overdue = undefined;
  }
  private watchOf(index: number): Watch {
    return (this.watches[index] ??= new Watch());
  }
}
