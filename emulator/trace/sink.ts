/**
 * Receives the events that the machine, the devices, the fabric, the service node and the I/O node observe. Kinds:
 * kernel/abi/events.ts.
 */
export interface TraceSink {
  /** False: there is no consumer, so the caller need not gather arguments. */
  readonly enabled: boolean;
  /**
   * `core` is -1 for an event of no core; nid 0 is the service and I/O node. `words` are in the order of the event's
   * fields.
   */
  emit(nid: number, core: number, time: number, kind: number, words: readonly (number | bigint | string)[]): void;
  /**
   * All events before `time` have been emitted, so they can be ordered and written. Called by the machine between
   * windows.
   */
  flush?(time: number): void;
}
export const noTrace: TraceSink = { enabled: false, emit: () => {} };
