/** Ring buffer of 16-byte messages, one producer, one consumer: bursts in, bursts out, full and empty are met. */
class Message {
  sequence: u64 = 0;
  lengthBytes: u32 = 0;
  tag: u32 = 0;
}
class Ring {
  head: u64 = 0;
  tail: u64 = 0;
  refused: u64 = 0;
  slots!: arr<Message, 256>;
}
const MASK: u64 = 255;
const shared: Ring = zeroed();

function put(ring: ptr<Ring>, sequence: u64, lengthBytes: u32, tag: u32): boolean {
  if (ring.head - ring.tail > MASK) {
    ring.refused++;
    return false;
  }
  const slot = addr(ring.slots[ring.head & MASK]);
  slot.sequence = sequence;
  slot.lengthBytes = lengthBytes;
  slot.tag = tag;
  ring.head++;
  return true;
}

function get(ring: ptr<Ring>, to: ptr<Message>): boolean {
  if (ring.head === ring.tail) return false;
  const slot = addr(ring.slots[ring.tail & MASK]);
  to.sequence = slot.sequence;
  to.lengthBytes = slot.lengthBytes;
  to.tag = slot.tag;
  ring.tail++;
  return true;
}

export function ring(): u64 {
  const r = addr(shared);
  r.head = 0;
  r.tail = 0;
  r.refused = 0;
  const message: Message = zeroed();
  let sum: u64 = 0;
  let sequence: u64 = 0;
  let x: u64 = 1;
  for (let round: u64 = 0; round < 20000; round++) {
    x = x * 6364136223846793005 + 1442695040888963407;
    const burst: u64 = x >> 58;
    for (let i: u64 = 0; i < burst; i++) {
      if (put(r, sequence, u32(x >> 40), u32(i))) sequence++;
    }
    const drain: u64 = (x >> 50) & 63;
    for (let i: u64 = 0; i < drain && get(r, addr(message)); i++) {
      sum = sum * 5 + message.sequence + u64(message.lengthBytes ^ message.tag);
    }
  }
  return sum + r.refused;
}
