/** Names of error numbers, for messages. */
import { Errno } from "../../kernel/abi/errno.ts";

/** "ENOENT"; a number that no Margay call returns gives "E?". */
export function errnoName(errno: u32): ptr<u8> {
  switch (errno) {
    case Errno.EPERM:
      return cstr("EPERM");
    case Errno.ENOENT:
      return cstr("ENOENT");
    case Errno.EIO:
      return cstr("EIO");
    case Errno.EBADF:
      return cstr("EBADF");
    case Errno.EAGAIN:
      return cstr("EAGAIN");
    case Errno.ENOMEM:
      return cstr("ENOMEM");
    case Errno.EACCES:
      return cstr("EACCES");
    case Errno.EFAULT:
      return cstr("EFAULT");
    case Errno.EEXIST:
      return cstr("EEXIST");
    case Errno.ENOTDIR:
      return cstr("ENOTDIR");
    case Errno.EISDIR:
      return cstr("EISDIR");
    case Errno.EINVAL:
      return cstr("EINVAL");
    case Errno.EMFILE:
      return cstr("EMFILE");
    case Errno.EFBIG:
      return cstr("EFBIG");
    case Errno.ENOSPC:
      return cstr("ENOSPC");
    case Errno.ESPIPE:
      return cstr("ESPIPE");
    case Errno.EROFS:
      return cstr("EROFS");
    case Errno.ENAMETOOLONG:
      return cstr("ENAMETOOLONG");
    case Errno.ENOSYS:
      return cstr("ENOSYS");
    case Errno.ELOOP:
      return cstr("ELOOP");
    case Errno.ETIMEDOUT:
      return cstr("ETIMEDOUT");
    case Errno.ECONNREFUSED:
      return cstr("ECONNREFUSED");
    case Errno.EHOSTUNREACH:
      return cstr("EHOSTUNREACH");
    default:
      return cstr("E?");
  }
}
