/** Proves: calls behave as on Linux with the correct errno values, and no request makes the I/O node fail. */
import fs from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Errno } from "../../emulator/abi/errno.ts";
import {
  AT_FDCWD,
  DESCRIPTORS_MAX,
  FileMode,
  IO_DATA_MAX_BYTES,
  IoRequest,
  Open,
  Seek,
  Stat,
} from "../../emulator/abi/io.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import { IoError } from "../../emulator/ionode/hostfs.ts";
import { BytesInput, type InputStream } from "../../emulator/ionode/input.ts";
import { Random } from "../fabric/random.ts";
import { cString, IoRig, outcome } from "./rig.ts";

let rig: IoRig;
beforeEach(() => {
  rig = new IoRig();
});
afterEach(() => rig.end());
const { RDONLY, WRONLY, RDWR, CREAT, EXCL, TRUNC, APPEND, DIRECTORY, NOFOLLOW } = Open;

describe("open", () => {
  beforeEach(() => {
    rig.put("file", "content");
    rig.put("dir/inner", "inner");
    rig.put("readonly", "r", 0o444);
    rig.put("writeonly", "w", 0o222);
    rig.put("locked/x", "x");
    rig.put("sealed/x", "x");
    fs.chmodSync(rig.host("locked"), 0o600);
    fs.chmodSync(rig.host("sealed"), 0o555);
    fs.symlinkSync("file", rig.host("link"));
    fs.symlinkSync("nowhere", rig.host("dangling"));
    fs.symlinkSync("loop2", rig.host("loop1"));
    fs.symlinkSync("loop1", rig.host("loop2"));
    fs.symlinkSync("dir", rig.host("dirlink"));
  });
  afterEach(() => {
    fs.chmodSync(rig.host("locked"), 0o755);
    fs.chmodSync(rig.host("sealed"), 0o755);
  });
  const long = "n".repeat(256);
  // biome-ignore format: a table
  const table: readonly (readonly [name: string, flags: number, expected: number | string])[] = [
    ["file",                RDONLY,                 3],
    ["/file",               RDWR,                   3],
    ["//./dir/../file",     RDONLY,                 3],
    ["dir",                 RDONLY,                 3],
    ["dir/",                RDONLY | DIRECTORY,     3],
    ["/",                   RDONLY,                 3],
    ["link",                RDONLY,                 3],
    ["dirlink/inner",       RDONLY,                 3],
    ["new",                 RDWR | CREAT,           3],
    ["new",                 WRONLY | CREAT | EXCL,  3],
    ["file",                RDWR | CREAT | TRUNC,   3],
    ["dangling",            WRONLY | CREAT,         3],
    ["absent",              RDONLY,                 "-ENOENT"],
    ["absent/x",            WRONLY | CREAT,         "-ENOENT"],
    ["absent/../file",      RDONLY,                 "-ENOENT"],
    ["",                    RDONLY,                 "-ENOENT"],
    ["dangling",            RDONLY,                 "-ENOENT"],
    ["file/x",              RDONLY,                 "-ENOTDIR"],
    ["file/",               RDONLY,                 "-ENOTDIR"],
    ["file/.",              RDONLY,                 "-ENOTDIR"],
    ["file/..",             RDONLY,                 "-ENOTDIR"],
    ["link/",               RDONLY,                 "-ENOTDIR"],
    ["file",                RDONLY | DIRECTORY,     "-ENOTDIR"],
    ["dirlink",             RDONLY | DIRECTORY | NOFOLLOW, "-ENOTDIR"],
    ["dir",                 WRONLY,                 "-EISDIR"],
    ["dir",                 RDONLY | TRUNC,         "-EISDIR"],
    ["dir",                 RDONLY | CREAT,         "-EISDIR"],
    ["new/",                WRONLY | CREAT,         "-EISDIR"],
    ["file",                WRONLY | CREAT | EXCL,  "-EEXIST"],
    ["dir",                 WRONLY | CREAT | EXCL,  "-EEXIST"],
    ["dangling",            WRONLY | CREAT | EXCL,  "-EEXIST"],
    ["link",                RDONLY | NOFOLLOW,      "-ELOOP"],
    ["loop1",               RDONLY,                 "-ELOOP"],
    ["loop1/x",             RDONLY,                 "-ELOOP"],
    [long,                  RDONLY,                 "-ENAMETOOLONG"],
    [`dir/${long}/x`,       RDONLY,                 "-ENAMETOOLONG"],
    ["a/".repeat(2047),     RDONLY,                 "-ENOENT"],
    ["./".repeat(2047),     RDONLY,                 3],
    ["a/".repeat(2048),     RDONLY,                 "-ENAMETOOLONG"],
    ["readonly",            RDONLY,                 3],
    ["readonly",            WRONLY,                 "-EACCES"],
    ["readonly",            RDONLY | TRUNC,         "-EACCES"],
    ["writeonly",           WRONLY,                 3],
    ["writeonly",           RDONLY,                 "-EACCES"],
    ["locked/x",            RDONLY,                 "-EACCES"],
    ["sealed/x",            RDONLY,                 3],
    ["sealed/new",          WRONLY | CREAT,         "-EACCES"],
    ["file",                3,                      3],
    ["readonly",            3,                      "-EACCES"],
    ["dir",                 RDONLY | CREAT | DIRECTORY, "-EINVAL"],
    ["/margay/bin/hello",   RDONLY,                 3],
    ["/margay/bin",         RDONLY | DIRECTORY,     3],
    ["/margay",             RDONLY,                 3],
    ["/margay/bin/absent",  RDONLY,                 "-ENOENT"],
    ["/margay/bin/hello",   RDWR,                   "-EROFS"],
    ["/margay/bin/new",     WRONLY | CREAT,         "-EROFS"],
    ["/margay/bin/../../file", RDONLY,              3],
    ["/margay/new",         WRONLY | CREAT,         "-EACCES"],
  ];
  for (const [name, flags, expected] of table) {
    const shown = name.length > 40 ? `${name.slice(0, 20)}… (${name.length})` : name;
    it(`${shown || "nothing"} with flags 0x${flags.toString(16)} gives ${expected}`, () => {
      expect(rig.open(name, flags)).toBe(expected);
    });
  }
  it("creates with the usual umask, whatever the emulator's", () => {
    const old = process.umask(0o077);
    try {
      rig.open("made", WRONLY | CREAT, 0o666);
      expect(fs.statSync(rig.host("made")).mode & 0o777).toBe(0o644);
    } finally {
      process.umask(old);
    }
  });
  it("follows at most 40 links", () => {
    fs.symlinkSync("file", rig.host("l1"));
    for (let i = 2; i <= 41; i++) fs.symlinkSync(`l${i - 1}`, rig.host(`l${i}`));
    expect(rig.content("l40")).toBe("content");
    expect(rig.open("l41")).toBe("-ELOOP");
  });
  it("gives the lowest free descriptor, and at most 1024", () => {
    expect([rig.open("file"), rig.open("file"), rig.open("file")]).toEqual([3, 4, 5]);
    rig.close(4);
    expect(rig.open("file")).toBe(4);
    let last: number | string = 0;
    for (let i = 0; i < 1100 && typeof last === "number"; i++) last = rig.open("file");
    expect(last).toBe("-EMFILE");
    expect(DESCRIPTORS_MAX).toBe(1024);
    rig.close(200);
    expect(rig.open("file")).toBe(200);
  });
  it("at an open directory", () => {
    const dir = rig.open("dir") as number;
    const file = rig.open("file") as number;
    expect(rig.openat(dir, "inner")).toBe(5);
    expect(rig.openat(dir, "../file")).toBe(6);
    expect(rig.openat(dir, "../../../../file")).toBe(7);
    expect(rig.openat(dir, "/file")).toBe(8);
    expect(rig.openat(AT_FDCWD, "file")).toBe(9);
    expect(rig.openat(99, "/file")).toBe(10);
    expect(rig.openat(file, "x")).toBe("-ENOTDIR");
    expect(rig.openat(99, "x")).toBe("-EBADF");
    expect(rig.openat(dir, "")).toBe("-ENOENT");
  });
});

describe("transfers", () => {
  it("write, seek, read and append", () => {
    const fd = rig.open("f", RDWR | CREAT | TRUNC) as number;
    expect(rig.write(fd, "hello world")).toBe(11);
    expect(rig.read(fd, 10)).toBe("");
    const seek = (offset: number | bigint, whence: number): number | string =>
      outcome(rig.call(Syscall.LSEEK, [fd, offset, whence]));
    expect(seek(6, Seek.SET)).toBe(6);
    expect(rig.read(fd, 3)).toBe("wor");
    expect(seek(-2, Seek.CUR)).toBe(7);
    expect(rig.read(fd, 100)).toBe("orld");
    expect(seek(-5, Seek.END)).toBe(6);
    expect(seek(5, Seek.END)).toBe(16);
    expect(rig.write(fd, "!")).toBe(1);
    expect(fs.readFileSync(rig.host("f"), "latin1")).toBe("hello world\0\0\0\0\0!");
    expect(seek(-1, Seek.SET)).toBe("-EINVAL");
    expect(seek(0, 7)).toBe("-EINVAL");
    expect(seek((1n << 63n) - 1n, Seek.END)).toBe("-EOVERFLOW");
    expect(seek((1n << 63n) - 1n, Seek.SET)).toBe(Number((1n << 63n) - 1n));
    expect(rig.read(fd, 10)).toBe("");
    expect(rig.write(fd, "x")).toBe("-EFBIG");
    const a = rig.open("f", WRONLY | APPEND) as number;
    const b = rig.open("f", WRONLY | APPEND) as number;
    rig.write(a, "A");
    rig.write(b, "B");
    expect(fs.readFileSync(rig.host("f"), "latin1").slice(-3)).toBe("!AB");
  });
  it("pread64 leaves the position", () => {
    rig.put("f", "0123456789");
    const fd = rig.open("f") as number;
    const pread = (count: number, offset: number | bigint): string | number => {
      const a = rig.call(Syscall.PREAD64, [fd, 0, count, offset]);
      return a.result < 0n ? outcome(a) : new TextDecoder().decode(a.data);
    };
    expect(pread(3, 4)).toBe("456");
    expect(rig.read(fd, 2)).toBe("01");
    expect(pread(3, 100)).toBe("");
    expect(pread(3, -1)).toBe("-EINVAL");
    expect(outcome(rig.call(Syscall.PREAD64, [0, 0, 1, 0]))).toBe("-ESPIPE");
  });
  it("carry at most what a reply holds", () => {
    rig.put("big", "x".repeat(IO_DATA_MAX_BYTES + 1000));
    const fd = rig.open("big") as number;
    expect(rig.call(Syscall.READ, [fd, 0, 1n << 40n]).data.length).toBe(IO_DATA_MAX_BYTES);
    expect(rig.call(Syscall.READ, [fd, 0, -1]).data.length).toBe(1000);
  });
  it("refuse what the descriptor is not for", () => {
    rig.put("f", "x");
    fs.mkdirSync(rig.host("d"));
    const r = rig.open("f", RDONLY) as number;
    const w = rig.open("f", WRONLY) as number;
    const d = rig.open("d") as number;
    expect(rig.write(r, "x")).toBe("-EBADF");
    expect(rig.read(w, 1)).toBe("-EBADF");
    expect(rig.read(d, 1)).toBe("-EISDIR");
    expect(rig.write(d, "x")).toBe("-EBADF");
    expect(rig.read(99, 1)).toBe("-EBADF");
    expect(rig.read(-1, 1)).toBe("-EBADF");
    expect(rig.close(99)).toBe("-EBADF");
    expect(rig.close(r)).toBe(0);
    expect(rig.close(r)).toBe("-EBADF");
    expect(outcome(rig.call(Syscall.LSEEK, [99, 0, 0]))).toBe("-EBADF");
    expect(outcome(rig.call(Syscall.FSTAT, [99]))).toBe("-EBADF");
  });
});

describe("streams", () => {
  it("go to the job's output; input is the task's own and has an end", () => {
    const other = new IoRig({
      standardInput: ({ nid }) => (nid === 1 ? new BytesInput(new TextEncoder().encode("input")) : undefined),
    });
    other.write(1, "out\n");
    other.write(2, "err\n", { nid: 2 });
    expect(other.output).toEqual([
      { nid: 1, fd: 1, text: "out\n" },
      { nid: 2, fd: 2, text: "err\n" },
    ]);
    expect(other.read(0, 3)).toBe("inp");
    expect(other.read(0, 10, { nid: 2 }), "a rank without input is at its end").toBe("");
    expect(other.read(0, 10)).toBe("ut");
    expect(other.read(0, 10)).toBe("");
    expect(other.read(1, 1)).toBe("-EBADF");
    expect(other.write(0, "x")).toBe("-EBADF");
    expect(outcome(other.call(Syscall.LSEEK, [1, 0, 0]))).toBe("-ESPIPE");
    expect(other.close(1)).toBe(0);
    expect(other.write(1, "x")).toBe("-EBADF");
    expect(other.open("/margay/bin/hello")).toBe(1);
    other.end();
  });
  it("input that comes while the job runs is answered later, and only then", () => {
    const lines: string[] = [];
    const live: InputStream = {
      isLive: true,
      want: () => {},
      read: () => (lines.length === 0 ? null : new TextEncoder().encode(lines.shift())),
    };
    const other = new IoRig({ standardInput: () => live });
    lines.push("there\n");
    const ask = (): unknown => other.raw(other.request(Syscall.READ, [0, 0, 100]));
    expect(ask(), "what is there already waits too").toBeNull();
    expect(other.io.wantsInput).toBe(true);
    const due = other.io.nextTimer;
    expect(due).toBeGreaterThan(other.time);
    expect(new TextDecoder().decode(other.tick(due)!.data)).toBe("there\n");
    expect([other.io.wantsInput, other.io.nextTimer]).toEqual([false, Infinity]);
    ask();
    expect(other.tick(other.io.nextTimer), "not there: it goes on waiting").toBeNull();
    expect(other.io.wantsInput).toBe(true);
    other.raw(other.request(Syscall.EXIT_GROUP, []));
    expect(other.io.wantsInput, "nobody waits behind the task's end").toBe(false);
    other.end();
  });
  it("of tasks are their own", () => {
    rig.put("f", "abcdef");
    expect(rig.open("f")).toBe(3);
    expect(rig.read(3, 2)).toBe("ab");
    for (const from of [{ nid: 2 }, { jobId: 2 }]) expect(rig.read(3, 2, from)).toBe("-EBADF");
    // The job has one task on the node.
    expect(rig.read(3, 2, { pid: 2 })).toBe("-EPERM");
    expect(rig.open("f", RDONLY, 0, { nid: 2 })).toBe(3);
    expect(rig.read(3, 2, { nid: 2 })).toBe("ab");
    expect(rig.read(3, 2)).toBe("cd");
  });
  it("and files close at exit, without a reply", () => {
    rig.put("f", "abcdef");
    rig.open("f");
    const body = new Uint8Array(IoRequest.SIZE);
    new IoRequest(new DataView(body.buffer)).call = Syscall.EXIT_GROUP;
    expect(rig.raw(body)).toBeNull();
    expect(rig.read(3, 1)).toBe("-EBADF");
  });
});

describe("stat", () => {
  const stat = (r: IoRig, fd: number): Stat => new Stat(new DataView(r.call(Syscall.FSTAT, [fd]).data.slice().buffer));
  it("shows the same numbers on every host, and the host's times", () => {
    const seen: string[] = [];
    for (let n = 0; n < 2; n++) {
      const r = new IoRig({ epochSeconds: 1000n });
      if (n === 1) for (let i = 0; i < 5; i++) r.put(`other${i}`, "shifts the host's inodes");
      r.put("a", "aaa");
      r.put("d/b", "b");
      fs.linkSync(r.host("a"), r.host("hard"));
      // The access times differ, and are not shown.
      for (const file of [r.host("a"), r.host("d"), r.host("d/b"), r.host(), path.join(r.builtIn, "hello")])
        fs.utimesSync(file, n + 5, 2.5);
      r.time = 3_000_000_007;
      const fds = ["a", "d", "d/b", "hard", "/margay/bin/hello", "/", "new"].map(
        (f) => r.open(f, f === "new" ? WRONLY | CREAT : RDONLY) as number,
      );
      r.write(fds.at(-1)!, "new");
      const rows = [0, 1, 2, ...fds].map((fd) => Buffer.from(r.call(Syscall.FSTAT, [fd]).data).toString("hex"));
      seen.push(rows.join("\n"));
      const [a, , , hard] = fds.map((fd) => stat(r, fd));
      expect([a!.ino, a!.nlink, a!.size, a!.uid]).toEqual([hard!.ino, 2n, 3n, 1000]);
      for (const seconds of [a!.atimeSeconds, a!.mtimeSeconds, a!.ctimeSeconds]) expect(seconds).toBe(2n);
      expect(a!.mtimeNanoseconds).toBe(500_000_000n);
      const made = stat(r, fds.at(-1)!);
      expect([made.mtimeSeconds, made.mtimeNanoseconds, made.mode, made.blocks]).toEqual([
        1003n,
        7n,
        FileMode.REGULAR | 0o644,
        8n,
      ]);
      r.end();
    }
    expect(seen[0]).toBe(seen[1]);
  });
  it("of paths follows the last link or not", () => {
    rig.put("f", "12345");
    fs.symlinkSync("f", rig.host("l"));
    const mode = (call: number, name: string): number | string => {
      const a = rig.call(call, [0, 0], cString(name));
      return a.result < 0n ? outcome(a) : new Stat(new DataView(a.data.slice().buffer)).mode & FileMode.TYPE_MASK;
    };
    expect(mode(Syscall.STAT, "l")).toBe(FileMode.REGULAR);
    expect(mode(Syscall.LSTAT, "l")).toBe(FileMode.LINK);
    expect(mode(Syscall.STAT, "absent")).toBe("-ENOENT");
    expect(mode(Syscall.STAT, "/margay/bin")).toBe(FileMode.DIRECTORY);
  });
});

describe("requests", () => {
  const request = (call: number, dataBytes: number, data: Uint8Array): Uint8Array => {
    const body = new Uint8Array(IoRequest.SIZE + data.length);
    const r = new IoRequest(new DataView(body.buffer));
    r.call = call;
    r.dataBytes = dataBytes;
    body.set(data, IoRequest.SIZE);
    return body;
  };
  it("that are none are answered by an errno", () => {
    const raw = (body: Uint8Array): number | string => outcome(rig.raw(body)!);
    expect(raw(new Uint8Array(0))).toBe("-EINVAL");
    expect(raw(new Uint8Array(IoRequest.SIZE - 1))).toBe("-EINVAL");
    expect(raw(request(9999, 0, new Uint8Array(0)))).toBe("-ENOSYS");
    expect(raw(request(Syscall.BRK, 0, new Uint8Array(0)))).toBe("-ENOSYS");
    expect(raw(request(Syscall.OPEN, 5, cString("abc"))), "lengths that differ").toBe("-EINVAL");
    expect(raw(request(Syscall.OPEN, 3, new TextEncoder().encode("abc"))), "no NUL").toBe("-EINVAL");
    expect(raw(request(Syscall.OPEN, 4, new TextEncoder().encode("a\0b\0"))), "a NUL inside").toBe("-EINVAL");
    expect(raw(request(Syscall.OPEN, 0, new Uint8Array(0)))).toBe("-EINVAL");
    expect(raw(request(Syscall.OPEN, 3, Uint8Array.of(0xff, 0xfe, 0)))).toBe("-ENOENT");
    expect(raw(request(Syscall.READ, 3, new Uint8Array(3)))).toBe("-EINVAL");
    expect(raw(request(Syscall.WRITE, 3, new Uint8Array(3))), "a count that is not the data's").toBe("-EBADF");
    expect(outcome(rig.call(Syscall.WRITE, [1, 0, 4], new Uint8Array(3)))).toBe("-EINVAL");
    expect(outcome(rig.call(Syscall.WRITE, [1, 0, IO_DATA_MAX_BYTES + 1], new Uint8Array(IO_DATA_MAX_BYTES + 1)))).toBe(
      "-EINVAL",
    );
  });
  it("of garbage never throw, and are all answered", () => {
    rig.put("f", "content");
    const calls = [0, 1, 2, 3, 4, 5, 6, 8, 17, 257, 9, 4096];
    for (let seed = 1; seed <= 4000; seed++) {
      const random = new Random(seed);
      const data = random.chance(50)
        ? cString(["f", "/", "..", "new", "x/y", ""][random.below(6)]!)
        : random.bytes(random.below(40));
      const body = request(
        random.chance(90) ? calls[random.below(calls.length)]! : random.next(),
        random.chance(90) ? data.length : random.next(),
        data,
      );
      const r = new IoRequest(new DataView(body.buffer));
      for (let i = 0; i < 6; i++)
        r.argumentsSet(
          i,
          random.chance(60) ? BigInt(random.below(8)) : (BigInt(random.next()) << 32n) | BigInt(random.next()),
        );
      const cut = random.chance(10) ? body.subarray(0, random.below(body.length + 1)) : body;
      let answer: unknown;
      expect(() => (answer = rig.raw(cut)), `seed ${seed}: new Random(${seed})`).not.toThrow();
      if (r.call !== Syscall.EXIT_GROUP) expect(answer, `seed ${seed}`).not.toBeNull();
    }
  });
  it("are logged with what was answered", () => {
    rig.put("f", "abc");
    rig.open("f");
    rig.read(3, 3);
    expect(rig.log.map((l) => [l.call, l.result, new TextDecoder().decode(l.data)])).toEqual([
      [Syscall.OPEN, 3n, ""],
      [Syscall.READ, 3n, "abc"],
    ]);
  });
  it("bring the host's refusals by their Linux numbers", () => {
    for (const [code, errno] of [
      ["ENOSPC", "-ENOSPC"],
      ["EDQUOT", "-EDQUOT"],
      ["EIO", "-EIO"],
      ["EWHATEVER", "-EIO"],
    ] as const) {
      const original = fs.writeSync;
      const fd = rig.open("full", WRONLY | CREAT) as number;
      fs.writeSync = (() => {
        throw Object.assign(new Error(code), { code });
      }) as typeof fs.writeSync;
      try {
        expect(rig.write(fd, "x")).toBe(errno);
      } finally {
        fs.writeSync = original;
      }
    }
    expect(new IoError(Errno.EIO).errno).toBe(5);
  });
});
