/**
 * Retransmission timeout of one peer from the measured round trip: RFC 6298 with Karn's rule, in the integer arithmetic
 * of kernel/net/retransmit.ts. Times are virtual ns. The caller must only measure frames that were sent once.
 */
import { RTO_INITIAL_NS, RTO_MAX_NS, RTO_MIN_NS } from "../abi/net.ts";

/** Enough doublings to reach RTO_MAX_NS from RTO_MIN_NS. */
const BACKOFF_MAX = 5;

export class RoundTrip {
  private smoothedNs = 0;
  private varianceNs = 0;
  private measuredNs = RTO_INITIAL_NS;
  private backoff = 0;

  /** The present timeout of the oldest frame. */
  get timeoutNs(): number {
    return Math.min(this.measuredNs * 2 ** this.backoff, Math.max(this.measuredNs, RTO_MAX_NS));
  }
  /** A timeout has passed without a new sample. */
  get isLate(): boolean {
    return this.backoff > 0;
  }

  /** RFC 6298, 2.2 and 2.3. Ends the back-off. */
  sample(ns: number): void {
    if (this.smoothedNs === 0) {
      this.smoothedNs = Math.max(1, ns);
      this.varianceNs = Math.floor(ns / 2);
    } else {
      this.varianceNs = Math.floor((3 * this.varianceNs + Math.abs(ns - this.smoothedNs)) / 4);
      this.smoothedNs = Math.floor((7 * this.smoothedNs + ns) / 8);
    }
    this.measuredNs = Math.max(RTO_MIN_NS, this.smoothedNs + 4 * this.varianceNs);
    this.backoff = 0;
  }

  /** RFC 6298, 5.5. */
  timedOut(): void {
    this.backoff = Math.min(this.backoff + 1, BACKOFF_MAX);
  }
}
