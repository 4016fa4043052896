/**
 * Which file systems of the host a job may see: those that store files. All others (procfs, sysfs, devtmpfs, cgroups,
 * …) are views of the host itself and are never served. The list contains the served types, so an unknown pseudo file
 * system is refused, too. Source: linux/magic.h, statfs(2); Lustre, GPFS, BeeGFS, PanFS and Ceph from their own
 * headers.
 */
import fs from "node:fs";

// biome-ignore format: a table
const STORAGE: ReadonlyMap<bigint, string> = new Map<bigint, string>([
  [0xef53n,     "ext2, ext3, ext4"], [0x58465342n, "xfs"],       [0x9123683en, "btrfs"],    [0xf2f52010n, "f2fs"],
  [0x2fc12fc1n, "zfs"],              [0xca451a4en, "bcachefs"],  [0x3153464an, "jfs"],      [0x52654973n, "reiserfs"],
  [0x3434n,     "nilfs2"],           [0x01021994n, "tmpfs"],     [0x858458f6n, "ramfs"],    [0x794c7630n, "overlayfs"],
  [0x61756673n, "aufs"],             [0xf15fn,     "ecryptfs"],  [0x73717368n, "squashfs"], [0xe0f5e1e2n, "erofs"],
  [0x28cd3d45n, "cramfs"],           [0x9660n,     "iso9660"],   [0x15013346n, "udf"],      [0x4d44n,     "vfat"],
  [0x2011bab0n, "exfat"],            [0x5346544en, "ntfs"],      [0x7366746en, "ntfs3"],    [0x482bn,     "hfsplus"],
  [0x6969n,     "nfs"],              [0xff534d42n, "cifs"],      [0xfe534d42n, "smb2"],     [0x01021997n, "9p"],
  [0x65735546n, "fuse, virtiofs"],   [0x00c36400n, "ceph"],      [0x0bd00bd0n, "lustre"],   [0x47504653n, "gpfs"],
  [0x19830326n, "beegfs"],           [0xaad7aaean, "panfs"],     [0x20030528n, "orangefs"], [0x7461636fn, "ocfs2"],
  [0x01161970n, "gfs2"],             [0x5346414fn, "openafs"],   [0x6b414653n, "kafs"],     [0x786f4256n, "vboxsf"],
]);
/** statfs(2) reports devtmpfs as one of these: only the mount table distinguishes it. */
const TMPFS_LIKE: readonly bigint[] = [0x01021994n, 0x858458f6n];
/** Also refused by identity: in a container /dev may be an ordinary tmpfs, in a chroot a plain directory. */
const HOST_ONLY = ["/proc", "/sys", "/dev"] as const;

/** Views of the host, determined once at the start. */
export class HostViews {
  private readonly directories = new Set<string>();
  private readonly deviceVolume: bigint | undefined;

  constructor() {
    const root = fs.statSync("/", { bigint: true });
    for (const name of HOST_ONLY) {
      const stat = fs.statSync(name, { bigint: true, throwIfNoEntry: false });
      if (stat === undefined) continue;
      this.directories.add(`${stat.dev}:${stat.ino}`);
      if (name === "/dev" && stat.dev !== root.dev) this.deviceVolume = stat.dev;
    }
  }

  /** `identity`: "dev:ino" of a directory. */
  isHostOnly(identity: string): boolean {
    return this.directories.has(identity);
  }

  /** `path` leads to an open descriptor, `device` is its st_dev. */
  isStorage(path: string, device: bigint): boolean {
    if (device === this.deviceVolume) return false;
    const { type } = fs.statfsSync(path, { bigint: true });
    // The field is a long: types above 2^31 are sign-extended on some hosts.
    const magic = BigInt.asUintN(32, type);
    if (!STORAGE.has(magic)) return false;
    return !TMPFS_LIKE.includes(magic) || mountType(device) !== "devtmpfs";
  }
}

/**
 * Type of the file system with this st_dev, from /proc/self/mountinfo (proc_pid_mountinfo(5): field 3, and the first
 * after " - ").
 */
function mountType(device: bigint): string | undefined {
  // makedev(3) of glibc: major in bits 8–19 and 32–43, minor in bits 0–7 and 12–31.
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  for (const line of fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    if (line.split(" ")[2] !== `${major}:${minor}`) continue;
    return line.slice(line.indexOf(" - ") + 3).split(" ")[0];
  }
  return undefined;
}
