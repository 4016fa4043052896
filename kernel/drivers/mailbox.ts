/**
 * The mailbox, the node's access to the management network (abi/mailbox.ts). On machines without one, nothing arrives
 * and sending does nothing.
 */
import {
  MAILBOX_BASE,
  MAILBOX_GSI,
  MAILBOX_MAGIC,
  MAILBOX_MESSAGE_BYTES,
  MAILBOX_VERSION,
  Mailbox,
  MailboxControl,
  MailboxStatus,
} from "../abi/mailbox.ts";
import { DIRECT_MAP_BASE } from "../abi/memory.ts";
import { ioapicRoute } from "../arch/ioapic.ts";
import { pause } from "../arch/cpu.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";
import { interruptedFrame } from "../arch/trap.ts";

const WORD: u32 = 4;
/** The device takes a message at once. If it does not within this many reads, the message is dropped. */
const SEND_TRIES: u32 = 100000;

class MailboxState {
  present: u32 = 0;
  received: ((message: ptr<u32>, lengthBytes: u32) => void) | null = null;
  message!: arr<u32, 256>;
}
const mailbox: MailboxState = zeroed();
const mailboxLock: Lock = { owner: 0, rank: LockRank.MAILBOX, next: 0, serving: 0 };

function register(offset: u32): ptr<u32> {
  return cast<ptr<u32>>(DIRECT_MAP_BASE + MAILBOX_BASE + u64(offset));
}

/** From now on messages are passed to `received`, in the interrupt, on the first core. */
export function mailboxStart(received: (message: ptr<u32>, lengthBytes: u32) => void): void {
  if (
    volatileRead(register(Mailbox.MAGIC)) !== MAILBOX_MAGIC ||
    volatileRead(register(Mailbox.VERSION)) !== MAILBOX_VERSION
  )
    return;
  mailbox.present = 1;
  mailbox.received = received;
  ioapicRoute(MAILBOX_GSI, 0, mailboxInterrupt, 0);
  // A message that arrived earlier has raised its edge at a masked pin.
  mailboxInterrupt(0, 0);
}

function mailboxInterrupt(_vector: u32, _device: u64): void {
  while ((volatileRead(register(Mailbox.STATUS)) & MailboxStatus.IN_FULL) !== 0) {
    const bytes: u32 = volatileRead(register(Mailbox.IN_BYTES));
    for (let at: u32 = 0; at < bytes && at < MAILBOX_MESSAGE_BYTES; at += WORD) {
      mailbox.message[at / WORD] = volatileRead(register(Mailbox.IN + at));
    }
    volatileWrite(register(Mailbox.CONTROL), MailboxControl.TAKE);
    const received = mailbox.received;
    if (received !== null && bytes <= MAILBOX_MESSAGE_BYTES) received(addr(mailbox.message[0]), bytes);
    // Another message may follow at once. Not during boot, where interrupts stay off until the end.
    if (interruptedFrame() !== null) admitInterrupts();
  }
}

/** Sends `lengthBytes` ≤ MAILBOX_MESSAGE_BYTES bytes, from any core, with interrupts off. */
export function mailboxSend(message: ptr<u32>, lengthBytes: u32): void {
  if (mailbox.present === 0) return;
  const flags: u64 = lock(addr(mailboxLock));
  for (let i: u32 = 0; i < SEND_TRIES && (volatileRead(register(Mailbox.STATUS)) & MailboxStatus.OUT_FREE) === 0; i++)
    pause();
  for (let at: u32 = 0; at < lengthBytes; at += WORD) volatileWrite(register(Mailbox.OUT + at), message[at / WORD]);
  volatileWrite(register(Mailbox.OUT_BYTES), lengthBytes);
  volatileWrite(register(Mailbox.CONTROL), MailboxControl.SEND);
  unlock(addr(mailboxLock), flags);
}
