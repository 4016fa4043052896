/** The calls served here, and their functions. The table of system calls has their arguments. */
import { Syscall } from "../../abi/syscalls.ts";
import * as attributes from "./attributes.ts";
import type { Run } from "./context.ts";
import * as control from "./control.ts";
import * as directories from "./directories.ts";
import * as mapping from "./mapping.ts";
import * as names from "./names.ts";
import * as open from "./open.ts";
import * as sockets from "./sockets.ts";
import * as space from "./space.ts";
import { receiveState } from "./state.ts";
import * as stat from "./stat.ts";
import * as transfer from "./transfer.ts";
import * as wait from "./wait.ts";

// biome-ignore format: a table
export const calls: ReadonlyMap<number, Run> = new Map<number, Run>([
  [Syscall.READ, transfer.read],                [Syscall.WRITE, transfer.write],
  [Syscall.PREAD64, transfer.pread64],          [Syscall.PWRITE64, transfer.pwrite64],
  [Syscall.LSEEK, transfer.lseek],              [Syscall.SENDFILE, transfer.sendfile],
  [Syscall.COPY_FILE_RANGE, transfer.copyFileRange], [Syscall.MMAP, mapping.mmap],
  [Syscall.MREMAP, mapping.readMapped],         [Syscall.MSYNC, mapping.writeMapped],
  [Syscall.MINCORE, mapping.lengthOfMapped],    [Syscall.MUNMAP, mapping.releaseMapped],
  [Syscall.PRCTL, receiveState],
  [Syscall.OPEN, open.open],                    [Syscall.OPENAT, open.openat],
  [Syscall.CREAT, open.creat],                  [Syscall.CLOSE, open.close],
  [Syscall.CLOSE_RANGE, open.closeRange],
  [Syscall.STAT, stat.stat],                    [Syscall.LSTAT, stat.lstat],
  [Syscall.FSTAT, stat.fstat],                  [Syscall.NEWFSTATAT, stat.newfstatat],
  [Syscall.STATX, stat.statx],                  [Syscall.ACCESS, stat.access],
  [Syscall.FACCESSAT, stat.faccessat],          [Syscall.FACCESSAT2, stat.faccessat2],
  [Syscall.STATFS, stat.statfs],                [Syscall.FSTATFS, stat.fstatfs],
  [Syscall.MKDIR, names.mkdir],                 [Syscall.MKDIRAT, names.mkdirat],
  [Syscall.MKNOD, names.mknod],                 [Syscall.MKNODAT, names.mknodat],
  [Syscall.SYMLINK, names.symlink],             [Syscall.SYMLINKAT, names.symlinkat],
  [Syscall.LINK, names.link],                   [Syscall.LINKAT, names.linkat],
  [Syscall.READLINK, names.readlink],           [Syscall.READLINKAT, names.readlinkat],
  [Syscall.UNLINK, names.unlink],               [Syscall.UNLINKAT, names.unlinkat],
  [Syscall.RMDIR, names.rmdir],                 [Syscall.RENAME, names.rename],
  [Syscall.RENAMEAT, names.renameat],           [Syscall.RENAMEAT2, names.renameat2],
  [Syscall.UMASK, attributes.umask],            [Syscall.CHMOD, attributes.chmod],
  [Syscall.FCHMOD, attributes.fchmod],          [Syscall.FCHMODAT, attributes.fchmodat],
  [Syscall.FCHMODAT2, attributes.fchmodat2],    [Syscall.CHOWN, attributes.chown],
  [Syscall.FCHOWN, attributes.fchown],          [Syscall.LCHOWN, attributes.lchown],
  [Syscall.FCHOWNAT, attributes.fchownat],      [Syscall.TRUNCATE, attributes.truncate],
  [Syscall.FTRUNCATE, attributes.ftruncate],    [Syscall.UTIMENSAT, attributes.utimensat],
  [Syscall.FUTIMESAT, attributes.futimesat],    [Syscall.UTIMES, attributes.utimes],
  [Syscall.UTIME, attributes.utime],
  [Syscall.FALLOCATE, space.fallocate],         [Syscall.FSYNC, space.fsync],
  [Syscall.FDATASYNC, space.fsync],             [Syscall.SYNC, space.sync],
  [Syscall.SYNCFS, space.syncfs],               [Syscall.SYNC_FILE_RANGE, space.syncFileRange],
  [Syscall.FADVISE64, space.fadvise64],         [Syscall.READAHEAD, space.readahead],
  [Syscall.GETDENTS64, directories.getdents64], [Syscall.GETDENTS, directories.getdents],
  [Syscall.GETCWD, directories.getcwd],         [Syscall.CHDIR, directories.chdir],
  [Syscall.FCHDIR, directories.fchdir],
  [Syscall.DUP, control.dup],                   [Syscall.DUP2, control.dup2],
  [Syscall.DUP3, control.dup3],                 [Syscall.FCNTL, control.fcntl],
  [Syscall.FLOCK, control.flock],               [Syscall.IOCTL, control.ioctl],
  [Syscall.POLL, wait.poll],                    [Syscall.PPOLL, wait.ppoll],
  [Syscall.SELECT, wait.select],                [Syscall.PSELECT6, wait.pselect6],
  [Syscall.SOCKET, sockets.socket],             [Syscall.CONNECT, sockets.onSocket],
  [Syscall.ACCEPT, sockets.onSocket],           [Syscall.ACCEPT4, sockets.onSocket],
  [Syscall.SENDTO, sockets.onSocket],           [Syscall.RECVFROM, sockets.onSocket],
  [Syscall.SENDMSG, sockets.onSocket],          [Syscall.RECVMSG, sockets.onSocket],
  [Syscall.SHUTDOWN, sockets.onSocket],         [Syscall.BIND, sockets.onSocket],
  [Syscall.LISTEN, sockets.onSocket],           [Syscall.GETSOCKNAME, sockets.onSocket],
  [Syscall.GETPEERNAME, sockets.onSocket],      [Syscall.SETSOCKOPT, sockets.onSocket],
  [Syscall.GETSOCKOPT, sockets.onSocket],
]);
