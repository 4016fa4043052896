/** The processor that runs the tests: oracle.c, compiled here, executes batches of cases. */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Case, FX_BYTES } from "./generate.ts";

const BATCH = 256;
const CHANGED_BYTES = 256;
/** struct test, struct result of oracle.c. */
const Test = { OFFSET: 0, LENGTH: 4, CODE: 8, GPR: 72, RFLAGS: 200, FX: 208, BYTES: 720 } as const;
const Result = {
  VECTOR: 0,
  ERROR: 4,
  RIP: 8,
  CR2: 16,
  RFLAGS: 24,
  GPR: 32,
  FX: 160,
  FIRST: 672,
  COUNT: 676,
  CHANGED: 680,
  BYTES: 936,
} as const;

export interface Outcome {
  readonly vector: number;
  readonly error: number;
  readonly rip: bigint;
  readonly cr2: bigint;
  readonly rflags: number;
  readonly gpr: BigUint64Array;
  readonly fx: Uint8Array;
  /** Range of the data pages that has changed, in whole 8 bytes, and its bytes (the first 256). */
  readonly first: number;
  readonly count: number;
  readonly changed: Uint8Array;
}

/** Why there is no oracle on this host. */
export const oracleMissing: string | undefined =
  process.arch !== "x64" || process.platform !== "linux"
    ? "needs Linux on x86-64"
    : spawnSync("gcc", ["--version"], { stdio: "ignore" }).status !== 0
      ? "needs gcc: install it"
      : undefined;
if (oracleMissing !== undefined) console.log(`comparison with this processor skipped: ${oracleMissing}`);

export class Oracle {
  private readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-oracle-"));
  private readonly program = path.join(this.folder, "oracle");

  constructor(private readonly contents: Uint8Array) {
    // From the source folder, or from dist/ if bundled.
    const folders = [import.meta.dirname, path.join(import.meta.dirname, "../tests/cpu/native")];
    const source = folders.map((folder) => path.join(folder, "oracle.c")).find((file) => fs.existsSync(file)) as string;
    const { status, stderr } = spawnSync("gcc", ["-O1", "-o", this.program, source], { encoding: "utf8" });
    if (status !== 0) throw new Error(`oracle.c does not compile:\n${stderr}`);
  }

  run(cases: readonly Case[]): Outcome[] {
    const parts: Uint8Array[] = [this.contents];
    for (let at = 0; at < cases.length; at += BATCH) {
      const batch = cases.slice(at, at + BATCH);
      parts.push(new Uint8Array(new Uint32Array([batch.length]).buffer), ...batch.map(encode));
    }
    parts.push(new Uint8Array(4));
    const { stdout, status, signal } = spawnSync(this.program, {
      input: Buffer.concat(parts),
      maxBuffer: cases.length * Result.BYTES + 1,
    });
    if (status !== 0 || stdout.length !== cases.length * Result.BYTES)
      throw new Error(
        `the oracle ended with ${status ?? signal} after ${stdout.length / Result.BYTES} of ${cases.length} cases`,
      );
    return cases.map((_, index) => decode(stdout.subarray(index * Result.BYTES, (index + 1) * Result.BYTES)));
  }

  close(): void {
    fs.rmSync(this.folder, { recursive: true });
  }
}

function encode(one: Case): Uint8Array {
  const bytes = new Uint8Array(Test.BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(Test.OFFSET, one.offset, true);
  view.setUint32(Test.LENGTH, one.code.length, true);
  bytes.set(one.code, Test.CODE);
  for (let i = 0; i < 16; i++) view.setBigUint64(Test.GPR + 8 * i, one.gpr[i], true);
  view.setBigUint64(Test.RFLAGS, BigInt(one.rflags), true);
  bytes.set(one.fx, Test.FX);
  return bytes;
}

function decode(bytes: Uint8Array): Outcome {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(Result.COUNT, true);
  return {
    vector: view.getUint32(Result.VECTOR, true),
    error: view.getUint32(Result.ERROR, true),
    rip: view.getBigUint64(Result.RIP, true),
    cr2: view.getBigUint64(Result.CR2, true),
    rflags: Number(view.getBigUint64(Result.RFLAGS, true)),
    gpr: BigUint64Array.from({ length: 16 }, (_, i) => view.getBigUint64(Result.GPR + 8 * i, true)),
    fx: bytes.slice(Result.FX, Result.FX + FX_BYTES),
    first: view.getUint32(Result.FIRST, true),
    count,
    changed: bytes.slice(Result.CHANGED, Result.CHANGED + Math.min(count, CHANGED_BYTES)),
  };
}
