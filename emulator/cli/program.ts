/**
 * PROGRAM as the job and the command see it. The command resolves it in the job's own name space, so that it finds the
 * same file as init will.
 */
import fs from "node:fs";
import path from "node:path";
import { fromText, toText } from "../ionode/bytestring.ts";
import { hostFs, IoError } from "../ionode/hostfs.ts";
import { type Mount, NameSpace } from "../ionode/namespace.ts";
import { errnoText } from "../service/refusal.ts";
import { UserError } from "./errors.ts";
import { imagesOut } from "./inputs.ts";

export const builtInJobs = path.join(imagesOut, "bin");
const PROGRAM_MOST_BYTES = 2 ** 30;

export interface Program {
  /** As typed; argv[0]. */
  readonly name: string;
  /** Path in the job's name space. */
  readonly path: string;
  /** The file that exists now. Undefined: no readable file; init will report why. */
  readonly file: { readonly hostPath: string; readonly bytes: Uint8Array } | undefined;
}

/** Resolves PROGRAM. A built-in job must exist; init itself reports a missing program in the root. @throws UserError */
export function findProgram(
  name: string,
  root: string,
  workingDirectory: string,
  mounts: readonly Mount[] = [],
): Program {
  if (name === "") throw new UserError("no program", "''", "give a job: `margay run hello`");
  const job = name.includes("/") ? name : builtInJob(name);
  const names = new NameSpace(hostFs, root, builtInJobs, mounts);
  try {
    return { name, path: job, file: look(names, job, workingDirectory) };
  } finally {
    names.close();
  }
}

/** The files of several programs, each once. */
export function programFiles(programs: readonly Program[]): readonly NonNullable<Program["file"]>[] {
  const files = new Map(programs.flatMap(({ file }) => (file === undefined ? [] : [[file.hostPath, file] as const])));
  return [...files.values()];
}

function builtInJob(name: string): string {
  const known = fs.existsSync(builtInJobs) ? fs.readdirSync(builtInJobs).sort() : [];
  if (known.includes(name)) return `/margay/bin/${name}`;
  throw new UserError(
    "no built-in job",
    name,
    known.length === 0
      ? "none is built: run `make build` or `margay build`"
      : `the jobs are ${known.join(", ")}; a program in --root needs a slash: /${name}`,
  );
}

function look(names: NameSpace, job: string, workingDirectory: string): Program["file"] {
  try {
    return inDirectory(names, workingDirectory, (from) =>
      names.resolve(fromText(job), { followLast: true, from }, ({ node }) => {
        if (node?.kind !== "file" || node.stat.kind !== "regular" || node.stat.sizeBytes > PROGRAM_MOST_BYTES)
          return undefined;
        const hostPath = fs.readlinkSync(`/proc/self/fd/${node.fd}`);
        const fd = hostFs.open(node.fd, 0);
        try {
          return { hostPath, bytes: fs.readFileSync(fd) };
        } finally {
          hostFs.close(fd);
        }
      }),
    );
  } catch (error) {
    if (error instanceof IoError) return undefined;
    throw error;
  }
}

function inDirectory<T>(names: NameSpace, directory: string, use: (from: NameSpace["root"]) => T): T {
  return names.resolve(fromText(directory), { followLast: true }, ({ node }) =>
    use(node?.kind === "folder" ? node.folder : names.root),
  );
}

/** Checks --chdir, a directory inside the root. @throws UserError */
export function checkRoot(root: string, workingDirectory: string, mounts: readonly Mount[] = []): void {
  let names: NameSpace;
  try {
    names = new NameSpace(hostFs, root, builtInJobs);
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    throw new UserError(
      "bad --root",
      `${root}: ${errnoText(error.errno)}: none that a job may see`,
      "give a directory on a file system that stores files, not the host's /proc, /sys or /dev",
    );
  }
  names.close();
  for (const mount of mounts) checkMount(root, mount);
  names = new NameSpace(hostFs, root, builtInJobs, mounts);
  const refuse = (why: string): never => {
    throw new UserError("bad --chdir", `'${workingDirectory}': ${why}`, "give a directory inside --root");
  };
  try {
    names.resolve(fromText(workingDirectory), { followLast: true }, ({ node }) => {
      if (node === null) refuse("no such directory");
      if (node?.kind !== "folder") refuse("not a directory");
    });
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    refuse(errnoText(error.errno));
  } finally {
    names.close();
  }
}

/** Checked separately, so that the message names it. @throws UserError */
function checkMount(root: string, mount: Mount): void {
  try {
    new NameSpace(hostFs, root, builtInJobs, [mount]).close();
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    throw new UserError(
      "bad --mount",
      `${mount.host}:${toText(mount.at)}: ${errnoText(error.errno)}`,
      "give HOST:GUEST[:ro]: a directory, and an absolute path that is not /, /dev, /proc, /sys or /margay/bin",
    );
  }
}
/** The values of --mount. @throws UserError */
export function parseMounts(values: readonly string[]): readonly Mount[] {
  const mounts = values.map((value) => {
    const parts = value.split(":");
    const readOnly = parts.length === 3 && parts[2] === "ro";
    const [host, at] = parts;
    if (!host || !at?.startsWith("/") || parts.length > 3 || (parts.length === 3 && !readOnly))
      throw new UserError("bad --mount", `'${value}'`, "give HOST:GUEST or HOST:GUEST:ro, GUEST an absolute path");
    return { host, at: fromText(path.posix.normalize(at).replace(/(?<=.)\/$/, "")), readOnly };
  });
  const twice = mounts.find(({ at }, i) => mounts.findIndex((m) => m.at === at) !== i);
  if (twice !== undefined) throw new UserError("bad --mount", toText(twice.at), "mount one directory at a place");
  return mounts;
}
