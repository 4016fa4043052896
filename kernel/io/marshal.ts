/**
 * Shipped calls, driven by their row in the table (abi/syscalltable.ts): the argument types decide what goes to the I/O
 * node and where the reply goes. So a new call needs a row there and a function at the I/O node, and nothing here.
 * Protocol: abi/io.ts. A single path is sent from the program's memory; several parts are assembled in the core's
 * staging area. Only accesses to the program's memory are checked here; the I/O node checks the rest, including errno
 * values.
 */
import { Errno } from "../abi/errno.ts";
import { IO_DATA_MAX_BYTES, PATH_MAX_BYTES } from "../abi/io.ts";
import { ARGUMENTS_MAX, ArgKind, type SyscallInfo } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";
import { currentTask } from "../core/task.ts";
import { copyFromUser, copyToUser, userStringLength } from "../mm/user.ts";
import type { Call } from "../syscall/arguments.ts";
import { failure } from "../syscall/table.ts";
import { ship, type Shipment } from "./client.ts";
import { staging, STAGING_BYTES } from "./staging.ts";

/** Row of a Linux call, + 1. */
const rows: arr<u16, 512> = zeroed();

export function marshalStart(): void {
  for (let i: u32 = 0; i < syscallInfos.length; i++) {
    const number: u32 = syscallInfos[i].number;
    if (number < rows.length) rows[number] = u16(i + 1);
  }
}
function rowOf(number: u64): ptr<SyscallInfo> {
  return addr(syscallInfos[rows[number] - 1]);
}

/** Argument `index` of the call. */
export function argumentOf(call: ptr<Call>, index: u32): u64 {
  return cast<ptr<u64>>(call)[ARGUMENTS_MAX - 1 - index];
}

/** Handler of all SHIPPED calls without their own. */
export function shipCall(call: ptr<Call>): i64 {
  const info = rowOf(call.number);
  const s: Shipment = zeroed();
  s.call = u32(call.number);
  const parts: u32 = partsIn(info, call);
  let updates: u32 = 0;
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++) {
    const value: u64 = argumentOf(call, i);
    s.arguments[i] = value;
    const kind: u8 = info.kinds[i];
    if (kind < ArgKind.ADDRESS) continue;
    s.arguments[i] = u64(value !== 0);
    switch (kind) {
      case ArgKind.PATH:
      case ArgKind.PATH_OPTIONAL: {
        if (value === 0 && kind === ArgKind.PATH_OPTIONAL) break;
        const errno: u32 = parts === 1 ? pathOfUser(addr(s), value) : stagePath(addr(s), value);
        if (errno !== 0) return failure(errno);
        break;
      }
      case ArgKind.READ:
      case ArgKind.READ_OPTIONAL:
      case ArgKind.UPDATE_OPTIONAL: {
        if (value === 0 && kind !== ArgKind.READ) break;
        updates += u32(kind === ArgKind.UPDATE_OPTIONAL);
        if (!stage(addr(s), value, u64(info.limits[i]))) return failure(Errno.EFAULT);
        break;
      }
      case ArgKind.RESULT:
        s.buffer = value;
        s.bufferBytes = u64(info.limits[i]);
        break;
      case ArgKind.RESULT_BYTES: {
        const wanted: u64 = argumentOf(call, i + 1);
        s.buffer = value;
        s.bufferBytes = wanted < u64(IO_DATA_MAX_BYTES) ? wanted : u64(IO_DATA_MAX_BYTES);
        break;
      }
    }
  }
  if (updates === 0) return ship(addr(s));
  s.buffer = cast<u64>(staging());
  s.bufferBytes = STAGING_BYTES;
  s.bufferStaged = true;
  const result: i64 = ship(addr(s));
  return result >= 0 && !giveBack(info, call, s.replyBytes) ? failure(Errno.EFAULT) : result;
}

/** Assembles the parts that go with the call. */
function partsIn(info: ptr<SyscallInfo>, call: ptr<Call>): u32 {
  let parts: u32 = 0;
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++) {
    const isThere: boolean = argumentOf(call, i) !== 0;
    switch (info.kinds[i]) {
      case ArgKind.PATH:
      case ArgKind.READ:
        parts++;
        break;
      case ArgKind.PATH_OPTIONAL:
      case ArgKind.READ_OPTIONAL:
      case ArgKind.UPDATE_OPTIONAL:
        if (isThere) parts++;
        break;
    }
  }
  return parts;
}

/** Copies structures that the reply has changed from the staging area back to the program. */
function giveBack(info: ptr<SyscallInfo>, call: ptr<Call>, replyBytes: u64): boolean {
  let at: u64 = 0;
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++) {
    const to: u64 = argumentOf(call, i);
    if (info.kinds[i] !== ArgKind.UPDATE_OPTIONAL || to === 0) continue;
    const bytes: u64 = u64(info.limits[i]);
    if (at + bytes > replyBytes) return true;
    if (!copyToUser(addr(currentTask().space), to, addr(staging()[at]), bytes)) return false;
    at += bytes;
  }
  return true;
}

/** 0, or an errno. The length includes the NUL. */
function pathLength(path: u64, length: ptr<u64>): u32 {
  const bytes: i64 = userStringLength(addr(currentTask().space), path, u64(PATH_MAX_BYTES));
  if (bytes < 0) return Errno.EFAULT;
  if (bytes >= i64(PATH_MAX_BYTES)) return Errno.ENAMETOOLONG;
  length[0] = u64(bytes) + 1;
  return 0;
}
function pathOfUser(s: ptr<Shipment>, path: u64): u32 {
  s.data = path;
  return pathLength(path, addr(s.dataBytes));
}
function stagePath(s: ptr<Shipment>, path: u64): u32 {
  let length: u64 = 0;
  const errno: u32 = pathLength(path, addr(length));
  if (errno !== 0) return errno;
  return stage(s, path, length) ? 0 : Errno.EFAULT;
}
/** Appends bytes of the program's memory to the request. False: they cannot be read. */
export function stage(s: ptr<Shipment>, from: u64, lengthBytes: u64): boolean {
  s.data = cast<u64>(staging());
  s.dataStaged = true;
  if (s.dataBytes + lengthBytes > STAGING_BYTES) return false;
  if (!copyFromUser(addr(currentTask().space), addr(staging()[s.dataBytes]), from, lengthBytes)) return false;
  s.dataBytes += lengthBytes;
  return true;
}
