/**
 * Proves, with init's own code in a world that answers its system calls: steps 6 to 15 of the load, and that every
 * failure becomes a status.
 */
import { describe, expect, it } from "vitest";
import { Errno } from "../../emulator/abi/errno.ts";
import { FileMode } from "../../emulator/abi/io.ts";
import { Cause } from "../../emulator/abi/net.ts";
import { Auxiliary } from "../../emulator/abi/process.ts";
import type { Parameters } from "../../emulator/service/parameters.ts";
import { FEATURE_BITS, OWN_PID, PROGRAM_ENTRY, tinyProgram, World, type Script } from "./world.ts";

const program = tinyProgram();
const parameters = (ranks: number, fanout: number, change: Partial<Parameters> = {}): Parameters => ({
  jobId: 5,
  userId: 1000,
  fanout,
  nids: Array.from({ length: ranks }, (_, r) => 11 + r),
  programs: ["/p"],
  programOfRank: Array.from({ length: ranks }, () => 0),
  argv: (change.programs ?? ["/p"]).map(() => ["p", "one", ""]),
  envp: ["A=b"],
  ...change,
});
const script = (change: Partial<Script> & { parameters: Parameters }): Script => ({
  rank: 0,
  files: { "/p": { bytes: program } },
  ...change,
});

describe("init", () => {
  it("on a single rank reads the program, reports, and starts it with the stack of the ABI", () => {
    const w = new World(script({ parameters: parameters(1, 4) }));
    const end = w.run();
    if (end.kind !== "started") throw new Error(end.kind);
    expect(end.entry).toBe(PROGRAM_ENTRY);
    expect(Buffer.compare(w.at(0x40_0000n, program.length), program)).toBe(0);
    expect(w.status).toMatchObject({ cause: Cause.OK, ready: 1, pids: [OWN_PID], target: "0.1.0", remoteOffset: 0n });
    expect(w.described).toEqual({ rank: 0, size: 1, pids: [OWN_PID] });
    expect(w.mapped.size, "nothing of init is left mapped").toBe(0);
    expect([...w.entries.values()].filter((e) => e.linked)).toEqual([]);
    expect(w.imageUnchanged).toBe(true);

    expect(end.stack % 16n).toBe(0n);
    const words = (n: number): bigint => w.view(end.stack + BigInt(8 * n), 8).getBigUint64(0, true);
    expect(words(0)).toBe(3n);
    expect([1, 2, 3].map((n) => w.string(words(n)))).toEqual(["p", "one", ""]);
    expect(words(4)).toBe(0n);
    expect(w.string(words(5))).toBe("A=b");
    expect(words(6)).toBe(0n);
    const auxiliary = new Map<number, bigint>();
    let at = 7;
    for (; words(at) !== BigInt(Auxiliary.NULL); at += 2) auxiliary.set(Number(words(at)), words(at + 1));
    expect(auxiliary.get(Auxiliary.PAGESZ)).toBe(4096n);
    expect(auxiliary.get(Auxiliary.ENTRY)).toBe(PROGRAM_ENTRY);
    expect(auxiliary.get(Auxiliary.PHDR)).toBe(0x40_0040n);
    expect(auxiliary.get(Auxiliary.PHNUM)).toBe(1n);
    expect(auxiliary.get(Auxiliary.PHENT)).toBe(56n);
    expect(auxiliary.get(Auxiliary.BASE)).toBe(0n);
    expect(auxiliary.get(Auxiliary.HWCAP)).toBe(FEATURE_BITS);
    for (const id of [Auxiliary.UID, Auxiliary.EUID, Auxiliary.GID, Auxiliary.EGID])
      expect(auxiliary.get(id)).toBe(1000n);
    expect(w.string(auxiliary.get(Auxiliary.EXECFN)!)).toBe("/p");
    expect(w.string(auxiliary.get(Auxiliary.PLATFORM)!)).toBe("x86_64");
    const random = auxiliary.get(Auxiliary.RANDOM)!;
    expect(random).toBeGreaterThanOrEqual(end.stack + BigInt(8 * (at + 2)));
    expect(w.at(random, 16).some((b) => b !== 0)).toBe(true);
  });
  it("without an environment still ends argv and envp", () => {
    const w = new World(script({ parameters: parameters(1, 1, { argv: [["p"]], envp: [] }) }));
    const end = w.run();
    if (end.kind !== "started") throw new Error(end.kind);
    const v = w.view(end.stack, 48);
    expect([0, 2, 3].map((n) => v.getBigUint64(8 * n, true))).toEqual([1n, 0n, 0n]);
    expect(v.getBigUint64(32, true)).toBe(BigInt(Auxiliary.HWCAP));
  });
  for (const reversed of [false, true]) {
    it(`at the root loads its children, fans in and out${reversed ? ", whatever order they answer in" : ""}`, () => {
      const w = new World(script({ parameters: parameters(7, 2), reversed }));
      expect(w.run().kind).toBe("started");
      expect(w.loads).toEqual([1, 2]);
      const pids = [OWN_PID, 101, 102, 103, 104, 105, 106];
      expect(w.status).toMatchObject({ cause: Cause.OK, ready: 7, pids });
      expect(w.goes).toEqual([
        { nid: 12, pid: 101, pids },
        { nid: 13, pid: 102, pids },
      ]);
      expect(w.described?.pids).toEqual(pids);
    });
  }
  // Ranks 0, 3 and 6 on nid 11, 1 and 4 on nid 12, 2 and 5 on nid 13; the tree of nodes has degree 1.
  const crowded = (rank: number): Script =>
    script({
      rank,
      parameters: parameters(7, 1, {
        nids: [11, 12, 13, 11, 12, 13, 11],
        coresOfRank: [1n, 1n, 1n, 2n, 2n, 2n, 4n],
        programs: ["/p", "/q"],
        argv: [["p"], ["q", "two"]],
        programOfRank: [0, 0, 0, 0, 0, 0, 1],
      }),
      files: { "/p": { bytes: program }, "/q": { bytes: program } },
    });
  it("as the leader of a node loads the node below and its node's other ranks, with their cores", () => {
    const w = new World(crowded(0));
    expect(w.run().kind).toBe("started");
    expect(w.loads).toEqual([1, 3, 6]);
    expect(w.cores).toEqual([1n, 2n, 4n]);
    const pids = [OWN_PID, 101, 102, 103, 104, 105, 106];
    expect(w.status).toMatchObject({ cause: Cause.OK, ready: 7, pids });
    expect(w.goes.map(({ nid, pid }) => `${nid}.${pid}`)).toEqual(["12.101", "11.103", "11.106"]);
    expect(w.goes.every((go) => go.pids.join() === pids.join())).toBe(true);
  });
  it("as the leader of a leaf loads only its node's other ranks", () => {
    const w = new World(crowded(2));
    expect(w.run().kind).toBe("started");
    expect(w.loads).toEqual([5]);
    expect(w.status).toMatchObject({ ready: 2, target: "12.9.0", remoteOffset: 0n });
  });
  it("as another rank of a node GETs its own program from the leader, and reports to it behind the leaders", () => {
    const w = new World(crowded(6));
    const end = w.run();
    if (end.kind !== "started") throw new Error(end.kind);
    expect(w.loads).toEqual([]);
    expect(w.calls).not.toContain("OPEN");
    expect(w.calls.filter((c) => c === "PORTAL_GET").length).toBe(2);
    // One node below the leader, one rank before it.
    const { remoteOffset, target } = w.status!;
    expect([remoteOffset, target]).toEqual([24n + 4n * 7n + 24n, "11.9.0"]);
    const words = (n: number): bigint => w.view(end.stack + BigInt(8 * n), 8).getBigUint64(0, true);
    expect([1, 2].map((n) => w.string(words(n)))).toEqual(["q", "two"]);
  });
  it("in the middle GETs the program from its parent, and takes everybody's pid from GO", () => {
    const w = new World(
      script({ parameters: parameters(7, 2), rank: 2, files: { "/p": { bytes: tinyProgram(150_000) } } }),
    );
    expect(w.run().kind).toBe("started");
    expect(w.calls).not.toContain("OPEN");
    expect(w.calls.filter((c) => c === "PORTAL_GET").length).toBe(4);
    expect(w.loads).toEqual([5, 6]);
    expect(w.status).toMatchObject({
      cause: Cause.OK,
      ready: 3,
      pids: [0, 0, OWN_PID, 0, 0, 105, 106],
      target: "11.9.0",
      remoteOffset: 52n,
    });
    const pids = [1000, 1001, 1002, 1003, 1004, 1005, 1006];
    expect(w.goes.map((g) => [g.pid, g.pids])).toEqual([
      [1005, pids],
      [1006, pids],
    ]);
    expect(w.described).toEqual({ rank: 2, size: 7, pids });
  });
  it("fetches what its sub-tree runs, and runs its own", () => {
    const p = parameters(7, 2, { programs: ["/a", "/b", "/c"], programOfRank: [0, 1, 2, 1, 1, 2, 1] });
    const files = { "/a": { bytes: program }, "/b": { bytes: tinyProgram(10) }, "/c": { bytes: tinyProgram(20) } };
    const root = new World(script({ parameters: p, files }));
    root.run();
    expect(root.calls.filter((c) => c === "OPEN").length).toBe(3);
    const left = new World(script({ parameters: p, rank: 1, files: { "/b": files["/b"] } }));
    expect(left.run().kind).toBe("started");
    expect(Buffer.compare(left.at(0x40_1000n, 10), tinyProgram(10).subarray(0x1000))).toBe(0);
  });
});

/** argv of the program that `w` has started, and its auxiliary vector. */
function startOf(w: World): { entry: bigint; argv: string[]; auxiliary: Map<number, bigint> } {
  const end = w.run();
  if (end.kind !== "started") throw new Error(`${end.kind}: cause ${w.status?.cause}, errno ${w.status?.errno}`);
  const words = (n: number): bigint => w.view(end.stack + BigInt(8 * n), 8).getBigUint64(0, true);
  const argc = Number(words(0));
  const argv = Array.from({ length: argc }, (_, i) => w.string(words(1 + i)));
  let at = argc + 2;
  while (words(at) !== 0n) at++;
  const auxiliary = new Map<number, bigint>();
  for (at++; words(at) !== BigInt(Auxiliary.NULL); at += 2) auxiliary.set(Number(words(at)), words(at + 1));
  return { entry: end.entry, argv, auxiliary };
}
const text = (line: string): Uint8Array => new TextEncoder().encode(line);
const LINKER_START = 0x48_0000n;
const linker = tinyProgram(500, { address: LINKER_START });

describe("dynamic programs and scripts", () => {
  const dynamic = tinyProgram(3000, { linker: "/ld" });
  it("start in the dynamic linker, which finds the program's own entry in the auxiliary vector", () => {
    const w = new World(
      script({ parameters: parameters(1, 1), files: { "/p": { bytes: dynamic }, "/ld": { bytes: linker } } }),
    );
    const { entry, argv, auxiliary } = startOf(w);
    expect(entry).toBe(LINKER_START + 0x1000n);
    expect(auxiliary.get(Auxiliary.ENTRY)).toBe(PROGRAM_ENTRY);
    expect(auxiliary.get(Auxiliary.PHNUM)).toBe(2n);
    expect(argv).toEqual(["p", "one", ""]);
    expect(Buffer.compare(w.at(LINKER_START, linker.length), linker)).toBe(0);
    expect(w.openFiles.size).toBe(0);
  });
  it("come with their linker from the parent", () => {
    const files = { "/p": { bytes: dynamic, linker } };
    const w = new World(script({ parameters: parameters(3, 2), rank: 1, files }));
    expect(startOf(w).entry).toBe(LINKER_START + 0x1000n);
    expect(Buffer.compare(w.at(LINKER_START, linker.length), linker)).toBe(0);
  });
  for (const [line, argv] of [
    ["#!/i", ["/i", "/s", "one", ""]],
    ["#! \t/i  \n#!/none", ["/i", "/s", "one", ""]],
    ["#!/i -x  -y \t\nrest", ["/i", "-x  -y", "/s", "one", ""]],
    [`#!/i ${"a".repeat(300)}`, ["/i", "a".repeat(251), "/s", "one", ""]],
  ] as const)
    it(`a script whose first line is ${JSON.stringify(line.slice(0, 20))}`, () => {
      const files = { "/s": { bytes: text(line) }, "/i": { bytes: program } };
      const w = new World(script({ parameters: parameters(1, 1, { programs: ["/s"] }), files }));
      const start = startOf(w);
      expect(start.argv).toEqual(argv);
      expect(w.string(start.auxiliary.get(Auxiliary.EXECFN)!)).toBe("/s");
      expect(w.openFiles.size).toBe(0);
    });
  it("a script whose interpreter is a script, from the parent too", () => {
    const files = { "/s": { bytes: text("#!/t a\n") }, "/t": { bytes: text("#!/i b\n") }, "/i": { bytes: program } };
    const argv = ["/i", "b", "/t", "a", "/s", "one", ""];
    const p = parameters(3, 2, { programs: ["/s"] });
    expect(startOf(new World(script({ parameters: p, files }))).argv).toEqual(argv);
    const given = { "/s": { bytes: program, script: argv.slice(0, 5) } };
    expect(startOf(new World(script({ parameters: p, rank: 2, files: given }))).argv).toEqual(argv);
  });
});

describe("a failure becomes a status, and init waits to be killed:", () => {
  const failing = (s: Script): World => {
    const w = new World(s);
    expect(w.run().kind).toBe("waiting");
    expect(w.calls).not.toContain("MARGAY_START");
    expect(w.goes).toEqual([]);
    return w;
  };
  it("no program", () => {
    const w = failing(script({ parameters: parameters(3, 2), files: {} }));
    expect(w.status).toMatchObject({ cause: Cause.PROGRAM_OPEN, errno: Errno.ENOENT, rank: 0, nid: 11 });
    expect(w.loads, "nobody is loaded in vain").toEqual([]);
  });
  it("no program of a rank further down, which is named", () => {
    const w = failing(
      script({ parameters: parameters(5, 2, { programs: ["/p", "/q"], programOfRank: [0, 0, 0, 1, 1] }) }),
    );
    expect(w.status).toMatchObject({ cause: Cause.PROGRAM_OPEN, errno: Errno.ENOENT, rank: 3, nid: 14 });
  });
  it("a directory, a file that is not executable", () => {
    for (const mode of [FileMode.DIRECTORY | 0o755, FileMode.REGULAR | 0o644]) {
      const w = failing(script({ parameters: parameters(1, 2), files: { "/p": { bytes: program, mode } } }));
      expect(w.status).toMatchObject({ cause: Cause.PROGRAM_OPEN, errno: Errno.EACCES });
    }
  });
  it("text, nothing, a truncated program", () => {
    for (const bytes of [
      text("echo\n".repeat(20)),
      new Uint8Array(0),
      program.subarray(0, 2000),
      program.subarray(0, 40),
    ]) {
      const w = failing(script({ parameters: parameters(1, 2), files: { "/p": { bytes } } }));
      expect(w.status).toMatchObject({ cause: Cause.PROGRAM_FORMAT, errno: Errno.ENOEXEC });
    }
  });
  it("a script without an interpreter, or with a line that is cut inside its path", () => {
    for (const line of ["#!", "#!  \n/i", `#!/${"i".repeat(400)}`]) {
      const w = failing(script({ parameters: parameters(1, 2), files: { "/p": { bytes: text(line) } } }));
      expect(w.status).toMatchObject({ cause: Cause.PROGRAM_OPEN, errno: Errno.ENOEXEC });
    }
  });
  it("an interpreter or a dynamic linker that is missing, or is no program; scripts without an end", () => {
    for (const [bytes, errno] of [
      [text("#!/none\n"), Errno.ENOENT],
      [tinyProgram(10, { linker: "/none" }), Errno.ENOENT],
      [text("#!/data\n"), Errno.EACCES],
      [tinyProgram(10, { linker: "/data" }), Errno.EACCES],
      [text("#!/p\n"), Errno.ELOOP],
    ] as const) {
      const files = { "/p": { bytes }, "/data": { bytes: program, mode: FileMode.REGULAR | 0o644 } };
      const w = failing(script({ parameters: parameters(1, 2), files }));
      expect(w.status).toMatchObject({ cause: Cause.PROGRAM_INTERPRETER, errno });
      expect(w.openFiles.size).toBe(0);
    }
  });
  it("no memory", () => {
    const w = failing(script({ parameters: parameters(1, 2), refuseMmap: true }));
    expect(w.status).toMatchObject({ cause: Cause.NO_MEMORY, errno: Errno.ENOMEM });
  });
  it("arguments that leave no room on the stack", () => {
    const w = failing(
      script({ parameters: parameters(1, 2, { argv: [Array.from({ length: 70 }, () => "x".repeat(1000))] }) }),
    );
    expect(w.status).toMatchObject({ cause: Cause.PROGRAM_FORMAT, errno: Errno.E2BIG });
  });
  it("a busy child", () => {
    const w = failing(script({ parameters: parameters(4, 3), children: { 2: { cause: Cause.BUSY } } }));
    expect(w.loads).toEqual([1, 2, 3]);
    expect(w.status).toMatchObject({ cause: Cause.BUSY, errno: 0, rank: 2, nid: 13, ready: 3 });
  });
  it("several of them: the lowest rank is named, in either order", () => {
    const status = (rank: number): { cause: number; errno: number; rank: number; ready: number } => ({
      cause: Cause.NO_MEMORY,
      errno: Errno.ENOMEM,
      rank,
      ready: 0,
    });
    for (const reversed of [false, true]) {
      const w = failing(
        script({
          parameters: parameters(7, 2),
          reversed,
          children: { 1: { status: status(4) }, 2: { cause: Cause.BUSY } },
        }),
      );
      expect(w.status).toMatchObject({ cause: Cause.BUSY, rank: 2, nid: 13 });
    }
  });
  it("a parent that has no such program", () => {
    const w = failing(script({ parameters: parameters(3, 2), rank: 1, files: {} }));
    expect(w.status).toMatchObject({ cause: Cause.NO_MATCH, rank: 1, nid: 12 });
  });
  it("a nid that is not in the map, parameters that are damaged: there is nobody to report to", () => {
    const w = new World(script({ parameters: parameters(2, 2), rank: 5 as number }));
    expect(() => w.run()).toThrow();
    const damaged = new World(script({ parameters: parameters(1, 2) }));
    damaged.at(0x30_0000n + 1024n, 1)[0] = 0;
    expect(damaged.run()).toEqual({ kind: "exited", status: 125 });
  });
});
