import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

// Cache of transformed modules. vitest does not create the folder before several workers write into it.
const moduleCache = "node_modules/.cache/vitest-modules";
mkdirSync(moduleCache, { recursive: true });

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    pool: "forks",
    // One worker per core: vitest's default leaves one core idle, half of a two-core machine.
    maxWorkers: availableParallelism(),
    testTimeout: 180_000,
    hookTimeout: 180_000,
    experimental: { fsModuleCache: true, fsModuleCachePath: moduleCache },
    reporters: ["default", "./tests/reporter.ts"],
  },
});
