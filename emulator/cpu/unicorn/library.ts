/**
 * Finds and loads the Unicorn library. Search order: the file in the environment variable UNICORN_LIB, `.unicorn` in
 * the package (any depth), the system's `libunicorn.so.2`. Only version 2.1.1 is accepted: the engine relies on its
 * private offsets and behaviour (README.md).
 */
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi, { type LibraryHandle } from "koffi";

const LIBRARY = "libunicorn.so.2";
const VERSION = "2.1.1";

/** The engine is not available on this machine; the message says what to install. */
export class UnicornUnavailable extends Error {
  constructor(reason: string) {
    super(
      `unicorn: ${reason}: install Unicorn ${VERSION} as ${LIBRARY} (Debian 13: package libunicorn2t64) or set UNICORN_LIB to its path`,
    );
    this.name = "UnicornUnavailable";
  }
}

export interface LoadedLibrary {
  readonly path: string;
  readonly handle: LibraryHandle;
}

let loaded: LoadedLibrary | undefined;

/** Loads the library once. Throws UnicornUnavailable. */
export function loadLibrary(): LoadedLibrary {
  if (loaded) return loaded;
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new UnicornUnavailable(`needs Linux on x86-64, not ${process.platform} on ${process.arch}`);
  const named = process.env.UNICORN_LIB;
  if (named && !existsSync(named)) throw new UnicornUnavailable(`UNICORN_LIB names ${named}, which does not exist`);
  const path = named || findInPackage() || findInSystem();
  if (!path) throw new UnicornUnavailable("library not found");
  let handle: LibraryHandle;
  try {
    handle = koffi.load(path);
  } catch (error) {
    throw new UnicornUnavailable(
      `${path} cannot be loaded (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  const packed = handle.func("uint uc_version(_Out_ uint *major, _Out_ uint *minor)")([0], [0]) as number;
  const version = `${packed >>> 24}.${(packed >>> 16) & 255}.${(packed >>> 8) & 255}`;
  if (version !== VERSION) throw new UnicornUnavailable(`${path} is version ${version}`);
  loaded = { path: realpathSync(path), handle };
  return loaded;
}

/**
 * The package is the nearest folder above this file with a package.json. This works from the source and from the
 * bundle.
 */
function findInPackage(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
  const root = join(folder, ".unicorn");
  if (!existsSync(root)) return undefined;
  const found = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name === LIBRARY || name.endsWith(`/${LIBRARY}`))
    .sort();
  return found.length ? join(root, found[0]) : undefined;
}

function findInSystem(): string | undefined {
  const folders = ["/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu"];
  return [...(process.env.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean), ...folders]
    .map((folder) => join(folder, LIBRARY))
    .find((path) => existsSync(path));
}
