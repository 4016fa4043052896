/** Debian's Linux kernel for clouds, fetched once into .linux by apt-get, without installing it. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

const PACKAGE = "linux-image-cloud-amd64";

/** The kernel's file, or why there is none. */
export function debianKernel(packageRoot: string): { readonly file: string } | string {
  const folder = path.join(packageRoot, ".linux");
  const boot = path.join(folder, "boot");
  const found = (): { file: string } | undefined => {
    const name = fs.existsSync(boot) ? fs.readdirSync(boot).find((f) => f.startsWith("vmlinuz")) : undefined;
    return name === undefined ? undefined : { file: path.join(boot, name) };
  };
  if (found() !== undefined) return found()!;
  fs.mkdirSync(folder, { recursive: true });
  const run = (line: string): string | undefined => {
    const r = spawnSync("sh", ["-ec", line], { cwd: folder, encoding: "utf8" });
    return r.status === 0 ? undefined : `Debian's kernel: ${(r.error?.message ?? r.stderr).trim().split("\n").at(-1)}`;
  };
  console.error("fetching Debian's Linux kernel, to compare with");
  // The package names the one with the present version.
  const problem = run(
    `name=$(apt-cache depends ${PACKAGE} | sed -n 's/.*Depends: //p' | head -n 1)
     apt-get -qq download "$name"
     dpkg -x "$name"_*.deb . && rm -rf ./*.deb lib usr`,
  );
  return problem ?? found() ?? "Debian's kernel: the package has no vmlinuz";
}
