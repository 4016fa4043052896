/**
 * The kernel and jobs on the native engine and on Unicorn: equal traces, output and states, including the TLBs'
 * contents and RAM.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { createUnicornEngine } from "../../emulator/cpu/unicorn/engine.ts";
import { missing } from "../cpu/guest.ts";
import { runCluster } from "./cluster.ts";
import { temporaryFolder } from "./command.ts";

const runs = [
  { program: "hello", nodes: 2, cores: 2 },
  { program: "ring", nodes: 3, cores: 1 },
  { program: "files", nodes: 1, cores: 2 },
  { program: "shootdown", nodes: 1, cores: 4 },
  { program: "nullderef", nodes: 1, cores: 1 },
] as const;

/**
 * Lazy binding saves the registers of a call's arguments with FXSAVE; then images of the x87 and SSE state after x87
 * instructions: the pointers of the last instruction are 0 in all of them.
 */
const FPU_STATE = `
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static unsigned char fx[512] __attribute__((aligned(16))), save[108], environment[28];
static void print(const char *name, const unsigned char *image, int bytes) {
  printf("%s ", name);
  for (int i = 0; i < bytes; i++) printf("%02x", image[i]);
  puts("");
}
int main(int argc, char **argv) {
  volatile double x = argc + 1.5;
  long double y = 0;
  __asm__ volatile("fldpi; fsqrt; fstpt %0; fld1; fldz; fxsave64 %1; fnsave %2; frstor %2; fnstenv %3; fldenv %3"
                   : "=m"(y), "=m"(fx), "=m"(save), "=m"(environment));
  __asm__ volatile("fxrstor64 %0; fninit" : : "m"(fx));
  printf("%f %.3Lf %s %d\\n", sqrt(x) + pow(x, 3.5), y, strchr("abc", 'b'), abs(-7));
  print("fxsave", fx, 160);
  print("fnsave", save, 108);
  print("fnstenv", environment, 28);
  return 0;
}
`;
/** Why the program cannot be built here; otherwise a root that holds it and its libraries. */
function rootWithLibraries(): { readonly root: string } | { readonly skipped: string } {
  const root = temporaryFolder();
  const program = path.join(root, "fpu");
  const options = ["-O1", "-fno-builtin", "-Wl,-z,lazy", "-x", "c", "-o", program, "-", "-lm"];
  const built = spawnSync("gcc", options, { input: FPU_STATE, encoding: "utf8" });
  if (built.status !== 0) return { skipped: built.error?.message ?? built.stderr };
  const { stdout } = spawnSync("ldd", [program], { encoding: "utf8" });
  for (const [library] of stdout.matchAll(/\/\S+/g)) {
    const copy = path.join(root, library);
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    fs.copyFileSync(library, copy);
  }
  return { root };
}

describe.skipIf(missing)("two engines, one machine", () => {
  for (const { program, nodes, cores } of runs) {
    it(`${program} on ${nodes} × ${cores}`, () => {
      const [native, unicorn] = [createNativeEngine, createUnicornEngine].map((createEngine) =>
        runCluster({ program, nodes, cores, machine: { createEngine } }),
      );
      expect(native.fullTrace()).toBe(unicorn.fullTrace());
      expect({ time: native.time, stdout: native.stdout, hash: native.stateHash }).toEqual({
        time: unicorn.time,
        stdout: unicorn.stdout,
        hash: unicorn.stateHash,
      });
    });
  }

  it("a dynamic program of glibc, and images of the x87 and SSE state", () => {
    const found = rootWithLibraries();
    if ("skipped" in found) return console.log(`a dynamic program skipped: ${found.skipped}`);
    const [native, unicorn] = [createNativeEngine, createUnicornEngine].map((createEngine) =>
      runCluster({ program: "/fpu", nodes: 1, cores: 1, root: found.root, machine: { createEngine } }),
    );
    fs.rmSync(found.root, { recursive: true });
    const lines = native.stdout.split("\n");
    expect(lines[0]).toBe("26.286433 1.772 bc 7");
    // FCW, FSW with TOP 6 and PE, two registers in use, then FOP, FIP and FDP.
    expect(lines[1]!.slice(0, 55)).toBe(`fxsave 7f032030c000${"0".repeat(36)}`);
    const environment = `7f03ffff2030ffffff1fffff${"0".repeat(24)}0000ffff`;
    expect(lines[2]!.slice(0, 63)).toBe(`fnsave ${environment}`);
    expect(lines[3]!).toBe(`fnstenv ${environment}`);
    expect(native.fullTrace()).toBe(unicorn.fullTrace());
    expect({ stdout: native.stdout, hash: native.stateHash }).toEqual({
      stdout: unicorn.stdout,
      hash: unicorn.stateHash,
    });
  });
});
