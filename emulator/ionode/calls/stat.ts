/** fstat, stat, lstat. Source: Linux stat(2). What hosts differ in is virtual: see virtual.ts. */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD } from "../../abi/io.ts";
import type { OpenFile } from "../descriptors.ts";
import { type HostStat, IoError } from "../hostfs.ts";
import { deviceStat, statOf } from "../namespace.ts";
import { type CallContext, type CallResult, done } from "./context.ts";
import { startOf } from "./open.ts";

export function fstat(c: CallContext): CallResult {
  const fd = c.int(0);
  const file = c.table.get(fd);
  const { userId } = c.request;
  if (file.kind === "stream") return done(0, c.facts.streamStat(fd, userId));
  return done(0, c.facts.stat(statOfOpen(c, file), { readOnly: file.readOnly, userId, device: file.device?.number }));
}
function statOfOpen(c: CallContext, file: OpenFile): HostStat {
  if (file.device !== undefined) return deviceStat(file.device);
  if (file.folder === undefined) return c.fs.fstat(file.hostFd);
  return file.folder.isHost ? c.fs.fstat(file.folder.hostFd) : file.folder.stat;
}
export function stat(c: CallContext): CallResult {
  return statPath(c, true);
}
export function lstat(c: CallContext): CallResult {
  return statPath(c, false);
}
function statPath(c: CallContext, followLast: boolean): CallResult {
  const { userId } = c.request;
  return c.names.resolve(c.path, { followLast, from: startOf(c, AT_FDCWD) }, ({ node, folder }) => {
    if (node === null) throw new IoError(Errno.ENOENT);
    const readOnly = node.kind === "folder" ? node.folder.readOnly : folder.readOnly;
    const device = node.kind === "device" ? node.device.number : undefined;
    return done(0, c.facts.stat(statOf(node), { readOnly, userId, device }));
  });
}
