/**
 * Sockets cannot be created. The I/O node could offer the host's network, but then a run would depend on external data
 * and its timing, and a job could reach the host's neighbours. So socket(2) answers like a machine without networks and
 * with a policy, and calls on other descriptors report that those are not sockets.
 */
import { Errno } from "../../abi/errno.ts";
import { IoError } from "../hostfs.ts";
import type { CallContext, CallResult } from "./context.ts";

const Family = { INET: 2, INET6: 10 } as const;
/** socket(2): the types, without SOCK_NONBLOCK and SOCK_CLOEXEC. */
const TYPE_FLAGS = 0o4000 | 0o2000000;
const LAST_TYPE = 10;

/** (family, type, protocol). EACCES: not permitted; EAFNOSUPPORT: unknown family, including AF_UNIX. */
export function socket(c: CallContext): CallResult {
  const family = c.int(0);
  const type = c.int(1);
  if (type & ~(0xf | TYPE_FLAGS)) throw new IoError(Errno.EINVAL);
  if (family !== Family.INET && family !== Family.INET6) throw new IoError(Errno.EAFNOSUPPORT);
  if ((type & 0xf) > LAST_TYPE) throw new IoError(Errno.EINVAL);
  throw new IoError(Errno.EACCES);
}
/** All calls whose first argument is a descriptor. */
export function onSocket(c: CallContext): CallResult {
  c.table.opened(c.int(0));
  throw new IoError(Errno.ENOTSOCK);
}
