/**
 * Virtual time. One retired instruction takes one nanosecond and one TSC tick (1 GHz); a halted core skips to its next
 * event. Wall-clock time inside the machine is virtual time plus the boot epoch, which the kernel gets as a boot
 * parameter. No part of the emulator reads the host's clock.
 */

/** Stands for "no event": later than every time. */
export const NEVER = Number.POSITIVE_INFINITY;

/** 2007-03-29 00:00:00 UTC, the day of the telecon that asked for this kernel. Seconds since 1970. */
export const DEFAULT_EPOCH_SECONDS = 1_175_126_400;

/** Quantum in which the cores of a node are interleaved, virtual ns. Part of what defines a run. */
export const DEFAULT_QUANTUM_NS = 1000;
