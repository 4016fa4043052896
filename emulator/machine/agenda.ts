/**
 * Input from outside that a node receives at fixed times: typed characters, keys, mail. It is plain data because it is
 * part of the node's state.
 */
import { NEVER } from "./clock.ts";

export interface Input {
  readonly time: number;
  /** type: characters at the serial port. keys: set-1 scan codes. mail: a message from the management network. */
  readonly kind: "type" | "keys" | "mail";
  readonly bytes: Uint8Array;
}

export class Agenda {
  /** Ascending by time; inputs with equal times keep the order of `add`. */
  private readonly inputs: Input[] = [];

  get next(): number {
    return this.inputs.length === 0 ? NEVER : this.inputs[0].time;
  }

  /** Copies the bytes. */
  add(time: number, kind: Input["kind"], bytes: Uint8Array | readonly number[]): void {
    const { inputs } = this;
    let at = inputs.length;
    while (at > 0 && inputs[at - 1].time > time) at--;
    inputs.splice(at, 0, { time, kind, bytes: Uint8Array.from(bytes) });
  }

  /** Removes and returns the first input that is due at `now`. */
  take(now: number): Input | undefined {
    return this.next <= now ? this.inputs.shift() : undefined;
  }

  state(): unknown {
    return this.inputs.map(({ time, kind, bytes }) => ({ time, kind, bytes: [...bytes] }));
  }
}
