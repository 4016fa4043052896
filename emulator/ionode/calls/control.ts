/** dup and its variants, fcntl, flock, ioctl. Source: Linux dup(2), fcntl(2), flock(2), ioctl_tty(2). */
import { Errno } from "../../abi/errno.ts";
import {
  DESCRIPTORS_MAX,
  FD_CLOEXEC,
  Fcntl,
  FileLock,
  FlockFlag,
  Ioctl,
  LockKind,
  Open,
  Seek,
  Termios,
  WindowSize,
} from "../../abi/io.ts";
import { mayRead, mayWrite, type OpenFile } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { END, type Lock, type Owner } from "../locks.ts";
import { type CallContext, type CallResult, done, type Later, type TerminalSize } from "./context.ts";

export function dup(c: CallContext): CallResult {
  return duplicate(c, c.int(0), c.table.free(), false);
}
export function dup2(c: CallContext): CallResult {
  const [fd, to] = [c.int(0), c.int(1)];
  if (to < 0 || to >= DESCRIPTORS_MAX) throw new IoError(Errno.EBADF);
  if (fd === to) {
    c.table.get(fd);
    return done(fd);
  }
  return duplicate(c, fd, to, false);
}
export function dup3(c: CallContext): CallResult {
  const [fd, to, flags] = [c.int(0), c.int(1), c.int(2)];
  if (flags & ~Open.CLOEXEC || fd === to) throw new IoError(Errno.EINVAL);
  if (to < 0 || to >= DESCRIPTORS_MAX) throw new IoError(Errno.EBADF);
  return duplicate(c, fd, to, (flags & Open.CLOEXEC) !== 0);
}
function duplicate(c: CallContext, fd: number, to: number, closeOnExec: boolean): CallResult {
  c.table.set(to, c.table.get(fd), closeOnExec);
  return done(to);
}

/** Status flags that F_SETFL sets. */
const SETTABLE = Open.APPEND | Open.ASYNC | Open.DIRECT | Open.NOATIME | Open.NONBLOCK;
/** The only operations on a descriptor opened with O_PATH (open(2)). */
const WITH_PATH: readonly number[] = [Fcntl.DUPFD, Fcntl.DUPFD_CLOEXEC, Fcntl.GETFD, Fcntl.SETFD, Fcntl.GETFL];

export function fcntl(c: CallContext): CallResult | Later {
  const fd = c.int(0);
  const slot = c.table.slot(fd);
  const { file } = slot;
  const command = c.int(1);
  const argument = c.int(2);
  if (file.flags & Open.PATH && !WITH_PATH.includes(command)) throw new IoError(Errno.EBADF);
  switch (command) {
    case Fcntl.DUPFD:
    case Fcntl.DUPFD_CLOEXEC:
      if (argument < 0 || argument >= DESCRIPTORS_MAX) throw new IoError(Errno.EINVAL);
      return duplicate(c, fd, c.table.free(argument), command === Fcntl.DUPFD_CLOEXEC);
    case Fcntl.GETFD:
      return done(slot.closeOnExec ? FD_CLOEXEC : 0);
    case Fcntl.SETFD:
      slot.closeOnExec = (argument & FD_CLOEXEC) !== 0;
      return done(0);
    case Fcntl.GETFL:
      return done(file.flags);
    case Fcntl.SETFL:
      file.flags = (file.flags & ~SETTABLE) | (argument & SETTABLE);
      return done(0);
    case Fcntl.GETLK:
    case Fcntl.OFD_GETLK:
      return getLock(c, file, command === Fcntl.OFD_GETLK ? file : c.task);
    case Fcntl.SETLK:
    case Fcntl.SETLKW:
      return setLock(c, file, c.task, command === Fcntl.SETLKW);
    case Fcntl.OFD_SETLK:
    case Fcntl.OFD_SETLKW:
      return setLock(c, file, file, command === Fcntl.OFD_SETLKW);
    case Fcntl.GETOWN:
    case Fcntl.GETSIG:
      return done(0);
    default:
      throw new IoError(Errno.EINVAL);
  }
}

/** Key for record locks; flock uses a separate one. */
const recordsOf = (file: OpenFile): string => `record:${file.identity || file.path}`;
const wholeOf = (file: OpenFile): string => `whole:${file.identity || file.path}`;

function lockOf(c: CallContext, file: OpenFile, owner: Owner): Lock {
  if (c.data.length !== FileLock.SIZE) throw new IoError(Errno.EINVAL);
  const l = new FileLock(new DataView(c.data.buffer, c.data.byteOffset));
  if (owner === file && l.pid !== 0) throw new IoError(Errno.EINVAL);
  let start = l.start;
  if (l.whence === Seek.CUR) start += file.positionBytes;
  else if (l.whence === Seek.END) start += BigInt(file.kind === "regular" ? c.fs.fstat(file.hostFd).sizeBytes : 0);
  else if (l.whence !== Seek.SET) throw new IoError(Errno.EINVAL);
  if (start > END) throw new IoError(Errno.EOVERFLOW);
  if (start < 0n) throw new IoError(Errno.EINVAL);
  let last = END;
  if (l.length > 0n) last = start + l.length - 1n;
  else if (l.length < 0n) {
    last = start - 1n;
    start += l.length;
    if (start < 0n) throw new IoError(Errno.EINVAL);
  }
  if (last > END) throw new IoError(Errno.EOVERFLOW);
  if (l.kind > LockKind.UNLOCK) throw new IoError(Errno.EINVAL);
  return { owner, kind: l.kind, start, last, pid: owner === file ? -1 : c.request.sourcePid };
}
/** Stores the conflicting lock in the caller's structure; without one, its kind is F_UNLCK. */
function getLock(c: CallContext, file: OpenFile, owner: Owner): CallResult {
  const wanted = lockOf(c, file, owner);
  if (wanted.kind === LockKind.UNLOCK && owner !== file) throw new IoError(Errno.EINVAL);
  const holder = c.locks.conflict(recordsOf(file), wanted);
  const bytes = c.data.slice();
  const l = new FileLock(new DataView(bytes.buffer));
  if (holder === undefined) l.kind = LockKind.UNLOCK;
  else {
    l.kind = holder.kind;
    l.whence = Seek.SET;
    l.start = holder.start;
    l.length = holder.last === END ? 0n : holder.last - holder.start + 1n;
    l.pid = holder.pid;
  }
  return done(0, bytes);
}
function setLock(c: CallContext, file: OpenFile, owner: Owner, waits: boolean): CallResult | Later {
  const wanted = lockOf(c, file, owner);
  if (wanted.kind === LockKind.READ && !mayRead(file)) throw new IoError(Errno.EBADF);
  if (wanted.kind === LockKind.WRITE && !mayWrite(file)) throw new IoError(Errno.EBADF);
  return take(c, recordsOf(file), wanted, waits);
}
function take(c: CallContext, file: string, wanted: Lock, waits: boolean): CallResult | Later {
  const holder = wanted.kind === LockKind.UNLOCK ? undefined : c.locks.conflict(file, wanted);
  if (holder === undefined) {
    c.locks.set(file, wanted);
    return done(0);
  }
  if (!waits) throw new IoError(Errno.EAGAIN);
  if (c.locks.isDeadlock(wanted.owner, holder.owner)) throw new IoError(Errno.EDEADLK);
  return { later: "lock", owner: wanted.owner };
}
export function flock(c: CallContext): CallResult | Later {
  const file = c.table.opened(c.int(0));
  const operation = c.int(1);
  const kinds = new Map<number, number>([
    [FlockFlag.SHARED, LockKind.READ],
    [FlockFlag.EXCLUSIVE, LockKind.WRITE],
    [FlockFlag.UNLOCK, LockKind.UNLOCK],
  ]);
  const kind = kinds.get(operation & ~FlockFlag.NONBLOCK);
  if (kind === undefined) throw new IoError(Errno.EINVAL);
  const wanted = { owner: file, kind, start: 0n, last: END, pid: -1 };
  // To convert a lock, it is first released (flock(2)).
  if (kind !== LockKind.UNLOCK) c.locks.drop(wholeOf(file), file);
  return take(c, wholeOf(file), wanted, (operation & FlockFlag.NONBLOCK) === 0);
}
/** Locks released when a descriptor of `file` is closed; without a task: when its last mapping ends. */
export function dropLocks(
  c: { readonly locks: CallContext["locks"]; readonly task: Owner | null },
  file: OpenFile,
  isLast: boolean,
): void {
  if (c.task !== null) c.locks.drop(recordsOf(file), c.task);
  if (!isLast) return;
  c.locks.drop(recordsOf(file), file);
  c.locks.drop(wholeOf(file), file);
}

export function ioctl(c: CallContext): CallResult {
  const slot = c.table.slot(c.int(0));
  const { file } = slot;
  if (file.flags & Open.PATH) throw new IoError(Errno.EBADF);
  const request = c.int(1) >>> 0;
  switch (request) {
    case Ioctl.FIOCLEX:
    case Ioctl.FIONCLEX:
      slot.closeOnExec = request === Ioctl.FIOCLEX;
      return done(0);
    case Ioctl.FIONBIO: {
      const isOn = intOf(c) !== 0;
      file.flags = isOn ? file.flags | Open.NONBLOCK : file.flags & ~Open.NONBLOCK;
      return done(0);
    }
    case Ioctl.FIONREAD: {
      if (file.kind !== "regular") throw new IoError(Errno.ENOTTY);
      const bytes = new Uint8Array(4);
      const left = c.fs.fstat(file.hostFd).sizeBytes - Number(file.positionBytes);
      new DataView(bytes.buffer).setInt32(0, left | 0, true);
      return done(0, bytes);
    }
    default: {
      const terminal = file.stream === undefined ? undefined : c.terminal(file.stream);
      if (terminal === undefined) throw new IoError(Errno.ENOTTY);
      return terminalControl(request, terminal);
    }
  }
}
function intOf(c: CallContext): number {
  if (c.data.length !== 4) throw new IoError(Errno.EINVAL);
  return new DataView(c.data.buffer, c.data.byteOffset).getInt32(0, true);
}
/**
 * The terminal of the command's user. Its modes cannot be changed: line mode with echo (as `stty sane` sets it); a
 * request for others fails.
 */
function terminalControl(request: number, { rows, columns }: TerminalSize): CallResult {
  switch (request) {
    case Ioctl.TIOCGWINSZ: {
      const bytes = new Uint8Array(WindowSize.SIZE);
      const size = new WindowSize(new DataView(bytes.buffer));
      size.rows = rows;
      size.columns = columns;
      return done(0, bytes);
    }
    case Ioctl.TCGETS: {
      const bytes = new Uint8Array(Termios.SIZE);
      const t = new Termios(new DataView(bytes.buffer));
      // ICRNL|IXON, OPOST|ONLCR, B38400|CS8|CREAD, ISIG|ICANON|ECHO|ECHOE|ECHOK|ECHOCTL|ECHOKE|IEXTEN.
      t.input = 0x500;
      t.output = 5;
      t.control = 0xbf;
      t.local = 0x8a3b;
      t.characters.set([3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22]);
      return done(0, bytes);
    }
    case Ioctl.TCSETS:
    case Ioctl.TCSETSW:
    case Ioctl.TCSETSF:
      throw new IoError(Errno.EPERM);
    default:
      throw new IoError(Errno.EINVAL);
  }
}
