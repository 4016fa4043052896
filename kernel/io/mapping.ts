/** Files that programs map: the I/O node decides what mmap may map, and shipments read the contents. */
import { Errno } from "../abi/errno.ts";
import { Syscall } from "../abi/syscalls.ts";
import type { Call } from "../syscall/arguments.ts";
import { setFilePages } from "../syscall/memory.ts";
import { ship, type Shipment, shipmentBytes } from "./client.ts";

export function fileMappingsStart(): void {
  setFilePages(available, read);
}

/** mmap's own arguments go to the I/O node, which answers how many bytes of the file follow the offset. */
function available(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  s.call = Syscall.MMAP;
  s.arguments[1] = call.b;
  s.arguments[2] = call.c;
  s.arguments[3] = call.d;
  s.arguments[4] = call.e;
  s.arguments[5] = call.f;
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
