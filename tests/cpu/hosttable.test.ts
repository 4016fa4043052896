/**
 * The native engine's test of its host, forced both ways: a processor without what it needs, and one that leaves
 * undefined flags otherwise, are refused by name; the command then says what to do.
 */
import { describe, expect, it } from "vitest";
import { translationCache } from "../../emulator/cpu/native/cache.ts";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { NativeUnavailable } from "../../emulator/cpu/native/memory.ts";
import { hostTable, requiredFeatures, selfTest } from "../../emulator/cpu/native/selftest.ts";
import { skipReason } from "../engine.ts";

describe.skipIf(skipReason("tests/cpu/hosttable", createNativeEngine))("the native engine's test of its host", () => {
  const cache = translationCache();
  it("passes here", () => {
    expect(() => selfTest(cache)).not.toThrow();
  });
  it("refuses a processor that lacks a feature, or the leaf that tells of it", () => {
    for (const feature of requiredFeatures) {
      // A bit that no processor has set: leaf 1, EAX, bit 31 is reserved.
      const lacking = { ...feature, leaf: 1, register: 0, bit: 31 };
      expect(() => selfTest(cache, [lacking])).toThrow(new NativeUnavailable(`this processor has no ${feature.name}`));
    }
    const unknown = { name: "leaf 0x7fffffff", leaf: 0x7fff_ffff, register: 0, bit: 0 };
    expect(() => selfTest(cache, [unknown])).toThrow("this processor has no leaf 0x7fffffff");
  });
  it("refuses a processor that differs in any row", () => {
    for (const row of hostTable) {
      const { rax, flags, top } = row.after;
      const others = [
        ...(rax === undefined ? [] : [{ ...row.after, rax: rax ^ 1n }]),
        ...(flags === undefined ? [] : [{ ...row.after, flags: flags ^ 0x800 }]),
        ...(top === undefined ? [] : [{ ...row.after, top: top ^ 1 }]),
      ];
      expect(others.length).toBeGreaterThan(0);
      for (const after of others)
        expect(() => selfTest(cache, requiredFeatures, [{ ...row, after }])).toThrow(
          new NativeUnavailable(`this processor differs in what is undefined: ${row.what}`),
        );
    }
  });
});
