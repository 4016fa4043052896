/**
 * Mapped files: what mmap may map, and the kernel's requests for the pages of shared mappings (protocol: abi/io.ts).
 * Source: Linux mmap(2), msync(2).
 */
import { Errno } from "../../abi/errno.ts";
import { IO_DATA_MAX_BYTES, MapKind, MapReply } from "../../abi/io.ts";
import { MapFlag, Prot } from "../../abi/process.ts";
import { mayRead, mayWrite, type OpenFile } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { done, type CallContext, type CallResult } from "./context.ts";

/** (address, length, protection, flags, fd, offset) → bytes of the file from the offset on, and a MapReply. */
export function mmap(c: CallContext): CallResult {
  const file = c.table.opened(c.int(4));
  const isShared = (c.int(3) & MapFlag.TYPE_MASK) !== MapFlag.PRIVATE;
  if (!mayRead(file)) throw new IoError(Errno.EACCES);
  if (isShared && (c.int(2) & Prot.WRITE) !== 0 && !mayWrite(file)) throw new IoError(Errno.EACCES);
  const reply = new MapReply(new DataView(new ArrayBuffer(MapReply.SIZE)));
  const bytes = new Uint8Array(reply.view.buffer);
  if (file.device?.name === "zero") {
    reply.kind = MapKind.ZEROS;
    return done(0, bytes);
  }
  if (file.kind !== "regular") throw new IoError(Errno.ENODEV);
  reply.name = c.task.mapped.name(file);
  if (isShared) {
    reply.kind = MapKind.SHARED;
    reply.handle = BigInt(c.task.mapped.hold(file));
    reply.mayWrite = mayWrite(file) ? 1n : 0n;
  }
  const rest = BigInt(c.fs.fstat(file.hostFd).sizeBytes) - BigInt.asUintN(64, c.args[5]!);
  return done(rest > 0n ? rest : 0n, bytes);
}

/** Range of a request that lies in the file. */
function part(c: CallContext, file: OpenFile): { at: number; count: number } {
  const size = c.fs.fstat(file.hostFd).sizeBytes;
  const at = BigInt.asUintN(64, c.args[3]!);
  const wanted = BigInt.asUintN(64, c.args[2]!);
  if (wanted > BigInt(IO_DATA_MAX_BYTES)) throw new IoError(Errno.EINVAL);
  if (at >= BigInt(size)) return { at: 0, count: 0 };
  return { at: Number(at), count: Math.min(Number(wanted), size - Number(at)) };
}
/** (handle, 1, bytes, offset) → the bytes that there are. */
export function readMapped(c: CallContext): CallResult {
  const file = c.task.mapped.get(c.int(0));
  const { at, count } = part(c, file);
  const into = new Uint8Array(count);
  let filled = 0;
  while (filled < count) {
    const n = c.fs.read(file.hostFd, into.subarray(filled), at + filled);
    if (n === 0) break;
    filled += n;
  }
  return done(filled, into.subarray(0, filled));
}
/** (handle, 1, bytes, offset): what lies past the end of the file is not written. */
export function writeMapped(c: CallContext): CallResult {
  const file = c.task.mapped.get(c.int(0));
  if (!mayWrite(file)) throw new IoError(Errno.EBADF);
  if (c.args[2] !== BigInt(c.data.length)) throw new IoError(Errno.EINVAL);
  const { at, count } = part(c, file);
  let written = 0;
  while (written < count) written += c.fs.write(file.hostFd, c.data.subarray(written, count), at + written);
  if (count > 0) c.facts.modified(file.identity, c.time);
  return done(written);
}
/** (handle) → length of the file. */
export function lengthOfMapped(c: CallContext): CallResult {
  return done(c.fs.fstat(c.task.mapped.get(c.int(0)).hostFd).sizeBytes);
}
/** (handle). */
export function releaseMapped(c: CallContext): CallResult {
  c.task.mapped.release(c.int(0));
  return done(0);
}
