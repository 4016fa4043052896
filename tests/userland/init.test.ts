/**
 * Proves, with init's own code in the IR interpreter: its check of the parameter block agrees with the service node's,
 * and its tree is a tree.
 */
import { describe, expect, it } from "vitest";
import { JobParameters, RankPlace } from "../../emulator/abi/job.ts";
import { buildParameters, parseParameters, type Parameters } from "../../emulator/service/parameters.ts";
import { Random } from "../fabric/random.ts";
import { Subset } from "./subset.ts";

const text = (s: Subset, address: bigint): string => {
  let end = 0;
  while (s.interpreter.bytesAt(address, end + 1)[end] !== 0) end++;
  return new TextDecoder().decode(s.interpreter.bytesAt(address, end));
};

describe("the parameter block", () => {
  const p: Parameters = {
    jobId: 3,
    userId: 1000,
    fanout: 4,
    nids: [5, 6, 7],
    programs: ["/a", "/b"],
    programOfRank: [0, 1, 0],
    argv: [
      ["a", "", "cc"],
      ["b", "2"],
    ],
    envp: ["X=y"],
  };
  const block = buildParameters(p);
  const crowded = buildParameters({
    ...p,
    nids: [5, 6, 5, 6, 5, 7],
    coresOfRank: [1n, 1n, 2n, 2n, 4n, 0n],
    programOfRank: [0, 1, 0, 0, 0, 1],
  });
  // The block ends at the end of memory's data: a read beyond it finds other bytes, one far beyond it traps.
  const subset = new Subset("userland/init/parameters.ts", block.length);
  const crowdedSubset = new Subset("userland/init/parameters.ts", crowded.length);
  const validIn = (s: Subset, bytes: Uint8Array): boolean => {
    s.write(0, bytes);
    return s.call("parametersValid", s.scratch, BigInt(bytes.length)) !== 0n;
  };
  const valid = (bytes: Uint8Array): boolean => validIn(subset, bytes);
  it("of the service node is valid, and its strings are found", () => {
    expect(valid(block)).toBe(true);
    const all = [...p.programs, ...p.argv.flat(), ...p.envp];
    let s = 0n;
    all.forEach((expected, i) => {
      s = i === 0 ? subset.call("stringAt", subset.scratch, 0n) : subset.call("nextString", s);
      expect(s).toBe(subset.call("stringAt", subset.scratch, BigInt(i)));
      expect(text(subset, s)).toBe(expected);
    });
  });
  it("cut anywhere is refused", () => {
    for (let length = 0; length < block.length; length++)
      expect(valid(block.subarray(0, length)), `${length} bytes`).toBe(false);
  });
  it("with random damage is judged as the service node's parser judges it", () => {
    let accepted = 0;
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new Random(seed);
      const bad = block.slice();
      for (let n = 1 + random.below(3); n > 0; n--)
        bad[random.below(random.chance(80) ? JobParameters.SIZE : bad.length)] = random.chance(30)
          ? 0xff
          : random.below(random.chance(50) ? 8 : 256);
      const expected = parseParameters(bad) !== null;
      expect(valid(bad), `seed ${seed}: new Random(${seed})`).toBe(expected);
      if (expected) accepted++;
    }
    expect(accepted).toBeGreaterThan(100);
    expect(accepted).toBeLessThan(2900);
  });
  it("with several ranks on a node, and damage to their places, is judged alike", () => {
    expect(validIn(crowdedSubset, crowded)).toBe(true);
    const places = new JobParameters(new DataView(crowded.buffer)).placesOffset;
    let accepted = 0;
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new Random(seed);
      const bad = crowded.slice();
      for (let n = 1 + random.below(2); n > 0; n--)
        bad[places + random.below(6 * RankPlace.SIZE)] = random.chance(10) ? 0xff : random.below(7);
      const expected = parseParameters(bad) !== null;
      expect(validIn(crowdedSubset, bad), `seed ${seed}: new Random(${seed})`).toBe(expected);
      if (expected) accepted++;
    }
    expect(accepted).toBeGreaterThan(300);
    expect(accepted).toBeLessThan(2700);
  });
});

describe("the tree", () => {
  const subset = new Subset("userland/init/tree.ts", 4 * 300);
  const num = (name: string, ...args: number[]): number => Number(subset.call(name, ...args.map(BigInt)));
  for (const [size, fanout] of [
    [1, 1],
    [2, 1],
    [5, 1],
    [4, 4],
    [8, 2],
    [13, 3],
    [100, 7],
    [300, 64],
    [3, 64],
  ] as const) {
    it(`of ${size} ranks and degree ${fanout} has each rank once, under its parent`, () => {
      const parents = new Map<number, number>();
      for (let rank = 0; rank < size; rank++) {
        const first = num("firstChildOf", rank, fanout);
        const count = num("childCountOf", rank, fanout, size);
        expect(count).toBeLessThanOrEqual(fanout);
        for (let i = 0; i < count; i++) {
          expect(parents.has(first + i)).toBe(false);
          expect(first + i).toBeGreaterThan(rank);
          expect(num("indexInParent", first + i, fanout)).toBe(i);
          parents.set(first + i, rank);
        }
      }
      expect([...parents.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: size - 1 }, (_, i) => i + 1));
      // subtreeRuns against a walk up to the root.
      const random = new Random(size * 1000 + fanout);
      const programs = new Uint32Array(size).map(() => (random.chance(5) ? 1 : 0));
      subset.write(0, new Uint8Array(programs.buffer));
      for (let root = 0; root < Math.min(size, 60); root++) {
        const isBelow = (rank: number): boolean => {
          for (let r: number | undefined = rank; r !== undefined; r = parents.get(r)) if (r === root) return true;
          return false;
        };
        const expected = programs.some((index, rank) => index === 1 && isBelow(rank));
        expect(
          subset.call("subtreeRuns", BigInt(root), BigInt(fanout), BigInt(size), 0n, subset.scratch, 1n) !== 0n,
          `root ${root}`,
        ).toBe(expected);
      }
    });
  }
});
