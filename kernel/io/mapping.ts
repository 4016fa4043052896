/**
 * Files that programs map: the I/O node decides what mmap may map. A private mapping is the task's own copy of the
 * file's present contents, read by shipments; sharedfile.ts has the shared ones.
 */
import { Errno } from "../abi/errno.ts";
import { IO_NEEDS_STATE, type MapReply, Open } from "../abi/io.ts";
import { Syscall } from "../abi/syscalls.ts";
import type { Call } from "../syscall/arguments.ts";
import { setFilePages } from "../syscall/memory.ts";
import { registerSyscall } from "../syscall/table.ts";
import { ship, type Shipment, shipmentBytes } from "./client.ts";
import { shipCall } from "./marshal.ts";
import { shipState } from "./state.ts";
import { filesTruncated, sharedFilesStart } from "./sharedfile.ts";

export function fileMappingsStart(): void {
  setFilePages(available, read);
  sharedFilesStart();
}
/** Before the other shipped calls register. */
export function lengthCallsStart(): void {
  registerSyscall(Syscall.TRUNCATE, changeLength);
  registerSyscall(Syscall.FTRUNCATE, changeLength);
  registerSyscall(Syscall.CREAT, changeLength);
  registerSyscall(Syscall.OPEN, open);
  registerSyscall(Syscall.OPENAT, openat);
}
/** truncate, ftruncate, creat. */
function changeLength(call: ptr<Call>): i64 {
  const result: i64 = shipCall(call);
  if (result >= 0) filesTruncated();
  return result;
}
/** (path, flags, mode). */
function open(call: ptr<Call>): i64 {
  return (call.b & Open.TRUNC) !== 0 ? changeLength(call) : openFile(call);
}
/** (directory, path, flags, mode). */
function openat(call: ptr<Call>): i64 {
  return (call.c & Open.TRUNC) !== 0 ? changeLength(call) : openFile(call);
}
/** A file of /proc/self may need what only the kernel knows. */
function openFile(call: ptr<Call>): i64 {
  const result: i64 = shipCall(call);
  if (result !== -i64(IO_NEEDS_STATE)) return result;
  const again: i64 = shipState() ? shipCall(call) : -i64(Errno.ENOMEM);
  return again === -i64(IO_NEEDS_STATE) ? -i64(Errno.EIO) : again;
}

/** mmap's own arguments go to the I/O node, which answers how many bytes of the file follow the offset. */
function available(call: ptr<Call>, reply: ptr<MapReply>): i64 {
  const s: Shipment = zeroed();
  zero(reply);
  s.call = Syscall.MMAP;
  s.arguments[1] = call.b;
  s.arguments[2] = call.c;
  s.arguments[3] = call.d;
  s.arguments[4] = call.e;
  s.arguments[5] = call.f;
  s.buffer = cast<u64>(reply);
  s.bufferBytes = sizeof<MapReply>();
  s.bufferStaged = true;
  return ship(addr(s));
}

/** 0 or -errno. If the file has become shorter in the meantime, the rest stays zero. */
function read(call: ptr<Call>, address: u64, bytes: u64): i64 {
  const s: Shipment = zeroed();
  let done: u64 = 0;
  while (done < bytes) {
    zero(addr(s));
    s.call = Syscall.PREAD64;
    s.arguments[0] = call.e;
    s.arguments[2] = shipmentBytes(bytes - done);
    s.arguments[3] = call.f + done;
    s.buffer = address + done;
    s.bufferBytes = s.arguments[2];
    const result: i64 = ship(addr(s));
    if (result < 0) return result;
    if (u64(result) > s.bufferBytes) return -i64(Errno.EIO);
    if (result === 0) return 0;
    done += u64(result);
  }
  return 0;
}
