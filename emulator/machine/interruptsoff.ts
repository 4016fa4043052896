/**
 * Measures how long each core keeps maskable interrupts off without a break, in virtual time from the kernel's ready
 * line on. Interrupts are off while IF is clear and in the shadow of STI or MOV SS. A halted core does not count: it
 * takes a deliverable interrupt at once. A panic ends the measurement.
 *
 * The observer asks the engine only for `interruptible`, and only between runs. While interrupts are off, a core runs
 * until they open, so the end of a stretch is exact. The start is known only to within one run: the stretch counts from
 * the start of the run in which interrupts went off, and such runs are short (`OPEN_RUN`, in the kernel `KERNEL_RUN`).
 * So the reported time is never too short, and too long by at most one run.
 *
 * The longest stretch is kept. One that is longer than INTERRUPTS_OFF_NS is reported when it ends, and after 10 ms if
 * it has not ended by then.
 */
import type { RunResult } from "../cpu/engine.ts";
import type { NodeObserver } from "./observer.ts";
import type { CoreSlot } from "./slot.ts";

/** The longest stretch that the kernel promises, ns. */
export const INTERRUPTS_OFF_NS = 20_000;
/** Most instructions of a run that starts with interrupts on. */
const OPEN_RUN = 1000;
const KERNEL_RUN = 4;
/** Interval at which a core is sampled while its interrupts are off, ns. */
const LOOK_NS = 1000;
const STUCK_NS = 10_000_000;
/** Looks that are reported. */
const LOOKS_MAX = 40;

export interface Stretch {
  readonly ns: number;
  readonly core: number;
  /** Addresses where the stretch started and ended. */
  readonly from: bigint;
  readonly to: bigint;
  /** Where the core was when the stretch exceeded INTERRUPTS_OFF_NS. */
  readonly overdueAt?: string;
}
/** The scheduler asks for this before it runs a core. */
export interface RunLimits {
  /** Most instructions of the run. */
  limit(slot: CoreSlot): number;
}

class Watch {
  /** Start of the present run: time and address. */
  runTime = 0;
  runRip = 0n;
  /** When interrupts went off; -1: they are on. */
  since = -1;
  from = 0n;
  isStuck = false;
  /** Where the core was when the stretch became too long. */
  overdue: string | undefined;
  /** Where the core was at each look. */
  looks: bigint[] = [];
}

export class InterruptsOff implements NodeObserver, RunLimits {
  longest: Stretch = { ns: 0, core: -1, from: 0n, to: 0n };
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
    // Also sample at the moment the stretch becomes too long.
    return ns <= INTERRUPTS_OFF_NS ? Math.min(LOOK_NS, INTERRUPTS_OFF_NS + 1 - ns) : LOOK_NS;
  }

  beforeRun({ index, core }: CoreSlot): void {
    const watch = this.watchOf(index);
    watch.runTime = core.time;
    watch.runRip = core.rip;
    if (!this.active) return;
    // An interrupt or an NMI was just delivered.
    if (!core.interruptible && watch.since < 0) this.begin(watch);
  }

  ran({ index, core }: CoreSlot, { reason }: RunResult): void {
    if (!this.active) return;
    const watch = this.watchOf(index);
    const open = core.interruptible || reason === "halt" || reason === "shutdown";
    if (!open && watch.since < 0) this.begin(watch);
    if (watch.since < 0) return;
    const ns = core.time - watch.since;
    if (!open && watch.looks.length < LOOKS_MAX) watch.looks.push(core.rip);
    if (!open && ns > INTERRUPTS_OFF_NS) this.look(watch, ns, core.rip);
    if (!open) return;
    this.judge({ ns, core: index, from: watch.from, to: core.rip, overdueAt: watch.overdue }, watch.looks);
    watch.since = -1;
  }

  private judge(stretch: Stretch, looks: readonly bigint[]): void {
    if (stretch.ns > this.longest.ns) this.longest = stretch;
    const { ns, from, to, overdueAt } = stretch;
    if (ns <= INTERRUPTS_OFF_NS) return;
    const places = `from ${this.describe(from)} to ${this.describe(to)}, too long at ${overdueAt}`;
    const through = looks
      .map((rip) => this.describe(rip).split(",")[0]!)
      .filter((place, i, all) => place !== all[i - 1]);
    this.report(
      `interrupts off for ${ns} ns, more than ${INTERRUPTS_OFF_NS}: ${places}, through ${through.join(", ")}`,
    );
  }
  private look(watch: Watch, ns: number, rip: bigint): void {
    watch.overdue ??= this.describe(rip);
    // The stretch may never end, so report it now.
    if (ns < STUCK_NS || watch.isStuck) return;
    watch.isStuck = true;
    this.report(`interrupts off for ${ns} ns and still off, since ${this.describe(watch.from)}`);
  }

  private begin(watch: Watch): void {
    watch.since = watch.runTime;
    watch.from = watch.runRip;
    watch.isStuck = false;
    watch.overdue = undefined;
    watch.looks = [];
  }
  private watchOf(index: number): Watch {
    return (this.watches[index] ??= new Watch());
  }
}
