/**
 * read, pread64, write, pwrite64, lseek, sendfile, copy_file_range. Source: their pages of section 2. The kernel
 * converts readv and its variants to these.
 */
import { Errno } from "../../abi/errno.ts";
import { IO_DATA_MAX_BYTES, Open, Seek } from "../../abi/io.ts";
import { mayRead, mayWrite, type OpenFile } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { done, type CallContext, type CallResult, type Later } from "./context.ts";
import { HOST_OFFSET_MAX } from "./space.ts";

const OFFSET_MAX = (1n << 63n) - 1n;
/** Most bytes that one request copies; the caller continues as after any short transfer. */
const COPY_MAX_BYTES = 16 * 2 ** 20;
const COPY_PART_BYTES = 2 ** 20;
/** Size of holes: a block of zeros counts as one (lseek(2) leaves this to the file system). */
const HOLE_BYTES = 4096;

export function read(c: CallContext): CallResult | Later {
  const file = readable(c);
  const count = countOf(c.args[2]!);
  if (file.kind === "stream") {
    // This call has already read some bytes: it does not wait for more.
    if (c.args[3] !== 0n && c.isLiveInput) return done(0);
    const bytes = c.input(count);
    return bytes === null ? { later: "input" } : done(bytes.length, bytes);
  }
  const bytes = readAt(c, file, count, file.positionBytes);
  file.positionBytes += BigInt(bytes.length);
  return done(bytes.length, bytes);
}

export function pread64(c: CallContext): CallResult {
  const offset = BigInt.asIntN(64, c.args[3]!);
  if (offset < 0n) throw new IoError(Errno.EINVAL);
  const opened = c.table.opened(c.int(0));
  if (opened.kind === "stream") throw new IoError(Errno.ESPIPE);
  const bytes = readAt(c, readable(c), countOf(c.args[2]!), offset);
  return done(bytes.length, bytes);
}

export function write(c: CallContext): CallResult {
  const file = writable(c);
  if (c.args[2] !== BigInt(c.data.length)) throw new IoError(Errno.EINVAL);
  if (file.kind === "stream") {
    if (c.data.length > 0) c.output(file.stream!, c.data);
    return done(c.data.length);
  }
  if (file.kind === "device") return done(c.data.length === 0 ? 0 : file.device!.write(c.data));
  const written = writeAt(c, file, c.data, startOf(c, file, file.positionBytes));
  if (c.data.length > 0) file.positionBytes = startOfWritten(c, file, written);
  return done(written);
}
/** The position after a write; at the end if it was written there. */
function startOfWritten(c: CallContext, file: OpenFile, written: number): bigint {
  if (file.flags & Open.APPEND) return BigInt(c.fs.fstat(file.hostFd).sizeBytes);
  return file.positionBytes + BigInt(written);
}
export function pwrite64(c: CallContext): CallResult {
  const offset = BigInt.asIntN(64, c.args[3]!);
  if (offset < 0n) throw new IoError(Errno.EINVAL);
  if (c.table.opened(c.int(0)).kind === "stream") throw new IoError(Errno.ESPIPE);
  const file = writable(c);
  if (c.args[2] !== BigInt(c.data.length)) throw new IoError(Errno.EINVAL);
  if (file.kind === "device") return done(c.data.length === 0 ? 0 : file.device!.write(c.data));
  // With O_APPEND Linux writes at the end, whatever the offset (pwrite(2), BUGS).
  return done(writeAt(c, file, c.data, startOf(c, file, offset)));
}
function startOf(c: CallContext, file: OpenFile, offset: bigint): bigint {
  return file.flags & Open.APPEND ? BigInt(c.fs.fstat(file.hostFd).sizeBytes) : offset;
}
/** As on Linux, up to the quota; EDQUOT if not a single byte fits. */
function writeAt(c: CallContext, file: OpenFile, bytes: Uint8Array, start: bigint): number {
  if (bytes.length === 0) return 0;
  const { identity, sizeBytes } = c.fs.fstat(file.hostFd);
  if (start + BigInt(bytes.length) > HOST_OFFSET_MAX) throw new IoError(Errno.EFBIG);
  const room = sizeBytes + c.quota.roomBytes - Number(start);
  if (room <= 0) throw new IoError(Errno.EDQUOT);
  const written = c.fs.write(file.hostFd, bytes.subarray(0, room), Number(start));
  c.quota.resized(identity, sizeBytes, Math.max(sizeBytes, Number(start) + written));
  c.facts.modified(identity, c.time);
  return written;
}

export function lseek(c: CallContext): CallResult {
  const file = c.table.opened(c.int(0));
  if (file.kind === "stream") throw new IoError(Errno.ESPIPE);
  const offset = BigInt.asIntN(64, c.args[1]!);
  const whence = c.int(2);
  if (whence < Seek.SET || whence > Seek.HOLE) throw new IoError(Errno.EINVAL);
  // null(4) and the other devices here have no position.
  if (file.kind === "device") return done(0);
  const size = sizeOf(c, file);
  let position: bigint;
  if (whence === Seek.SET) position = offset;
  else if (whence === Seek.CUR) position = file.positionBytes + offset;
  else if (whence === Seek.END) position = size + offset;
  else if (file.kind === "directory") throw new IoError(Errno.EINVAL);
  else {
    if (offset < 0n || offset >= size) throw new IoError(Errno.ENXIO);
    position = seekHole(c, file, Number(offset), Number(size), whence);
  }
  if (position < 0n) throw new IoError(Errno.EINVAL);
  if (position > OFFSET_MAX) throw new IoError(Errno.EOVERFLOW);
  file.positionBytes = position;
  return done(position);
}
function sizeOf(c: CallContext, file: OpenFile): bigint {
  return file.kind === "regular" ? BigInt(c.fs.fstat(file.hostFd).sizeBytes) : 0n;
}
/** The next block of zeros, or of data, from `offset` on. Every file ends with a hole. */
function seekHole(c: CallContext, file: OpenFile, offset: number, size: number, whence: number): bigint {
  if (file.kind !== "regular") return BigInt(whence === Seek.DATA ? offset : size);
  const block = new Uint8Array(HOLE_BYTES);
  const blockStart = offset - (offset % HOLE_BYTES);
  for (let at = blockStart; at < size; at += HOLE_BYTES) {
    const count = c.fs.read(file.hostFd, block, at);
    const isHole = count === HOLE_BYTES && block.every((byte) => byte === 0);
    if (isHole === (whence === Seek.HOLE)) return BigInt(Math.max(at, offset));
  }
  if (whence === Seek.DATA) throw new IoError(Errno.ENXIO);
  return BigInt(size);
}

function readable(c: CallContext): OpenFile {
  const file = c.table.opened(c.int(0));
  if (!mayRead(file)) throw new IoError(Errno.EBADF);
  if (file.kind === "directory") throw new IoError(Errno.EISDIR);
  return file;
}
function writable(c: CallContext): OpenFile {
  const file = c.table.opened(c.int(0));
  if (!mayWrite(file)) throw new IoError(Errno.EBADF);
  return file;
}
/** A reply carries a limited size; read(2) allows a short read. */
function countOf(argument: bigint): number {
  return argument > BigInt(IO_DATA_MAX_BYTES) ? IO_DATA_MAX_BYTES : Number(argument);
}
function readAt(c: CallContext, file: OpenFile, count: number, offset: bigint): Uint8Array {
  if (file.device !== undefined) return file.device.read(count, c.random);
  if (count === 0 || offset > HOST_OFFSET_MAX) return new Uint8Array(0);
  if (file.text !== undefined) return file.text.bytes.subarray(Number(offset), Number(offset) + count);
  const into = new Uint8Array(count);
  return into.subarray(0, c.fs.read(file.hostFd, into, Number(offset)));
}

/** (out fd, in fd, off_t * or null, count) → count, and the resulting offset. */
export function sendfile(c: CallContext): CallResult {
  const input = c.table.opened(c.int(1));
  if (!mayRead(input)) throw new IoError(Errno.EBADF);
  const offsetView = c.structure(2);
  const output = c.table.opened(c.int(0));
  if (!mayWrite(output)) throw new IoError(Errno.EBADF);
  if (input.kind === "stream") throw new IoError(offsetView === null ? Errno.EINVAL : Errno.ESPIPE);
  const offset = offsetView?.getBigInt64(0, true);
  if (offset !== undefined && offset < 0n) throw new IoError(Errno.EINVAL);
  if (input.kind === "directory" || input.device !== undefined || output.flags & Open.APPEND)
    throw new IoError(Errno.EINVAL);
  const start = offset ?? input.positionBytes;
  const moved = copy(c, { input, start, count: c.args[3]!, output, to: output.positionBytes });
  if (output.kind === "regular") output.positionBytes += BigInt(moved);
  if (offsetView === null) {
    input.positionBytes += BigInt(moved);
    return done(moved);
  }
  return done(moved, int64(start + BigInt(moved)));
}
/** (in fd, off_t * or null, out fd, off_t * or null, count, flags) → count, and the resulting offsets. */
export function copyFileRange(c: CallContext): CallResult {
  const input = c.table.opened(c.int(0));
  const output = c.table.opened(c.int(2));
  const views = [c.structure(1), c.structure(3)] as const;
  const start = views[0]?.getBigInt64(0, true) ?? input.positionBytes;
  const to = views[1]?.getBigInt64(0, true) ?? output.positionBytes;
  if (c.int(5) !== 0) throw new IoError(Errno.EINVAL);
  if (input.kind === "directory" || output.kind === "directory") throw new IoError(Errno.EISDIR);
  if (input.kind !== "regular" || output.kind !== "regular") throw new IoError(Errno.EINVAL);
  if (!mayRead(input) || !mayWrite(output) || output.flags & Open.APPEND) throw new IoError(Errno.EBADF);
  if (start < 0n || to < 0n) throw new IoError(Errno.EINVAL);
  const count = c.args[4]!;
  if (start + count > OFFSET_MAX || to + count > OFFSET_MAX) throw new IoError(Errno.EOVERFLOW);
  const overlaps = input.identity === output.identity && start < to + count && to < start + count;
  if (overlaps && count > 0n) throw new IoError(Errno.EINVAL);
  const moved = BigInt(copy(c, { input, start, count, output, to }));
  if (views[0] === null) input.positionBytes += moved;
  if (views[1] === null) output.positionBytes += moved;
  const ends = [views[0] === null ? [] : [start + moved], views[1] === null ? [] : [to + moved]].flat();
  return done(moved, Buffer.concat(ends.map(int64)));
}
function int64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, value, true);
  return bytes;
}
interface Copy {
  readonly input: OpenFile;
  readonly start: bigint;
  readonly count: bigint;
  readonly output: OpenFile;
  /** Position in a regular file at which to write. */
  readonly to: bigint;
}
/** Returns the bytes moved; an error counts only if there are none. */
function copy(c: CallContext, { input, start, count, output, to }: Copy): number {
  const most = Number(count < BigInt(COPY_MAX_BYTES) ? count : BigInt(COPY_MAX_BYTES));
  let moved = 0;
  try {
    while (moved < most) {
      const bytes = readAt(c, input, Math.min(COPY_PART_BYTES, most - moved), start + BigInt(moved));
      if (bytes.length === 0) break;
      let written = bytes.length;
      if (output.stream !== undefined) c.output(output.stream, bytes);
      else if (output.device !== undefined) written = output.device.write(bytes);
      else written = writeAt(c, output, bytes, to + BigInt(moved));
      moved += written;
      if (written < bytes.length) break;
    }
  } catch (error) {
    if (moved === 0 || !(error instanceof IoError)) throw error;
  }
  return moved;
}
