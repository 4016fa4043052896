/** read, pread64, write, lseek. Source: Linux read(2), write(2), lseek(2). */
import { Errno } from "../../abi/errno.ts";
import { IO_DATA_MAX_BYTES, Open, Seek } from "../../abi/io.ts";
import { mayRead, mayWrite, type OpenFile } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { done, type CallContext, type CallResult } from "./context.ts";

const OFFSET_MAX = (1n << 63n) - 1n;
/** Largest position that the host interface takes. */
const HOST_OFFSET_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export function read(c: CallContext): CallResult | null {
  const file = readable(c);
  const count = countOf(c.args[2]!);
  if (file.kind === "stream") {
    const bytes = c.input(count);
    return bytes === null ? null : done(bytes.length, bytes);
  }
  const bytes = readAt(c, file, count, file.positionBytes);
  file.positionBytes += BigInt(bytes.length);
  return done(bytes.length, bytes);
}

export function pread64(c: CallContext): CallResult {
  const file = readable(c);
  if (file.kind === "stream") throw new IoError(Errno.ESPIPE);
  const offset = BigInt.asIntN(64, c.args[3]!);
  if (offset < 0n) throw new IoError(Errno.EINVAL);
  const bytes = readAt(c, file, countOf(c.args[2]!), offset);
  return done(bytes.length, bytes);
}

export function write(c: CallContext): CallResult {
  const fd = c.int(0);
  const file = c.table.get(fd);
  if (!mayWrite(file)) throw new IoError(Errno.EBADF);
  if (c.args[2] !== BigInt(c.data.length)) throw new IoError(Errno.EINVAL);
  if (file.kind === "stream") {
    if (c.data.length > 0) c.output(fd, c.data);
    return done(c.data.length);
  }
  if (c.data.length === 0) return done(0);
  if (file.device !== undefined) return done(file.device.write(c.data));
  const { identity, sizeBytes } = c.fs.fstat(file.hostFd);
  const start = file.flags & Open.APPEND ? BigInt(sizeBytes) : file.positionBytes;
  if (start + BigInt(c.data.length) > HOST_OFFSET_MAX) throw new IoError(Errno.EFBIG);
  // As Linux, up to the quota and no further; EDQUOT where not a byte fits.
  const room = sizeBytes + c.quota.roomBytes - Number(start);
  if (room <= 0) throw new IoError(Errno.EDQUOT);
  const written = c.fs.write(file.hostFd, c.data.subarray(0, room), Number(start));
  file.positionBytes = start + BigInt(written);
  c.quota.resized(identity, sizeBytes, Math.max(sizeBytes, Number(file.positionBytes)));
  c.facts.modified(identity, c.time);
  return done(written);
}

export function lseek(c: CallContext): CallResult {
  const file = c.table.get(c.int(0));
  if (file.kind === "stream") throw new IoError(Errno.ESPIPE);
  const offset = BigInt.asIntN(64, c.args[1]!);
  const whence = c.int(2);
  // Of the devices that are here: null(4), no position.
  if (file.kind === "device") return done(0);
  let base: bigint;
  if (whence === Seek.SET) base = 0n;
  else if (whence === Seek.CUR) base = file.positionBytes;
  else if (whence === Seek.END) base = file.kind === "regular" ? BigInt(c.fs.fstat(file.hostFd).sizeBytes) : 0n;
  else throw new IoError(Errno.EINVAL);
  const position = base + offset;
  if (position < 0n) throw new IoError(Errno.EINVAL);
  if (position > OFFSET_MAX) throw new IoError(Errno.EOVERFLOW);
  file.positionBytes = position;
  return done(position);
}

function readable(c: CallContext): OpenFile {
  const file = c.table.get(c.int(0));
  if (!mayRead(file)) throw new IoError(Errno.EBADF);
  if (file.kind === "directory") throw new IoError(Errno.EISDIR);
  return file;
}
/** A reply carries so much and no more; a short read is what read(2) allows. */
function countOf(argument: bigint): number {
  return argument > BigInt(IO_DATA_MAX_BYTES) ? IO_DATA_MAX_BYTES : Number(argument);
}
function readAt(c: CallContext, file: OpenFile, count: number, offset: bigint): Uint8Array {
  if (file.device !== undefined) return file.device.read(count, c.random);
  if (count === 0 || offset > HOST_OFFSET_MAX) return new Uint8Array(0);
  const into = new Uint8Array(count);
  return into.subarray(0, c.fs.read(file.hostFd, into, Number(offset)));
}
