/**
 * Sockets: none can be made. The I/O node could lend the host's network, but then a run would depend on what others
 * send and when, and a job would reach the host's neighbours. So socket(2) answers as a machine without networks and
 * with a policy does, and the calls on descriptors that are there say that those are no sockets.
 */
import { Errno } from "../../abi/errno.ts";
import { IoError } from "../hostfs.ts";
import type { CallContext, CallResult } from "./context.ts";

const Family = { INET: 2, INET6: 10 } as const;
/** socket(2): the types, without SOCK_NONBLOCK and SOCK_CLOEXEC. */
const TYPE_FLAGS = 0o4000 | 0o2000000;
const LAST_TYPE = 10;

/** (family, type, protocol). EACCES: may not be made; EAFNOSUPPORT: there is no such family, AF_UNIX among them. */
export function socket(c: CallContext): CallResult {
  const family = c.int(0);
  const type = c.int(1);
  if (type & ~(0xf | TYPE_FLAGS)) throw new IoError(Errno.EINVAL);
  if (family !== Family.INET && family !== Family.INET6) throw new IoError(Errno.EAFNOSUPPORT);
  if ((type & 0xf) > LAST_TYPE) throw new IoError(Errno.EINVAL);
  throw new IoError(Errno.EACCES);
}
/** All that take a descriptor first. */
export function onSocket(c: CallContext): CallResult {
  c.table.opened(c.int(0));
  throw new IoError(Errno.ENOTSOCK);
}
