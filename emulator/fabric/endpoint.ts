/**
 * What can be plugged into the switch. Endpoints are state machines without sockets: a frame goes in with its time,
 * frames come out through `send`, and a timer is only a number that the machine's clock reads.
 */
export interface Endpoint {
  /**
   * A whole frame (Ethernet header included) arrives at virtual time `time`, ns. The bytes are the receiver's to keep.
   */
  receive(frame: Uint8Array, time: number): void;
  /** Virtual time at which `tick` wants to be called; Infinity = never. Read again after every receive and tick. */
  readonly nextTimer: number;
  tick(time: number): void;
}
/** Sends a frame into the switch at virtual time `time`, which must not lie before the call that led to it. */
export type SendFrame = (frame: Uint8Array, time: number) => void;
