/**
 * Mailbox: a node's access to the management network, which carries no application traffic. Margay's own device, with
 * 32-bit registers. A message has up to MAILBOX_MESSAGE_BYTES bytes. IN holds one message for the node until the node
 * writes TAKE; then the next one may arrive. For OUT the node fills the buffer, writes the length, then SEND. Only
 * aligned 32-bit accesses are allowed. The interrupt line is high while IN is full. Without the device, a read gives
 * something other than the magic.
 */
export const MAILBOX_BASE: u64 = 0xfeb0_2000;
export const MAILBOX_GSI: u32 = 13;
export const MAILBOX_MAGIC: u32 = 0x584f_424d;
export const MAILBOX_VERSION: u32 = 1;
export const MAILBOX_MESSAGE_BYTES: u32 = 1024;
export const enum Mailbox {
  MAGIC = 0x000,
  VERSION = 0x004,
  /** Read only: MailboxStatus. */
  STATUS = 0x008,
  /** Write only: MailboxControl. */
  CONTROL = 0x00c,
  /** Read only: bytes of the message in IN, 0 if IN is empty. */
  IN_BYTES = 0x010,
  /** Bytes of the message in OUT, 1…MAILBOX_MESSAGE_BYTES. */
  OUT_BYTES = 0x014,
  IN = 0x400,
  OUT = 0x800,
}
// biome-ignore format: a table
export const enum MailboxStatus { IN_FULL = 0x1, OUT_FREE = 0x2 }
// biome-ignore format: a table
export const enum MailboxControl { TAKE = 0x1, SEND = 0x2 }
