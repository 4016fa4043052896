/**
 * Host memory of the engine: guest RAM, environments, and the code buffer. The pages of the code buffer are mapped
 * twice: once writable, once executable. No mapping is both.
 */
import koffi from "koffi";

export type Address = number;

/** This host cannot run the engine; the message states the reason. */
export class NativeUnavailable extends Error {}

const PAGE = 4096;
/** More than the distance that any access can reach beyond the page that was checked. */
const GUARD_BYTES = 1 << 16;
const PROT_NONE = 0;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_SHARED_ANONYMOUS = 0x21;
const MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;
const MADV_DONTNEED = 4;
const MREMAP_MAYMOVE = 1;

/** Host memory as bytes and as a little-endian view. It stays mapped for the lifetime of the process. */
export interface HostMemory {
  readonly address: Address;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export interface CodeMemory {
  /** The writable mapping. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Address of the executable mapping. */
  readonly address: Address;
}

/** Runs host code with an environment; returns the number of the exit. */
export type Enter = (environment: Address, code: Address) => number;

interface Libc {
  mmap(at: number, bytes: number, protection: number, flags: number, file: number, offset: number): number | bigint;
  mprotect(address: Address, bytes: number, protection: number): number;
  madvise(address: Address, bytes: number, advice: number): number;
  mremap(address: Address, oldBytes: number, bytes: number, flags: number): number | bigint;
  sigaction(signal: number, action: Uint8Array, previous: Uint8Array): number;
}
let loaded: Libc | undefined;

function libc(): Libc {
  if (loaded) return loaded;
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new NativeUnavailable(`the native engine needs Linux on x86-64, not ${process.platform} on ${process.arch}`);
  const library = koffi.load("libc.so.6");
  loaded = {
    mmap: library.func("uint64_t mmap(uint64_t at, size_t bytes, int protection, int flags, int file, long offset)"),
    mprotect: library.func("int mprotect(uint64_t address, size_t bytes, int protection)"),
    madvise: library.func("int madvise(uint64_t address, size_t bytes, int advice)"),
    mremap: library.func("uint64_t mremap(uint64_t address, size_t old, size_t bytes, int flags)"),
    sigaction: library.func("int sigaction(int signal, const uint8_t *action, _Out_ uint8_t *previous)"),
  };
  return loaded;
}

const isAddress = (address: Address): boolean => address > 0 && address < 2 ** 47;
const noMemory = (bytes: number): Error => new Error(`cannot map ${bytes} bytes of host memory`);

/** Throws an Error if the host has no memory. */
function map(bytes: number, protection: number, flags: number): Address {
  const address = Number(libc().mmap(0, bytes, protection, flags, -1, 0));
  if (!isAddress(address)) throw noMemory(bytes);
  return address;
}

function viewed(address: Address, bytes: number): { bytes: Uint8Array; view: DataView } {
  const buffer = koffi.view(BigInt(address), bytes);
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** Allocates zeroed, page-aligned memory between guard pages. Pages cost nothing until they are touched. */
export function allocate(bytes: number): HostMemory {
  const rounded = Math.ceil(bytes / GUARD_BYTES) * GUARD_BYTES;
  const guarded = map(rounded + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE_ANONYMOUS_NORESERVE);
  // The end is as exact as pages allow.
  const address = guarded + GUARD_BYTES;
  const pages = Math.ceil(bytes / PAGE) * PAGE;
  if (libc().mprotect(address, pages, PROT_READ | PROT_WRITE) !== 0) throw noMemory(bytes);
  return { address, ...viewed(address, bytes) };
}

/** Returns pages to the host; they read as zero afterwards. */
export function discard(memory: HostMemory): void {
  if (libc().madvise(memory.address, memory.bytes.length, MADV_DONTNEED) !== 0)
    throw new Error("native: cannot discard host memory");
}

export function allocateCode(bytes: number): CodeMemory {
  const writable = map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED_ANONYMOUS);
  // An old size of 0 maps the same pages a second time (mremap(2)).
  const address = Number(libc().mremap(writable, 0, bytes, MREMAP_MAYMOVE));
  if (!isAddress(address)) throw new NativeUnavailable("this host does not map memory twice");
  if (libc().mprotect(address, bytes, PROT_READ | PROT_EXEC) !== 0)
    throw new NativeUnavailable("this host does not let memory be executed");
  return { ...viewed(writable, bytes), address };
}

const enterType = koffi.proto("uint32_t MargayEnter(uint64_t environment, uint64_t code)");

/** The function at `address`, with the System V ABI. A call through a decoded pointer costs a tenth of `koffi.call`. */
export const asEnter = (address: Address): Enter => koffi.decode(BigInt(address), enterType) as Enter;

/** struct sigaction of glibc: handler, 128 bytes of mask, flags, restorer. */
const SIGACTION_BYTES = 152;
const SIGACTION_FLAGS = 136;
const SA_SIGINFO = 4;

/** Makes host code the handler of a signal. Returns the previous handler, or 0 or 1 for none. */
export function handleSignal(signal: number, handler: Address): bigint {
  const action = new Uint8Array(SIGACTION_BYTES);
  const view = new DataView(action.buffer);
  view.setBigUint64(0, BigInt(handler), true);
  view.setInt32(SIGACTION_FLAGS, SA_SIGINFO, true);
  const old = new Uint8Array(SIGACTION_BYTES);
  if (libc().sigaction(signal, action, old) !== 0) throw new NativeUnavailable(`cannot handle signal ${signal}`);
  return new DataView(old.buffer).getBigUint64(0, true);
}
