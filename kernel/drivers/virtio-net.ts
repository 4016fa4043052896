/**
 * virtio-net over virtio-mmio version 2: probe, one receive and one transmit ring, a pool of frame buffers. Source:
 * OASIS virtio 1.1, 2.6 (split queues), 4.2.3 (initialisation), 5.1 (network device).
 *
 * The buffers are in one 2 MB page. A receive buffer is in the ring, or with the layer above, which keeps a frame that
 * it cannot use yet. A transmit buffer is free, held (by the layer above, which fills it and may send it more than
 * once), in the ring, or both. Sending never waits: if no buffer is free, `allocateBuffer` reports it. Everything runs
 * under the caller's lock (net), except the probe and the interrupt, which passes frames on without a lock.
 */
import { DIRECT_MAP_BASE, LARGE_PAGE_BYTES, VIRTIO_MMIO_BASE } from "../abi/memory.ts";
import { MAC_PREFIX_0, MAC_PREFIX_1, MAC_PREFIX_2 } from "../abi/net.ts";
import {
  VIRTIO_F_VERSION_1_BIT,
  VIRTIO_MAGIC,
  VIRTIO_MMIO_BYTES,
  VIRTIO_MMIO_GSI,
  VIRTIO_MMIO_SLOTS,
  VIRTIO_NET_F_MAC_BIT,
  VirtioDevice,
  VirtioMmio,
  VirtioNetQueue,
  VirtioStatus,
  VIRTQ_AVAIL_NO_INTERRUPT,
  type VirtqAvail,
  VirtqDesc,
  type VirtqDescriptor,
  type VirtqUsed,
} from "../abi/virtio.ts";
import { memset } from "../../toolchain/lib/rt/memory.ts";
import { ioapicRoute } from "../arch/ioapic.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import {
  allocateFrames,
  allocateLargeFrame,
  FRAMES_PER_BLOCK,
  freeFrames,
  OWNER_KERNEL,
  physical,
} from "../mm/frames.ts";

/** Descriptors of each ring. */
const RING: u16 = 128;
const RECEIVE_BUFFERS: u16 = 128;
/** After the receive buffers in the same page. */
const TRANSMIT_BUFFERS: u32 = 120;
/** The 12 bytes of virtio header end where the Ethernet frame starts, which aligns the message header after it. */
const BUFFER_BYTES: u64 = 8320;
const FRAME_OFFSET: u64 = 16;
const VIRTIO_HEADER_BYTES: u64 = 12;
export const FRAME_MAX_BYTES: u64 = 8304;
/** Descriptors, avail ring, used ring. */
const QUEUE_FRAMES: u64 = 3;
/** Result of `allocateBuffer`: no buffer is free. */
export const NO_BUFFER: u32 = 0xffff_ffff;

const HELD: u8 = 1;
const IN_RING: u8 = 2;

class Queue {
  descriptors: ptr<VirtqDescriptor> | null = null;
  avail: ptr<VirtqAvail> | null = null;
  used: ptr<VirtqUsed> | null = null;
  /** Used elements processed so far. */
  seen: u16 = 0;
}
class Device {
  present: u32 = 0;
  registers: u64 = 0;
  receive!: Queue;
  transmit!: Queue;
  /** Physical address of the page of buffers. */
  buffers: u64 = 0;
  /** By transmit buffer. */
  states!: arr<u8, 120>;
  /** Search for a free buffer starts here. */
  hint: u32 = 0;
  /** Transmit buffers that are neither held nor in the ring. */
  freeCount: u32 = 0;
  nid: u32 = 0;
  received: ((frame: ptr<u8>, lengthBytes: u64, buffer: u32) => void) | null = null;
}
const device: Device = zeroed();

function read(register: u32): u32 {
  return volatileRead(cast<ptr<u32>>(device.registers + u64(register)));
}
function write(register: u32, value: u32): void {
  volatileWrite(cast<ptr<u32>>(device.registers + u64(register)), value);
}

/** Searches the slots for a network device and initialises it, without a receiver for its interrupts. False: no NIC. */
export function netProbe(): boolean {
  for (let slot: u32 = VIRTIO_MMIO_SLOTS; slot > 0; slot--) {
    device.registers = DIRECT_MAP_BASE + VIRTIO_MMIO_BASE + u64(slot - 1) * u64(VIRTIO_MMIO_BYTES);
    if (read(VirtioMmio.MAGIC) !== VIRTIO_MAGIC || read(VirtioMmio.VERSION) !== 2) continue;
    if (read(VirtioMmio.DEVICE_ID) !== VirtioDevice.NET) continue;
    if (!initialise()) {
      giveUp();
      continue;
    }
    device.present = 1;
    ioapicRoute(VIRTIO_MMIO_GSI + slot - 1, 0, netInterrupt, 0);
    return true;
  }
  return false;
}
/** Tells the device that it is not used (virtio 1.2, 2.1: status bits are only ever set), and frees the memory. */
function giveUp(): void {
  write(VirtioMmio.STATUS, read(VirtioMmio.STATUS) | VirtioStatus.FAILED);
  write(VirtioMmio.STATUS, 0);
  if (device.buffers !== 0) freeFrames(device.buffers, FRAMES_PER_BLOCK, OWNER_KERNEL);
  device.buffers = 0;
  freeQueue(addr(device.receive));
  freeQueue(addr(device.transmit));
}
export function netPresent(): boolean {
  return device.present !== 0;
}
/** nid from the MAC: its last three bytes if it has our prefix; 0 otherwise. */
export function netNid(): u32 {
  return device.nid;
}

/**
 * Frames go to `received` from now on, in the interrupt, without a lock. The buffer is the receiver's until
 * `netReceiveAgain`. The receive ring is filled only here, so nothing was lost but by the switch.
 */
export function netReceive(received: (frame: ptr<u8>, lengthBytes: u64, buffer: u32) => void): void {
  device.received = received;
  for (let i: u16 = 0; i < RECEIVE_BUFFERS; i++) postReceive(i);
  write(VirtioMmio.QUEUE_NOTIFY, VirtioNetQueue.RECEIVE);
}

function initialise(): boolean {
  write(VirtioMmio.STATUS, 0);
  write(VirtioMmio.STATUS, VirtioStatus.ACKNOWLEDGE);
  write(VirtioMmio.STATUS, VirtioStatus.ACKNOWLEDGE | VirtioStatus.DRIVER);
  write(VirtioMmio.DEVICE_FEATURES_SEL, 1);
  if ((read(VirtioMmio.DEVICE_FEATURES) & (1 << (VIRTIO_F_VERSION_1_BIT - 32))) === 0) return false;
  write(VirtioMmio.DEVICE_FEATURES_SEL, 0);
  const hasMac: u32 = read(VirtioMmio.DEVICE_FEATURES) & (1 << VIRTIO_NET_F_MAC_BIT);
  write(VirtioMmio.DRIVER_FEATURES_SEL, 0);
  write(VirtioMmio.DRIVER_FEATURES, hasMac);
  write(VirtioMmio.DRIVER_FEATURES_SEL, 1);
  write(VirtioMmio.DRIVER_FEATURES, 1 << (VIRTIO_F_VERSION_1_BIT - 32));
  const ready: u32 = VirtioStatus.ACKNOWLEDGE | VirtioStatus.DRIVER | VirtioStatus.FEATURES_OK;
  write(VirtioMmio.STATUS, ready);
  if ((read(VirtioMmio.STATUS) & VirtioStatus.FEATURES_OK) === 0) return false;
  if (hasMac !== 0) readNid();
  device.freeCount = TRANSMIT_BUFFERS;
  device.buffers = allocateLargeFrame(OWNER_KERNEL);
  if (device.buffers === 0) return false;
  memset(physical<u8>(device.buffers), 0, LARGE_PAGE_BYTES);
  if (
    !makeQueue(addr(device.receive), VirtioNetQueue.RECEIVE) ||
    !makeQueue(addr(device.transmit), VirtioNetQueue.TRANSMIT)
  )
    return false;
  const avail = device.transmit.avail;
  // Completed transmissions are reclaimed when the next one starts.
  if (avail !== null) avail.flags = VIRTQ_AVAIL_NO_INTERRUPT;
  write(VirtioMmio.STATUS, ready | VirtioStatus.DRIVER_OK);
  return true;
}

function readNid(): void {
  const config = cast<ptr<u8>>(device.registers + u64(VirtioMmio.CONFIG));
  if (volatileRead(addr(config[0])) !== MAC_PREFIX_0 || volatileRead(addr(config[1])) !== MAC_PREFIX_1) return;
  if (volatileRead(addr(config[2])) !== MAC_PREFIX_2) return;
  const high: u32 = volatileRead(addr(config[3]));
  const middle: u32 = volatileRead(addr(config[4]));
  const low: u32 = volatileRead(addr(config[5]));
  device.nid = (high << 16) | (middle << 8) | low;
}

function freeQueue(queue: ptr<Queue>): void {
  if (queue.descriptors !== null)
    freeFrames(cast<u64>(queue.descriptors) - DIRECT_MAP_BASE, QUEUE_FRAMES, OWNER_KERNEL);
  queue.descriptors = null;
}

function makeQueue(queue: ptr<Queue>, index: u32): boolean {
  write(VirtioMmio.QUEUE_SEL, index);
  if (read(VirtioMmio.QUEUE_NUM_MAX) < u32(RING)) return false;
  // One frame each: 128 descriptors take 2048 bytes, the rings less.
  const at: u64 = allocateFrames(QUEUE_FRAMES, OWNER_KERNEL);
  if (at === 0) return false;
  queue.descriptors = physical<VirtqDescriptor>(at);
  queue.avail = physical<VirtqAvail>(at + 4096);
  queue.used = physical<VirtqUsed>(at + 8192);
  write(VirtioMmio.QUEUE_NUM, u32(RING));
  write(VirtioMmio.QUEUE_DESC_LOW, u32(at));
  write(VirtioMmio.QUEUE_DESC_HIGH, u32(at >> 32));
  write(VirtioMmio.QUEUE_DRIVER_LOW, u32(at + 4096));
  write(VirtioMmio.QUEUE_DRIVER_HIGH, u32((at + 4096) >> 32));
  write(VirtioMmio.QUEUE_DEVICE_LOW, u32(at + 8192));
  write(VirtioMmio.QUEUE_DEVICE_HIGH, u32((at + 8192) >> 32));
  write(VirtioMmio.QUEUE_READY, 1);
  return true;
}

/** Puts descriptor `id` (one buffer) into the ring; the caller notifies. */
function post(queue: ptr<Queue>, id: u16, address: u64, lengthBytes: u64, flags: u16): void {
  const descriptors = queue.descriptors;
  const avail = queue.avail;
  if (descriptors === null || avail === null) return;
  descriptors[id].address = address;
  descriptors[id].lengthBytes = u32(lengthBytes);
  descriptors[id].flags = flags;
  const at: u16 = avail.index;
  avail.ring[at & (RING - 1)] = id;
  // The device must see the entry before the index.
  fence();
  volatileWrite(addr(avail.index), at + 1);
}

function postReceive(id: u16): void {
  const header: u64 = device.buffers + u64(id) * BUFFER_BYTES + FRAME_OFFSET - VIRTIO_HEADER_BYTES;
  post(addr(device.receive), id, header, VIRTIO_HEADER_BYTES + FRAME_MAX_BYTES, VirtqDesc.WRITE);
}

/** Receivers may let interrupts in: this one is not among them before its EOI, its vector's class being in service. */
function netInterrupt(_vector: u32, _device: u64): void {
  write(VirtioMmio.INTERRUPT_ACK, read(VirtioMmio.INTERRUPT_STATUS));
  const used = device.receive.used;
  const received = device.received;
  if (used === null || received === null) return;
  while (volatileRead(addr(used.index)) !== device.receive.seen) {
    const element = addr(used.ring[device.receive.seen & (RING - 1)]);
    const id: u32 = element.id;
    device.receive.seen = device.receive.seen + 1;
    const bytes: u64 = u64(element.lengthBytes);
    received(receivedFrame(id), bytes > VIRTIO_HEADER_BYTES ? bytes - VIRTIO_HEADER_BYTES : 0, id);
    admitInterrupts();
  }
}
/** Whether another frame has arrived that was not passed on yet. On the core that takes the interrupts. */
export function netHasMore(): boolean {
  const used = device.receive.used;
  return used !== null && volatileRead(addr(used.index)) !== device.receive.seen;
}
/** The frame in a receive buffer. */
export function receivedFrame(buffer: u32): ptr<u8> {
  return physical<u8>(device.buffers + u64(buffer) * BUFFER_BYTES + FRAME_OFFSET);
}
/** Returns a receive buffer to the ring. One core at a time. */
export function netReceiveAgain(buffer: u32): void {
  postReceive(u16(buffer));
  write(VirtioMmio.QUEUE_NOTIFY, VirtioNetQueue.RECEIVE);
}

// ---- sending -------------------------------------------------------------------------------------------------------
/** Number of transmit buffers that `allocateBuffer` can return. */
export function freeBuffers(): u32 {
  reclaim();
  return device.freeCount;
}
/** A transmit buffer, held by the caller; NO_BUFFER if none is free. */
export function allocateBuffer(): u32 {
  reclaim();
  if (device.freeCount === 0) return NO_BUFFER;
  for (let i: u32 = 0; i < TRANSMIT_BUFFERS; i++) {
    const index: u32 = (device.hint + i) % TRANSMIT_BUFFERS;
    if (device.states[index] !== 0) continue;
    device.states[index] = HELD;
    device.freeCount--;
    device.hint = (index + 1) % TRANSMIT_BUFFERS;
    return index;
  }
  return NO_BUFFER;
}
/** Where its frame starts. */
export function bufferFrame(index: u32): ptr<u8> {
  return physical<u8>(transmitAddress(index));
}
function transmitAddress(index: u32): u64 {
  return device.buffers + (u64(RECEIVE_BUFFERS) + u64(index)) * BUFFER_BYTES + FRAME_OFFSET;
}
/** The caller releases the buffer; it becomes free once it is not in the ring. */
export function releaseBuffer(index: u32): void {
  device.states[index] &= ~HELD;
  if (device.states[index] === 0) device.freeCount++;
}
/** False while the device still reads the buffer, which must not be written then. */
export function bufferIsIdle(index: u32): boolean {
  reclaim();
  return (device.states[index] & IN_RING) === 0;
}
/** Sends the frame in an idle buffer. */
export function sendBuffer(index: u32, frameBytes: u64): void {
  device.states[index] |= IN_RING;
  const header: u64 = transmitAddress(index) - VIRTIO_HEADER_BYTES;
  post(addr(device.transmit), u16(index), header, VIRTIO_HEADER_BYTES + frameBytes, 0);
  write(VirtioMmio.QUEUE_NOTIFY, VirtioNetQueue.TRANSMIT);
}

/** Reclaims the buffers that the device has sent. */
function reclaim(): void {
  const used = device.transmit.used;
  if (used === null) return;
  while (volatileRead(addr(used.index)) !== device.transmit.seen) {
    const index: u32 = used.ring[device.transmit.seen & (RING - 1)].id;
    device.states[index] &= ~IN_RING;
    if (device.states[index] === 0) device.freeCount++;
    device.transmit.seen = device.transmit.seen + 1;
  }
}
