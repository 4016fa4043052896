/** mmap of a file: whether this mapping is allowed. The kernel then reads the contents. Source: Linux mmap(2). */
import { Errno } from "../../abi/errno.ts";
import { MapFlag, Prot } from "../../abi/process.ts";
import { mayRead, mayWrite } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { done, type CallContext, type CallResult } from "./context.ts";

/** (address, length, protection, flags, fd, offset) → bytes of the file from the offset on. */
export function mmap(c: CallContext): CallResult {
  const file = c.table.opened(c.int(4));
  const isShared = (c.int(3) & MapFlag.TYPE_MASK) !== MapFlag.PRIVATE;
  if (!mayRead(file)) throw new IoError(Errno.EACCES);
  if (isShared && (c.int(2) & Prot.WRITE) !== 0) {
    if (!mayWrite(file)) throw new IoError(Errno.EACCES);
    // The program's writes would have to reach the file and other programs.
    throw new IoError(Errno.ENODEV);
  }
  if (file.device?.name === "zero") return done(0);
  if (file.kind !== "regular") throw new IoError(Errno.ENODEV);
  const rest = BigInt(c.fs.fstat(file.hostFd).sizeBytes) - BigInt.asUintN(64, c.args[5]!);
  return done(rest > 0n ? rest : 0n);
}
