/** fstat, stat, lstat. Source: Linux stat(2). What hosts differ in is virtual: see virtual.ts. */
import { AT_FDCWD } from "../../abi/io.ts";
import { IoError } from "../hostfs.ts";
import { Errno } from "../../abi/errno.ts";
import { startOf } from "./open.ts";
import { done, type CallContext, type CallResult } from "./context.ts";

export function fstat(c: CallContext): CallResult {
  const fd = c.int(0);
  const file = c.table.get(fd);
  const userId = c.request.userId;
  if (file.kind === "stream") return done(0, c.facts.streamStat(fd, userId));
  const stat =
    file.hostFd >= 0
      ? c.fs.fstat(file.hostFd)
      : c.names.resolve(`/${file.names.join("/")}`, { followLast: false }).stat!;
  return done(0, c.facts.stat(stat, file.readOnly, userId));
}
export function stat(c: CallContext): CallResult {
  return statPath(c, true);
}
export function lstat(c: CallContext): CallResult {
  return statPath(c, false);
}
function statPath(c: CallContext, followLast: boolean): CallResult {
  const place = c.names.resolve(c.path, { followLast, from: startOf(c, AT_FDCWD) });
  if (place.stat === null) throw new IoError(Errno.ENOENT);
  return done(0, c.facts.stat(place.stat, place.readOnly, c.request.userId));
}
