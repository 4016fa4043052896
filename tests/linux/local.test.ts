/**
 * Proves that local calls and signals behave as on Linux: signals.c (actions, masks, frames, stacks, waits, timers,
 * codes of faults), local.c (users, limits, scheduling, clocks, futexes, refusals) and threads.c (signals to threads,
 * robust locks, restartable sequences) print the same lines on both, errors included; interrupted.c: signals that end
 * shipped calls.
 */
import { compareFamilies } from "./rig.ts";

compareFamilies({ signals: 260, local: 280, threads: 25, interrupted: 60 });
