/**
 * An initramfs with one program as /init. Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
 */
const DIRECTORY = 0o40755;
const CHARACTER_DEVICE = 0o20600;
const EXECUTABLE = 0o100755;
/** Numbers of /dev/console: admin-guide/devices.txt. */
const CONSOLE = [5, 1] as const;

export function initramfs(init: Uint8Array): Buffer {
  let inode = 0;
  const entry = (
    name: string,
    mode: number,
    data: Uint8Array,
    [major, minor]: readonly [number, number] = [0, 0],
  ): Buffer => {
    const path = Buffer.from(`${name}\0`);
    // ino, mode, uid, gid, nlink, mtime, filesize, maj, min, rmaj, rmin, namesize, chksum
    const fields = [++inode, mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, path.length, 0];
    const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`);
    return Buffer.concat([padded(Buffer.concat([header, path])), padded(data)]);
  };
  const nothing = new Uint8Array(0);
  return Buffer.concat([
    entry("dev", DIRECTORY, nothing),
    entry("dev/console", CHARACTER_DEVICE, nothing, CONSOLE),
    entry("init", EXECUTABLE, init),
    entry("TRAILER!!!", 0, nothing),
  ]);
}
const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
