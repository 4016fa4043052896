/**
 * The mailbox of a node (kernel/abi/mailbox.ts): messages between the kernel and the management network. A message from
 * the node is taken at once, so OUT is always free. Messages for the node wait here, in order, until the node has taken
 * the one before.
 */
import {
  MAILBOX_MAGIC,
  MAILBOX_MESSAGE_BYTES,
  MAILBOX_VERSION,
  Mailbox,
  MailboxControl,
  MailboxStatus,
} from "../abi/mailbox.ts";
import { type DeviceHost, hex, type InterruptLine } from "./device.ts";

const WORD = 4;

export class MailboxDevice {
  private readonly incoming: Uint8Array[] = [];
  private readonly outgoing = new DataView(new ArrayBuffer(MAILBOX_MESSAGE_BYTES));
  private outBytes = 0;

  constructor(
    private readonly host: DeviceHost,
    private readonly line: InterruptLine,
    /** Receives a message from the node and owns its bytes. */
    private readonly sent: (message: Uint8Array) => void,
  ) {}

  /** Queues a message for the node. @throws RangeError if it is empty or longer than MAILBOX_MESSAGE_BYTES. */
  deliver(message: Uint8Array): void {
    if (message.length === 0 || message.length > MAILBOX_MESSAGE_BYTES)
      throw new RangeError(`mailbox: message of ${message.length} bytes: 1…${MAILBOX_MESSAGE_BYTES} are possible`);
    this.incoming.push(message.slice());
    this.line.set(true);
  }

  /** Messages that the node has not taken yet. */
  get waiting(): number {
    return this.incoming.length;
  }

  read(offset: number, size: number): number {
    if (!this.aligned("read", offset, size)) return 0;
    const message = this.incoming[0];
    if (offset >= Mailbox.IN && offset < Mailbox.IN + MAILBOX_MESSAGE_BYTES)
      return wordAt(message, offset - Mailbox.IN);
    if (offset >= Mailbox.OUT && offset < Mailbox.OUT + MAILBOX_MESSAGE_BYTES)
      return this.outgoing.getUint32(offset - Mailbox.OUT, true);
    // biome-ignore format: one case a row
    switch (offset) {
      case Mailbox.MAGIC: return MAILBOX_MAGIC;
      case Mailbox.VERSION: return MAILBOX_VERSION;
      case Mailbox.STATUS: return MailboxStatus.OUT_FREE | (message === undefined ? 0 : MailboxStatus.IN_FULL);
      case Mailbox.IN_BYTES: return message?.length ?? 0;
      case Mailbox.OUT_BYTES: return this.outBytes;
    }
    this.host.report(
      `mailbox: read of ${offset === Mailbox.CONTROL ? "write-only" : "unknown"} register ${hex(offset, 3)}`,
    );
    return 0;
  }

  write(offset: number, size: number, value: number): void {
    if (!this.aligned("write", offset, size)) return;
    if (offset >= Mailbox.OUT && offset < Mailbox.OUT + MAILBOX_MESSAGE_BYTES) {
      this.outgoing.setUint32(offset - Mailbox.OUT, value, true);
      return;
    }
    // biome-ignore format: one case a row
    switch (offset) {
      case Mailbox.CONTROL: this.control(value); return;
      case Mailbox.OUT_BYTES: this.outBytes = value >>> 0; return;
    }
    const known = offset >= Mailbox.MAGIC && offset <= Mailbox.IN_BYTES;
    const readOnly = known || (offset >= Mailbox.IN && offset < Mailbox.IN + MAILBOX_MESSAGE_BYTES);
    this.host.report(
      `mailbox: write of ${hex(value, 8)} to ${readOnly ? "read-only" : "unknown"} register ${hex(offset, 3)}`,
    );
  }

  state(): unknown {
    return {
      incoming: this.incoming.map((message) => [...message]),
      outgoing: [...new Uint8Array(this.outgoing.buffer)],
      outBytes: this.outBytes,
    };
  }

  private aligned(what: string, offset: number, size: number): boolean {
    if (size === WORD && offset % WORD === 0) return true;
    this.host.report(`mailbox: ${what} of ${size} bytes at ${hex(offset, 3)}: aligned 32-bit accesses only`);
    return false;
  }

  private control(value: number): void {
    if ((value & ~(MailboxControl.TAKE | MailboxControl.SEND)) !== 0)
      this.host.report(`mailbox: unknown control bits ${hex(value, 8)}`);
    if ((value & MailboxControl.TAKE) !== 0) {
      if (this.incoming.shift() === undefined) this.host.report("mailbox: TAKE without a message");
      // The line goes low between two messages, for an edge-triggered input.
      this.line.set(false);
      if (this.incoming.length > 0) this.line.set(true);
    }
    if ((value & MailboxControl.SEND) !== 0) {
      if (this.outBytes === 0 || this.outBytes > MAILBOX_MESSAGE_BYTES)
        this.host.report(`mailbox: SEND of ${this.outBytes} bytes`);
      else this.sent(new Uint8Array(this.outgoing.buffer.slice(0, this.outBytes)));
    }
  }
}

/** Four bytes, little-endian; 0 after the end of the message. */
function wordAt(message: Uint8Array | undefined, at: number): number {
  let word = 0;
  for (let i = 0; i < WORD; i++) word |= (message?.[at + i] ?? 0) << (8 * i);
  return word >>> 0;
}
