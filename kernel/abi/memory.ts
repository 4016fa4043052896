/** The memory map: all fixed physical and virtual addresses. Checked by tests/abi. */

// ---- physical ------------------------------------------------------------------------------------------------------
/** Page in which the application processors start; SIPI vector = address >> 12. */
export const AP_TRAMPOLINE: u64 = 0x8000;
/** First byte of the kernel's image (p_paddr of its first segment). */
export const KERNEL_LOAD: u64 = 0x10_0000;
/** Least RAM with which the machine boots, bytes. */
export const MIN_RAM_BYTES: u64 = 16777216;
/** Start of the device hole below 4 GB: no RAM at or above it. RAM beyond this size continues at 4 GB. */
export const DEVICE_HOLE: u64 = 0xc000_0000;
export const LAPIC_BASE: u64 = 0xfee0_0000;
export const IOAPIC_BASE: u64 = 0xfec0_0000;
export const VIRTIO_MMIO_BASE: u64 = 0xfeb0_0000;

// ---- virtual -------------------------------------------------------------------------------------------------------
export const PAGE_BYTES: u64 = 4096;
export const PAGE_SHIFT: u32 = 12;
export const LARGE_PAGE_BYTES: u64 = 0x20_0000;
export const CACHE_LINE_BYTES: u64 = 64;
/** The kernel's image: virtual = physical + KERNEL_BASE. */
export const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/** All RAM and the device window: virtual = physical + DIRECT_MAP_BASE. */
export const DIRECT_MAP_BASE: u64 = 0xffff_8000_0000_0000;
/** End of user addresses: one page below the end of the canonical half (AMD64 SYSRET erratum). */
export const USER_END: u64 = 0x0000_7fff_ffff_f000;
/** Link address of the init image; it is unmapped after GO. */
export const INIT_BASE: u64 = 0x7000_0000_0000;
/** Anonymous and file mappings grow up from here. */
export const USER_MAP_BASE: u64 = 0x2000_0000_0000;
/** The main thread's stack ends here, growing down on first touch, as large as Linux's. Above it 2 MB are left free. */
export const USER_STACK_TOP: u64 = 0x6fff_ffe0_0000;
export const USER_STACK_BYTES: u64 = 0x80_0000;
/** Its upper part, which has its memory from the start. */
export const USER_STACK_READY_BYTES: u64 = 0x4_0000;
/** Most bytes of it that arguments and environment take, with the pointers to them: Linux's ARG_MAX. */
export const USER_STRINGS_BYTES: u64 = 0x20_0000;
/** Stack of each core's kernel entries, bytes. */
export const KERNEL_STACK_BYTES: u64 = 16384;
/** Most cores of a node: the size of the kernel's tables. */
export const MAX_CPUS: u32 = 64;
