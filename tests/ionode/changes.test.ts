/** Proves what of the calls that change names and files a job on Linux would not see: jail, quota, waiting, tasks. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  AT_FDCWD,
  At,
  FileLock,
  FileMode,
  Fcntl,
  FlockFlag,
  LockKind,
  Open,
  Poll,
  PollFd,
  Stat,
  IO_NEEDS_STATE,
} from "../../emulator/abi/io.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import type { InputStream } from "../../emulator/ionode/input.ts";
import { type Answer, cString, IoRig, outcome } from "./rig.ts";

let rig: IoRig;
beforeEach(() => {
  rig = new IoRig();
});
afterEach(() => rig.end());
const { RDONLY, WRONLY, RDWR, CREAT, TRUNC } = Open;

const strings = (...texts: string[]): Uint8Array => Buffer.concat(texts.map(cString));
type From = { nid?: number; pid?: number; jobId?: number };
const one = (call: number, name: string, args: readonly number[] = [], from: From = {}): number | string =>
  outcome(rig.call(call, [1, ...args], cString(name), from));
const two = (call: number, old: string, name: string): number | string =>
  outcome(rig.call(call, [1, 1], strings(old, name)));

describe("the jail", () => {
  beforeEach(() => {
    fs.writeFileSync(path.join(rig.base, "secret"), "secret", { mode: 0o640 });
    rig.put("f", "inside");
    fs.symlinkSync("../secret", rig.host("out"));
    fs.symlinkSync("..", rig.host("up"));
    fs.symlinkSync(path.join(rig.base, "secret"), rig.host("absolute"));
  });
  it("changes nothing outside by a link, up or absolute", () => {
    const before = fs.statSync(path.join(rig.base, "secret"));
    for (const name of ["out", "absolute", "up/secret", "../secret", "/../secret"]) {
      one(Syscall.CHMOD, name, [0o777]);
      outcome(rig.call(Syscall.TRUNCATE, [1, 0], cString(name)));
      outcome(rig.call(Syscall.UTIMES, [1, 0], cString(name)));
      two(Syscall.RENAME, name, "stolen");
      two(Syscall.LINK, name, "hard");
      outcome(rig.call(Syscall.LINKAT, [AT_FDCWD, 1, AT_FDCWD, 1, At.SYMLINK_FOLLOW], strings(name, "hard2")));
      two(Syscall.RENAME, "f", `${name}2`);
      one(Syscall.MKDIR, `${name}3`, [0o777]);
      one(Syscall.UNLINK, name);
    }
    const after = fs.statSync(path.join(rig.base, "secret"));
    expect([after.mode, after.size, after.mtimeMs, after.nlink]).toEqual([before.mode, before.size, before.mtimeMs, 1]);
    expect(fs.readdirSync(rig.base).sort()).toEqual(["bin", "root", "secret"]);
  });
  it("keeps what is read-only, by its name and by /proc/self/fd", () => {
    const hello = "/margay/bin/hello";
    const fd = rig.open(hello) as number;
    for (const name of [hello, `/proc/self/fd/${fd}`, `/dev/fd/${fd}`]) {
      for (const flags of [WRONLY, RDWR, RDONLY | TRUNC]) expect(rig.open(name, flags), name).toBe("-EROFS");
      expect(one(Syscall.TRUNCATE, name), name).toBe("-EROFS");
      expect(one(Syscall.CHMOD, name, [0o777]), name).toBe("-EROFS");
      expect(one(Syscall.UTIMES, name), name).toBe("-EROFS");
      expect(one(Syscall.ACCESS, name, [2]), name).toBe("-EROFS");
    }
    expect(one(Syscall.UNLINK, hello)).toBe("-EROFS");
    expect(two(Syscall.RENAME, hello, "/margay/bin/other")).toBe("-EROFS");
    expect(two(Syscall.RENAME, "f", "/margay/bin/f")).toBe("-EXDEV");
    expect(two(Syscall.LINK, hello, "/hello")).toBe("-EXDEV");
    expect(outcome(rig.call(Syscall.FCHMOD, [fd, 0o777]))).toBe("-EROFS");
    expect(fs.readFileSync(path.join(rig.builtIn, "hello"), "utf8")).toBe("program");
  });
  it("does not let go of what the name space has put there", () => {
    for (const name of ["/dev", "/proc", "/sys", "/margay"]) {
      expect(one(Syscall.RMDIR, name), name).toBe("-EBUSY");
      expect(two(Syscall.RENAME, name, "/elsewhere"), name).toMatch(/-EBUSY|-EXDEV/);
      expect(one(Syscall.MKDIR, name, [0o777]), name).toBe("-EEXIST");
      expect(two(Syscall.SYMLINK, "/", name), name).toBe("-EEXIST");
    }
    rig.put("d/x", "x");
    expect(two(Syscall.RENAME, "d", "/dev")).toMatch(/-EBUSY|-EXDEV/);
    expect(one(Syscall.UNLINK, "/dev/null")).toBe("-EACCES");
    expect(one(Syscall.UNLINK, "/proc/self/status")).toBe("-EACCES");
    expect(rig.open("/proc/new", WRONLY | CREAT)).toBe("-EACCES");
  });
  it("gives the host no set-user-ID file, though the job sees one", () => {
    expect(rig.open("made", WRONLY | CREAT, 0o6755)).toBe(3);
    const mode = (name: string): number => {
      const a = rig.call(Syscall.STAT, [1, 1], cString(name));
      return new Stat(new DataView(a.data.slice().buffer)).mode & 0o7777;
    };
    expect(mode("made")).toBe(0o6755);
    expect(one(Syscall.CHMOD, "f", [0o4711])).toBe(0);
    expect(mode("f")).toBe(0o4711);
    expect([fs.statSync(rig.host("made")).mode & 0o7777, fs.statSync(rig.host("f")).mode & 0o7777]).toEqual([
      0o755, 0o711,
    ]);
    for (const type of [FileMode.CHARACTER, FileMode.BLOCK, FileMode.FIFO, FileMode.SOCKET])
      expect(one(Syscall.MKNOD, "node", [type | 0o666, 0x103])).toBe("-EPERM");
  });
  it("serves no other task's /proc, and /proc/self/fd leads to what is open", () => {
    expect(rig.open("f")).toBe(3);
    expect(one(Syscall.UNLINK, "f")).toBe(0);
    expect(rig.content("/proc/self/fd/3"), "though its name is gone").toBe("inside");
    expect(rig.open("/proc/1/fd/3")).toBe(4);
    expect(rig.open("/proc/2/status")).toBe("-ENOENT");
    expect(rig.open("/proc/self/fd/3", RDONLY, 0, { nid: 2 })).toBe("-ENOENT");
    expect(rig.open("/proc/self/root/../secret")).toBe("-ENOENT");
    expect(rig.open("/proc/self/cwd/../secret")).toBe("-ENOENT");
    // Nothing is shown that is not the kernel's.
    expect(rig.call(Syscall.OPEN, [0, RDONLY, 0], cString("/proc/self/maps")).result).toBe(BigInt(-IO_NEEDS_STATE));
    expect(rig.open("/proc/self/smaps")).toBe("-ENOENT");
    expect(rig.content("/proc/sys/kernel/ostype")).toBe("Margay\n");
  });
});

describe("a host process that exchanges names meanwhile", () => {
  it("a directory and a link out: no call makes, removes or changes anything outside", async () => {
    const outside = path.join(rig.base, "outside");
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, "victim"), "outside", { mode: 0o640 });
    fs.mkdirSync(path.join(outside, "folder"));
    rig.put("d/victim", "inside");
    fs.symlinkSync("../outside", rig.host("link"));
    const state = (): string =>
      fs
        .readdirSync(outside)
        .sort()
        .map((name) => {
          const s = fs.statSync(path.join(outside, name));
          return [name, s.mode, s.size, s.mtimeMs, s.nlink].join(" ");
        })
        .join("\n");
    const before = state();
    const script = `const fs = require("fs"); process.chdir(${JSON.stringify(rig.base)}); console.log("on");
      for (;;) { fs.renameSync("root/d", "root/real"); fs.renameSync("root/link", "root/d");
        fs.renameSync("root/d", "root/link"); fs.renameSync("root/real", "root/d"); }`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
    const worked = new Map<string, number>();
    try {
      await once(child.stdout, "data");
      const note = (what: string, result: number | string): void => {
        if (typeof result === "number") worked.set(what, (worked.get(what) ?? 0) + 1);
      };
      for (let i = 0; i < 400; i++) {
        note("mkdir", one(Syscall.MKDIR, "d/new", [0o777]));
        note("rmdir", one(Syscall.RMDIR, "d/new"));
        one(Syscall.RMDIR, "d/folder");
        note("symlink", two(Syscall.SYMLINK, "x", "d/sym"));
        note("unlink", one(Syscall.UNLINK, "d/sym"));
        note("chmod", one(Syscall.CHMOD, "d/victim", [0o600]));
        note("truncate", outcome(rig.call(Syscall.TRUNCATE, [1, 3], cString("d/victim"))));
        note("utimes", one(Syscall.UTIMES, "d/victim"));
        note("link", two(Syscall.LINK, "d/victim", "d/hard"));
        note("rename", two(Syscall.RENAME, "d/hard", "d/moved"));
        one(Syscall.UNLINK, "d/moved");
        one(Syscall.UNLINK, "d/hard");
      }
      expect(child.exitCode, "it has raced to the end").toBeNull();
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    expect(state()).toBe(before);
    expect([...worked.keys()].sort(), "the calls did something").toEqual(
      ["chmod", "link", "mkdir", "rename", "rmdir", "symlink", "truncate", "unlink", "utimes"].sort(),
    );
  });
});

describe("the quota", () => {
  it("comes back when the last name and the last descriptor are gone", () => {
    const r = new IoRig({ quotaBytes: 1000 });
    const write = (name: string): number | string => {
      const fd = r.open(name, WRONLY | CREAT) as number;
      const n = r.write(fd, "x".repeat(1000));
      r.close(fd);
      return n;
    };
    expect([write("a"), write("b")]).toEqual([1000, "-EDQUOT"]);
    const held = r.open("a") as number;
    expect(outcome(r.call(Syscall.UNLINK, [1], cString("a")))).toBe(0);
    expect(write("b"), "it is still open").toBe("-EDQUOT");
    r.close(held);
    expect(write("b")).toBe(1000);
    expect(outcome(r.call(Syscall.LINK, [1, 1], strings("b", "c")))).toBe(0);
    expect(outcome(r.call(Syscall.UNLINK, [1], cString("b")))).toBe(0);
    expect(write("d"), "it has another name").toBe("-EDQUOT");
    expect(outcome(r.call(Syscall.RENAME, [1, 1], strings("d", "c"))), "replaced by an empty one").toBe(0);
    expect(write("e")).toBe(1000);
    r.end();
  });
  it("holds for truncate, ftruncate and fallocate", () => {
    const r = new IoRig({ quotaBytes: 1000 });
    r.put("f", "");
    const fd = r.open("f", RDWR) as number;
    expect(outcome(r.call(Syscall.TRUNCATE, [1, 1001], cString("f")))).toBe("-EDQUOT");
    expect(outcome(r.call(Syscall.FTRUNCATE, [fd, 1n << 40n]))).toBe("-EDQUOT");
    expect(outcome(r.call(Syscall.FALLOCATE, [fd, 0, 500, 501]))).toBe("-EDQUOT");
    expect(outcome(r.call(Syscall.FALLOCATE, [fd, 0, 0, 1000]))).toBe(0);
    expect(outcome(r.call(Syscall.FTRUNCATE, [fd, 1n << 60n]))).toBe("-EFBIG");
    r.end();
  });
});

describe("what waits", () => {
  const lock = (kind: number, start: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(FileLock.SIZE);
    const l = new FileLock(new DataView(bytes.buffer));
    l.kind = kind;
    l.start = BigInt(start);
    l.length = BigInt(length);
    return bytes;
  };
  const set = (command: number, fd: number, l: Uint8Array, from: From = {}): Answer | null =>
    rig.raw(rig.request(Syscall.FCNTL, [fd, command, 1], l), from);
  beforeEach(() => {
    rig.put("f", "0123456789");
    for (const nid of [1, 2, 3]) expect(rig.open("f", RDWR, 0, { nid })).toBe(3);
  });
  it("for a record lock of another node is answered when it is given back", () => {
    const { WRITE, UNLOCK } = LockKind;
    expect(outcome(set(Fcntl.SETLK, 3, lock(WRITE, 0, 5))!)).toBe(0);
    expect(outcome(set(Fcntl.SETLK, 3, lock(WRITE, 4, 1), { nid: 2 })!)).toBe("-EAGAIN");
    expect(outcome(set(Fcntl.SETLK, 3, lock(WRITE, 5, 1), { nid: 2 })!)).toBe(0);
    expect(set(Fcntl.SETLKW, 3, lock(WRITE, 0, 1), { nid: 2 }), "waits").toBeNull();
    expect(rig.io.waitingCount).toBe(1);
    expect(outcome(set(Fcntl.SETLKW, 3, lock(WRITE, 5, 1))!), "each waits for the other").toBe("-EDEADLK");
    const answers: number[] = [];
    rig.onReply = (m) => answers.push(m.targetNid);
    set(Fcntl.SETLK, 3, lock(UNLOCK, 0, 0));
    expect(answers, "its own, then the one that waits").toEqual([1, 2]);
    expect(outcome(set(Fcntl.SETLK, 3, lock(WRITE, 0, 1))!)).toBe("-EAGAIN");
  });
  it("is answered when the holder closes the file, or ends", () => {
    const whole = lock(LockKind.WRITE, 0, 0);
    expect(outcome(set(Fcntl.SETLK, 3, whole)!)).toBe(0);
    expect(set(Fcntl.SETLKW, 3, whole, { nid: 2 })).toBeNull();
    expect(rig.raw(rig.request(Syscall.FLOCK, [3, FlockFlag.EXCLUSIVE]), { nid: 3 }), "another kind").not.toBeNull();
    const answers: number[] = [];
    rig.onReply = (m) => answers.push(m.targetNid);
    rig.close(3);
    expect(answers).toEqual([1, 2]);
    expect(rig.raw(rig.request(Syscall.FLOCK, [3, FlockFlag.EXCLUSIVE]), { nid: 2 })).toBeNull();
    rig.raw(rig.request(Syscall.EXIT_GROUP, []), { nid: 3 });
    expect(answers, "task 3 has ended").toEqual([1, 2, 2]);
    rig.raw(rig.request(Syscall.EXIT_GROUP, []), { nid: 2 });
    expect([rig.io.waitingCount, rig.io.taskCount]).toEqual([0, 1]);
  });
  it("in poll is answered at its virtual time", () => {
    const poll = (ms: number): Answer | null => rig.raw(rig.request(Syscall.POLL, [0, 0, ms]));
    rig.time = 1000;
    expect(poll(3)).toBeNull();
    expect(rig.io.nextTimer).toBe(3_001_000);
    expect(rig.tick(3_000_999)).toBeNull();
    expect(rig.tick(3_001_000)!.result).toBe(0n);
    expect(poll(-1)).toBeNull();
    expect(rig.io.nextTimer).toBe(Infinity);
  });
  it("for live input stands still until it is there, in poll as in read", () => {
    let isThere = false;
    const live: InputStream = { isLive: true, want: () => {}, read: () => (isThere ? Uint8Array.of(1) : null) };
    const r = new IoRig({ standardInput: () => live });
    const fds = new Uint8Array(2 * PollFd.SIZE);
    const [a, b] = [0, 1].map((i) => new PollFd(new DataView(fds.buffer, i * PollFd.SIZE)));
    a!.fd = 0;
    a!.events = Poll.IN;
    b!.fd = 1;
    b!.events = 0;
    expect(r.raw(r.request(Syscall.POLL, [1, 2, 1], fds))).toBeNull();
    expect(r.io.wantsInput).toBe(true);
    isThere = true;
    const answer = r.tick(r.io.nextTimer)!;
    expect([answer.result, new PollFd(new DataView(answer.data.slice().buffer)).revents]).toEqual([1n, Poll.IN]);
    r.end();
  });
});

describe("tasks", () => {
  it("have a working directory and an umask of their own, and leave nothing open", () => {
    const open = fs.readdirSync("/proc/self/fd").length;
    rig.put("d/x", "x");
    expect(one(Syscall.CHDIR, "d")).toBe(0);
    expect(rig.content("x")).toBe("x");
    expect(rig.open("x", RDONLY, 0, { nid: 2 })).toBe("-ENOENT");
    expect(outcome(rig.call(Syscall.UMASK, [0]))).toBe(0o022);
    expect(outcome(rig.call(Syscall.UMASK, [0], undefined, { nid: 2 }))).toBe(0o022);
    fs.renameSync(rig.host("d"), rig.host("e"));
    const cwd = rig.call(Syscall.GETCWD, [1, 100]);
    expect(Buffer.from(cwd.data).toString(), "the host has renamed it").toBe("/e\0");
    for (const nid of [1, 2]) rig.raw(rig.request(Syscall.EXIT_GROUP, []), { nid });
    expect(fs.readdirSync("/proc/self/fd").length).toBe(open);
  });
  it("read directories in the same order on every host, by names that need not be UTF-8", () => {
    fs.mkdirSync(rig.host("d"));
    for (const name of [[0xff, 0x41], [0x62], [0x61], [0xc3, 0xa9]])
      fs.writeFileSync(Buffer.concat([Buffer.from(`${rig.host("d")}/`), Buffer.from(name)]), "");
    const fd = rig.open("d") as number;
    const { data } = rig.call(Syscall.GETDENTS64, [fd, 1, 1000]);
    const view = new DataView(data.buffer, data.byteOffset);
    const names: string[] = [];
    for (let at = 0; at < data.length; at += view.getUint16(at + 16, true)) {
      const text = Buffer.from(data.subarray(at + 19));
      names.push(text.subarray(0, text.indexOf(0)).toString("hex"));
    }
    expect(names).toEqual(["2e", "2e2e", "61", "62", "c3a9", "ff41"]);
    expect(outcome(rig.call(Syscall.UNLINK, [1], Buffer.from([0x64, 0x2f, 0xff, 0x41, 0])))).toBe(0);
  });
});

describe("/dev/shm", () => {
  it("is a node's own, counts, and is gone when its task has ended", () => {
    const left = (): string[] => fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith("margay-shm-"));
    const before = left();
    const r = new IoRig({ quotaBytes: 100 });
    expect(r.open("/dev/shm/x", RDWR | CREAT)).toBe(3);
    expect(r.write(3, "y".repeat(150))).toBe(100);
    expect(outcome(r.call(Syscall.MKDIR, [1, 0o755], cString("/dev/shm/d")))).toBe(0);
    expect(r.content("/dev/shm/../shm/x")).toHaveLength(100);
    expect(r.content("/dev/shm/../../f")).toBe("-ENOENT");
    expect(r.open("/dev/shm/x", RDONLY, 0, { nid: 2 })).toBe("-ENOENT");
    expect(outcome(r.call(Syscall.RENAME, [1, 1], strings("/dev/shm/x", "/x")))).toBe("-EXDEV");
    expect(outcome(r.call(Syscall.RMDIR, [1], cString("/dev/shm")))).toBe("-EACCES");
    expect(outcome(r.call(Syscall.CHDIR, [1], cString("/dev/shm/d")))).toBe(0);
    expect(Buffer.from(r.call(Syscall.GETCWD, [1, 100]).data).toString()).toBe("/dev/shm/d\0");
    for (const nid of [1, 2]) r.raw(r.request(Syscall.EXIT_GROUP, []), { nid });
    expect(left()).toEqual(before);
    r.end();
  });
});

describe("mounts", () => {
  it("show other directories, keep `..` inside, and are trees of their own", () => {
    const host = path.join(rig.base, "data");
    fs.mkdirSync(path.join(host, "sub"), { recursive: true });
    fs.writeFileSync(path.join(host, "file"), "mounted");
    fs.writeFileSync(path.join(rig.base, "secret"), "secret");
    fs.symlinkSync("../secret", path.join(host, "out"));
    rig.put("there/old", "old");
    rig.put("secret", "inside");
    const mounts = [
      { host, at: "/there/m", readOnly: false },
      { host, at: "/made/up/ro", readOnly: true },
    ];
    const r = new IoRig({ root: rig.root, builtIn: rig.builtIn, mounts });
    const on = (call: number, ...names: string[]): number | string =>
      outcome(r.call(call, names.length === 1 ? [1, 0o755] : [1, 1], strings(...names)));
    expect([r.content("/there/m/file"), r.content("/made/up/ro/file"), r.content("/there/old")]).toEqual([
      "mounted",
      "mounted",
      "old",
    ]);
    expect(r.content("/there/m/../old"), "up from the mount").toBe("old");
    expect(r.content("/there/m/out"), "a link out of it stays in the root").toBe("-ENOENT");
    expect(r.content("/there/m/../../secret")).toBe("inside");
    expect(r.open("/made/up/ro/file", RDWR)).toBe("-EROFS");
    expect(r.open("/made/up/ro/new", WRONLY | CREAT)).toBe("-EROFS");
    expect(on(Syscall.MKDIR, "/made/up/ro/d")).toBe("-EROFS");
    expect(on(Syscall.RENAME, "/there/old", "/there/m/old")).toBe("-EXDEV");
    expect(on(Syscall.RENAME, "/there/m/file", "/made/up/ro/other")).toBe("-EXDEV");
    expect(on(Syscall.LINK, "/there/m/file", "/hard")).toBe("-EXDEV");
    for (const name of ["/there/m", "/made/up/ro"]) expect(on(Syscall.RMDIR, name)).toMatch(/-EBUSY|-EACCES/);
    expect(on(Syscall.MKDIR, "/there/m/new")).toBe(0);
    expect(fs.existsSync(path.join(host, "new"))).toBe(true);
    expect(on(Syscall.CHDIR, "/there/m/sub")).toBe(0);
    expect(Buffer.from(r.call(Syscall.GETCWD, [1, 100]).data).toString()).toBe("/there/m/sub\0");
    expect(on(Syscall.CHDIR, "..")).toBe(0);
    expect(r.content("file")).toBe("mounted");
    expect(on(Syscall.RENAME, "/there", "/elsewhere"), "it moves with its directory").toBe(0);
    expect(r.content("/elsewhere/m/file")).toBe("mounted");
    expect(r.content("/proc/self/mounts")).toContain("margay /made/up/ro 9p ro,noatime 0 0\n");
    r.end();
  });
  it.each(["/dev", "/", "/margay/bin", "/x/../y"])("%s is no place for one", (at) => {
    const open = fs.readdirSync("/proc/self/fd").length;
    expect(() => new IoRig({ mounts: [{ host: rig.base, at, readOnly: true }] })).toThrow(
      expect.objectContaining({ errno: expect.any(Number) }),
    );
    expect(fs.readdirSync("/proc/self/fd").length).toBe(open);
  });
});
