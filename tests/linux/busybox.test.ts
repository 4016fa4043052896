/**
 * Proves that a program which nobody wrote for Margay works on shipped files: the same commands of busybox on Linux and
 * on Margay, one after the other in the same directory, print the same and leave the same files behind.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Conformance } from "./rig.ts";

const BUSYBOX = "/bin/busybox";
const type = spawnSync("file", ["-L", BUSYBOX], { encoding: "utf8" }).stdout ?? "";
const reason = !fs.existsSync(BUSYBOX)
  ? `no ${BUSYBOX}: install busybox-static`
  : type !== "" && !type.includes("static")
    ? `${BUSYBOX} is not static`
    : null;
if (reason !== null) console.log(`tests/linux/busybox skipped: ${reason}`);

/** In this order, each in the directory that those before it have left. */
const commands: readonly (readonly string[])[] = [
  ["mkdir", "-p", "a/b/c", "d"],
  ["touch", "-t", "202001020304.05", "a/one", "a/b/two"],
  ["dd", "if=/dev/zero", "of=a/zeros", "bs=1000", "count=70", "status=none"],
  ["cp", "a/one", "d/copy"],
  ["cp", "-r", "a", "d/tree"],
  ["cp", "-p", "a/b/two", "d/kept"],
  ["mv", "d/tree/b", "d/b"],
  ["ln", "a/one", "hard"],
  ["ln", "-s", "a/b/two", "soft"],
  ["ln", "-s", "nowhere", "dangling"],
  ["readlink", "soft"],
  ["stat", "-c", "%n %F %a %h %s %b", "a", "a/one", "a/zeros", "soft", "d/b/c"],
  ["stat", "-c", "%n %Y", "a/one", "d/kept"],
  ["ls", "-a", "."],
  ["ls", "-l", "a/zeros", "none"],
  ["find", ".", "-name", "*o*", "-type", "f"],
  ["find", ".", "-type", "d"],
  ["du", "-k", "a"],
  ["chmod", "640", "a/one"],
  ["ls", "-l", "hard"],
  ["sh", "-c", "for i in 3 1 2; do echo line $i; done > text; echo more >> text"],
  ["sort", "-r", "-o", "sorted", "text"],
  ["sha256sum", "a/zeros", "text"],
  ["awk", "{ n += NF; last = $2 } END { print n, last, NR }", "text"],
  ["awk", 'BEGIN { print "from awk" > "awked"; while ((getline line < "text") > 0) print line }'],
  ["sed", "-i", "s/line/row/", "text"],
  ["tar", "-cf", "all.tar", "a", "soft"],
  ["tar", "-tf", "all.tar"],
  ["mkdir", "out"],
  ["tar", "-xf", "all.tar", "-C", "out"],
  ["gzip", "-k", "text"],
  ["gzip", "-d", "-c", "text.gz"],
  ["sh", "-c", "test -f a/one && echo file; test -L soft && echo link"],
  ["sh", "-c", "cd a/b/c; cd ..; echo *; echo $?"],
  ["rm", "hard", "soft", "none"],
  ["rm", "-r", "d"],
  ["rmdir", "a"],
  ["rm", "-rf", "out"],
  ["truncate", "-s", "12345", "long"],
  ["stat", "-c", "%s", "long"],
  ["ls"],
];

describe.skipIf(reason !== null)("busybox", () => {
  const c = new Conformance();
  afterAll(() => c.close());

  /** Every file below it: mode, length or target, and what is in it. */
  function tree(folder: string): string[] {
    const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
    return names.map((name) => {
      const file = path.join(folder, name);
      const s = fs.lstatSync(file);
      if (s.isSymbolicLink()) return `${name} -> ${fs.readlinkSync(file)}`;
      const mode = (s.mode & 0o7777).toString(8);
      // Archives hold times of the run.
      const content = s.isFile() && !/\.(tar|gz)$/.test(name) ? fs.readFileSync(file, "latin1") : "";
      return `${name} ${mode} ${s.isDirectory()} ${content}`;
    });
  }

  it(`${commands.length} commands print and leave the same`, { timeout: 300_000 }, () => {
    c.put("busybox", fs.readFileSync(BUSYBOX));
    const differences: string[] = [];
    /** Times of the run, who runs it, and the order of directories are the system's. */
    const plain = (text: string): string =>
      text
        .replace(/(?<=^[-dl][-rwx]{9} +\d+) +\w+ +\w+ +/gm, " USER ")
        .replace(/\w{3} +\d+ +\d\d:?\d\d/g, "TIME")
        .split("\n")
        .sort()
        .join("\n");
    for (const [i, args] of commands.entries()) {
      const expected = plain(c.onLinux("busybox", args, i > 0));
      const got = plain(c.onMargay("busybox", args, i > 0));
      if (got !== expected) differences.push(`${args.join(" ")}\n--- Linux${expected}\n--- Margay${got}`);
    }
    expect(differences.join("\n")).toBe("");
    expect(tree(c.work("margay"))).toEqual(tree(c.work("linux")));
  });
});
