/** Runs the built `margay` as a user would, from a folder outside the package. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export const packageRoot = path.resolve(import.meta.dirname, "../..");
const bin = path.join(packageRoot, "dist/margay.js");

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
/**
 * boot and run use `--strict`, so that the checkers verify every machine that a test starts; `strict: false` if that is
 * the point.
 */
export function margay(
  args: readonly string[],
  options: { cwd?: string; timeoutMs?: number; strict?: boolean; env?: NodeJS.ProcessEnv } = {},
): Result {
  const strict = options.strict !== false && (args[0] === "boot" || args[0] === "run");
  const r = spawnSync(process.execPath, [bin, ...args.slice(0, 1), ...(strict ? ["--strict"] : []), ...args.slice(1)], {
    cwd: options.cwd ?? os.tmpdir(),
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    timeout: options.timeoutMs ?? 110_000,
    maxBuffer: 1 << 28,
  });
  if (r.error) throw r.error;
  return { status: r.status, stdout: r.stdout, stderr: r.stderr };
}

/** A folder of its own, removed by the caller. */
export const temporaryFolder = (): string => fs.mkdtempSync(path.join(os.tmpdir(), "margay-test-"));
