/**
 * Proves that the root is a jail: no path, link, race or device leads out of it, the host's own /proc, /sys and /dev
 * are never served, and a job writes no more than its quota.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileMode, Open, Seek, Stat } from "../../emulator/abi/io.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import { type HostFs, hostFs } from "../../emulator/ionode/hostfs.ts";
import { NameSpace } from "../../emulator/ionode/namespace.ts";
import { NAMES_MAX, Quota } from "../../emulator/ionode/quota.ts";
import { Random } from "../fabric/random.ts";
import { cString, IoRig, outcome } from "./rig.ts";

let rig: IoRig;
beforeEach(() => {
  rig = new IoRig();
});
afterEach(() => rig.end());
const { RDONLY, WRONLY, RDWR, CREAT, EXCL, TRUNC } = Open;

describe("escapes", () => {
  beforeEach(() => {
    fs.writeFileSync(path.join(rig.base, "secret"), "secret");
    rig.put("secret", "inside");
    rig.put("sub/file", "sub");
  });
  it("by dots stop at the root", () => {
    expect(rig.content("../secret")).toBe("inside");
    expect(rig.content("/../../../../secret")).toBe("inside");
    expect(rig.content("sub/../../secret")).toBe("inside");
  });
  it("by links, absolute ones too, stay inside", () => {
    fs.symlinkSync(path.join(rig.base, "secret"), rig.host("absolute"));
    fs.symlinkSync("../secret", rig.host("relative"));
    fs.symlinkSync("../../../../../../secret", rig.host("sub/deep"));
    fs.symlinkSync("/", rig.host("slash"));
    fs.symlinkSync("/secret", rig.host("sub/up"));
    fs.symlinkSync("/sub", rig.host("subdir"));
    expect(rig.content("absolute")).toBe("-ENOENT");
    expect(rig.content("relative")).toBe("inside");
    expect(rig.content("sub/deep")).toBe("inside");
    expect(rig.content("slash/secret")).toBe("inside");
    expect(rig.content("slash/slash/slash/../secret")).toBe("inside");
    expect(rig.content("sub/up")).toBe("inside");
    expect(rig.content("subdir/file")).toBe("sub");
    expect(rig.content("subdir/../secret")).toBe("inside");
  });
  it("by a link that would create outside create inside", () => {
    fs.symlinkSync("/../new", rig.host("out"));
    expect(rig.open("out", WRONLY | CREAT)).toBe(3);
    expect(fs.existsSync(rig.host("new"))).toBe(true);
    expect(fs.readdirSync(rig.base).sort()).toEqual(["bin", "root", "secret"]);
  });
  it("at random never leave the two directories", () => {
    fs.symlinkSync("..", rig.host("sub/back"));
    fs.symlinkSync("/..", rig.host("sub/top"));
    fs.symlinkSync("../../../..", rig.host("far"));
    fs.symlinkSync("/margay/bin", rig.host("bin"));
    const seen: string[] = [];
    const asked: string[] = [];
    const place = (fd: number): string => fs.readlinkSync(`/proc/self/fd/${fd}`);
    const watched: HostFs = {
      ...hostFs,
      look: (directory, name) => {
        asked.push(name);
        const node = hostFs.look(directory, name);
        seen.push(place(node.fd));
        return node;
      },
      create: (directory, name, flags, permissions) => {
        const fd = hostFs.create(directory, name, flags, permissions);
        seen.push(place(fd));
        return fd;
      },
    };
    const other = new IoRig({ fs: watched, root: rig.root, builtIn: rig.builtIn });
    const parts = ["..", ".", "", "sub", "back", "top", "far", "bin", "secret", "margay", "hello", "slash", "dev"];
    for (let seed = 1; seed <= 2000; seed++) {
      const random = new Random(seed);
      const name = Array.from({ length: 1 + random.below(8) }, () => parts[random.below(parts.length)]).join("/");
      const fd = other.open(name, random.chance(20) ? WRONLY | CREAT : RDONLY);
      if (typeof fd === "number") other.close(fd);
    }
    const isInside = (p: string): boolean => [rig.root, rig.builtIn].some((d) => p === d || p.startsWith(`${d}/`));
    expect(seen.length).toBeGreaterThan(1000);
    expect(seen.filter((p) => !isInside(p))).toEqual([]);
    expect(asked.filter((name) => name === ".." || name.includes("/"))).toEqual([]);
    expect(fs.readdirSync(rig.base).sort()).toEqual(["bin", "root", "secret"]);
    expect(fs.readdirSync(rig.builtIn)).toEqual(["hello"]);
    other.end();
  });
  it("leave no descriptor open", () => {
    const open = (): number => fs.readdirSync("/proc/self/fd").length;
    const before = open();
    for (const name of [
      "secret",
      "sub/file",
      "sub/..",
      "/",
      "absent",
      "sub/file/x",
      "sub/absent",
      "/dev/null",
      "/margay/bin/hello",
    ]) {
      const fd = rig.open(name);
      if (typeof fd === "number") rig.close(fd);
      rig.call(Syscall.STAT, [0, 0], cString(name));
    }
    expect(open()).toBe(before);
    rig.open("sub");
    rig.open("sub/file");
    rig.raw(rig.request(Syscall.EXIT_GROUP, []));
    expect(open()).toBe(before);
  });
});

/** The content that a job reads, or -ERRNO. */
const statKind = (r: IoRig, name: string, call: number = Syscall.LSTAT): number | string => {
  const a = r.call(call, [0, 0], cString(name));
  return a.result < 0n ? outcome(a) : new Stat(new DataView(a.data.slice().buffer)).mode & FileMode.TYPE_MASK;
};

describe("the host's own", () => {
  it("is not served with the host's / as root: /dev, /proc and /sys are the name space's", () => {
    const other = new IoRig({ root: "/" });
    for (const name of ["/proc/self/smaps", "/proc/self/mem", "/proc/1/environ", "/sys/kernel", "/dev/mem"])
      for (const flags of [RDONLY, RDWR]) expect(other.open(name, flags), name).toBe("-ENOENT");
    for (const name of ["/proc", "/sys", "/dev"]) {
      expect(statKind(other, name)).toBe(FileMode.DIRECTORY);
      expect(other.open(`${name}/new`, WRONLY | CREAT)).toBe("-EACCES");
    }
    expect(other.open("/etc/passwd"), "what is stored there is").toBe(3);
    expect(other.open("/usr/../proc/self/smaps")).toBe("-ENOENT");
    other.end();
  });
  it.each(["/proc", "/sys", "/dev", "/proc/self", "/sys/kernel"])("%s is refused as a root", (root) => {
    expect(() => new IoRig({ root })).toThrow(expect.objectContaining({ errno: 13 }));
  });
  it("cannot be reached by a link of the host or of the job, nor by a link to a link", () => {
    fs.symlinkSync("/proc/self/smaps", rig.host("maps"));
    fs.symlinkSync("/proc", rig.host("p"));
    fs.symlinkSync("p/self/mem", rig.host("mem"));
    fs.symlinkSync("/dev/tty", rig.host("tty"));
    fs.symlinkSync(`/proc/${process.pid}/root`, rig.host("out"));
    for (const name of ["maps", "p/self/smaps", "p/1/mem", "mem", "out/etc/passwd"])
      expect(rig.open(name), name).toBe("-ENOENT");
    expect(rig.open("tty"), "the name space's own, and the task has no terminal").toBe("-ENXIO");
  });
  it("is refused where it is mounted elsewhere", () => {
    // A directory of another file system below the root, as a bind mount appears to us. Simulated, because mounting
    // requires privileges.
    const mounted = (from: string): HostFs => ({
      ...hostFs,
      look: (directory, name) =>
        name === "mnt" ? hostFs.look(hostFs.directory("/").fd, from) : hostFs.look(directory, name),
    });
    for (const from of ["proc", "sys", "dev"]) {
      const other = new IoRig({ fs: mounted(from) });
      for (const name of ["mnt", "mnt/", "mnt/self/maps", "mnt/null"])
        expect(other.open(name), `${from} as ${name}`).toBe("-EACCES");
      expect(statKind(other, "mnt")).toBe("-EACCES");
      other.end();
    }
  });
  it("devices, pipes and sockets are refused without any effect on them", () => {
    execFileSync("mkfifo", [rig.host("pipe")]);
    // Opening it read-only would wait for a writer, or let one continue.
    for (const flags of [RDONLY, WRONLY, RDWR, RDONLY | TRUNC, RDONLY | CREAT])
      expect(rig.open("pipe", flags)).toBe("-EACCES");
    expect(rig.open("pipe", WRONLY | CREAT | EXCL)).toBe("-EEXIST");
    expect(statKind(rig, "pipe")).toBe(FileMode.FIFO);
    if (process.getuid!() === 0) {
      execFileSync("mknod", [rig.host("kmsg"), "c", "1", "11"]);
      expect(rig.open("kmsg")).toBe("-EACCES");
    }
  });
});

describe("/dev", () => {
  const all = (name: string, count: number): Buffer => {
    const fd = rig.open(name) as number;
    const data = Buffer.from(rig.call(Syscall.READ, [fd, 0, count]).data);
    rig.close(fd);
    return data;
  };
  it("null ends at once and takes all, zero and full give zeros, full takes nothing", () => {
    expect(all("/dev/null", 100)).toHaveLength(0);
    expect(all("/dev/zero", 100)).toEqual(Buffer.alloc(100));
    expect(all("/dev/full", 100)).toEqual(Buffer.alloc(100));
    const write = (name: string): number | string => rig.write(rig.open(name, WRONLY) as number, "text");
    expect([write("/dev/null"), write("/dev/zero"), write("/dev/full"), write("/dev/urandom")]).toEqual([
      4,
      4,
      "-ENOSPC",
      4,
    ]);
    expect(rig.open("/dev/null", WRONLY | CREAT | TRUNC, 0o666), "as a shell redirects").toBeTypeOf("number");
    expect(rig.open("/dev/null", RDWR | CREAT | EXCL)).toBe("-EEXIST");
    expect(rig.open("/dev/null/")).toBe("-ENOTDIR");
    expect(rig.open("/dev/null/x")).toBe("-ENOTDIR");
  });
  it("random differs from read to read, and is the same in every run of a seed", () => {
    const run = (seed: number): string => {
      const r = new IoRig({ seed });
      const fd = r.open("/dev/urandom") as number;
      const parts = [16, 16].map((n) => Buffer.from(r.call(Syscall.READ, [fd, 0, n]).data).toString("hex"));
      r.end();
      expect(new Set(parts).size).toBe(2);
      return parts.join();
    };
    expect(run(1)).toBe(run(1));
    expect(run(1)).not.toBe(run(2));
  });
  it("are character devices with Linux's numbers", () => {
    const fd = rig.open("/dev/null") as number;
    const stat = new Stat(new DataView(rig.call(Syscall.FSTAT, [fd]).data.slice().buffer));
    expect([stat.mode, stat.rdev, stat.size]).toEqual([FileMode.CHARACTER | 0o666, 0x103n, 0n]);
    expect(outcome(rig.call(Syscall.LSEEK, [fd, 5, Seek.SET]))).toBe(0);
    expect(statKind(rig, "/dev/urandom", Syscall.STAT)).toBe(FileMode.CHARACTER);
  });
});

describe("a host process that exchanges names meanwhile", () => {
  /** Renames `names` in turn as fast as possible, until it is killed. */
  async function racing(script: string, work: () => void): Promise<void> {
    const child = spawn(
      process.execPath,
      [
        "-e",
        `const fs = require("fs"); process.chdir(${JSON.stringify(rig.base)}); console.log("on"); for (;;) { ${script} }`,
      ],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    try {
      await once(child.stdout, "data");
      work();
      expect(child.exitCode, "it has raced to the end").toBeNull();
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }
  const OPENS = 2000;

  it("directory and link: 0 of thousands of opens escape, where a path alone does", async () => {
    fs.mkdirSync(path.join(rig.base, "outside"));
    fs.writeFileSync(path.join(rig.base, "outside/file"), "outside");
    rig.put("d/file", "inside");
    fs.symlinkSync("../outside", rig.host("link"));
    const script = `fs.renameSync("root/d", "root/real"); fs.renameSync("root/link", "root/d"); fs.renameSync("root/d", "root/link"); fs.renameSync("root/real", "root/d");`;
    const jailed = new Map<string, number>();
    const plain = new Set<string>();
    await racing(script, () => {
      for (let i = 0; i < OPENS; i++) {
        const text = rig.content("d/file");
        jailed.set(text, (jailed.get(text) ?? 0) + 1);
        const fd = rig.open("d/new", WRONLY | CREAT);
        if (typeof fd === "number") rig.close(fd);
        try {
          plain.add(fs.readFileSync(rig.host("d/file"), "utf8"));
        } catch {}
      }
    });
    expect([...plain], "the race is a race").toContain("outside");
    expect(jailed.get("inside")).toBeGreaterThan(100);
    expect([...jailed.keys()].filter((text) => text !== "inside" && text !== "-ENOENT")).toEqual([]);
    expect(fs.readdirSync(path.join(rig.base, "outside"))).toEqual(["file"]);
  });
  it("file and link, file and pipe: never the link's target, never a wait", async () => {
    fs.writeFileSync(path.join(rig.base, "outside"), "outside");
    rig.put("f", "inside");
    fs.symlinkSync("../outside", rig.host("link"));
    execFileSync("mkfifo", [rig.host("pipe")]);
    const turn = (name: string): string =>
      `fs.renameSync("root/f", "root/real"); fs.renameSync("root/${name}", "root/f"); fs.renameSync("root/f", "root/${name}"); fs.renameSync("root/real", "root/f");`;
    const seen = new Set<string>();
    await racing(turn("link") + turn("pipe"), () => {
      for (let i = 0; i < OPENS; i++) {
        seen.add(rig.content("f"));
        seen.add(rig.content("f", RDWR));
      }
    });
    expect(seen).toContain("inside");
    expect([...seen].filter((text) => !["inside", "-ENOENT", "-EACCES"].includes(text))).toEqual([]);
    expect(fs.readFileSync(path.join(rig.base, "outside"), "utf8")).toBe("outside");
  });
  it("a directory that is moved out of the root: `..` does not follow it", async () => {
    fs.mkdirSync(path.join(rig.base, "away"));
    fs.writeFileSync(path.join(rig.base, "secret"), "outside");
    fs.writeFileSync(path.join(rig.base, "away/secret"), "outside");
    rig.put("a/b/file", "inside");
    rig.put("a/secret", "inside");
    const seen = new Set<string>();
    await racing(`fs.renameSync("root/a/b", "away/b"); fs.renameSync("away/b", "root/a/b");`, () => {
      for (let i = 0; i < OPENS; i++) {
        const fd = rig.open("a/b");
        if (typeof fd !== "number") continue;
        for (const name of ["../secret", "../../../secret", "../../a/secret"]) {
          const inner = rig.openat(fd, name);
          seen.add(typeof inner === "number" ? String(rig.read(inner, 100)) : inner);
          if (typeof inner === "number") rig.close(inner);
        }
        rig.close(fd);
      }
    });
    expect([...seen].sort()).toEqual(["-ENOENT", "inside"]);
  });
});

describe("quota", () => {
  const writes = (
    r: IoRig,
    name: string,
    lengths: readonly number[],
    flags: number = WRONLY | CREAT,
  ): (number | string)[] => {
    const fd = r.open(name, flags) as number;
    const results = lengths.map((n) => r.write(fd, "x".repeat(n)));
    r.close(fd);
    return results;
  };
  it("is counted over all files; the last write that fits in part is short, then EDQUOT", () => {
    const r = new IoRig({ quotaBytes: 10_000 });
    expect(writes(r, "a", [4000, 4000])).toEqual([4000, 4000]);
    expect(writes(r, "b", [1000, 4000, 1, 1])).toEqual([1000, 1000, "-EDQUOT", "-EDQUOT"]);
    expect([fs.statSync(r.host("a")).size, fs.statSync(r.host("b")).size]).toEqual([8000, 2000]);
    expect(writes(r, "a", [8000], WRONLY), "what is there can be written again").toEqual([8000]);
    expect(writes(r, "a", [1], WRONLY | Open.APPEND)).toEqual(["-EDQUOT"]);
    expect(writes(r, "a", [3000], WRONLY | TRUNC), "a shorter file gives back").toEqual([3000]);
    expect(writes(r, "c", [9000])).toEqual([5000]);
    r.end();
  });
  it("counts holes: no sparse file of 8 TB, nor one byte behind the end", () => {
    const r = new IoRig({ quotaBytes: 10_000 });
    const fd = r.open("sparse", WRONLY | CREAT) as number;
    const at = (offset: number): number | string => {
      r.call(Syscall.LSEEK, [fd, offset, Seek.SET]);
      return r.write(fd, "xy");
    };
    expect([at(8e12), at(10_000), at(9999), at(9999)]).toEqual(["-EDQUOT", "-EDQUOT", 1, 1]);
    expect(fs.statSync(r.host("sparse")).size).toBe(10_000);
    r.end();
  });
  it("is 1 GB where none is given, and each job's own", () => {
    const fd = rig.open("f", WRONLY | CREAT) as number;
    rig.call(Syscall.LSEEK, [fd, 2 ** 30 - 1, Seek.SET]);
    expect([rig.write(fd, "x"), rig.write(fd, "x")]).toEqual([1, "-EDQUOT"]);
    const other = rig.open("g", WRONLY | CREAT, 0o644, { jobId: 2 }) as number;
    expect(rig.write(other, "x", { jobId: 2 })).toBe(1);
  });
  it("gives nothing back for what the job had not added", () => {
    const r = new IoRig({ quotaBytes: 100 });
    r.put("old", "x".repeat(5000));
    expect(writes(r, "old", [200], WRONLY | TRUNC)).toEqual([100]);
    expect(writes(r, "new", [1])).toEqual(["-EDQUOT"]);
    r.end();
  });
  it("bounds the names, too", () => {
    const quota = new Quota(1);
    for (let i = 0; i < NAMES_MAX; i++) quota.named();
    expect(() => quota.named()).toThrow(expect.objectContaining({ errno: 122 }));
  });
});

describe("the name space for the command itself", () => {
  it("holds nothing open when it is closed", () => {
    const before = fs.readdirSync("/proc/self/fd").length;
    const names = new NameSpace(hostFs, rig.root, rig.builtIn);
    names.close();
    expect(fs.readdirSync("/proc/self/fd")).toHaveLength(before);
  });
});
