/** Without the library, one message says what to install. */
import { describe, expect, it } from "vitest";
import { loadLibrary, UnicornUnavailable } from "../../emulator/cpu/unicorn/library.ts";

describe("loading the library", () => {
  for (const [what, path] of [
    ["does not exist", "/nonexistent/libunicorn.so.2"],
    ["cannot be loaded", import.meta.filename],
  ]) {
    it(`UNICORN_LIB ${what}`, () => {
      const kept = process.env.UNICORN_LIB;
      process.env.UNICORN_LIB = path;
      try {
        expect(() => loadLibrary()).toThrow(UnicornUnavailable);
        expect(() => loadLibrary()).toThrow(
          new RegExp(`^unicorn: .*${what}.*: install Unicorn 2\\.1\\.1 as libunicorn\\.so\\.2`),
        );
      } finally {
        if (kept === undefined) delete process.env.UNICORN_LIB;
        else process.env.UNICORN_LIB = kept;
      }
    });
  }
});
