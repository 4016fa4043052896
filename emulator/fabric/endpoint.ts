/**
 * The interface of everything that is connected to the switch. Endpoints are state machines without sockets: a frame
 * arrives with its time, frames leave through `send`, and a timer is only a number that the machine's clock reads.
 */
export interface Endpoint {
  /** A whole frame (Ethernet header included) arrives at virtual time `time`, ns. The receiver owns the bytes. */
  receive(frame: Uint8Array, time: number): void;
  /** Virtual time of the next call of `tick`; Infinity = never. Read again after every receive and tick. */
  readonly nextTimer: number;
  tick(time: number): void;
}
/** Sends a frame into the switch at virtual time `time`, which must not lie before the call that caused it. */
export type SendFrame = (frame: Uint8Array, time: number) => void;
