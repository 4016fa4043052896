/**
 * The kernel and jobs on the native engine and on Unicorn: equal traces, output and states, including the TLBs'
 * contents and RAM.
 */
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { createUnicornEngine } from "../../emulator/cpu/unicorn/engine.ts";
import { missing } from "../cpu/guest.ts";
import { runCluster } from "./cluster.ts";

const runs = [
  { program: "hello", nodes: 2, cores: 2 },
  { program: "ring", nodes: 3, cores: 1 },
  { program: "files", nodes: 1, cores: 2 },
  { program: "shootdown", nodes: 1, cores: 4 },
  { program: "nullderef", nodes: 1, cores: 1 },
] as const;

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
});
