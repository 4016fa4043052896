/**
 * The address space that boot.ts makes:
 *
 *   0 … 1 GB            identity, supervisor, 2 MB pages
 *   USER_ALIAS          the first 8 MB once more, for every ring: code is position-independent and runs there as a program
 *   3 … 4 GB            the device window, uncached
 *   TEST_BASE           4 KB pages whose entries at all four levels belong to the check (pages.ts)
 */
export const USER_ALIAS: u64 = 0x4000_0000;
export const TEST_BASE: u64 = 0x80_0000_0000;
