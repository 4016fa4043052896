/**
 * Length and storage of files: truncation, fallocate, fsync and its variants. Source: truncate(2), fallocate(2),
 * fsync(2), sync(2), posix_fadvise(2). Holes are not kept: allocated or punched ranges read as zeros, and count.
 */
import { Errno } from "../../abi/errno.ts";
import { Fallocate } from "../../abi/io.ts";
import { mayRead, mayWrite } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { type CallContext, type CallResult, done } from "./context.ts";

/** Largest position that the host interface takes. */
export const HOST_OFFSET_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const ZEROS = new Uint8Array(65536);

/** Sets the length of a regular file. @throws IoError EFBIG, EDQUOT */
export function resize(c: CallContext, hostFd: number, length: bigint): void {
  if (length > HOST_OFFSET_MAX) throw new IoError(Errno.EFBIG);
  const { identity, sizeBytes } = c.fs.fstat(hostFd);
  if (Number(length) - sizeBytes > c.quota.roomBytes) throw new IoError(Errno.EDQUOT);
  c.fs.truncate(hostFd, Number(length));
  c.quota.resized(identity, sizeBytes, Number(length));
  c.facts.modified(identity, c.time);
}

/** (fd, mode, offset, length). */
export function fallocate(c: CallContext): CallResult {
  const mode = c.int(1);
  const offset = BigInt.asIntN(64, c.args[2]!);
  const length = BigInt.asIntN(64, c.args[3]!);
  const file = c.table.opened(c.int(0));
  const { KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE } = Fallocate;
  if (offset < 0n || length <= 0n) throw new IoError(Errno.EINVAL);
  if (mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE)) throw new IoError(Errno.EOPNOTSUPP);
  if (mode & PUNCH_HOLE && (mode & ZERO_RANGE || !(mode & KEEP_SIZE))) throw new IoError(Errno.EOPNOTSUPP);
  if (!mayWrite(file)) throw new IoError(Errno.EBADF);
  if (file.kind === "stream") throw new IoError(Errno.ESPIPE);
  if (file.kind === "directory") throw new IoError(Errno.EISDIR);
  if (file.kind !== "regular") throw new IoError(Errno.ENODEV);
  const end = offset + length;
  if (end > HOST_OFFSET_MAX) throw new IoError(Errno.EFBIG);
  const { sizeBytes, identity } = c.fs.fstat(file.hostFd);
  if (!(mode & KEEP_SIZE) && Number(end) > sizeBytes) resize(c, file.hostFd, end);
  if (mode & (PUNCH_HOLE | ZERO_RANGE)) {
    const stop = Math.min(Number(end), sizeBytes);
    for (let at = Number(offset); at < stop; )
      at += c.fs.write(file.hostFd, ZEROS.subarray(0, Math.min(ZEROS.length, stop - at)), at);
    c.facts.modified(identity, c.time);
  }
  return done(0);
}

/** fsync, fdatasync. */
export function fsync(c: CallContext): CallResult {
  const file = c.table.opened(c.int(0));
  if (file.kind === "stream" || file.kind === "device" || file.kind === "text") throw new IoError(Errno.EINVAL);
  if (file.kind === "regular") c.fs.sync(file.hostFd);
  else if (file.folder?.isHost) {
    const fd = c.fs.open(file.folder.hostFd, 0);
    try {
      c.fs.sync(fd);
    } finally {
      c.fs.close(fd);
    }
  }
  return done(0);
}
/** For all files that the task has open for writing. */
export function sync(c: CallContext): CallResult {
  for (const [, { file }] of c.table.open()) if (file.kind === "regular" && mayWrite(file)) c.fs.sync(file.hostFd);
  return done(0);
}
export function syncfs(c: CallContext): CallResult {
  c.table.opened(c.int(0));
  return sync(c);
}
/** (fd, offset, bytes, flags). */
export function syncFileRange(c: CallContext): CallResult {
  const offset = BigInt.asIntN(64, c.args[1]!);
  const length = BigInt.asIntN(64, c.args[2]!);
  const file = c.table.opened(c.int(0));
  if (c.int(3) & ~7 || offset < 0n || length < 0n || offset + length >= 1n << 63n) throw new IoError(Errno.EINVAL);
  if (file.kind === "stream") throw new IoError(Errno.ESPIPE);
  if (file.kind === "regular") c.fs.sync(file.hostFd);
  return done(0);
}
/** (fd, offset, length, advice): accepted without effect. */
export function fadvise64(c: CallContext): CallResult {
  const file = c.table.opened(c.int(0));
  if (file.kind === "stream") throw new IoError(Errno.ESPIPE);
  if (BigInt.asIntN(64, c.args[2]!) < 0n || c.int(3) < 0 || c.int(3) > 5) throw new IoError(Errno.EINVAL);
  return done(0);
}
/** (fd, offset, count). */
export function readahead(c: CallContext): CallResult {
  const file = c.table.opened(c.int(0));
  if (!mayRead(file)) throw new IoError(Errno.EBADF);
  if (file.kind !== "regular") throw new IoError(Errno.EINVAL);
  return done(0);
}
