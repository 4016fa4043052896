/** A debugger's side of the protocol, connected directly to a stub without sockets: sends packets, receives replies. */
import { frame, PacketReader } from "../../emulator/gdb/framing.ts";
import { Stub } from "../../emulator/gdb/stub.ts";
import type { Target } from "../../emulator/gdb/target.ts";

export class Client {
  readonly stub: Stub;
  /** Payloads and single characters, in order of arrival. */
  readonly received: string[] = [];
  killed = false;
  private readonly reader = new PacketReader();

  constructor(readonly target: Target) {
    this.stub = new Stub(target, {
      send: (bytes) => {
        for (const part of this.reader.read(bytes))
          this.received.push(part.kind === "packet" ? part.payload : part.kind);
      },
      kill: () => {
        this.killed = true;
      },
    });
    this.stub.connected();
  }

  /** gdb's first packets; no acknowledgements from then on. */
  greet(): this {
    this.ask("qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;QThreadEvents+;no-resumed+");
    this.ask("QStartNoAckMode");
    return this;
  }

  /** The reply to a packet that is answered at once. */
  ask(payload: string): string {
    this.received.length = 0;
    this.stub.receive(frame(payload));
    return this.received.filter((r) => r !== "ack").join("|");
  }

  /** Resumes by `payload` and runs until the stop reply. */
  go(payload: string, rounds = 10_000): string {
    const first = this.ask(payload);
    if (first !== "") return first;
    for (let i = 0; i < rounds && this.stub.running; i++) if (this.stub.advance(100) === "end") this.stub.finished(0);
    return this.received.filter((r) => r !== "ack").join("|");
  }
}
