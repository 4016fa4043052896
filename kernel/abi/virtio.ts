/**
 * virtio-mmio version 2 and virtio-net. Source: OASIS virtio 1.1, sections 2.6 (split queue), 4.2.2 (registers), 5.1
 * (network).
 */
export const VIRTIO_MMIO_BYTES: u32 = 0x200;
export const VIRTIO_MMIO_SLOTS: u32 = 8;
/** Slot n: VIRTIO_MMIO_BASE + n * VIRTIO_MMIO_BYTES, GSI VIRTIO_MMIO_GSI + n. The NIC is in the last slot. */
export const VIRTIO_MMIO_GSI: u32 = 5;
export const VIRTIO_MAGIC: u32 = 0x7472_6976;
export const VIRTIO_VENDOR_QEMU: u32 = 0x554d_4551;
// biome-ignore format: a table
export const enum VirtioMmio {
  MAGIC = 0x000, VERSION = 0x004, DEVICE_ID = 0x008, VENDOR_ID = 0x00c, DEVICE_FEATURES = 0x010, DEVICE_FEATURES_SEL = 0x014,
  DRIVER_FEATURES = 0x020, DRIVER_FEATURES_SEL = 0x024, QUEUE_SEL = 0x030, QUEUE_NUM_MAX = 0x034, QUEUE_NUM = 0x038, QUEUE_READY = 0x044,
  QUEUE_NOTIFY = 0x050, INTERRUPT_STATUS = 0x060, INTERRUPT_ACK = 0x064, STATUS = 0x070, QUEUE_DESC_LOW = 0x080, QUEUE_DESC_HIGH = 0x084,
  QUEUE_DRIVER_LOW = 0x090, QUEUE_DRIVER_HIGH = 0x094, QUEUE_DEVICE_LOW = 0x0a0, QUEUE_DEVICE_HIGH = 0x0a4, CONFIG_GENERATION = 0x0fc, CONFIG = 0x100,
}
// biome-ignore format: a table
export const enum VirtioDevice { NONE = 0, NET = 1 }
// biome-ignore format: a table
export const enum VirtioStatus { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64, FAILED = 128 }
// biome-ignore format: a table
export const enum VirtioInterrupt { USED_BUFFER = 1, CONFIG_CHANGE = 2 }
/** Feature bits; VERSION_1 is bit 32 = bit 0 of the second word. */
export const VIRTIO_NET_F_MAC_BIT: u32 = 5;
export const VIRTIO_F_VERSION_1_BIT: u32 = 32;
// biome-ignore format: a table
export const enum VirtqDesc { NEXT = 1, WRITE = 2 }
export const VIRTQ_AVAIL_NO_INTERRUPT: u16 = 1;
export const VIRTQ_USED_NO_NOTIFY: u16 = 1;
export const VIRTQ_MAX: u32 = 256;
export class VirtqDescriptor {
  address: u64 = 0;
  lengthBytes: u32 = 0;
  flags: u16 = 0;
  next: u16 = 0;
}
export class VirtqAvail {
  flags: u16 = 0;
  index: u16 = 0;
  ring!: arr<u16, 256>;
}
export class VirtqUsedElement {
  id: u32 = 0;
  lengthBytes: u32 = 0;
}
export class VirtqUsed {
  flags: u16 = 0;
  index: u16 = 0;
  ring!: arr<VirtqUsedElement, 256>;
}
/** Queue 0 receives, queue 1 transmits. With VERSION_1 the header is always 12 bytes. */
// biome-ignore format: a table
export const enum VirtioNetQueue { RECEIVE = 0, TRANSMIT = 1 }
export class VirtioNetHeader {
  flags: u8 = 0;
  gsoType: u8 = 0;
  headerBytes: u16 = 0;
  gsoSize: u16 = 0;
  checksumStart: u16 = 0;
  checksumOffset: u16 = 0;
  bufferCount: u16 = 0;
}
